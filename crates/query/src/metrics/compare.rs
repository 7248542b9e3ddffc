//! `compare()`: how often each value of each attribute occurs among the selected spans, and among the others
//! (`docs/adr/0005-what-pipelines-and-metrics-compute.md`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use vivace_base::{MemoryBudget, MemoryRefused, Reservation};
use vivace_model::{Attribute as KeyValue, Span, Trace, Value};
use vivace_traceql::{Attribute, Intrinsic, Scope};

use super::lines::{Line, Lines, rank, text};
use super::plan::{Compare, MetricsPlan};
use super::table::Memory;
use crate::eval::{ExactSum, Operand, rows};

/// How many values of an attribute are told apart on each side.
const MAX_VALUES: usize = 1_000;
const META_TYPE: &str = "__meta_type";
const META_ERROR: &str = "__meta_error";
/// What a value takes beside its text, and what a count at a step takes.
const VALUE_BYTES: u64 = 120;
const COUNT_BYTES: u64 = 2 * (size_of::<u32>() + size_of::<ExactSum>()) as u64;

/// See the module; mergeable in any order.
pub(super) struct CompareTable {
    baseline: HashMap<Attribute, Column>,
    selection: HashMap<Attribute, Column>,
    memory: Memory,
}

/// One attribute on one side.
#[derive(Default)]
struct Column {
    all: Counts,
    values: HashMap<Vec<u8>, (Value, Counts)>,
    /// Memory taken for them.
    bytes: u64,
    /// There were too many values; none is kept.
    overflowed: bool,
}

/// By step.
type Counts = BTreeMap<u32, ExactSum>;

impl CompareTable {
    pub(super) fn new(budget: &Arc<MemoryBudget>) -> Result<Self, MemoryRefused> {
        Ok(Self { baseline: HashMap::new(), selection: HashMap::new(), memory: Memory::new(budget)? })
    }

    /// Adds the span at `at` of a trace.
    pub(super) fn observe(
        &mut self,
        compare: &Compare,
        trace: &Trace,
        at: usize,
        step: u32,
        weight: f64,
    ) -> Result<(), MemoryRefused> {
        let Some(span) = trace.spans().get(at) else { return Ok(()) };
        let start = i64::try_from(span.start).unwrap_or(i64::MAX);
        let inside = compare.window.is_none_or(|(from, to)| from < start && start <= to);
        let selected = inside && rows::holds(&compare.selection, trace, at);
        let side = if selected { &mut self.selection } else { &mut self.baseline };
        for (attribute, values) in attributes(trace, at, span) {
            let column = side.entry(attribute).or_default();
            column.all.entry(step).or_default().add(weight);
            for (key, value) in values {
                column.count(
                    key,
                    &value,
                    |counts| counts.entry(step).or_default().add(weight),
                    &mut self.memory,
                )?;
            }
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, other: Self) -> Result<(), MemoryRefused> {
        for (ours, theirs) in [(&mut self.baseline, other.baseline), (&mut self.selection, other.selection)] {
            for (attribute, column) in theirs {
                ours.entry(attribute).or_default().merge(column, &mut self.memory)?;
            }
        }
        Ok(())
    }

    /// How many series there will be at most.
    pub(super) fn line_count(&self, top_n: usize) -> usize {
        let columns = self.baseline.values().chain(self.selection.values());
        columns.map(|column| 2 + column.values.len().min(top_n)).sum()
    }

    /// The series, in no order, and the memory they came from.
    pub(super) fn into_lines(self, plan: &MetricsPlan, top_n: usize) -> (Lines, Reservation) {
        let mut lines = Vec::new();
        for (side, columns) in [("baseline", self.baseline), ("selection", self.selection)] {
            for (attribute, column) in columns {
                column.into_lines(plan, side, &attribute.to_string(), top_n, &mut lines);
            }
        }
        (lines, self.memory.into_reservation())
    }
}

impl Column {
    fn count(
        &mut self,
        key: Vec<u8>,
        value: &Value,
        add: impl FnOnce(&mut Counts),
        memory: &mut Memory,
    ) -> Result<(), MemoryRefused> {
        if self.overflowed {
            return Ok(());
        }
        let is_new = !self.values.contains_key(&key);
        if is_new && self.values.len() == MAX_VALUES {
            self.overflow(memory);
            return Ok(());
        }
        let new_bytes = if is_new { VALUE_BYTES + 2 * key.len() as u64 } else { 0 };
        let counts = &mut self.values.entry(key).or_insert_with(|| (value.clone(), Counts::new())).1;
        let before = counts.len();
        add(counts);
        let bytes = new_bytes + (counts.len() - before) as u64 * COUNT_BYTES;
        self.bytes += bytes;
        if bytes > 0 { memory.take(bytes) } else { Ok(()) }
    }

