use vivace_base::{ErrorKind, MemoryRefused};

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bytes are not the message they claim to be.
    #[error("cannot decode the request as {format}: {reason}")]
    Malformed {
        /// `protobuf` or `JSON`.
        format: &'static str,
        /// What and where.
        reason: String,
    },
    /// No memory for it now.
    #[error("{0}; retry later")]
    NoMemory(#[from] MemoryRefused),
    /// The write-ahead log did not take it.
    #[error("cannot write the batch ahead: {0}")]
    Wal(String, ErrorKind),
}

impl IngestError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. } => ErrorKind::InvalidInput,
            Self::NoMemory(_) => ErrorKind::Overloaded,
            Self::Wal(_, kind) => *kind,
        }
    }
}
