//! Search as its rules say it, over spans in a vector: nothing is indexed, narrowed or cut short. What the engine finds
//! is compared with it.

mod field;
mod value;

use std::collections::{BTreeMap, HashSet};

use vivace_model::{NestedSet, Span, SpanId, SpanKind, TimeRange, Trace, Value};
use vivace_query::{MatchedSpan, SearchRequest, ServiceStats, SpanSet, TraceMatch};
use vivace_traceql::{Attribute, FieldExpr, Intrinsic, Pipeline, SpansetExpr, SpansetOp, Stage};

use self::field::{holds, output};

/// A span as the rules see it: itself and what is true of its trace.
pub(crate) struct Subject<'a> {
    span: &'a Span,
    root: Option<&'a Span>,
    trace_duration: u64,
    nested_set: NestedSet,
    child_count: u32,
}

/// The newest traces of `spans` that match. The attributes of each span are ordered by key.
///
/// # Panics
/// On what this evaluator does not know: structural operators, aggregates, `by()`, metrics.
pub fn search(spans: &[Span], request: &SearchRequest) -> Vec<TraceMatch> {
    let mut by_trace: BTreeMap<_, Vec<Span>> = BTreeMap::new();
    for span in spans {
        by_trace.entry(span.trace_id).or_default().push(span.clone());
    }
    let mut found: Vec<TraceMatch> =
        by_trace.into_values().filter_map(|trace| search_trace(trace, request)).collect();
    found.sort_by_key(|trace| (std::cmp::Reverse(trace.start), trace.trace_id));
    found.truncate(request.limit);
    found
}

fn search_trace(spans: Vec<Span>, request: &SearchRequest) -> Option<TraceMatch> {
    let spans = without_duplicates(spans);
    let start = spans.iter().map(|span| span.start).min()?;
    let end = spans.iter().map(|span| span.end.max(span.start)).max()?;
    let duration = end - start;
    let wanted = request.range.overlaps(&TimeRange { start, end })
        && request.min_duration.is_none_or(|shortest| duration >= shortest)
        && request.max_duration.is_none_or(|longest| duration <= longest);
    if !wanted {
        return None;
    }
    let tree = Trace::assemble(spans.clone())?;
    let root = spans.iter().rfind(|span| span.parent_span_id.is_none());
    let subjects: Vec<Subject<'_>> = spans
        .iter()
        .enumerate()
        .map(|(at, span)| Subject {
            span,
            root,
            trace_duration: duration,
            nested_set: tree.nested_set(at),
            child_count: tree.child_count(at),
        })
        .collect();
    let all: Vec<&Subject<'_>> = subjects.iter().collect();
    let matched = run(&request.query.pipeline, &all);
    let shown = mentioned(&request.query.pipeline);
    (!matched.is_empty()).then(|| TraceMatch {
        trace_id: spans[0].trace_id,
        root_service_name: root.map(service),
        root_trace_name: root.map(|root| root.name.clone()),
        start,
        duration,
        span_sets: vec![span_set(&matched, &shown, request.spans_per_span_set)],
        service_stats: service_stats(&spans),
    })
}

/// In order of start and span id; of those with the same id and kind the one that started, then ended first.
fn without_duplicates(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.start, span.end));
    let mut seen: HashSet<(SpanId, SpanKind)> = HashSet::new();
    spans.retain(|span| seen.insert((span.span_id, span.kind)));
    spans.sort_by_key(|span| (span.start, span.span_id, span.kind as u8));
    spans
}

/// Spans that name no service are of the service without a name.
fn service(span: &Span) -> String {
    span.resource.service_name().unwrap_or_default().to_owned()
}

fn service_stats(spans: &[Span]) -> BTreeMap<String, ServiceStats> {
    let mut stats: BTreeMap<String, ServiceStats> = BTreeMap::new();
    for span in spans {
        let of_service = stats.entry(service(span)).or_default();
        of_service.span_count += 1;
        of_service.error_count += u32::from(span.status == vivace_model::StatusCode::Error);
    }
    stats
}

