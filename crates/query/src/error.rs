use std::sync::Arc;
use std::time::Duration;

use arrow::error::ArrowError;
use vivace_base::{ByteSize, ErrorKind, MemoryRefused};
use vivace_model::TraceId;
use vivace_storage::block::TooMuchRead;
use vivace_storage::{BlockError, CatalogError, ColumnError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The request cannot be answered as asked.
    #[error("{0}")]
    Invalid(String),
    /// The memory budget has no room for it.
    #[error("{0}; ask for less or retry later")]
    NoMemory(#[from] MemoryRefused),
    /// What was asked for needs all of a trace in memory at once, and it does not fit.
    #[error("trace {trace} does not fit into memory all at once, which this needs: {refused}")]
    TooLargeTrace {
        /// The trace.
        trace: TraceId,
        /// How much is missing.
        refused: MemoryRefused,
    },
    /// The query would read more of blocks than its tenant may have read.
    #[error(
        "the query reads more than the {0} of blocks that `max_bytes_scanned` allows: ask for a shorter time or \
         more selectively, or raise it (`read.max_bytes_scanned` of the tenant)"
    )]
    TooMuchScanned(ByteSize),
    /// A block could not be read.
    #[error(transparent)]
    Block(BlockError),
    /// The catalog could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Too many queries are waiting.
    #[error("too many queries are running: retry later")]
    Busy,
    /// The deadline passed before there was anything to answer.
    #[error("the query took longer than the {0:?} of its deadline, `query_deadline`: ask for less")]
    Deadline(Duration),
    /// The same question was asked by another, and this came of it.
    #[error(transparent)]
    Shared(Arc<QueryError>),
    /// The engine failed: a defect of ours.
    #[error("query execution failed: {0}")]
    Execution(String),
}

impl QueryError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::InvalidInput,
            Self::NoMemory(_) | Self::TooLargeTrace { .. } | Self::Busy => ErrorKind::Overloaded,
            Self::TooMuchScanned(_) => ErrorKind::TooLarge,
            Self::Block(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Deadline(_) => ErrorKind::DeadlineExceeded,
            Self::Shared(error) => error.kind(),
            Self::Execution(_) => ErrorKind::Internal,
        }
    }
}

/// Memory that reading was refused is refused to the query.
impl From<BlockError> for QueryError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::NoMemory(refused) => Self::NoMemory(refused),
            BlockError::TooMuchRead(TooMuchRead(limit)) => Self::TooMuchScanned(limit),
            error => Self::Block(error),
        }
    }
}

impl From<ColumnError> for QueryError {
    fn from(error: ColumnError) -> Self {
        Self::Execution(error.to_string())
    }
}

impl From<ArrowError> for QueryError {
    fn from(error: ArrowError) -> Self {
        Self::Execution(error.to_string())
    }
}
