//! Answers from the summaries that blocks keep: the same, to the last bit, as from their spans.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use vivace_base::MemoryBudget;
use vivace_model::schema::{AttributeColumn, AttributeScope};
use vivace_model::{SpanKind, StatusCode};
use vivace_storage::BlockReader;
use vivace_storage::block::Kept;
use vivace_storage::index::{
    Dimensions, IndexScope, LISTED_KEYS, Summaries, SummaryChunk, SummaryCounts, SummaryGroup, SummaryTable,
    ValueHash, bucket_of_slot, power_of_slot,
};
use vivace_traceql::{Attribute, Intrinsic, Scope};

use super::collect::{Collected, Job};
use super::plan::{Function, MetricsPlan};
use super::table::Table;
use super::tally::Counted;
use crate::eval::{Filter, Operand, Operands};
use crate::plan::Local;
use crate::{MetricsWindow, QueryError};

const SECOND: u64 = 1_000_000_000;
/// Of a window that does not begin and end with cells, what lies between multiples of this is answered from summaries.
const COARSE: u32 = 60;
const SERVICE: &str = "service.name";

/// Which pieces are answered from summaries, and for which times.
#[derive(Clone)]
pub(super) struct Summarised {
    interior: Option<RangeInclusive<u64>>,
    window: RangeInclusive<u64>,
    chosen: Arc<FxHashMap<usize, Chosen>>,
}

/// A block's table, and the chunks of it that matter.
struct Chosen {
    table: usize,
    chunks: Vec<Arc<Kept<SummaryChunk>>>,
}

impl Summarised {
    /// Finds out which pieces can be answered so.
    pub(super) async fn find(job: &Job) -> Result<Self, QueryError> {
        let (MetricsWindow::Range { start, end, .. } | MetricsWindow::Instant { start, end }) =
            job.plan.window;
        let mut found = Self { interior: None, window: start..=end, chosen: Arc::default() };
        let Some(ask) = Ask::of(&job.plan) else { return Ok(found) };
        let mut chosen = FxHashMap::default();
        for (piece, at) in job.looker.source.pieces().iter().enumerate() {
            let range = at.range();
            if let Some(reader) = at.block()
                && range.start <= *ask.interior.end()
                && *ask.interior.start() <= range.end
                && let Some(of_piece) = ask.choose(reader, &job.looker.budget).await?
            {
                chosen.insert(piece, of_piece);
            }
        }
        (found.interior, found.chosen) = (Some(ask.interior), Arc::new(chosen));
        Ok(found)
    }

    pub(super) fn has(&self, piece: usize) -> bool {
        self.chosen.contains_key(&piece)
    }

    pub(super) fn pieces(&self) -> Vec<usize> {
        self.chosen.keys().copied().collect()
    }

    /// The times that summaries answer for.
    pub(super) fn interior(&self) -> RangeInclusive<u64> {
        self.interior.clone().unwrap_or(1..=0)
    }

    /// The times of the window before and behind.
    pub(super) fn edges(&self) -> Vec<RangeInclusive<u64>> {
        let Some(interior) = self.interior.as_ref().filter(|_| !self.chosen.is_empty()) else {
            return Vec::new();
        };
        let before = interior.start().checked_sub(1).map(|last| *self.window.start()..=last);
        let behind = interior.end().checked_add(1).map(|first| first..=*self.window.end());
        before.into_iter().chain(behind).filter(|edge| !edge.is_empty()).collect()
    }

    /// What the summaries of a piece say.
    pub(super) async fn add(self, job: Job, piece: usize) -> Result<(Collected, u64), QueryError> {
        let mut collected = Collected::new(&job)?;
        let at = job.looker.source.pieces().get(piece).and_then(|piece| piece.block());
        let (Some(reader), Some(chosen), Collected::Series(table)) =
            (at, self.chosen.get(&piece), &mut collected)
        else {
            return Ok((collected, 0));
        };
        let Some(summaries) = reader.summaries(&job.looker.budget).await? else { return Ok((collected, 0)) };
        let Some(of_table) = summaries.tables().get(chosen.table) else { return Ok((collected, 0)) };
        let cells = cells(&self.interior(), of_table.seconds);
        let mut adding = Adding { plan: &job.plan, summaries, seconds: of_table.seconds, cells, table };
        for chunk in &chosen.chunks {
            adding.chunk(chunk)?;
        }
        Ok((collected, 0))
    }
}

