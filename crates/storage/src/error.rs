use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use vivace_base::{ByteSize, ErrorKind};
use vivace_model::TenantId;

/// Opening or probing the object store failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The URL cannot be used.
    #[error(
        "the storage URL `{url}` {reason}: write file:///DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
    )]
    InvalidUrl {
        /// As given, without credentials.
        url: String,
        /// What is wrong with it, as a verb phrase.
        reason: String,
    },
    /// The store's client cannot be made, for instance for want of credentials.
    #[error("cannot open the object store at {url}: {source}")]
    Open {
        /// The store.
        url: String,
        /// What the client says.
        source: Arc<object_store::Error>,
    },
    /// A folder for local storage cannot be made or read.
    #[error("cannot {operation} {}: {source}; check that the directory exists and may be written", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The store does not answer as it should.
    #[error(
        "the object store at {url} failed to {operation}: {source}; check the URL, the credentials and the network"
    )]
    Probe {
        /// The store.
        url: String,
        /// What was tried.
        operation: &'static str,
        /// What it said.
        source: Arc<object_store::Error>,
    },
    /// The store overwrites where it must refuse.
    #[error(
        "the object store at {url} does not support put-if-absent (conditional PUT, If-None-Match: *), which Vivace's \
         catalog needs ({detail}): upgrade the store to a version that has it or use another one; for S3, \
         AWS_CONDITIONAL_PUT must not be `disabled`"
    )]
    NoPutIfAbsent {
        /// The store.
        url: String,
        /// What it did instead.
        detail: String,
    },
}

/// The write-ahead log failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WalError {
    /// The log was closed; nothing more is accepted.
    #[error("the write-ahead log is closed: the server is shutting down")]
    Closed,
    /// The record is larger than the log accepts.
    #[error(
        "a record of {size} is larger than the {limit} the write-ahead log accepts: send smaller batches"
    )]
    TooLarge {
        /// The record's payload.
        size: ByteSize,
        /// The limit.
        limit: ByteSize,
    },
    /// Another process has the directory.
    #[error(
        "the write-ahead log in {} is in use by another process: stop it, or give each server a data directory of its own",
        dir.display()
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The disk refused; what was being appended is not acknowledged.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// Bytes on disk do not check out.
    #[error("{} is damaged at byte {offset}: {reason}; {lost}", path.display())]
    Corrupt {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What does not check out.
        reason: String,
        /// What is lost by it.
        lost: String,
    },
    /// A newer program wrote the segment.
    #[error("{} has format {found}, this program knows up to {known}: run the newer version that wrote it", path.display())]
    UnsupportedFormat {
        /// The segment.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
}

/// Reading or changing a tenant's catalog failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// The object store failed. A commit that fails this way may still have happened; the same change made again is
    /// then seen to be done.
    #[error("cannot {operation} {path} in the object store: {source}")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// On which object or folder.
        path: String,
        /// What the store says.
        source: Arc<object_store::Error>,
    },
    /// A snapshot does not check out.
    #[error(
        "the catalog snapshot {path} is damaged: {reason}; restore the object from a backup or a bucket version"
    )]
    Corrupt {
        /// The object.
        path: String,
        /// What does not check out.
        reason: String,
    },
    /// A newer program wrote the snapshot.
    #[error(
        "the catalog snapshot {path} has format {found}, this program knows up to {known}: run the newer version"
    )]
    UnsupportedFormat {
        /// The object.
        path: String,
        /// Its format.
        found: u64,
        /// The newest format known here.
        known: u32,
    },
    /// The catalog would grow past what is read back.
    #[error("the catalog of tenant {tenant} would take {size}, more than {limit}: it has too many blocks")]
    TooLarge {
        /// Whose.
        tenant: TenantId,
        /// How large it would be.
        size: ByteSize,
        /// The limit.
        limit: ByteSize,
    },
    /// Other writers were faster every time.
    #[error("the catalog of tenant {tenant} changed under {tries} attempts to commit: try again")]
    Contended {
        /// Whose.
        tenant: TenantId,
        /// How often it was tried.
        tries: u32,
    },
    /// One more tenant than a process serves.
    #[error("tenant {tenant} would be one more than the {limit} tenants one process serves")]
    TooManyTenants {
        /// Who came too late.
        tenant: TenantId,
        /// The limit.
        limit: usize,
    },
}

impl StoreError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidUrl { .. } | Self::NoPutIfAbsent { .. } => ErrorKind::InvalidInput,
            Self::Open { .. } | Self::Io { .. } | Self::Probe { .. } => ErrorKind::Unavailable,
        }
    }
}

impl WalError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Closed | Self::Locked { .. } | Self::Io { .. } => ErrorKind::Unavailable,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Corrupt { .. } | Self::UnsupportedFormat { .. } => ErrorKind::Corrupt,
        }
    }

    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { operation, path: path.into(), source: Arc::new(source) }
    }
}

impl CatalogError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store { .. } | Self::Contended { .. } => ErrorKind::Unavailable,
            Self::Corrupt { .. } | Self::UnsupportedFormat { .. } => ErrorKind::Corrupt,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::TooManyTenants { .. } => ErrorKind::Overloaded,
        }
    }

    pub(crate) fn store(
        operation: &'static str,
        path: &object_store::path::Path,
        source: object_store::Error,
    ) -> Self {
        Self::Store { operation, path: path.to_string(), source: Arc::new(source) }
    }
}