    fn merge(&mut self, other: Self, memory: &mut Memory) -> Result<(), MemoryRefused> {
        merge_counts(&mut self.all, &other.all);
        if other.overflowed {
            self.overflow(memory);
        }
        for (key, (value, counts)) in other.values {
            self.count(key, &value, |ours| merge_counts(ours, &counts), memory)?;
        }
        Ok(())
    }

    fn overflow(&mut self, memory: &mut Memory) {
        self.values = HashMap::new();
        memory.give_back(std::mem::take(&mut self.bytes));
        self.overflowed = true;
    }

    fn into_lines(self, plan: &MetricsPlan, side: &str, attribute: &str, top_n: usize, lines: &mut Lines) {
        let meta = |kind: String| (META_TYPE.to_owned(), Value::String(kind));
        let nil = || (attribute.to_owned(), Value::from("nil"));
        let mut line = |labels, counts: &Counts| {
            let values = counts.iter().map(|(step, count)| (*step as usize, count.value()));
            lines.push(Line::new(plan, labels, values));
        };
        line(vec![meta(format!("{side}_total")), nil()], &self.all);
        if self.overflowed {
            let error = (META_ERROR.to_owned(), Value::from("__too_many_values__"));
            line(vec![meta(side.to_owned()), error, nil()], &Counts::new());
        }
        let total = |counts: &Counts| {
            let mut total = ExactSum::default();
            counts.values().for_each(|count| total.merge(count));
            total.value()
        };
        let values = self.values.into_iter();
        let mut ranked: Vec<(f64, (String, u8), Value, Counts)> = values
            .map(|(_, (value, counts))| (total(&counts), (text(&value), rank(&value)), value, counts))
            .collect();
        ranked.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
        for (_, _, value, counts) in ranked.into_iter().take(top_n) {
            line(vec![meta(side.to_owned()), (attribute.to_owned(), value)], &counts);
        }
    }
}

fn merge_counts(ours: &mut Counts, theirs: &Counts) {
    theirs.iter().for_each(|(step, count)| ours.entry(*step).or_default().merge(count));
}

/// What a span has, each attribute with its different values.
fn attributes(trace: &Trace, at: usize, span: &Span) -> HashMap<Attribute, BTreeMap<Vec<u8>, Value>> {
    use Intrinsic as I;
    let mut found: HashMap<Attribute, BTreeMap<Vec<u8>, Value>> = HashMap::new();
    let mut add = |attribute: Attribute, value: Operand<'_>| {
        if let Some(shown) = value.to_output() {
            let mut key = Vec::new();
            value.encode(&mut key);
            found.entry(attribute).or_default().insert(key, shown);
        }
    };
    for intrinsic in [
        I::Name,
        I::Kind,
        I::Status,
        I::StatusMessage,
        I::RootName,
        I::RootServiceName,
        I::InstrumentationName,
        I::InstrumentationVersion,
    ] {
        let attribute = Attribute::Intrinsic(intrinsic);
        let value = rows::value(&attribute, trace, at);
        add(attribute, value);
    }
    span.events.iter().for_each(|event| add(Attribute::Intrinsic(I::EventName), Operand::text(&event.name)));
    let own = [
        (Scope::Span, &span.attributes),
        (Scope::Resource, &span.resource.attributes),
        (Scope::Instrumentation, &span.scope.attributes),
    ];
    let events = span.events.iter().map(|event| (Scope::Event, &event.attributes));
    let links = span.links.iter().map(|link| (Scope::Link, &link.attributes));
    for (scope, attributes) in own.into_iter().chain(events).chain(links) {
        for KeyValue { key, value } in attributes {
            let attribute = Attribute::Named { scope, name: key.clone(), parent: false };
            add(attribute, Operand::of_value(value));
        }
    }
    found
}

#[cfg(test)]
mod tests;
