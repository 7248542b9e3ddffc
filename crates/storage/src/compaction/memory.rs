use std::sync::Arc;

use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};

use super::runs::Run;
use crate::{BlockMeta, BlockReader, limits};

/// Spans take about so many times their size in a block once they are in memory: measured 15 to 25.
const DECODED_FACTOR: u64 = 24;
const MIN_ROW_BYTES: u64 = 512;
/// What the writer knows of a trace for the index, and of a span of a large trace.
const INDEXED_TRACE: u64 = 64;
const REMEMBERED_SPAN: u64 = 32;
const REMEMBERED_SPANS: u64 = 1 << 18;
/// Memory of an input that is open beside its pages: dictionaries, ids of parents, the decoder.
const OPEN_INPUT: u64 = 1 << 20;

/// What a job has reserved, from before it begins. Grows when batches are larger than was thought.
#[derive(Debug)]
pub(super) struct JobMemory {
    reserved: Reservation,
    /// Memory that does not depend on the size of batches.
    fixed: u64,
    /// How many batches of [`limits::COMPACTION_READ_ROWS`] there are at once.
    batches: u64,
    batch_bytes: u64,
}

impl JobMemory {
    pub(super) fn reserve(budget: &Arc<MemoryBudget>, inputs: &[BlockMeta]) -> Result<Self, MemoryRefused> {
        let sum = |of: fn(&BlockMeta) -> u64| inputs.iter().map(of).fold(0, u64::saturating_add);
        let (rows, bytes, traces) = (sum(|b| b.rows).max(1), sum(|b| b.bytes), sum(|b| b.traces));
        let open = most_open(inputs) as u64;
        let group_bytes = |b: &BlockMeta| b.bytes / (b.rows / limits::ROW_GROUP_ROWS as u64).max(1);
        let largest_group = inputs.iter().map(group_bytes).max().unwrap_or_default();
        let written_group = bytes / (rows / limits::ROW_GROUP_ROWS as u64).max(1);
        let runs = traces.saturating_mul((size_of::<Run>() + 2 * size_of::<usize>()) as u64);
        let fixed = [
            runs,
            traces.saturating_mul(INDEXED_TRACE),
            rows.min(REMEMBERED_SPANS) * REMEMBERED_SPAN,
            open.saturating_mul(OPEN_INPUT.saturating_add(largest_group)),
            written_group.saturating_mul(2),
            limits::INDEX_BUILD,
            (limits::COMPACTION_UPLOADS as u64 + 1) * limits::COMPACTION_UPLOAD_PART as u64,
        ];
        let fixed = fixed.into_iter().fold(0, u64::saturating_add);
        // Each open input has a batch and decodes the next; what is written is there twice; so is a group.
        let at_once = 2 * (limits::COMPACTION_WRITE_ROWS + limits::COMPACTION_GROUP_ROWS);
        let batches = 2 * open + (at_once / limits::COMPACTION_READ_ROWS) as u64;
        let row_bytes = (bytes / rows).saturating_mul(DECODED_FACTOR).max(MIN_ROW_BYTES);
        let batch_bytes = row_bytes.saturating_mul(limits::COMPACTION_READ_ROWS as u64);
        let reserved = budget.reserve(Holder::Compaction, 0)?;
        let mut memory = Self { reserved, fixed, batches, batch_bytes };
        memory.resize()?;
        Ok(memory)
    }

    /// Takes more for the footers of the inputs.
    pub(super) fn add_footers(&mut self, readers: &[BlockReader]) -> Result<(), MemoryRefused> {
        self.fixed += readers.iter().map(BlockReader::memory).sum::<u64>();
        self.resize()
    }

    /// Takes more when a batch is larger than any before.
    pub(super) fn see_batch(&mut self, bytes: usize) -> Result<(), MemoryRefused> {
        if bytes as u64 <= self.batch_bytes {
            return Ok(());
        }
        self.batch_bytes = bytes as u64;
        self.resize()
    }

    fn resize(&mut self) -> Result<(), MemoryRefused> {
        self.reserved.resize(self.fixed.saturating_add(self.batches.saturating_mul(self.batch_bytes)))
    }
}

/// How many of the inputs have to be open at once: those that overlap.
fn most_open(inputs: &[BlockMeta]) -> usize {
    let overlapping = |at: u64| inputs.iter().filter(|b| b.range.start <= at && at <= b.range.end).count();
    inputs.iter().map(|block| overlapping(block.range.start)).max().unwrap_or_default()
}
