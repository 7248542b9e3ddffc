use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use vivace_model::TenantId;

use crate::block::SortedSpans;
use crate::{BlockError, Seq};

/// Spans that are queryable but perhaps not yet in a block. Declared here so that queries reach them without knowing
/// ingest. Take this snapshot first and the catalog's second, then drop what the catalog covers: data that moves in
/// between is seen twice, never missed, and the second sight drops.
pub trait LiveSpans: Send + Sync + Debug {
    /// A tenant's live spans now. Cheap: arrays are shared, not copied.
    fn snapshot(&self, tenant: &TenantId) -> LiveSnapshot;

    /// The last log record among a tenant's live spans; 0 when there are none.
    fn last(&self, tenant: &TenantId) -> Seq {
        self.snapshot(tenant).batches.last().map_or(0, |batch| batch.last)
    }
}

/// A tenant's live spans at one moment.
#[derive(Debug, Clone, Default)]
pub struct LiveSnapshot {
    /// The write-ahead log they came through.
    pub writer: String,
    /// Batches of the span schema in commit order.
    pub batches: Vec<LiveBatch>,
}

/// Some live spans.
#[derive(Debug, Clone)]
pub struct LiveBatch {
    /// The last log record in it. A catalog that covers this covers the whole batch, since blocks are cut between
    /// batches.
    pub last: Seq,
    /// The spans.
    pub spans: RecordBatch,
    /// The spans in the order of a block, once somebody asked for them.
    pub sorted: Arc<OnceLock<SortedSpans>>,
}

impl LiveBatch {
    /// The spans in the order of a block.
    ///
    /// # Errors
    /// [`BlockError::Build`], a defect of ours.
    pub fn sorted(&self) -> Result<SortedSpans, BlockError> {
        if let Some(sorted) = self.sorted.get() {
            return Ok(sorted.clone());
        }
        let sorted = SortedSpans::new(std::slice::from_ref(&self.spans))?;
        Ok(self.sorted.get_or_init(|| sorted).clone())
    }
}

impl LiveSnapshot {
    /// The batches that no block of a catalog holds, given up to where it covers this log.
    pub fn uncovered(self, covered_through: Seq) -> impl Iterator<Item = Result<SortedSpans, BlockError>> {
        let uncovered = self.batches.into_iter().filter(move |batch| batch.last > covered_through);
        uncovered.map(|batch| batch.sorted())
    }
}