/// The cells that lie within a range of times, which ends with cells.
fn cells(times: &RangeInclusive<u64>, seconds: u32) -> RangeInclusive<u64> {
    let each = u64::from(seconds) * SECOND;
    times.start().saturating_sub(1) / each..=(times.end() / each).saturating_sub(1)
}

/// Whether a query takes every span there is.
pub(super) fn selects_all(plan: &MetricsPlan) -> bool {
    let constant = |filter: usize| plan.search.filters.get(filter).and_then(Filter::constant) == Some(true);
    fn all(local: &Local, constant: &impl Fn(usize) -> bool) -> bool {
        match local {
            Local::All => true,
            Local::Matches(filter) => constant(*filter),
            Local::And(left, right) => all(left, constant) && all(right, constant),
            Local::Or(left, right) => all(left, constant) || all(right, constant),
        }
    }
    plan.search.local.as_ref().is_some_and(|local| all(local, &constant))
}

/// What a query asks of summaries.
struct Ask {
    needed: Dimensions,
    /// Cells of tables must be parts of so many seconds.
    grid: u32,
    interior: RangeInclusive<u64>,
    /// `service.name` is looked for elsewhere than on resources too.
    elsewhere: bool,
}

impl Ask {
    /// [`None`] when summaries cannot answer the query, whatever they have.
    fn of(plan: &MetricsPlan) -> Option<Self> {
        let duration = Attribute::Intrinsic(Intrinsic::Duration);
        let mut needed = match &plan.function {
            Function::Count { .. } => Dimensions::NONE,
            Function::Quantiles { measured, .. } | Function::Histogram(measured)
                if measured.attribute == duration =>
            {
                Dimensions::DURATION
            }
            _ => return None,
        };
        if plan.extrapolate {
            return None;
        }
        let mut elsewhere = false;
        let filtered = plan.search.filters.iter().flat_map(Filter::attributes);
        for attribute in filtered.chain(plan.by.iter().flat_map(|grouping| &grouping.sources)) {
            needed = needed.and(dimension(attribute)?);
            elsewhere |= matches!(attribute, Attribute::Named { scope: Scope::None | Scope::Span, .. });
        }
        let (grid, interior) = interior(plan.window)?;
        Some(Self { needed, grid, interior, elsewhere })
    }

    /// The smallest table that suffices, with the chunks that matter; [`None`] when spans must be read.
    async fn choose(
        &self,
        reader: &BlockReader,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<Chosen>, QueryError> {
        if self.elsewhere && !only_on_resources(reader, budget).await? {
            return Ok(None);
        }
        let Some(summaries) = reader.summaries(budget).await? else { return Ok(None) };
        let suffices = |table: &SummaryTable| {
            table.dimensions.has(self.needed) && self.grid.is_multiple_of(table.seconds)
        };
        let tables = summaries.tables().iter().enumerate().filter(|(_, table)| suffices(table));
        let Some((at, table)) = tables.min_by_key(|(_, table)| table.counts()) else { return Ok(None) };
        let cells = cells(&self.interior, table.seconds);
        let mut chunks = Vec::new();
        for chunk in table.chunks(*cells.start(), *cells.end()) {
            let Some(chunk) = reader.summary_chunk((at, chunk), budget).await? else { return Ok(None) };
            chunks.push(chunk);
        }
        Ok(Some(Chosen { table: at, chunks }))
    }
}

fn dimension(attribute: &Attribute) -> Option<Dimensions> {
    Some(match attribute {
        Attribute::Intrinsic(Intrinsic::Name) => Dimensions::NAME,
        Attribute::Intrinsic(Intrinsic::Kind) => Dimensions::KIND,
        Attribute::Intrinsic(Intrinsic::Status) => Dimensions::STATUS,
        Attribute::Named { scope: Scope::Resource | Scope::None | Scope::Span, name, parent: false }
            if name == SERVICE =>
        {
            Dimensions::SERVICE
        }
        _ => return None,
    })
}

/// What lies in whole cells, and of how many seconds those may be. Values over time must begin and end with cells, one
/// value need not.
fn interior(window: MetricsWindow) -> Option<(u32, RangeInclusive<u64>)> {
    match window {
        MetricsWindow::Range { start, end, step } => {
            let aligned = |seconds: &u32| {
                let each = u64::from(*seconds) * SECOND;
                step.is_multiple_of(each) && start.is_multiple_of(each)
            };
            // Larger cells first: they may be made of smaller ones.
            let grid = [COARSE, COARSE / 2, COARSE / 4, COARSE / 6, COARSE / 12].into_iter().find(aligned)?;
            (start < end).then_some((grid, start + 1..=end))
        }
        MetricsWindow::Instant { start, end } => {
            let each = u64::from(COARSE) * SECOND;
            let first = start.saturating_sub(1).div_ceil(each) * each + 1;
            let last = end / each * each;
            (first < last).then_some((COARSE, first..=last))
        }
    }
}

/// Whether no span of a block has `service.name` but by its resource.
async fn only_on_resources(reader: &BlockReader, budget: &Arc<MemoryBudget>) -> Result<bool, QueryError> {
    let has_column = reader.schema().fields().iter().any(|field| {
        AttributeColumn::from_column_name(field.name())
            .is_some_and(|own| own.key == SERVICE && own.scope != AttributeScope::Resource)
    });
    if has_column {
        return Ok(false);
    }
    let Some(keys) = reader.zones(LISTED_KEYS, budget).await? else { return Ok(false) };
    let scopes = [IndexScope::Span, IndexScope::Instrumentation, IndexScope::Event, IndexScope::Link];
    Ok(!scopes.iter().any(|scope| keys.may_have_anywhere(ValueHash::of_key(*scope, SERVICE))))
}

/// The attributes of spans of a group.
struct OfGroup<'a> {
    summaries: &'a Summaries,
    group: &'a SummaryGroup,
    /// Those that are asked for by position.
    attributes: &'a [Attribute],
}

