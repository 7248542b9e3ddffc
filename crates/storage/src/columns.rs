//! Spans to Arrow columns and back, in the layout of [`vivace_model::schema`], and access to single columns without
//! decoding whole spans.

mod access;
mod decode;
mod encode;
mod text;

pub use access::{AttributeList, AttributeValues, EventColumns, LinkColumns, ValueRef, column, list_column};
pub use decode::SpanDecoder;
pub use encode::{AttributesBuilder, SpanBatchBuilder};
pub use text::{TextColumn, text_column};

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

#[cfg(test)]
pub(crate) mod tests;
