//! Finding exemplars where spans are counted without telling them apart: from the beginning of each part of the window on,
//! in slices, until there are enough.

use std::ops::Range;

use vivace_storage::index::{TraceHash, TraceIds, TraceRuns};

use super::collect::{Collected, Job};
use super::columns::each_span;
use super::exemplars::{PER_PART, SLICES, parts};
use super::summaries::selects_all;
use crate::look::joined;
use crate::{MetricsWindow, QueryError};

/// Offers the spans of a piece that may be exemplars.
pub(super) async fn pick(job: Job, piece: usize) -> Result<(Collected, u64), QueryError> {
    let mut collected = Collected::new(&job)?;
    let Collected::Series(table) = &mut collected else { return Ok((collected, 0)) };
    let at = &job.looker.source.pieces()[piece];
    let range = at.range();
    let Some(runs) = job.looker.source.undamaged(at.runs(&job.looker.budget).await)? else {
        return Ok((collected, 0));
    };
    let Some((runs, entries)) = job.looker.alive(piece, 0..runs.len()).await? else {
        return Ok((collected, 0));
    };
    let traces = Traces::new(runs, entries);
    let hashes = match selects_all(&job.plan) {
        true => job.looker.ids(piece).await?.map(|ids| by_entry(ids, runs.len())),
        false => None,
    };
    let slices = parts(job.plan.exemplars) * SLICES;
    let mut open: Vec<usize> = (0..parts(job.plan.exemplars)).collect();
    let mut spans = 0;
    // Of slices 0, 1 and 2, 3 to 6, and so on.
    let (mut first, mut count) = (0, 1);
    while first < SLICES && !open.is_empty() {
        let end = SLICES.min(first + count);
        let mut entries = Vec::new();
        for part in &open {
            let times = job.plan.window.times_of(part * SLICES + first..part * SLICES + end, slices);
            if times.start > range.end || times.end <= range.start {
                continue;
            }
            let found = traces.between(&times);
            match &hashes {
                Some(hashes) if count == 1 => {
                    entries.extend(least(&job, piece, runs, hashes, &found, &times));
                }
                _ => entries.extend(found),
            }
        }
        entries.sort_unstable();
        entries.dedup();
        let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
        spans += each_span(&job, piece, &rows, |span| table.offer(&job.plan, span).map(|_| ())).await?;
        open.retain(|part| !table.has_exemplars(*part, end));
        (first, count) = (end, 2 * count);
    }
    Ok((collected, spans))
}

/// Traces by their start.
struct Traces<'a> {
    runs: &'a TraceRuns,
    entries: Vec<usize>,
    /// Of each entry and those before it the last end.
    ends: Vec<u64>,
}

impl<'a> Traces<'a> {
    fn new(runs: &'a TraceRuns, entries: Vec<usize>) -> Self {
        let last = entries.iter().scan(0, |last, entry| {
            *last = runs.range(*entry).end.max(*last);
            Some(*last)
        });
        let ends = last.collect();
        Self { runs, entries, ends }
    }

    /// The traces that may have spans that start then.
    fn between(&self, times: &Range<u64>) -> Vec<usize> {
        let first = self.ends.partition_point(|end| *end < times.start);
        let last = self.entries.partition_point(|entry| self.runs.range(*entry).start < times.end);
        let entries = self.entries.get(first..last).unwrap_or_default().iter().copied();
        entries.filter(|entry| self.runs.range(*entry).end >= times.start).collect()
    }
}

fn by_entry(ids: &TraceIds, count: usize) -> Vec<Option<TraceHash>> {
    let mut hashes = vec![None; count];
    for (hash, entry) in ids.iter() {
        if let Some(slot) = hashes.get_mut(entry) {
            *slot = Some(hash);
        }
    }
    hashes
}

/// Where every span is selected, those traces of a slice that may be chosen: the ones of least hash of which a span
/// certainly starts in the slice, and others of hashes as small.
fn least(
    job: &Job,
    piece: usize,
    runs: &TraceRuns,
    hashes: &[Option<TraceHash>],
    entries: &[usize],
    times: &Range<u64>,
) -> Vec<usize> {
    let repeated = job.repeated(piece);
    let certain = |entry: &&usize| {
        let rows = runs.rows(**entry);
        let repeats = repeated.partition_point(|row| *row < rows.start);
        let is_whole = repeated.get(repeats).is_none_or(|row| *row >= rows.end);
        is_whole && times.contains(&runs.range(**entry).start)
    };
    let mut known: Vec<TraceHash> =
        entries.iter().filter(certain).filter_map(|entry| hashes[*entry]).collect();
    known.sort_unstable();
    // Traces may share a hash.
    let bound = known.get(PER_PART - 1).copied();
    let small = |entry: &usize| match (hashes[*entry], bound) {
        (Some(hash), Some(bound)) => hash <= bound,
        _ => true,
    };
    entries.iter().copied().filter(small).collect()
}

impl MetricsWindow {
    /// The times of which [`MetricsWindow::part_of`] says that they are in these of `parts` parts.
    fn times_of(self, at: Range<usize>, parts: usize) -> Range<u64> {
        let (Self::Range { start: from, end, .. } | Self::Instant { start: from, end }) = self;
        let length = u128::from(end.saturating_sub(from).max(1));
        let begin = |part: usize| {
            let offset = (part as u128 * length).div_ceil((parts as u128).max(1));
            from.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
        };
        // The last part has the last nanosecond too.
        let behind = if at.end >= parts { end.saturating_add(1) } else { begin(at.end) };
        let first = begin(at.start);
        // The first nanosecond of a range counts before it.
        let first =
            if matches!(self, Self::Range { .. }) { first.max(from.saturating_add(1)) } else { first };
        first..behind
    }
}

#[cfg(test)]
mod tests;
