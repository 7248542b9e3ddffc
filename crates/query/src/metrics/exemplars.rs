//! Which spans stand for the others: a few per part of the window, the same ones however the spans are split.

use std::collections::{BTreeMap, BTreeSet};

use vivace_model::{SpanId, SpanKind, TraceId};
use vivace_storage::index::TraceHash;

use crate::MetricsWindow;

/// Spans chosen per part of the window.
pub(super) const PER_PART: usize = 2;

/// Parts of the window for so many exemplars.
pub(super) fn parts(exemplars: usize) -> usize {
    exemplars.div_ceil(PER_PART)
}

/// A span that may be an exemplar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) kind: SpanKind,
    pub(super) start: u64,
    pub(super) step: u32,
    /// What was measured of it.
    pub(super) value: f64,
}

/// See the module. Hashes of ids are as good as random, so the least ones are a fair choice.
#[derive(Debug)]
pub(super) struct Exemplars {
    limit: usize,
    parts: BTreeMap<usize, Vec<(u32, Candidate)>>,
}

impl Exemplars {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, parts: BTreeMap::new() }
    }

    pub(super) fn offer(&mut self, window: MetricsWindow, group: u32, candidate: Candidate) {
        if self.limit == 0 {
            return;
        }
        let part = window.part_of(candidate.start, parts(self.limit));
        insert(self.parts.entry(part).or_default(), (group, candidate));
    }

    /// Adds another choice, whose groups have other numbers.
    pub(super) fn merge(&mut self, other: Self, groups: &[u32]) {
        for (part, candidates) in other.parts {
            let chosen = self.parts.entry(part).or_default();
            for (group, candidate) in candidates {
                let group = groups.get(group as usize).copied().unwrap_or(group);
                insert(chosen, (group, candidate));
            }
        }
    }

    /// At most as many as asked for, by time, no two of one trace.
    pub(super) fn chosen(self) -> Vec<(u32, Candidate)> {
        let mut traces = BTreeSet::new();
        let mut chosen: Vec<(u32, Candidate)> = self.parts.into_values().flatten().collect();
        chosen.retain(|(_, candidate)| traces.insert(candidate.trace_id));
        chosen.truncate(self.limit);
        chosen.sort_by_key(|(_, candidate)| (candidate.start, candidate.trace_id));
        chosen
    }
}

fn insert(chosen: &mut Vec<(u32, Candidate)>, offered: (u32, Candidate)) {
    let rank = |(_, candidate): &(u32, Candidate)| {
        let trace_id = candidate.trace_id;
        (TraceHash::of(&trace_id), trace_id, candidate.span_id, candidate.kind as u8)
    };
    let at = chosen.partition_point(|other| rank(other) < rank(&offered));
    // The least span of a trace stands for it; a span in no two groups is offered once.
    let same_trace = |other: &(u32, Candidate)| other.1.trace_id == offered.1.trace_id;
    if at == PER_PART || chosen[..at].iter().any(same_trace) {
        return;
    }
    chosen.retain(|other| !same_trace(other));
    chosen.insert(at, offered);
    chosen.truncate(PER_PART);
}

#[cfg(test)]
mod tests;
