//! The walk over a source's traces: newest first, a few at a time, so that a search that has enough can stop.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use vivace_base::{MemoryBudget, UnixNanos};
use vivace_model::TimeRange;
use vivace_storage::index::{TraceRuns, ZONE_ROWS};

use crate::QueryError;
use crate::eval::Filter;
use crate::plan::{Condition, SearchPlan};
use crate::prune::{Pruning, zones_of};
use crate::source::Source;
use crate::spread::Place;

/// A unit has at first as many zones' rows, and twice as many with each unit that follows, up to the second.
const FIRST_ZONES: usize = 1;
const MOST_ZONES: usize = 8;
/// How many spread traces are looked at together.
const SPREAD_AT_ONCE: usize = 64;

/// Which traces a walk is about.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) filters: Vec<Filter>,
    /// What the filters must have matched in a trace.
    pub(crate) condition: Condition,
    /// Traces must overlap it.
    pub(crate) range: TimeRange,
    /// In nanoseconds, both inclusive.
    pub(crate) duration: RangeInclusive<u64>,
    /// Spread traces are looked at piece by piece, as if each piece had a trace of its own.
    pub(crate) in_pieces: bool,
}

impl Wanted {
    /// The traces in a range of time that the plan can match, whatever they last.
    pub(crate) fn by_plan(plan: &SearchPlan, range: TimeRange) -> Self {
        let (filters, condition) = (plan.filters.clone(), plan.condition.clone());
        Self { filters, condition, range, duration: 0..=u64::MAX, in_pieces: false }
    }

    /// Whether a trace that lasts from the one to the other is wanted.
    pub(crate) fn lasts(&self, range: &TimeRange) -> bool {
        let duration = range.end - range.start;
        range.overlaps(&self.range) && self.duration.contains(&duration)
    }

    /// Whether so many spans may meet the condition, given which filters may hold on some of them.
    fn may_meet(&self, spans: usize, may_hold: &dyn Fn(usize) -> bool) -> bool {
        let enough = |least: i64| i64::try_from(spans).is_ok_and(|spans| spans >= least);
        self.condition.is_met(&|filter, least| enough(least) && may_hold(filter))
    }
}

/// Traces that are looked at together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Of one piece, which has all their spans: a range of its table.
    Run { piece: usize, entries: Range<usize> },
    /// Each of several pieces.
    Spread(Vec<Vec<Place>>),
}

/// The units of a walk, newest first.
pub(crate) struct Units<'a> {
    source: &'a Source,
    wanted: &'a Wanted,
    budget: &'a Arc<MemoryBudget>,
    cursors: Vec<Cursor<'a>>,
    /// Spread traces by their start, the newest last.
    spread: Vec<(UnixNanos, Vec<Place>)>,
    zones: usize,
}

/// What is left of a piece.
struct Cursor<'a> {
    piece: usize,
    /// No trace that is left starts later.
    newest: UnixNanos,
    opened: Option<Opened<'a>>,
}

struct Opened<'a> {
    runs: &'a TraceRuns,
    pruning: Pruning,
    /// Traces before this are left.
    entries: usize,
}

impl<'a> Units<'a> {
    /// Begins a walk.
    pub(crate) async fn new(
        source: &'a Source,
        wanted: &'a Wanted,
        budget: &'a Arc<MemoryBudget>,
    ) -> Result<Self, QueryError> {
        let overlaps = |piece: usize| source.pieces()[piece].range().overlaps(&wanted.range);
        let cursors = (0..source.pieces().len()).filter(|piece| overlaps(*piece)).map(|piece| Cursor {
            piece,
            newest: source.pieces()[piece].range().end.min(wanted.range.end),
            opened: None,
        });
        let cursors = cursors.collect();
        let mut parts = Parts { source, wanted, budget, prunings: HashMap::new() };
        let mut spread = Vec::new();
        for places in source.spread.traces().filter(|_| !wanted.in_pieces) {
            if places.iter().any(|place| overlaps(place.piece))
                && let Some(start) = parts.wanted_start(places).await?
            {
                spread.push((start, places.to_vec()));
            }
        }
        spread.sort_by_key(|(start, _)| *start);
        Ok(Self { source, wanted, budget, cursors, spread, zones: FIRST_ZONES })
    }

    /// Leaves out the pieces that are not to be kept.
    pub(crate) fn of_pieces(mut self, keep: impl Fn(usize) -> bool) -> Self {
        self.cursors.retain(|cursor| keep(cursor.piece));
        self
    }

    /// Goes ahead in the largest units at once, for who wants all traces.
    pub(crate) fn in_bulk(self) -> Self {
        Self { zones: MOST_ZONES, ..self }
    }

    /// No trace of the units to come starts later; [`None`] at the end.
    pub(crate) fn newest(&self) -> Option<UnixNanos> {
        let spread = self.spread.last().map(|(start, _)| *start);
        self.cursors.iter().map(|cursor| cursor.newest).chain(spread).max()
    }

    /// The next unit.
    pub(crate) async fn next(&mut self) -> Result<Option<Unit>, QueryError> {
        loop {
            let newest = self.cursors.iter().enumerate().max_by_key(|(_, cursor)| cursor.newest);
            let newest = newest.map(|(at, cursor)| (at, cursor.newest));
            let spread = self.spread.last().map(|(start, _)| *start);
            let Some((at, start)) = newest.filter(|(_, start)| spread.is_none_or(|spread| spread <= *start))
            else {
                return Ok(self.next_spread());
            };
            if self.cursors[at].opened.is_none() {
                self.open(at).await?;
                continue;
            }
            debug_assert_eq!(start, self.cursors[at].newest);
            if let Some(unit) = self.next_run(at) {
                self.zones = (2 * self.zones).min(MOST_ZONES);
                return Ok(Some(unit));
            }
        }
    }

