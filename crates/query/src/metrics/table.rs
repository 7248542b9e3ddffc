//! Groups of spans and what is known of each at each step, mergeable in any order.

use std::collections::HashMap;
use std::sync::Arc;

use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};

use super::exemplars::{Candidate, Exemplars, Labels};
use super::plan::{Function, MetricsPlan};
use super::sketch::Sketch;
use super::tally::Counted;
use crate::eval::{ExactSum, Operand};

/// Memory is reserved in parts of this size.
const RESERVED_AT_ONCE: u64 = 64 << 10;
/// What a group takes beside its values, and a cell beside its buckets.
const GROUP_BYTES: u64 = 160;
const CELL_BYTES: u64 = 192;
const BUCKET_BYTES: u64 = 32;

/// One span, measured.
pub(super) struct Observation<'a> {
    pub(super) span: Candidate,
    pub(super) step: u32,
    /// How many spans it stands for.
    pub(super) weight: f64,
    /// The values it is grouped by.
    pub(super) groups: Vec<Operand<'a>>,
    /// The number taken from it; nil where none is.
    pub(super) measured: Operand<'a>,
    /// What it shows as an exemplar.
    pub(super) labels: &'a dyn Fn() -> Labels,
}

/// See the module.
pub(super) struct Table {
    ids: HashMap<Box<[u8]>, u32>,
    groups: Vec<Box<[Operand<'static>]>>,
    cells: HashMap<(u32, u32), Cell>,
    exemplars: Exemplars,
    memory: Memory,
    key: Vec<u8>,
}

/// What is known of a group at a step.
#[derive(Debug)]
pub(super) enum Cell {
    Count(ExactSum),
    Min(f64),
    Max(f64),
    Sum(ExactSum),
    Average { sum: ExactSum, weight: ExactSum },
    Quantiles(Box<Sketch>),
}

impl Table {
    pub(super) fn new(plan: &MetricsPlan, budget: &Arc<MemoryBudget>) -> Result<Self, MemoryRefused> {
        Ok(Self {
            ids: HashMap::new(),
            groups: Vec::new(),
            cells: HashMap::new(),
            exemplars: Exemplars::new(plan.exemplars),
            memory: Memory::new(budget)?,
            key: Vec::new(),
        })
    }

    /// Adds a span. One whose measured value is no number does not count.
    pub(super) fn observe(
        &mut self,
        plan: &MetricsPlan,
        observation: Observation<'_>,
    ) -> Result<(), MemoryRefused> {
        let (step, weight) = (observation.step, observation.weight);
        let Some((group, number)) = self.offer(plan, observation)? else { return Ok(()) };
        if !self.cells.contains_key(&(group, step)) {
            self.memory.take(CELL_BYTES)?;
        }
        let cell = self.cells.entry((group, step)).or_insert_with(|| Cell::new(&plan.function));
        let grown = cell.add(number, weight);
        self.memory.take(grown as u64 * BUCKET_BYTES)
    }

    /// Lets a span stand as an exemplar, without counting it; its group and number, if it has one.
    pub(super) fn offer(
        &mut self,
        plan: &MetricsPlan,
        observation: Observation<'_>,
    ) -> Result<Option<(u32, f64)>, MemoryRefused> {
        let Observation { mut span, step, weight, groups, measured, labels } = observation;
        let number = match &measured {
            Operand::Int(number) | Operand::Duration(number) => *number as f64,
            Operand::Float(number) if !number.is_nan() => *number,
            _ if plan.function.measured().is_some() => return Ok(None),
            _ => 0.0,
        };
        let bucket = match &plan.function {
            Function::Histogram(measured) => Some(Operand::Float(bucket(number) / measured.unit)),
            _ => None,
        };
        self.key.clear();
        groups.iter().chain(&bucket).for_each(|value| value.encode(&mut self.key));
        let group = match self.ids.get(self.key.as_slice()) {
            Some(group) => *group,
            None => {
                let values = groups.iter().chain(&bucket).cloned().map(Operand::into_owned).collect();
                self.add_group(self.key.clone().into(), values)?
            }
        };
        if let Some(measured) = plan.function.measured() {
            span.value = number / measured.unit;
        }
        span.step = step;
        // What is taken away stands for nothing.
        if weight > 0.0 {
            let taken = self.exemplars.offer(plan.window, group, span, labels);
            self.memory.take(taken as u64)?;
        }
        Ok(Some((group, number)))
    }

