use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use vivace_model::TimeRange;
use vivace_model::schema::block_schema;

use super::BlockError;
use super::conform::conform;
use super::layout::{choose_columns, row_order};
use super::lineage::Lineage;
use crate::columns::gather_batches;
use crate::index::{TraceIds, TraceRuns, TracesBuilder};

/// Spans in memory in the order of a block, none of them twice, and where each trace's are.
#[derive(Debug, Clone)]
pub struct SortedSpans {
    spans: RecordBatch,
    ids: Arc<TraceIds>,
    runs: Arc<TraceRuns>,
    range: TimeRange,
    number: u64,
}

impl SortedSpans {
    /// Sorts spans of any layout; they get one layout.
    ///
    /// # Errors
    /// [`BlockError::Build`] when a batch is not one of spans.
    pub fn new(batches: &[RecordBatch]) -> Result<Self, BlockError> {
        if let [batch] = batches
            && row_order(batches)?.is_sorted()
        {
            return Self::of_sorted(batch);
        }
        let columns = choose_columns(batches)?;
        let schema: SchemaRef = Arc::new(block_schema(&columns));
        let conformed: Vec<_> =
            batches.iter().map(|batch| conform(batch, &columns, &schema)).collect::<Result<_, _>>()?;
        let order = row_order(&conformed)?;
        let sorted = gather_batches(&conformed, &order)?;
        Self::of_sorted(&sorted)
    }

    fn of_sorted(sorted: &RecordBatch) -> Result<Self, BlockError> {
        /// So that what is kept about one batch is never taken for what is known of another.
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let followed = Lineage::default().follow(sorted)?;
        let mut traces = TracesBuilder::default();
        traces.add(&followed.spans)?;
        let (ids, runs) = traces.finish();
        let runs = runs.followed();
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let each = (0..runs.len()).map(|entry| runs.range(entry));
        let range = each.reduce(|a, b| a.union(&b)).unwrap_or(TimeRange { start: 0, end: 0 });
        Ok(Self { spans: followed.spans, ids: Arc::new(ids), runs: Arc::new(runs), range, number })
    }

    /// The spans.
    pub fn spans(&self) -> &RecordBatch {
        &self.spans
    }

    /// Which traces they are of.
    pub fn ids(&self) -> &TraceIds {
        &self.ids
    }

    /// Where each trace's spans are.
    pub fn runs(&self) -> &TraceRuns {
        &self.runs
    }

    /// From the first start to the last end.
    pub fn range(&self) -> TimeRange {
        self.range
    }

    /// A number that no other spans of this process have, but for clones.
    pub fn number(&self) -> u64 {
        self.number
    }
}
