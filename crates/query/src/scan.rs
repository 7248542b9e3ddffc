//! Spans as a DataFusion table: one row per span, with a Boolean column for each spanset filter of a query.

mod exec;
mod table;

pub(crate) use table::{SpanTable, columns, match_column};
