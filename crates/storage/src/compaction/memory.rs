use std::sync::Arc;

use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};

use super::runs::Run;
use crate::{BlockMeta, BlockReader, limits};

/// What the writer knows of a span of a large trace.
const REMEMBERED_SPAN: u64 = 32;
/// Memory of an input that is open beside its pages: dictionaries, ids of parents, the decoder.
const OPEN_INPUT: u64 = 1 << 20;
/// A footer; the real size is reserved once it is known.
const FOOTER: u64 = 128 << 10;
/// A row is read, on its way, and being written.
const COPIES: u64 = 3;

/// What a job has reserved: enough for the footers first, for everything before the first row is read. Grows when
/// batches are larger than was thought.
#[derive(Debug)]
pub(super) struct JobMemory {
    budget: Arc<MemoryBudget>,
    reserved: Reservation,
    /// Memory that does not depend on the size of rows.
    fixed: u64,
    /// How many rows there are in memory at once, at most.
    rows: u64,
    row_bytes: u64,
}

impl JobMemory {
    /// Takes what opening the inputs needs.
    pub(super) fn for_footers(budget: &Arc<MemoryBudget>, inputs: usize) -> Result<Self, MemoryRefused> {
        let fixed = inputs as u64 * FOOTER;
        let reserved = budget.reserve(Holder::Compaction, fixed)?;
        Ok(Self { budget: Arc::clone(budget), reserved, fixed, rows: 0, row_bytes: 0 })
    }

    /// Takes what merging the inputs needs.
    pub(super) fn for_rows(
        &mut self,
        inputs: &[BlockMeta],
        readers: &[BlockReader],
    ) -> Result<(), MemoryRefused> {
        let sum = |of: fn(&BlockMeta) -> u64| inputs.iter().map(of).fold(0, u64::saturating_add);
        let (rows, bytes, traces) = (sum(|b| b.rows).max(1), sum(|b| b.bytes), sum(|b| b.traces));
        let open = most_open(inputs) as u64;
        let group_rows = limits::ROW_GROUP_ROWS as u64;
        let in_group = |rows: u64, bytes: u64| bytes / rows.max(1) * rows.min(group_rows);
        let largest_group = inputs.iter().map(|b| in_group(b.rows, b.bytes)).max().unwrap_or_default();
        let runs = traces.saturating_mul((size_of::<Run>() + 2 * size_of::<usize>()) as u64);
        let parts = (limits::COMPACTION_UPLOADS as u64 + 1) * limits::COMPACTION_UPLOAD_PART as u64;
        let fixed = [
            readers.iter().map(BlockReader::memory).sum(),
            runs,
            traces.saturating_mul(limits::INDEX_TRACE),
            rows.saturating_mul(limits::INDEX_ROW),
            open.saturating_mul(largest_group.saturating_add(OPEN_INPUT)),
            in_group(rows, bytes),
            limits::INDEX_BUILD,
            parts.min(bytes.saturating_mul(2)),
        ];
        self.fixed = fixed.into_iter().fold(0, u64::saturating_add);
        // Each open input has a batch and decodes the next; what is written is there twice; so is a group.
        let written = 2 * (limits::COMPACTION_WRITE_ROWS + limits::COMPACTION_GROUP_ROWS) as u64;
        let read = 2 * open * limits::COMPACTION_READ_ROWS as u64;
        self.rows = (read + written).min(rows.saturating_mul(COPIES));
        self.row_bytes = readers.iter().map(BlockReader::decoded_bytes).sum::<u64>() / rows;
        self.resize()?;
        let left = self.budget.limit().bytes() / limits::COMPACTION_LEAVES;
        // Only to see that it is there.
        self.budget.reserve(Holder::Compaction, left).map(drop)
    }

    /// Takes what the writer remembers of the longest trace.
    pub(super) fn for_traces(&mut self, longest: usize) -> Result<(), MemoryRefused> {
        self.fixed += longest.min(limits::REMEMBERED_SPANS) as u64 * REMEMBERED_SPAN;
        self.resize()
    }

    /// Takes more when a batch is larger than any before.
    pub(super) fn see_batch(&mut self, bytes: usize) -> Result<(), MemoryRefused> {
        let row_bytes = bytes as u64 / (limits::COMPACTION_READ_ROWS as u64).min(self.rows).max(1);
        if row_bytes <= self.row_bytes {
            return Ok(());
        }
        self.row_bytes = row_bytes;
        self.resize()
    }

    fn resize(&mut self) -> Result<(), MemoryRefused> {
        self.reserved.resize(self.fixed.saturating_add(self.rows.saturating_mul(self.row_bytes)))
    }
}

/// How many of the inputs have to be open at once: those that overlap.
fn most_open(inputs: &[BlockMeta]) -> usize {
    let overlapping = |at: u64| inputs.iter().filter(|b| b.range.start <= at && at <= b.range.end).count();
    inputs.iter().map(|block| overlapping(block.range.start)).max().unwrap_or_default()
}
