//! What a pipeline does with an assembled trace (`docs/adr/0005-what-pipelines-and-metrics-compute.md`).

use std::collections::{BTreeMap, HashMap};

use vivace_model::{Trace, Value};

use crate::eval::{Filter, Operand, compare, rows};
use crate::plan::{PlanScalar, PlanSpanset, PlanStage, SearchPlan, Take};
use crate::{MatchedSpan, ServiceStats, SpanSet, TraceMatch};

mod aggregate;
mod structural;

/// Spans of a trace that go through a pipeline together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Set {
    /// Their indexes, each once.
    pub(crate) spans: Vec<usize>,
    /// Values of `by()` and of aggregates, by expression text.
    attributes: Vec<(String, Value)>,
}

/// Runs the pipeline on a trace; [`None`] when it does not match.
pub(crate) fn evaluate(plan: &SearchPlan, trace: &Trace, spans_per_span_set: usize) -> Option<TraceMatch> {
    let sets = select(plan, trace);
    if sets.is_empty() {
        return None;
    }
    let span_set = |set: Set| SpanSet {
        matched: u32::try_from(set.spans.len()).unwrap_or(u32::MAX),
        spans: set.spans.iter().take(spans_per_span_set.max(1)).map(|at| show(plan, trace, *at)).collect(),
        attributes: set.attributes,
    };
    Some(describe(trace, sets.into_iter().map(span_set).collect()))
}

/// The span sets the pipeline yields for a trace, none of them empty.
pub(crate) fn select(plan: &SearchPlan, trace: &Trace) -> Vec<Set> {
    let all = Set { spans: (0..trace.spans().len()).collect(), attributes: Vec::new() };
    Run { filters: &plan.filters, trace }.stages(&plan.stages, all)
}

struct Run<'a> {
    filters: &'a [Filter],
    trace: &'a Trace,
}