    /// See [`Exemplars::has_all`].
    pub(super) fn has_exemplars(&self, part: usize, before: usize) -> bool {
        self.exemplars.has_all(part, before)
    }

    /// Adds spans of one group and step that were counted together.
    pub(super) fn add_counted(
        &mut self,
        plan: &MetricsPlan,
        groups: &[Operand<'_>],
        step: u32,
        counted: &Counted,
    ) -> Result<(), MemoryRefused> {
        let group = self.group(groups)?;
        self.add_to(plan, group, step, counted)
    }

    /// The number of a group.
    pub(super) fn group(&mut self, groups: &[Operand<'_>]) -> Result<u32, MemoryRefused> {
        self.key.clear();
        groups.iter().for_each(|value| value.encode(&mut self.key));
        if let Some(group) = self.ids.get(self.key.as_slice()) {
            return Ok(*group);
        }
        let values = groups.iter().cloned().map(Operand::into_owned).collect();
        self.add_group(self.key.clone().into(), values)
    }

    /// Adds spans of a group and step that were counted together.
    pub(super) fn add_to(
        &mut self,
        plan: &MetricsPlan,
        group: u32,
        step: u32,
        counted: &Counted,
    ) -> Result<(), MemoryRefused> {
        if !self.cells.contains_key(&(group, step)) {
            self.memory.take(CELL_BYTES)?;
        }
        let cell = self.cells.entry((group, step)).or_insert_with(|| Cell::new(&plan.function));
        let grown = cell.add_counted(counted);
        self.memory.take(grown as u64 * BUCKET_BYTES)
    }

    fn add_group(&mut self, key: Box<[u8]>, values: Box<[Operand<'static>]>) -> Result<u32, MemoryRefused> {
        self.memory.take(GROUP_BYTES + 3 * key.len() as u64)?;
        let group = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        self.ids.insert(key, group);
        self.groups.push(values);
        Ok(group)
    }

    /// Adds what another table knows.
    pub(super) fn merge(&mut self, other: Self) -> Result<(), MemoryRefused> {
        let mut groups = vec![0; other.groups.len()];
        let mut values = other.groups;
        for (key, theirs) in other.ids {
            let at = theirs as usize;
            groups[at] = match self.ids.get(&key) {
                Some(ours) => *ours,
                None => self.add_group(key, std::mem::take(&mut values[at]))?,
            };
        }
        for ((group, step), theirs) in other.cells {
            let at = (groups[group as usize], step);
            match self.cells.get_mut(&at) {
                Some(ours) => self.memory.take(ours.merge(&theirs) as u64 * BUCKET_BYTES)?,
                None => {
                    self.memory.take(CELL_BYTES + theirs.buckets() as u64 * BUCKET_BYTES)?;
                    self.cells.insert(at, theirs);
                }
            }
        }
        self.exemplars.merge(other.exemplars, &groups);
        Ok(())
    }

    /// Forgets what was taken away again.
    pub(super) fn prune(&mut self) {
        self.cells.retain(|_, cell| !cell.is_empty());
    }

    /// The values of each group that has any cells, by step, and its exemplars.
    pub(super) fn into_groups(self) -> (Vec<Group>, Reservation) {
        let mut groups: Vec<Group> = self
            .groups
            .into_iter()
            .map(|values| Group { values, cells: Vec::new(), exemplars: Vec::new() })
            .collect();
        for ((group, step), cell) in self.cells {
            groups[group as usize].cells.push((step as usize, cell));
        }
        for (group, candidate) in self.exemplars.chosen() {
            groups[group as usize].exemplars.push(candidate);
        }
        groups.retain(|group| !group.cells.is_empty());
        (groups, self.memory.reserved)
    }
}

/// A group of spans.
pub(super) struct Group {
    pub(super) values: Box<[Operand<'static>]>,
    pub(super) cells: Vec<(usize, Cell)>,
    pub(super) exemplars: Vec<Candidate>,
}

impl Cell {
    fn new(function: &Function) -> Self {
        match function {
            Function::Count { .. } | Function::Histogram(_) | Function::Compare(_) => {
                Self::Count(ExactSum::default())
            }
            Function::Min(_) => Self::Min(f64::INFINITY),
            Function::Max(_) => Self::Max(f64::NEG_INFINITY),
            Function::Sum(_) => Self::Sum(ExactSum::default()),
            Function::Average(_) => Self::Average { sum: ExactSum::default(), weight: ExactSum::default() },
            Function::Quantiles { .. } => Self::Quantiles(Box::default()),
        }
    }

    /// Adds a number; by how many buckets it grew.
    fn add(&mut self, number: f64, weight: f64) -> usize {
        let before = self.buckets();
        match self {
            Self::Count(count) => count.add(weight),
            Self::Min(least) => *least = least.min(number),
            Self::Max(greatest) => *greatest = greatest.max(number),
            Self::Sum(sum) => sum.add(number * weight),
            Self::Average { sum, weight: total } => {
                sum.add(number * weight);
                total.add(weight);
            }
            Self::Quantiles(sketch) => sketch.add(number, weight),
        }
        self.buckets() - before
    }

    /// Adds what was counted; by how many buckets it grew.
    fn add_counted(&mut self, counted: &Counted) -> usize {
        let before = self.buckets();
        match (&mut *self, counted) {
            (Self::Count(count), Counted::Spans(spans)) => count.add(*spans as f64),
            (Self::Quantiles(sketch), Counted::Buckets(buckets)) => sketch.add_buckets(buckets),
            _ => debug_assert!(false, "the cells of one function count one kind"),
        }
        self.buckets() - before
    }

    fn merge(&mut self, other: &Self) -> usize {
        let before = self.buckets();
        match (&mut *self, other) {
            (Self::Count(ours), Self::Count(theirs)) | (Self::Sum(ours), Self::Sum(theirs)) => {
                ours.merge(theirs);
            }
            (Self::Min(ours), Self::Min(theirs)) => *ours = ours.min(*theirs),
            (Self::Max(ours), Self::Max(theirs)) => *ours = ours.max(*theirs),
            (Self::Average { sum, weight }, Self::Average { sum: other, weight: others }) => {
                sum.merge(other);
                weight.merge(others);
            }
            (Self::Quantiles(ours), Self::Quantiles(theirs)) => ours.merge(theirs),
            _ => debug_assert!(false, "the cells of one function are of one kind"),
        }
        self.buckets() - before
    }

    /// Whether all that was counted was taken away again.
    fn is_empty(&self) -> bool {
        match self {
            Self::Count(count) => count.value() == 0.0,
            Self::Quantiles(sketch) => sketch.weight() == 0.0,
            _ => false,
        }
    }

    fn buckets(&self) -> usize {
        if let Self::Quantiles(sketch) = self { sketch.buckets() } else { 0 }
    }
}

/// The least power of two that is not less than the number; 0 for what is not above 0.
fn bucket(number: f64) -> f64 {
    if number <= 0.0 {
        return 0.0;
    }
    let bound = 2.0_f64.powi(number.log2().ceil() as i32);
    // A logarithm may be off by a rounding either way.
    if bound < number {
        bound * 2.0
    } else if bound / 2.0 >= number {
        bound / 2.0
    } else {
        bound
    }
}

/// A reservation that grows in parts.
pub(super) struct Memory {
    reserved: Reservation,
    used: u64,
}

impl Memory {
    pub(super) fn new(budget: &Arc<MemoryBudget>) -> Result<Self, MemoryRefused> {
        Ok(Self { reserved: budget.reserve(Holder::Query, 0)?, used: 0 })
    }

    pub(super) fn take(&mut self, bytes: u64) -> Result<(), MemoryRefused> {
        self.used += bytes;
        if self.used > self.reserved.bytes() {
            self.reserved.resize(self.used + RESERVED_AT_ONCE)?;
        }
        Ok(())
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.used -= bytes;
        // Cannot be refused: it shrinks.
        let _ = self.reserved.resize(self.reserved.bytes().min(self.used + RESERVED_AT_ONCE));
    }

    pub(super) fn into_reservation(self) -> Reservation {
        self.reserved
    }
}

#[cfg(test)]
mod tests;
