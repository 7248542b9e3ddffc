//! Which blocks are merged, decided from the catalog alone.
//!
//! - A block belongs to the window of time in which its last span ended, but no later than it was stored: a clock that
//!   runs ahead does not count, and a span that took hours does not bring an old window back to work.
//! - The newest window comes first, for most queries look there.
//! - While a window is open, blocks are merged when there are enough of them: either to make one that is large enough,
//!   or [`CompactionOptions::min_inputs`] that were never merged. Once nothing has come for
//!   [`CompactionOptions::settle`] after the window's end, the rest is merged for good.
//! - A block is final when it is large enough or was merged twice. So no span is written by compaction more than twice:
//!   write amplification is 2 at most, beside the block it was cut in. A change of the format adds one.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use vivace_base::{BlockId, UnixNanos};
use vivace_model::schema;

use super::CompactionOptions;
use crate::BlockMeta;

/// A block that was merged so often is final.
const FINAL_LEVEL: u32 = 2;

/// Blocks to be replaced by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The number of the window they are in, counted from the epoch.
    pub window: u64,
    /// At least two, or one of an older format, in the order of time.
    pub inputs: Vec<BlockMeta>,
    /// The level of the block that replaces them.
    pub level: u32,
}

impl Job {
    /// The blocks' names.
    pub fn ids(&self) -> Vec<BlockId> {
        self.inputs.iter().map(|block| block.id).collect()
    }

    /// The same with half of the inputs, but with two; [`None`] when there are no more than those.
    pub(super) fn halved(mut self) -> Option<Self> {
        let fewer = self.inputs.len() > 2;
        self.inputs.truncate((self.inputs.len() / 2).max(2));
        fewer.then_some(self)
    }
}

/// Everything there is to do for a tenant's blocks now, the most urgent first. No block is in two jobs. Doing the jobs,
/// in any order, leads to a state in which there are none.
pub fn plan(blocks: &[BlockMeta], now: UnixNanos, window: Duration, options: &CompactionOptions) -> Vec<Job> {
    let length = nanos(window).max(1);
    let mut windows: BTreeMap<u64, Vec<&BlockMeta>> = BTreeMap::new();
    for block in blocks {
        windows.entry(block.range.end.min(block.stored) / length).or_default().push(block);
    }
    let mut jobs = Vec::new();
    let mut outdated = Vec::new();
    for (number, mut blocks) in windows.into_iter().rev() {
        blocks.sort_by_key(|block| (block.range.start, block.id));
        let (done, rest): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| options.is_final(block));
        let end = number.saturating_add(1).saturating_mul(length);
        let newest = rest.iter().map(|block| block.stored).max().unwrap_or(0).max(end);
        let settled = newest.saturating_add(nanos(options.settle)) <= now;
        let window = Window { number, settled, options };
        let rest = window.plan(rest, &mut jobs);
        let rest = if settled { rest } else { Vec::new() };
        let old = done.into_iter().chain(rest).filter(|block| block.format < schema::FORMAT);
        outdated.extend(old.map(|block| window.job(vec![block], block.level)));
    }
    jobs.extend(outdated);
    jobs
}

struct Window<'o> {
    number: u64,
    settled: bool,
    options: &'o CompactionOptions,
}

impl Window<'_> {
    /// Adds the jobs of a window whose blocks that are not final are `rest`, by time; returns what is in none.
    fn plan<'b>(&self, mut rest: Vec<&'b BlockMeta>, jobs: &mut Vec<Job>) -> Vec<&'b BlockMeta> {
        while let Some(inputs) = self.next(&rest) {
            let taken: HashSet<BlockId> = inputs.iter().map(|block| block.id).collect();
            rest.retain(|block| !taken.contains(&block.id));
            let level = inputs.iter().map(|block| block.level).max().unwrap_or(0) + 1;
            jobs.push(self.job(inputs, level));
        }
        rest
    }

    fn next<'b>(&self, rest: &[&'b BlockMeta]) -> Option<Vec<&'b BlockMeta>> {
        let options = self.options;
        let rows: u64 = rest.iter().map(|block| block.rows).sum();
        let bytes: u64 = rest.iter().map(|block| block.bytes).sum();
        if rows >= options.target_rows || bytes >= options.target_bytes.bytes() || self.settled {
            return options.fill(rest.iter().copied());
        }
        let new = || rest.iter().copied().filter(|block| block.level == 0);
        if new().count() >= options.min_inputs { options.fill(new()) } else { None }
    }

    fn job(&self, inputs: Vec<&BlockMeta>, level: u32) -> Job {
        Job { window: self.number, inputs: inputs.into_iter().cloned().collect(), level }
    }
}

impl CompactionOptions {
    fn is_final(&self, block: &BlockMeta) -> bool {
        block.level >= FINAL_LEVEL
            || block.rows >= self.target_rows / 2
            || block.bytes >= self.target_bytes.bytes() / 2
    }

    /// The first blocks that make one that is not too large; [`None`] for less than two.
    fn fill<'b>(&self, blocks: impl Iterator<Item = &'b BlockMeta>) -> Option<Vec<&'b BlockMeta>> {
        let (mut rows, mut bytes) = (0_u64, 0_u64);
        let fits = |block: &&BlockMeta| {
            rows = rows.saturating_add(block.rows);
            bytes = bytes.saturating_add(block.bytes);
            rows <= self.target_rows && bytes <= self.target_bytes.bytes()
        };
        let filled: Vec<_> = blocks.take(self.max_inputs.max(2)).take_while(fits).collect();
        (filled.len() >= 2).then_some(filled)
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