impl OfGroup<'_> {
    fn value(&self, attribute: &Attribute) -> Operand<'_> {
        match attribute {
            Attribute::Intrinsic(Intrinsic::Name) => Operand::text(self.summaries.name(self.group.name)),
            Attribute::Intrinsic(Intrinsic::Kind) => {
                Operand::Kind(SpanKind::from_otlp(self.group.kind.into()))
            }
            Attribute::Intrinsic(Intrinsic::Status) => {
                Operand::Status(StatusCode::from_otlp(self.group.status.into()))
            }
            Attribute::Named { scope: Scope::Resource | Scope::None, .. } => {
                self.summaries.service(self.group.service).map_or(Operand::Nil, Operand::of_ref)
            }
            _ => Operand::Nil,
        }
    }
}

impl Operands for OfGroup<'_> {
    fn get(&self, attribute: usize) -> Operand<'_> {
        self.attributes.get(attribute).map_or(Operand::Nil, |attribute| self.value(attribute))
    }
}

/// Adds a block's summaries to a table.
struct Adding<'a> {
    plan: &'a MetricsPlan,
    summaries: &'a Summaries,
    seconds: u32,
    cells: RangeInclusive<u64>,
    table: &'a mut Table,
}

/// Counts of a group of the query, by step: those that a chunk has, in the order that they come.
#[derive(Default)]
struct Gathered {
    spans: FxHashMap<(u32, u32), u64>,
    slots: Vec<(u16, u64)>,
    /// Group, step, and where its slots are.
    runs: Vec<(u32, u32, std::ops::Range<usize>)>,
}

