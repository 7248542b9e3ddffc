//! Series with a value, or none, at every step: what second stages and arithmetic work on.

use std::cmp::Ordering;

use vivace_model::Value;

use super::exemplars::Candidate;
use super::plan::{Function, MetricsPlan};
use super::table::{Cell, Group};
use crate::eval::Operand;
use crate::pipeline::group_label;

/// The label of series without others.
pub(super) const NAME: &str = "__name__";
const QUANTILE: &str = "p";
const BUCKET: &str = "__bucket";

/// Series.
pub(super) type Lines = Vec<Line>;

/// One series.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) labels: Vec<(String, Value)>,
    /// NaN where there is none.
    pub(super) values: Vec<f64>,
    pub(super) exemplars: Vec<Candidate>,
}

impl Line {
    /// A series with these values at these steps.
    pub(super) fn new(
        plan: &MetricsPlan,
        labels: Vec<(String, Value)>,
        at: impl IntoIterator<Item = (usize, f64)>,
    ) -> Self {
        let missing = if plan.function.is_zero_filled() { 0.0 } else { f64::NAN };
        let mut values = vec![missing; plan.window.steps()];
        for (step, value) in at {
            if let Some(slot) = values.get_mut(step) {
                *slot = value;
            }
        }
        Self { labels, values, exemplars: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(|value| value.is_nan())
    }
}

/// The series of groups, in no order.
pub(super) fn lines(plan: &MetricsPlan, groups: Vec<Group>) -> Lines {
    groups.into_iter().flat_map(|group| of_group(plan, group)).collect()
}

fn of_group(plan: &MetricsPlan, group: Group) -> Lines {
    let mut labels = labels(plan, &group.values);
    match &plan.function {
        Function::Quantiles { quantiles, measured } => {
            let mut lines: Lines = quantiles
                .iter()
                .map(|quantile| {
                    let labels =
                        labels.iter().cloned().chain([(QUANTILE.to_owned(), Value::Float(*quantile))]);
                    let value = |cell: &Cell| match cell {
                        Cell::Quantiles(sketch) => {
                            sketch.quantile(*quantile).map_or(0.0, |value| value / measured.unit)
                        }
                        _ => 0.0,
                    };
                    let values = group.cells.iter().map(|(step, cell)| (*step, value(cell)));
                    Line::new(plan, labels.collect(), values)
                })
                .collect();
            group.exemplars.into_iter().for_each(|exemplar| assign(exemplar, &mut lines));
            lines
        }
        function => {
            if let (Function::Histogram(_), Some(Operand::Float(bound))) = (function, group.values.last()) {
                labels.push((BUCKET.to_owned(), Value::Float(*bound)));
            }
            if labels.is_empty() {
                labels.push((NAME.to_owned(), Value::from(plan.name)));
            }
            let values = group.cells.iter().map(|(step, cell)| (*step, value(plan, cell)));
            let mut line = Line::new(plan, labels, values);
            line.exemplars = group.exemplars;
            if function.measured().is_none() || matches!(function, Function::Histogram(_)) {
                // Where spans are counted an exemplar stands at the value of its step.
                let at = |step: u32| line.values.get(step as usize).copied().unwrap_or(f64::NAN);
                let values: Vec<f64> = line.exemplars.iter().map(|exemplar| at(exemplar.step)).collect();
                line.exemplars.iter_mut().zip(values).for_each(|(exemplar, value)| exemplar.value = value);
            }
            vec![line]
        }
    }
}

/// To the first quantile that is not below it, else the last.
fn assign(exemplar: Candidate, lines: &mut Lines) {
    let covers = |line: &Line| {
        line.values.get(exemplar.step as usize).is_some_and(|quantile| *quantile >= exemplar.value)
    };
    let at = lines.iter().position(covers).unwrap_or(lines.len().saturating_sub(1));
    if let Some(line) = lines.get_mut(at) {
        line.exemplars.push(exemplar);
    }
}

fn value(plan: &MetricsPlan, cell: &Cell) -> f64 {
    let unit = plan.function.measured().map_or(1.0, |measured| measured.unit);
    match (cell, &plan.function) {
        (Cell::Count(count), Function::Count { per_second: true }) => {
            count.value() / plan.window.seconds_per_step()
        }
        (Cell::Count(count), _) => count.value(),
        (Cell::Min(number) | Cell::Max(number), _) => number / unit,
        (Cell::Sum(sum), _) => sum.value() / unit,
        (Cell::Average { sum, weight }, _) => sum.value() / weight.value() / unit,
        (Cell::Quantiles(_), _) => f64::NAN,
    }
}

fn labels(plan: &MetricsPlan, values: &[Operand<'static>]) -> Vec<(String, Value)> {
    let known = plan
        .by
        .iter()
        .zip(values)
        .filter_map(|(grouping, value)| Some((grouping.label.clone(), value.to_output()?)));
    let labels: Vec<(String, Value)> = known.collect();
    match plan.by.first() {
        Some(first) if labels.is_empty() => vec![(first.label.clone(), group_label(&Operand::Nil))],
        _ => labels,
    }
}

/// By number of labels, then by the labels in order: key, value as text, type (`reference/tempo.md` 2.5).
pub(super) fn sort(lines: &mut Lines) {
    lines.sort_by_cached_key(|line| {
        let labels: Vec<(String, String, u8)> =
            line.labels.iter().map(|(key, value)| (key.clone(), text(value), rank(value))).collect();
        (labels.len(), labels)
    });
}

/// A label's value as text.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(text).collect::<Vec<_>>().join(","))
        }
        Value::Empty | Value::Bytes(_) | Value::Map(_) => String::new(),
    }
}

/// Orders values that look the same by their type.
pub(super) fn rank(value: &Value) -> u8 {
    match value {
        Value::Empty => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Int(_) => 3,
        Value::Float(_) => 4,
        Value::Bytes(_) => 5,
        Value::Array(_) => 6,
        Value::Map(_) => 7,
    }
}

/// NaN last, whatever the order of the rest.
pub(super) fn numeric(left: f64, right: f64) -> Ordering {
    left.is_nan().cmp(&right.is_nan()).then_with(|| left.partial_cmp(&right).unwrap_or(Ordering::Equal))
}
