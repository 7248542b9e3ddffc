use vivace_base::{ErrorKind, MemoryRefused};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The request cannot be answered as asked.
    #[error("{0}")]
    Invalid(String),
    /// The memory budget has no room for it.
    #[error("{0}; ask for less or retry later")]
    NoMemory(#[from] MemoryRefused),
    /// Stored bytes could not be read.
    #[error("cannot read {what}: {reason}")]
    Storage {
        /// Which object.
        what: String,
        /// What went wrong.
        reason: String,
        /// What the caller can do.
        kind: ErrorKind,
    },
    /// The engine failed.
    #[error("query execution failed: {0}")]
    Execution(String),
}

impl QueryError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::InvalidInput,
            Self::NoMemory(_) => ErrorKind::Overloaded,
            Self::Storage { kind, .. } => *kind,
            Self::Execution(_) => ErrorKind::Internal,
        }
    }
}
