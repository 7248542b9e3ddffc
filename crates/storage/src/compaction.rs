//! What happens to blocks after they were cut: small ones are merged into large ones, old ones are dropped, and what
//! no catalog names is deleted. `docs/operations/compaction.md` tells how it is seen and steered from outside.
//!
//! A job reads its inputs twice. The first pass reads trace ids, starts and the lists of attributes: it yields where each
//! trace's rows are, hence the order of the output, and the columns it has. The second copies rows in that order.
//! Traces that are in one input only are copied as they come from one reader per input; those with parts in several are
//! read apart and put in order, a few at a time, or row by row when a trace is large.

mod collect;
mod compactor;
mod density;
mod job;
mod memory;
mod merge;
mod plan;
mod retain;
mod runs;
mod source;
mod stats;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use vivace_base::{BlockId, ByteSize, Clock, MemoryBudget, MemoryRefused, Randomness};
use vivace_model::TenantId;

use crate::{BlockError, CatalogError, Catalogs};

pub use compactor::Compactor;
pub use plan::{Job, plan};
pub use retain::expired;
pub use stats::{CompactionStats, LevelStats, TenantBacklog};

/// How blocks are compacted; the same for all tenants.
#[derive(Debug, Clone)]
pub struct CompactionOptions {
    /// Rows of a block that is large enough; a block with half of them is not merged again.
    pub target_rows: u64,
    /// The same in bytes; whichever comes first.
    pub target_bytes: ByteSize,
    /// So many blocks that were never compacted are waited for while their window is open.
    pub min_inputs: usize,
    /// How many blocks one job merges at most; also bounds its memory.
    pub max_inputs: usize,
    /// How long nothing must have come into a window after its end until it is compacted for good.
    pub settle: Duration,
    /// How long the objects of a removed block stay. Queries that began before must have ended by then.
    pub removed_block_retention: Duration,
    /// How old a block must be, by its name, to be garbage when no catalog names it. A block that takes half as long
    /// to be written is not committed.
    pub orphan_age: Duration,
    /// How often garbage is looked for.
    pub sweep_interval: Duration,
}

impl Default for CompactionOptions {
    fn default() -> Self {
        Self {
            target_rows: 1_000_000,
            target_bytes: ByteSize::from_mib(128),
            min_inputs: 8,
            max_inputs: 32,
            settle: Duration::from_secs(600),
            removed_block_retention: Duration::from_secs(600),
            orphan_age: Duration::from_secs(12 * 3600),
            sweep_interval: Duration::from_secs(3600),
        }
    }
}

/// What is kept of a tenant's blocks, and how. Names and meaning as in `reference/tempo.md` 6.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPolicy {
    /// How long spans are kept after they came in.
    pub block_retention: Duration,
    /// How much is kept, the newest first; [`None`] for all.
    pub max_stored_bytes: Option<ByteSize>,
    /// Blocks are merged with others of the same span of time, so long.
    pub compaction_window: Duration,
    /// Whether blocks stay as they were cut. Retention goes on.
    pub compaction_disabled: bool,
}

/// Looks up a tenant's policy, each time it is needed.
pub trait TenantPolicies: Send + Sync + Debug {
    /// What holds for the tenant now.
    fn policy(&self, tenant: &TenantId) -> TenantPolicy;
}

/// The same for every tenant.
impl TenantPolicies for TenantPolicy {
    fn policy(&self, _tenant: &TenantId) -> TenantPolicy {
        self.clone()
    }
}

/// What compaction stands on.
#[derive(Debug, Clone)]
pub struct CompactionContext {
    /// Where blocks are.
    pub store: Arc<dyn ObjectStore>,
    /// What names them.
    pub catalogs: Arc<Catalogs>,
    /// Where memory comes from.
    pub budget: Arc<MemoryBudget>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub randomness: Arc<dyn Randomness>,
}

/// Compaction, retention or collection of garbage could not go on; it is tried again.
#[derive(Debug, thiserror::Error)]
enum CompactionError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A block cannot be read.
    #[error("{source}")]
    Input { block: BlockId, source: BlockError },
    #[error("cannot write the compacted block: {0}")]
    Output(#[from] BlockError),
    #[error("cannot {operation} {path}: {source}")]
    Store { operation: &'static str, path: String, source: object_store::Error },
    #[error(transparent)]
    NoMemory(#[from] MemoryRefused),
    #[error("others need the memory")]
    GaveWay,
    #[error("the server is stopping")]
    Stopped,
    #[error("writing the compacted block took so long that it may be taken for garbage")]
    TooSlow,
    #[error("a defect: {0}")]
    Defect(String),
}

impl CompactionError {
    fn store(operation: &'static str, path: &object_store::path::Path, source: object_store::Error) -> Self {
        Self::Store { operation, path: path.to_string(), source }
    }

    /// Attributes trouble with reading a block to it.
    fn input(block: BlockId) -> impl Fn(BlockError) -> Self {
        move |error| match error {
            BlockError::NoMemory(refused) => Self::NoMemory(refused),
            source => Self::Input { block, source },
        }
    }
}

#[cfg(test)]
mod tests;
