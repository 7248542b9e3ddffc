//! Answers that have every field.

use std::collections::BTreeMap;

use vivace_model::{SpanId, TraceId, Value};
use vivace_query::{
    Exemplar, Held, MatchedSpan, MetricsResponse, Sample, SearchMetrics, SearchResponse, Series,
    ServiceStats, SpanSet, TagNames, TagScope, TagValue, TagValueKind, TagValues, TraceMatch,
};

const METRICS: SearchMetrics = SearchMetrics {
    inspected_traces: 1,
    inspected_bytes: 2,
    inspected_spans: 3,
    total_blocks: 4,
    total_block_bytes: 5,
    completed_jobs: 6,
    total_jobs: 7,
};

/// A trace of which so many spans match, one of them shown.
pub(crate) fn hit(id: u8, matched: u32) -> TraceMatch {
    let span = MatchedSpan {
        span_id: SpanId([0, 0, 0, 0, 0, 0, 0, 9]),
        name: "GET /".to_owned(),
        start: 1_700_000_000_000_000_000,
        duration: 7_000_001,
        attributes: vec![("http.status_code".to_owned(), Value::Int(200))],
    };
    let set = SpanSet {
        spans: vec![span],
        matched,
        attributes: vec![("by(resource.service.name)".to_owned(), "shop".into())],
    };
    TraceMatch {
        trace_id: TraceId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, id]),
        root_service_name: Some("shop".to_owned()),
        root_trace_name: None,
        start: 1_700_000_000_000_000_000,
        duration: 1_500_000_000,
        span_sets: vec![set],
        service_stats: BTreeMap::from([("shop".to_owned(), ServiceStats { span_count: 3, error_count: 1 })]),
    }
}

/// Two traces, one without its root.
pub(crate) fn search() -> SearchResponse {
    let rootless = TraceMatch { root_service_name: None, ..hit(0xab, 2) };
    SearchResponse {
        traces: vec![hit(1, 1).into(), rootless.into()],
        metrics: METRICS,
        partial: None,
        held: Held::default(),
    }
}

/// Names in two scopes, one in both.
pub(crate) fn names() -> TagNames {
    let scopes = BTreeMap::from([
        (TagScope::Resource, vec!["a".to_owned(), "b".to_owned()]),
        (TagScope::Span, vec!["b".to_owned(), "c".to_owned()]),
    ]);
    TagNames { scopes, inspected_bytes: 300, partial: None }
}

/// The same text in two types, and another.
pub(crate) fn values() -> TagValues {
    let value = |kind, text: &str| TagValue { kind, text: text.to_owned() };
    let values = vec![
        value(TagValueKind::String, "1"),
        value(TagValueKind::String, "x"),
        value(TagValueKind::Int, "1"),
    ];
    TagValues { values, inspected_bytes: 300, partial: None }
}

/// A labelled series with an exemplar, and one of a kind of value each; partial.
pub(crate) fn series() -> MetricsResponse {
    let exemplar = Exemplar {
        labels: vec![("trace:id".to_owned(), "ab".into())],
        value: 0.25,
        timestamp_ms: 1_700_000_000_500,
    };
    let sample = |timestamp_ms, value| Sample { timestamp_ms, value };
    let labelled = Series {
        labels: vec![("p".to_owned(), Value::Float(0.99))],
        samples: vec![sample(1_700_000_000_000, 1.5), sample(1_700_000_060_000, 0.0)],
        exemplars: vec![exemplar],
    };
    let kinds = [
        Value::Empty,
        Value::String("s".to_owned()),
        Value::Bool(false),
        Value::Int(-1),
        Value::Bytes(vec![0, 255]),
        Value::Array(vec![Value::Int(1), "a".into()]),
        Value::Map(vec![("k".to_owned(), Value::Bool(true))]),
    ];
    let labels = kinds.into_iter().enumerate().map(|(at, kind)| (format!("l{at}"), kind)).collect();
    let typed = Series { labels, samples: vec![sample(1_700_000_000_000, -2.0)], exemplars: Vec::new() };
    MetricsResponse { series: vec![labelled, typed], metrics: METRICS, partial: Some("a block".to_owned()) }
}
