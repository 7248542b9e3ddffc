//! What a search does with an assembled trace.

use std::collections::BTreeMap;

use vivace_model::{Trace, Value};

use crate::eval::rows;
use crate::plan::{PlanSpanset, PlanStage, SearchPlan};
use crate::{MatchedSpan, ServiceStats, SpanSet, TraceMatch};

/// Runs the pipeline on a trace; [`None`] when it does not match.
pub(crate) fn evaluate(plan: &SearchPlan, trace: &Trace, spans_per_span_set: usize) -> Option<TraceMatch> {
    let mut matched: Vec<usize> = (0..trace.spans().len()).collect();
    for PlanStage::Spanset(spanset) in &plan.stages {
        matched = select(plan, spanset, trace, &matched);
    }
    if matched.is_empty() {
        return None;
    }
    let shown = matched.iter().take(spans_per_span_set.max(1)).map(|index| show(plan, trace, *index));
    let span_set = SpanSet {
        spans: shown.collect(),
        matched: u32::try_from(matched.len()).unwrap_or(u32::MAX),
        attributes: Vec::new(),
    };
    Some(describe(trace, vec![span_set]))
}

/// The selected among `from`; a union keeps the left side's order and puts the right side's other spans behind, so
/// that what was asked for first is shown first.
fn select(plan: &SearchPlan, spanset: &PlanSpanset, trace: &Trace, from: &[usize]) -> Vec<usize> {
    match spanset {
        PlanSpanset::Filter(filter) => {
            let filter = &plan.filters[*filter];
            from.iter().copied().filter(|index| rows::holds(filter, trace, *index)).collect()
        }
        PlanSpanset::And(left, right) => {
            let left = select(plan, left, trace, from);
            let right = if left.is_empty() { Vec::new() } else { select(plan, right, trace, from) };
            if right.is_empty() { Vec::new() } else { union(trace, left, right) }
        }
        PlanSpanset::Or(left, right) => {
            let left = select(plan, left, trace, from);
            let right = select(plan, right, trace, from);
            union(trace, left, right)
        }
    }
}

fn union(trace: &Trace, mut left: Vec<usize>, right: Vec<usize>) -> Vec<usize> {
    let mut seen = vec![false; trace.spans().len()];
    left.iter().for_each(|index| seen[*index] = true);
    left.extend(right.into_iter().filter(|index| !seen[*index]));
    left
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