fn span_set(matched: &[&Subject<'_>], shown: &[&Attribute], limit: usize) -> SpanSet {
    let spans = matched.iter().take(limit).map(|subject| matched_span(subject, shown)).collect();
    SpanSet {
        spans,
        matched: u32::try_from(matched.len()).expect("test traces are small"),
        attributes: vec![],
    }
}

fn matched_span(subject: &Subject<'_>, shown: &[&Attribute]) -> MatchedSpan {
    let mut attributes: Vec<(String, Value)> = Vec::new();
    for attribute in shown {
        // Of several attributes under one bare name the first that the query names is shown.
        let name = attribute.bare_name();
        if !attributes.iter().any(|(known, _)| known == name)
            && let Some(value) = output(subject, attribute)
        {
            attributes.push((name.to_owned(), value));
        }
    }
    sort_attributes(&mut attributes);
    MatchedSpan {
        span_id: subject.span.span_id,
        name: subject.span.name.clone(),
        start: subject.span.start,
        duration: subject.span.duration(),
        attributes,
    }
}

/// By key: the order in which attributes are shown means nothing.
pub fn sort_attributes(attributes: &mut [(String, Value)]) {
    attributes.sort_by(|left, right| left.0.cmp(&right.0));
}

fn run<'a, 's>(pipeline: &Pipeline, spans: &[&'a Subject<'s>]) -> Vec<&'a Subject<'s>> {
    let mut spans = spans.to_vec();
    for stage in &pipeline.stages {
        match stage {
            Stage::Spanset(expr) => spans = spanset(expr, &spans),
            Stage::Select(_) => {}
            other => panic!("the oracle does not know the stage {other:?}"),
        }
    }
    spans
}

fn spanset<'a, 's>(expr: &SpansetExpr, spans: &[&'a Subject<'s>]) -> Vec<&'a Subject<'s>> {
    match expr {
        SpansetExpr::Filter(filter) => {
            spans.iter().copied().filter(|subject| holds(subject, filter)).collect()
        }
        SpansetExpr::Pipeline(pipeline) => run(pipeline, spans),
        SpansetExpr::Binary { op, left, right } => {
            let (left, right) = (spanset(left, spans), spanset(right, spans));
            match op {
                SpansetOp::And if left.is_empty() || right.is_empty() => Vec::new(),
                SpansetOp::And | SpansetOp::Or => union(left, &right),
                other => panic!("the oracle does not know the operator {other:?}"),
            }
        }
    }
}

fn union<'a, 's>(mut left: Vec<&'a Subject<'s>>, right: &[&'a Subject<'s>]) -> Vec<&'a Subject<'s>> {
    for subject in right {
        if !left.iter().any(|known| std::ptr::eq(*known, *subject)) {
            left.push(subject);
        }
    }
    left
}

/// Every attribute the query names, once; those left out that a result shows elsewhere.
fn mentioned(pipeline: &Pipeline) -> Vec<&Attribute> {
    let mut found = Vec::new();
    for stage in &pipeline.stages {
        match stage {
            Stage::Spanset(expr) => of_spanset(expr, &mut found),
            Stage::Select(attributes) => attributes.iter().for_each(|a| add(a, &mut found)),
            _ => {}
        }
    }
    found
}

fn of_spanset<'q>(expr: &'q SpansetExpr, found: &mut Vec<&'q Attribute>) {
    match expr {
        SpansetExpr::Filter(filter) => of_field(filter, found),
        SpansetExpr::Pipeline(pipeline) => mentioned(pipeline).into_iter().for_each(|a| add(a, found)),
        SpansetExpr::Binary { left, right, .. } => {
            of_spanset(left, found);
            of_spanset(right, found);
        }
    }
}

fn of_field<'q>(expr: &'q FieldExpr, found: &mut Vec<&'q Attribute>) {
    match expr {
        FieldExpr::Literal(_) => {}
        FieldExpr::Attribute(attribute) => add(attribute, found),
        FieldExpr::Unary { expr, .. } => of_field(expr, found),
        FieldExpr::Binary { left, right, .. } => {
            of_field(left, found);
            of_field(right, found);
        }
    }
}

fn add<'q>(attribute: &'q Attribute, found: &mut Vec<&'q Attribute>) {
    use Intrinsic::{Duration, Name, RootName, RootServiceName, SpanId, TraceDuration, TraceId};
    let elsewhere = matches!(
        attribute,
        Attribute::Intrinsic(Name | Duration | TraceDuration | RootName | RootServiceName | TraceId | SpanId)
    );
    if !elsewhere && !found.contains(&attribute) {
        found.push(attribute);
    }
}