    fn next_spread(&mut self) -> Option<Unit> {
        let first = self.spread.len().saturating_sub(SPREAD_AT_ONCE);
        let traces: Vec<_> = self.spread.drain(first..).rev().map(|(_, places)| places).collect();
        (!traces.is_empty()).then_some(Unit::Spread(traces))
    }

    /// Reads a piece's table, and sets the cursor behind the last trace that is early enough.
    async fn open(&mut self, at: usize) -> Result<(), QueryError> {
        let piece = &self.source.pieces()[self.cursors[at].piece];
        let Some(runs) = self.source.undamaged(piece.runs(self.budget).await)? else {
            self.cursors.swap_remove(at);
            return Ok(());
        };
        let pruning = Pruning::of_piece(&self.wanted.filters, piece, self.budget).await?;
        let end = self.wanted.range.end;
        let entries = partition(runs.len(), |entry| runs.range(entry).start <= end);
        self.cursors[at].opened = Some(Opened { runs, pruning, entries });
        self.advance(at, entries);
        Ok(())
    }

    /// Traces from here on are done with.
    fn advance(&mut self, at: usize, entries: usize) {
        let cursor = &mut self.cursors[at];
        let Some(opened) = &mut cursor.opened else { return };
        opened.entries = entries;
        match entries.checked_sub(1) {
            Some(last) => cursor.newest = opened.runs.range(last).start,
            None => {
                self.cursors.swap_remove(at);
            }
        }
    }

    /// The next traces of a piece: as many as begin in some zones; [`None`] when none of them can be wanted.
    fn next_run(&mut self, at: usize) -> Option<Unit> {
        let piece = self.cursors[at].piece;
        let opened = self.cursors[at].opened.as_ref()?;
        let last = opened.entries.checked_sub(1)?;
        let zone = opened.runs.rows(last).start / ZONE_ROWS;
        let first_zone = (zone + 1).saturating_sub(self.zones);
        let entries = opened.runs.first_at(first_zone * ZONE_ROWS).min(last)..last + 1;
        let rows = opened.runs.rows(entries.start).start..opened.runs.rows(last).end;
        let possible = opened.pruning.may_meet(&self.wanted.condition, &zones_of(&rows));
        let possible = possible && entries.clone().any(|entry| self.wanted.lasts(&opened.runs.range(entry)));
        self.advance(at, entries.start);
        possible.then_some(Unit::Run { piece, entries })
    }
}

/// How many of the first `length` places the test holds for; it must not hold again behind where it fails.
fn partition(length: usize, test: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, length);
    while low < high {
        let middle = low.midpoint(high);
        if test(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Looks at the places of spread traces.
struct Parts<'a> {
    source: &'a Source,
    wanted: &'a Wanted,
    budget: &'a Arc<MemoryBudget>,
    prunings: HashMap<usize, Pruning>,
}

impl Parts<'_> {
    /// When the trace with these places starts; [`None`] when it cannot be wanted.
    async fn wanted_start(&mut self, places: &[Place]) -> Result<Option<UnixNanos>, QueryError> {
        let (mut whole, mut spans): (Option<TimeRange>, usize) = (None, 0);
        let mut may_hold = vec![false; self.wanted.filters.len()];
        for place in places {
            let runs = self.source.pieces()[place.piece].runs(self.budget).await;
            let Some(runs) = self.source.undamaged(runs)? else { continue };
            let range = runs.range(place.entry);
            whole = Some(whole.map_or(range, |known| known.union(&range)));
            let rows = runs.rows(place.entry);
            spans += rows.len();
            let pruning = self.pruning(place.piece).await?;
            for (filter, may_hold) in may_hold.iter_mut().enumerate() {
                *may_hold = *may_hold || pruning.may_hold(filter, &zones_of(&rows));
            }
        }
        let wanted = |range: &TimeRange| {
            self.wanted.lasts(range) && self.wanted.may_meet(spans, &|filter| may_hold[filter])
        };
        Ok(whole.filter(wanted).map(|range| range.start))
    }

    async fn pruning(&mut self, piece: usize) -> Result<&Pruning, QueryError> {
        if !self.prunings.contains_key(&piece) {
            let at = &self.source.pieces()[piece];
            let pruning = Pruning::of_piece(&self.wanted.filters, at, self.budget).await?;
            self.prunings.insert(piece, pruning);
        }
        Ok(&self.prunings[&piece])
    }
}

/// The traces of a run that are worth looking at: wanted by time and size, not spread, in zones that may have what
/// the condition asks for.
pub(crate) fn alive(
    source: &Source,
    wanted: &Wanted,
    runs: &TraceRuns,
    pruning: &Pruning,
    (piece, entries): (usize, Range<usize>),
) -> Vec<usize> {
    let mut known: Option<(Range<usize>, bool)> = None;
    let mut may_meet = |zones: Range<usize>| match &known {
        Some((of, met)) if *of == zones => *met,
        _ => {
            let met = pruning.may_meet(&wanted.condition, &zones);
            known = Some((zones, met));
            met
        }
    };
    entries
        .filter(|entry| {
            let rows = runs.rows(*entry);
            wanted.lasts(&runs.range(*entry))
                && wanted.may_meet(rows.len(), &|_| true)
                && (wanted.in_pieces || !source.spread.contains(Place { piece, entry: *entry }))
                && may_meet(zones_of(&rows))
        })
        .collect()
}

#[cfg(test)]
mod tests;
