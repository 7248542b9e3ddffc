//! Aggregates over the spans of one span set (`reference/tempo.md` 4.7).

use std::cmp::Ordering;
use std::mem::discriminant;

use vivace_model::Trace;

use crate::eval::{ExactSum, Filter, Operand, compare_numbers, rows};
use crate::plan::PlanAggregate;

/// The aggregate of these spans; [`None`] when no span has a number for it.
pub(super) fn aggregate(
    aggregate: &PlanAggregate,
    trace: &Trace,
    spans: &[usize],
) -> Option<Operand<'static>> {
    match aggregate {
        PlanAggregate::Count => Some(Operand::Int(i64::try_from(spans.len()).unwrap_or(i64::MAX))),
        PlanAggregate::Min(value) => extreme(numbers(value, trace, spans), Ordering::Less),
        PlanAggregate::Max(value) => extreme(numbers(value, trace, spans), Ordering::Greater),
        PlanAggregate::Sum(value) => Some(Totals::of(numbers(value, trace, spans))?.sum()),
        PlanAggregate::Avg(value) => Some(Totals::of(numbers(value, trace, spans))?.average()),
    }
}

fn numbers<'a>(
    value: &'a Filter,
    trace: &'a Trace,
    spans: &'a [usize],
) -> impl Iterator<Item = Operand<'static>> + 'a {
    let values = spans.iter().map(|at| rows::evaluate(value, trace, *at));
    values.filter(|value| matches!(value, Operand::Int(_) | Operand::Float(_) | Operand::Duration(_)))
}

/// Of equal ones the first.
fn extreme(numbers: impl Iterator<Item = Operand<'static>>, wanted: Ordering) -> Option<Operand<'static>> {
    numbers.reduce(|best, next| if compare_numbers(&next, &best) == Some(wanted) { next } else { best })
}

/// Sum and count of the numbers that are of the first one's type.
struct Totals {
    first: Operand<'static>,
    whole: i128,
    float: ExactSum,
    count: i64,
}

impl Totals {
    fn of(mut numbers: impl Iterator<Item = Operand<'static>>) -> Option<Self> {
        let first = numbers.next()?;
        let mut totals = Self { first: first.clone(), whole: 0, float: ExactSum::default(), count: 0 };
        let alike = numbers.filter(|number| discriminant(number) == discriminant(&totals.first));
        let alike: Vec<Operand<'static>> = alike.collect();
        std::iter::once(first).chain(alike).for_each(|number| totals.add(&number));
        Some(totals)
    }

    fn add(&mut self, number: &Operand<'_>) {
        self.count += 1;
        match number {
            Operand::Int(number) | Operand::Duration(number) => self.whole += i128::from(*number),
            Operand::Float(number) => self.float.add(*number),
            _ => {}
        }
    }

    fn sum(&self) -> Operand<'static> {
        match self.first {
            Operand::Float(_) => Operand::Float(self.float.value()),
            Operand::Duration(_) => Operand::Duration(wrapped(self.whole)),
            _ => Operand::Int(wrapped(self.whole)),
        }
    }

    fn average(&self) -> Operand<'static> {
        match self.first {
            Operand::Float(_) => Operand::Float(self.float.value() / self.count as f64),
            Operand::Duration(_) => Operand::Duration(wrapped(self.whole / i128::from(self.count))),
            _ => Operand::Float(self.whole as f64 / self.count as f64),
        }
    }
}

/// Integers wrap, as they do under `+`.
fn wrapped(number: i128) -> i64 {
    number as i64
}
