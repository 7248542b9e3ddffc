//! Search and metrics as their rules say them (`reference/tempo.md` 4, `docs/adr/0005`), over spans in a vector: nothing
//! is indexed, narrowed or cut short. What the engine finds is compared with it.

mod compare;
mod exact;
mod field;
mod mentioned;
mod metrics;
mod pipeline;
mod second;
mod structure;
mod trace;
mod value;

use std::collections::BTreeMap;

use vivace_model::{Span, StatusCode, TimeRange, Value};
use vivace_query::{MatchedSpan, SearchRequest, ServiceStats, SpanSet, TraceMatch};
use vivace_traceql::{Attribute, MetricsSource, Query};

pub use self::metrics::metrics;

use self::field::output;
use self::mentioned::mentioned;
use self::pipeline::{Set, matched};
use self::trace::{Subject, range, root, subjects, traces};

/// The newest traces of `spans` that match. The attributes of each span are ordered by key.
///
/// # Panics
/// On queries with a [`refusal`].
pub fn search(spans: &[Span], request: &SearchRequest) -> Vec<TraceMatch> {
    let mut found: Vec<TraceMatch> =
        traces(spans).iter().filter_map(|trace| search_trace(trace, request)).collect();
    found.sort_by_key(|trace| (std::cmp::Reverse(trace.start), trace.trace_id));
    found.truncate(request.limit);
    found
}

/// Why a query that parses is not answered; [`None`] when it is.
pub fn refusal(query: &Query) -> Option<String> {
    let math = query.metrics.as_ref().is_some_and(|m| matches!(m.source, MetricsSource::Math(_)));
    if math {
        return Some("math expressions have no spans of their own".to_owned());
    }
    pipeline::refusal(&query.pipeline)
}

fn search_trace(trace: &[Span], request: &SearchRequest) -> Option<TraceMatch> {
    let (start, end) = range(trace);
    let duration = end - start;
    let wanted = request.range.overlaps(&TimeRange { start, end })
        && request.min_duration.is_none_or(|shortest| duration >= shortest)
        && request.max_duration.is_none_or(|longest| duration <= longest);
    if !wanted {
        return None;
    }
    let subjects = subjects(trace);
    let sets = matched(&request.query.pipeline, &subjects);
    let shown = mentioned(&request.query.pipeline);
    let root = root(trace);
    let span_sets = sets.iter().map(|set| span_set(set, &shown, request.spans_per_span_set)).collect();
    (!sets.is_empty()).then(|| TraceMatch {
        trace_id: trace[0].trace_id,
        root_service_name: root.map(service),
        root_trace_name: root.map(|root| root.name.clone()),
        start,
        duration,
        span_sets,
        service_stats: service_stats(trace),
    })
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
        of_service.error_count += u32::from(span.status == StatusCode::Error);
    }
    stats
}

fn span_set(set: &Set<'_, '_>, shown: &[&Attribute], limit: usize) -> SpanSet {
    SpanSet {
        spans: set.spans.iter().take(limit).map(|subject| matched_span(subject, shown)).collect(),
        matched: u32::try_from(set.spans.len()).expect("test traces are small"),
        attributes: set.attributes.clone(),
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