impl Run<'_> {
    fn stages(&self, stages: &[PlanStage], from: Set) -> Vec<Set> {
        let mut sets = vec![from];
        for stage in stages {
            sets = match stage {
                PlanStage::Spanset(spanset) => {
                    let keep = |set: Set| Set { spans: self.spanset(spanset, &set.spans), ..set };
                    sets.into_iter().map(keep).collect()
                }
                PlanStage::Scalar(scalar) => {
                    sets.into_iter().filter_map(|set| self.scalar(scalar, set)).collect()
                }
                PlanStage::By { value, label } => {
                    sets.into_iter().flat_map(|set| self.by(value, label, set)).collect()
                }
                PlanStage::Coalesce => self.coalesce(&sets),
            };
            sets.retain(|set| !set.spans.is_empty());
        }
        sets
    }

    /// The selected among `from`; a union keeps the left side's order and puts the right side's other spans behind, so
    /// that what was asked for first is shown first.
    fn spanset(&self, spanset: &PlanSpanset, from: &[usize]) -> Vec<usize> {
        match spanset {
            PlanSpanset::Filter(filter) => {
                let Some(filter) = self.filters.get(*filter) else { return Vec::new() };
                from.iter().copied().filter(|at| rows::holds(filter, self.trace, *at)).collect()
            }
            PlanSpanset::Pipeline(stages) => {
                let sets = self.stages(stages, Set { spans: from.to_vec(), attributes: Vec::new() });
                sets.into_iter().fold(Vec::new(), |all, set| self.union(all, set.spans))
            }
            PlanSpanset::And(left, right) => {
                let left = self.spanset(left, from);
                let right = if left.is_empty() { Vec::new() } else { self.spanset(right, from) };
                if right.is_empty() { Vec::new() } else { self.union(left, right) }
            }
            PlanSpanset::Or(left, right) => self.union(self.spanset(left, from), self.spanset(right, from)),
            PlanSpanset::Structural { relation, take, left, right } => {
                let (mut left, mut right) = (self.spanset(left, from), self.spanset(right, from));
                let related = structural::related(self.trace, *relation, &left, &right);
                match take {
                    Take::Related => right.retain(|at| related.contains(at)),
                    Take::Unrelated => right.retain(|at| !related.contains(at)),
                    Take::Both => {
                        let inverse = structural::related(self.trace, relation.inverse(), &right, &left);
                        left.retain(|at| inverse.contains(at));
                        right.retain(|at| related.contains(at));
                        return self.union(left, right);
                    }
                }
                right
            }
        }
    }

    fn union(&self, mut left: Vec<usize>, right: Vec<usize>) -> Vec<usize> {
        let mut seen = vec![false; self.trace.spans().len()];
        left.iter().for_each(|at| seen[*at] = true);
        left.extend(right.into_iter().filter(|at| !seen[*at]));
        left
    }

    fn scalar(&self, scalar: &PlanScalar, mut set: Set) -> Option<Set> {
        let value = aggregate::aggregate(&scalar.aggregate, self.trace, &set.spans)?;
        if !compare(scalar.op, &value, &scalar.literal) {
            return None;
        }
        let shown = value.to_output()?;
        match set.attributes.iter_mut().find(|(name, _)| *name == scalar.label) {
            Some((_, known)) => *known = shown,
            None => set.attributes.push((scalar.label.clone(), shown)),
        }
        Some(set)
    }

    /// One set per value, in order of first appearance.
    fn by(&self, value: &Filter, label: &str, set: Set) -> Vec<Set> {
        let mut sets: Vec<Set> = Vec::new();
        let mut by_key: HashMap<Vec<u8>, usize> = HashMap::new();
        for span in set.spans {
            let operand = rows::evaluate(value, self.trace, span);
            let mut key = Vec::new();
            operand.encode(&mut key);
            let at = *by_key.entry(key).or_insert_with(|| {
                let mut attributes = set.attributes.clone();
                attributes.push((label.to_owned(), group_label(&operand)));
                sets.push(Set { spans: Vec::new(), attributes });
                sets.len() - 1
            });
            sets[at].spans.push(span);
        }
        sets
    }

    fn coalesce(&self, sets: &[Set]) -> Vec<Set> {
        let mut selected = vec![false; self.trace.spans().len()];
        sets.iter().flat_map(|set| &set.spans).for_each(|at| selected[*at] = true);
        let spans = (0..selected.len()).filter(|at| selected[*at]).collect();
        vec![Set { spans, attributes: Vec::new() }]
    }
}

/// A value as a group is named by it; the group of spans without one is named nil.
pub(crate) fn group_label(value: &Operand<'_>) -> Value {
    value.to_output().unwrap_or_else(|| Value::from("nil"))
}

fn show(plan: &SearchPlan, trace: &Trace, index: usize) -> MatchedSpan {
    let span = &trace.spans()[index];
    let mut attributes: Vec<(String, Value)> = Vec::new();
    for attribute in &plan.shown {
        let key = attribute.bare_name();
        let value = rows::value(attribute, trace, index).to_output();
        if let Some(value) = value
            && !attributes.iter().any(|(other, _)| other == key)
        {
            attributes.push((key.to_owned(), value));
        }
    }
    MatchedSpan {
        span_id: span.span_id,
        name: span.name.clone(),
        start: span.start,
        duration: span.duration(),
        attributes,
    }
}

fn describe(trace: &Trace, span_sets: Vec<SpanSet>) -> TraceMatch {
    let mut service_stats: BTreeMap<String, ServiceStats> = BTreeMap::new();
    for span in trace.spans() {
        let service = span.resource.service_name().unwrap_or_default();
        let stats = service_stats.entry(service.to_owned()).or_default();
        stats.span_count += 1;
        stats.error_count += u32::from(span.status == vivace_model::StatusCode::Error);
    }
    TraceMatch {
        trace_id: trace.id(),
        root_service_name: trace
            .root()
            .map(|root| root.resource.service_name().unwrap_or_default().to_owned()),
        root_trace_name: trace.root().map(|root| root.name.clone()),
        start: trace.range().start,
        duration: trace.duration(),
        span_sets,
        service_stats,
    }
}
