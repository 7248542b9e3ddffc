//! Spans to Arrow columns and back, in the layout of [`vivace_model::schema`], and access to single columns without
//! decoding whole spans.

mod access;
mod attribute_log;
mod decode;
mod encode;
mod gather;
mod order;
mod text;
mod texts;

pub(crate) use decode::OrderColumn;
pub(crate) use order::{OrderBuilder, read_order};

pub use access::{AttributeList, AttributeValues, EventColumns, LinkColumns, ValueRef, column, list_column};
pub use decode::SpanDecoder;
pub use encode::{AttributesBuilder, SpanBatchBuilder, SpanFields};
pub use gather::gather_batches;
pub use order::AttributeOrder;
pub use text::{TextColumn, text_column};

use crate::limits;

/// A batch does not have the layout it should have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}` {problem}")]
pub struct ColumnError {
    /// Which column.
    pub column: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl ColumnError {
    /// The column is not there.
    pub fn missing(column: &str) -> Self {
        Self { column: column.to_owned(), problem: "is missing" }
    }
}

/// In how many of `rows` an attribute must be to have a column of its own, if one in `per_value` is enough.
pub(crate) fn rows_for_column(rows: usize, per_value: usize) -> usize {
    rows.div_ceil(per_value).max(rows.min(limits::FEWEST_COLUMN_VALUES)).max(1)
}

#[cfg(test)]
pub(crate) mod tests;
