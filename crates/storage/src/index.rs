//! The sidecar index of a block: small answers that need no spans. Sections of their own kinds, each found through the
//! header and readable by range; `docs/formats/index.md` has the bytes. An index that is missing or damaged costs
//! speed, never an answer.

mod buckets;
mod build;
mod calls;
mod distinct;
mod format;
mod read;
mod summaries;
mod tags;
mod traces;
mod zones;

pub use buckets::{bucket, bucket_of_slot, middle, power_of_slot, wide_bucket, wide_middle};
pub use build::IndexBuilder;
pub use calls::{Call, CallColumns, CallReader, CallSpan, Connection, Edge, Entry, Names, calls, sort_spans};
pub(crate) use distinct::distinct_texts;
pub use read::{BlockIndex, IndexedValues, Tags, ValueList};
pub use summaries::{Dimensions, Summaries, SummaryChunk, SummaryCounts, SummaryGroup, SummaryTable};
pub use tags::IndexScope;
pub use traces::{TraceHash, TraceIds, TraceRuns, TracesBuilder};
pub(crate) use zones::ZoneColumns;
pub use zones::{LISTED_KEYS, ValueHash, ZONE_ROWS, ZoneColumn};

use vivace_base::{ErrorKind, MemoryRefused};

/// The file of a block's index, inside its folder.
pub const INDEX_FILE: &str = "index.bin";

/// Intrinsics whose values are indexed, by TraceQL's legacy names (`reference/tempo.md` 4.3).
pub mod intrinsics {
    /// Span name.
    pub const NAME: &str = "name";
    /// Status message.
    pub const STATUS_MESSAGE: &str = "statusMessage";
    /// Name of the spans without a parent.
    pub const ROOT_NAME: &str = "rootName";
    /// `service.name` of the spans without a parent, if it is text.
    pub const ROOT_SERVICE_NAME: &str = "rootServiceName";
    /// Event name.
    pub const EVENT_NAME: &str = "event:name";
    /// Name of the instrumentation scope.
    pub const SCOPE_NAME: &str = "instrumentation:name";
    /// Version of the instrumentation scope.
    pub const SCOPE_VERSION: &str = "instrumentation:version";
}

/// An index could not be read; the block itself can.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IndexError {
    /// The object store failed, or has no index for the block.
    #[error("cannot read index {path}: {reason}")]
    Store {
        /// The object.
        path: String,
        /// What the store says.
        reason: String,
        /// [`ErrorKind::Corrupt`] when there is no such object.
        kind: ErrorKind,
    },
    /// The bytes do not check out.
    #[error("index {path} is damaged: {reason}; the block is read without it")]
    Damaged {
        /// The object.
        path: String,
        /// What does not check out.
        reason: &'static str,
    },
    /// The index was written by a newer version.
    #[error(
        "index {path} has format {found}, this version reads up to {known}; the block is read without it"
    )]
    TooNew {
        /// The object.
        path: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// There is no memory to read it into.
    #[error(transparent)]
    NoMemory(#[from] MemoryRefused),
}

impl IndexError {
    /// Whether another try finds the same.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Store { kind, .. } => *kind == ErrorKind::Corrupt,
            Self::Damaged { .. } | Self::TooNew { .. } => true,
            Self::NoMemory(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
