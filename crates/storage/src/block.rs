//! Blocks: immutable Parquet files of spans, traces contiguous and ordered by their start, frequent attributes in
//! columns of their own. `docs/formats/block.md` tells readers from outside.

mod checked;
mod conform;
mod damage;
mod file;
mod join;
mod layout;
mod lineage;
mod object;
mod pages;
mod read;
mod sorted;
mod tables;
mod write;

pub use checked::FileCheck;
pub use conform::conform;
pub use join::join_batches;
pub(crate) use layout::{RowKeys, count_attributes, settle_columns, sorted_rows};
pub use layout::{choose_columns, column_order, row_order};
pub use object::{ReadMeter, TooMuchRead};
pub use read::{BlockReader, Projection, SpanStream};
pub use sorted::SortedSpans;
pub use tables::Kept;
pub use write::{BlockWriter, BuiltBlock, build_block, store_block};

use vivace_base::{ErrorKind, MemoryRefused};

use crate::ColumnError;

/// The file of a block's spans, inside its folder.
pub const SPANS_FILE: &str = "spans.parquet";

/// A block could not be built, stored or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlockError {
    /// The object store failed.
    #[error("cannot {operation} {path}: {reason}")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// The object.
        path: String,
        /// What the store says.
        reason: String,
        /// Whether another try may help.
        kind: ErrorKind,
    },
    /// The bytes are not a block.
    #[error("block {path} is damaged: {reason}")]
    Corrupt {
        /// The object.
        path: String,
        /// What does not check out.
        reason: String,
    },
    /// The block was written by a newer version.
    #[error("block {path} has format {found}, this version reads up to {known}: upgrade Vivace")]
    TooNew {
        /// The object.
        path: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// There is no memory to keep what is known of the block in.
    #[error(transparent)]
    NoMemory(#[from] MemoryRefused),
    /// The query may not read more.
    #[error(transparent)]
    TooMuchRead(#[from] TooMuchRead),
    /// Spans could not be turned into a block: a defect of ours.
    #[error("cannot build a block: {0}")]
    Build(String),
}

impl BlockError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store { kind, .. } => *kind,
            Self::Corrupt { .. } | Self::TooNew { .. } => ErrorKind::Corrupt,
            Self::NoMemory(_) => ErrorKind::Overloaded,
            Self::TooMuchRead(_) => ErrorKind::TooLarge,
            Self::Build(_) => ErrorKind::Internal,
        }
    }

    pub(crate) fn store(
        operation: &'static str,
        path: &object_store::path::Path,
        error: &object_store::Error,
    ) -> Self {
        let kind = match error {
            object_store::Error::NotFound { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        };
        Self::Store { operation, path: path.to_string(), reason: error.to_string(), kind }
    }
}

impl From<ColumnError> for BlockError {
    fn from(error: ColumnError) -> Self {
        Self::Build(error.to_string())
    }
}

impl From<arrow::error::ArrowError> for BlockError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Build(error.to_string())
    }
}

#[cfg(test)]
mod tests;