impl Adding<'_> {
    fn chunk(&mut self, chunk: &SummaryChunk) -> Result<(), QueryError> {
        let mut gathered = Gathered::default();
        let mut groups: Vec<Vec<Operand<'static>>> = Vec::new();
        let mut known: FxHashMap<SummaryGroup, Option<u32>> = FxHashMap::default();
        let mut by_values: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut last: Option<(SummaryGroup, Option<u32>)> = None;
        chunk.for_each(|group, cell, counts| {
            if !self.cells.contains(&cell) {
                return;
            }
            let number = match last {
                Some((of, number)) if of == *group => number,
                _ => *known.entry(*group).or_insert_with(|| {
                    let values = self.values(group)?;
                    let mut key = Vec::new();
                    values.iter().for_each(|value| value.encode(&mut key));
                    Some(*by_values.entry(key).or_insert_with(|| {
                        groups.push(values);
                        (groups.len() - 1) as u32
                    }))
                }),
            };
            last = Some((*group, number));
            let end = (cell + 1).saturating_mul(u64::from(self.seconds) * SECOND);
            if let (Some(number), Some(step)) = (number, self.plan.window.step_of(end)) {
                gathered.add(number, step, counts, &self.plan.function);
            }
        });
        self.flush(gathered, &groups)
    }

    /// The values that a group's spans are grouped by; [`None`] when the query does not take them.
    fn values(&self, group: &SummaryGroup) -> Option<Vec<Operand<'static>>> {
        let holds = |filter: usize| {
            self.plan.search.filters.get(filter).is_some_and(|filter| {
                filter.holds(&OfGroup { summaries: self.summaries, group, attributes: filter.attributes() })
            })
        };
        if !selects(self.plan.search.local.as_ref()?, &holds) {
            return None;
        }
        let of_group = OfGroup { summaries: self.summaries, group, attributes: &[] };
        let first = |sources: &[Attribute]| {
            let values = sources.iter().map(|source| of_group.value(source));
            values.into_iter().find(|value| !value.is_nil()).map_or(Operand::Nil, Operand::into_owned)
        };
        Some(self.plan.by.iter().map(|grouping| first(&grouping.sources)).collect())
    }

    fn flush(&mut self, gathered: Gathered, groups: &[Vec<Operand<'static>>]) -> Result<(), QueryError> {
        let Gathered { spans, slots, mut runs } = gathered;
        for ((group, step), count) in spans {
            let counted = Counted::Spans(count);
            self.table.add_counted(self.plan, &groups[group as usize], step, &counted)?;
        }
        runs.sort_by_key(|(group, step, _)| (*group, *step));
        let mut dense = Dense::default();
        for same in runs.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            same.iter().for_each(|(_, _, at)| dense.add(&slots[at.clone()]));
            let (group, step) = (&groups[same[0].0 as usize], same[0].1);
            let Function::Histogram(measured) = &self.plan.function else {
                let counted = Counted::Buckets(dense.take_by(bucket_of_slot));
                self.table.add_counted(self.plan, group, step, &counted)?;
                continue;
            };
            let unit = measured.unit;
            for (power, count) in dense.take_by(power_of_slot) {
                let mut group = group.clone();
                group.push(Operand::Float(power / unit));
                self.table.add_counted(self.plan, &group, step, &Counted::Spans(count as u64))?;
            }
        }
        Ok(())
    }
}

fn selects(local: &Local, holds: &impl Fn(usize) -> bool) -> bool {
    match local {
        Local::All => true,
        Local::Matches(filter) => holds(*filter),
        Local::And(left, right) => selects(left, holds) && selects(right, holds),
        Local::Or(left, right) => selects(left, holds) || selects(right, holds),
    }
}

impl Gathered {
    fn add(&mut self, group: u32, step: u32, counts: SummaryCounts<'_>, function: &Function) {
        match (counts, function) {
            (SummaryCounts::Spans(count), _) => *self.spans.entry((group, step)).or_default() += count,
            (SummaryCounts::Slots(slots), Function::Count { .. }) => {
                let count: u64 = slots.iter().map(|(_, count)| count).sum();
                *self.spans.entry((group, step)).or_default() += count;
            }
            (SummaryCounts::Slots(slots), _) => {
                let first = self.slots.len();
                self.slots.extend_from_slice(slots);
                self.runs.push((group, step, first..self.slots.len()));
            }
        }
    }
}

/// Counts by slot, most of them 0.
struct Dense {
    counts: Vec<u64>,
    /// A bit for each slot that is not 0.
    used: Vec<u64>,
}

/// Slots are less than this.
const SLOTS: usize = 1 << 13;

impl Default for Dense {
    fn default() -> Self {
        Self { counts: vec![0; SLOTS], used: vec![0; SLOTS / 64] }
    }
}

impl Dense {
    fn add(&mut self, slots: &[(u16, u64)]) {
        for (slot, count) in slots {
            let slot = usize::from(*slot) % SLOTS;
            self.counts[slot] += count;
            self.used[slot / 64] |= 1 << (slot % 64);
        }
    }

    /// The counts by what slots stand for, ascending; none are left.
    fn take_by<K: PartialEq>(&mut self, of_slot: impl Fn(u16) -> K) -> Vec<(K, f64)> {
        let mut taken: Vec<(K, f64)> = Vec::new();
        for (word, used) in self.used.iter_mut().enumerate() {
            let mut bits = std::mem::take(used);
            while bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let (key, count) = (of_slot(slot as u16), std::mem::take(&mut self.counts[slot]) as f64);
                match taken.last_mut() {
                    Some((last, sum)) if *last == key => *sum += count,
                    _ => taken.push((key, count)),
                }
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests;
