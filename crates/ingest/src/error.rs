use vivace_base::{ByteSize, ErrorKind, MemoryRefused};
use vivace_storage::{BlockError, CatalogError, WalError};

/// Why a batch was not taken, or a block not made.
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
    /// Blocks cannot be made as fast as spans come, or at all, and the write-ahead log has its largest size.
    #[error(
        "the write-ahead log has {bytes} of at most {limit}, which wait to become blocks; retry later or raise `max_wal_bytes`"
    )]
    LogFull {
        /// What it has.
        bytes: ByteSize,
        /// What it may have.
        limit: ByteSize,
    },
    /// The write-ahead log failed.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A block could not be built or stored.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A defect of ours.
    #[error("taking spans in failed: {0}")]
    Defect(String),
}

impl IngestError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. } => ErrorKind::InvalidInput,
            Self::NoMemory(_) | Self::LogFull { .. } => ErrorKind::Overloaded,
            Self::Wal(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Block(error) => error.kind(),
            Self::Defect(_) => ErrorKind::Internal,
        }
    }
}
