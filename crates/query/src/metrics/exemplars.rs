//! Which spans stand for the others: a few per part of the window, the same ones however the spans are split.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vivace_model::{SpanId, SpanKind, TraceId, Value};
use vivace_storage::index::TraceHash;

use crate::MetricsWindow;

/// Spans chosen per part of the window.
pub(super) const PER_PART: usize = 2;
/// A part's slices: spans of the first slice that has any are chosen, so that few rows need to be read.
pub(super) const SLICES: usize = 64;
/// What a label takes beside its text.
const LABEL_BYTES: usize = 96;

/// Parts of the window for so many exemplars.
pub(super) fn parts(exemplars: usize) -> usize {
    exemplars.div_ceil(PER_PART)
}

/// What an exemplar shows.
pub(super) type Labels = Arc<[(String, Value)]>;

/// A span that may be an exemplar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) kind: SpanKind,
    pub(super) start: u64,
    pub(super) step: u32,
    /// What was measured of it.
    pub(super) value: f64,
    /// Known once it is chosen.
    pub(super) labels: Option<Labels>,
}

/// See the module. Hashes of ids are as good as random, so the least ones of a slice are a fair choice.
#[derive(Debug)]
pub(super) struct Exemplars {
    limit: usize,
    parts: BTreeMap<usize, Vec<Chosen>>,
}

/// A span, its group, and in which slice of its part it starts.
#[derive(Debug)]
struct Chosen {
    slice: usize,
    group: u32,
    candidate: Candidate,
}

impl Chosen {
    fn rank(&self) -> (usize, TraceHash, TraceId, SpanId, u8) {
        let Candidate { trace_id, span_id, kind, .. } = &self.candidate;
        (self.slice, TraceHash::of(trace_id), *trace_id, *span_id, *kind as u8)
    }
}

impl Exemplars {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, parts: BTreeMap::new() }
    }

    /// How many bytes it took.
    pub(super) fn offer(
        &mut self,
        window: MetricsWindow,
        group: u32,
        candidate: Candidate,
        labels: impl FnOnce() -> Labels,
    ) -> usize {
        if self.limit == 0 {
            return 0;
        }
        let slice = window.part_of(candidate.start, parts(self.limit) * SLICES);
        let chosen = self.parts.entry(slice / SLICES).or_default();
        let offered = Chosen { slice, group, candidate };
        let Some(at) = place(chosen, &offered) else { return 0 };
        let labels = labels();
        let text = |value: &Value| value.as_str().map_or(0, str::len);
        let bytes = labels.iter().map(|(key, value)| LABEL_BYTES + key.len() + text(value)).sum();
        let candidate = Candidate { labels: Some(labels), ..offered.candidate };
        insert(chosen, at, Chosen { candidate, ..offered });
        bytes
    }

    /// Whether no span of a part can be chosen any more, if all have been offered that are before a slice.
    pub(super) fn has_all(&self, part: usize, before: usize) -> bool {
        let last = self.parts.get(&part).and_then(|chosen| chosen.get(PER_PART - 1));
        last.is_some_and(|last| last.slice < part * SLICES + before)
    }

    /// Adds another choice, whose groups have other numbers.
    pub(super) fn merge(&mut self, other: Self, groups: &[u32]) {
        for (part, candidates) in other.parts {
            let chosen = self.parts.entry(part).or_default();
            for other in candidates {
                let group = groups.get(other.group as usize).copied().unwrap_or(other.group);
                let offered = Chosen { group, ..other };
                if let Some(at) = place(chosen, &offered) {
                    insert(chosen, at, offered);
                }
            }
        }
    }

    /// At most as many as asked for, by time, no two of one trace.
    pub(super) fn chosen(self) -> Vec<(u32, Candidate)> {
        let mut traces = BTreeSet::new();
        let mut chosen: Vec<Chosen> = self.parts.into_values().flatten().collect();
        chosen.retain(|chosen| traces.insert(chosen.candidate.trace_id));
        chosen.truncate(self.limit);
        chosen.sort_by_key(|chosen| (chosen.candidate.start, chosen.candidate.trace_id));
        chosen.into_iter().map(|chosen| (chosen.group, chosen.candidate)).collect()
    }
}

/// Where a span belongs among those chosen; [`None`] when it is not chosen. The least span of a trace stands for it; a
/// span in no two groups is offered once.
fn place(chosen: &[Chosen], offered: &Chosen) -> Option<usize> {
    let rank = offered.rank();
    let at = chosen.partition_point(|other| other.rank() < rank);
    let same_trace = |other: &Chosen| other.candidate.trace_id == offered.candidate.trace_id;
    (at < PER_PART && !chosen[..at].iter().any(same_trace)).then_some(at)
}

fn insert(chosen: &mut Vec<Chosen>, at: usize, offered: Chosen) {
    let trace = offered.candidate.trace_id;
    chosen.insert(at, offered);
    let mut seen = 0;
    chosen.retain(|other| {
        seen += 1;
        seen <= at + 1 || other.candidate.trace_id != trace
    });
    chosen.truncate(PER_PART);
}

#[cfg(test)]
mod tests;
