//! Which traces of a unit may give exemplars, found without their ids: by the hashes that the piece's table has.

use std::collections::BTreeSet;

use arrow::array::UInt64Array;
use arrow::buffer::BooleanBuffer;
use vivace_storage::index::{TraceHash, TraceIds, TraceRuns};

use super::exemplars::{PER_PART, parts};
use crate::MetricsWindow;

/// Follows the rows of some traces, and remembers the traces of least hash in each part of the window.
pub(super) struct Picker<'a> {
    window: MetricsWindow,
    parts: usize,
    runs: &'a TraceRuns,
    /// The traces whose rows come, in their order.
    entries: &'a [usize],
    hashes: Vec<Option<TraceHash>>,
    /// The trace at hand, how many of its rows have come, and whether one of them counts.
    at: usize,
    seen: usize,
    counts: bool,
    /// By part, ascending.
    least: Vec<Vec<(TraceHash, usize)>>,
    /// Traces that reach over several parts are looked at in any case.
    long: BTreeSet<usize>,
}

impl<'a> Picker<'a> {
    pub(super) fn new(
        window: MetricsWindow,
        exemplars: usize,
        ids: &TraceIds,
        runs: &'a TraceRuns,
        entries: &'a [usize],
    ) -> Self {
        let mut hashes = vec![None; runs.len()];
        for (hash, entry) in ids.iter() {
            if let Some(slot) = hashes.get_mut(entry) {
                *slot = Some(hash);
            }
        }
        let parts = parts(exemplars);
        let least = vec![Vec::new(); parts];
        let long = BTreeSet::new();
        Self { window, parts, runs, entries, hashes, at: 0, seen: 0, counts: false, least, long }
    }

    /// The next rows, which of them are selected, and when they start.
    pub(super) fn follow(&mut self, selected: &BooleanBuffer, starts: &UInt64Array) {
        let mut row = 0;
        while row < selected.len()
            && let Some(entry) = self.entries.get(self.at).copied()
        {
            let length = self.runs.rows(entry).len();
            let end = selected.len().min(row + length - self.seen);
            if !self.counts && self.may_be_least(entry) {
                let counts = |row| selected.value(row) && self.window.step_of(starts.value(row)).is_some();
                self.counts = (row..end).any(counts);
            }
            self.seen += end - row;
            row = end;
            if self.seen == length {
                self.end(entry);
            }
        }
    }

    /// The traces to look at, ascending.
    pub(super) fn chosen(self) -> Vec<usize> {
        let least = self.least.into_iter().flatten().map(|(_, entry)| entry);
        let chosen: BTreeSet<usize> = least.chain(self.long).collect();
        chosen.into_iter().collect()
    }

    fn may_be_least(&self, entry: usize) -> bool {
        let (Some(part), Some(hash)) = (self.part(entry), self.hashes[entry]) else { return true };
        let least = &self.least[part];
        least.len() < PER_PART || least.last().is_some_and(|(greatest, _)| hash < *greatest)
    }

    fn end(&mut self, entry: usize) {
        if self.counts {
            match (self.part(entry), self.hashes[entry]) {
                (Some(part), Some(hash)) => {
                    let least = &mut self.least[part];
                    let at = least.partition_point(|(other, _)| *other < hash);
                    least.insert(at, (hash, entry));
                    least.truncate(PER_PART);
                }
                _ => {
                    self.long.insert(entry);
                }
            }
        }
        (self.at, self.seen, self.counts) = (self.at + 1, 0, false);
    }

    /// The part of the window that all spans of a trace start in.
    fn part(&self, entry: usize) -> Option<usize> {
        let range = self.runs.range(entry);
        let part = self.window.part_of(range.start, self.parts);
        (part == self.window.part_of(range.end, self.parts)).then_some(part)
    }
}
