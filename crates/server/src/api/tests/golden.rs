//! Every answer as it is checked in under `snapshots/`. A change shows as a difference; `INSTA_UPDATE=always` accepts it.

use vivace_model::{Attribute, Value};
use vivace_query::{Exemplar, Held, MetricsResponse, Sample, SearchMetrics, Series, ServiceStats};

use super::*;

/// Each with the name of its file, and the header `Accept`.
const ASKED: [(&str, &str, &str); 16] = [
    ("search", "/api/search?q=%7B%7D", ""),
    ("trace_v1", "/api/traces/7", ""),
    ("trace_v2", "/api/v2/traces/7", ""),
    ("trace_v2_missing", "/api/v2/traces/8", ""),
    ("tags_v1", "/api/search/tags", ""),
    ("tags_v2", "/api/v2/search/tags", ""),
    ("values_v1", "/api/search/tag/service.name/values", ""),
    ("values_v2", "/api/v2/search/tag/resource.service.name/values", ""),
    ("values_v2_llm", "/api/v2/search/tag/resource.service.name/values", "application/vnd.grafana.llm"),
    ("query_range", "/api/metrics/query_range?q=%7B%7D%7Crate()", ""),
    ("query", "/api/metrics/query?q=%7B%7D%7Crate()", ""),
    ("error_query", "/api/search?q=%7B%20.a%20%3D%3D%201%20%7D", ""),
    ("error_metrics", "/api/metrics/query?q=%7B%7D", ""),
    ("error_trace_id", "/api/traces/x", ""),
    ("error_missing_trace", "/api/traces/8", ""),
    ("error_path", "/api/nothing", ""),
];

#[tokio::test]
async fn answers_are_those_checked_in() {
    let (app, _) = app(everything(), |_| {});
    for (name, path, accept) in ASKED {
        let answer = ask_with(&app, path, &[("accept", accept)]).await;
        let content_type = answer.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
        let is_json = content_type.contains("json");
        let body = if is_json { format!("{:#}", answer.json()) } else { answer.text().to_owned() };
        insta::assert_snapshot!(name, format!("{}\n{content_type}\n\n{body}", answer.status));
    }
}

fn everything() -> FakeBackend {
    FakeBackend { found: found(), series: series(), trace: Some(full_trace()), ..with_tags() }
}

fn found() -> SearchResponse {
    let mut grouped = hit(1);
    grouped.root_service_name = Some("shop \"é\"".to_owned());
    grouped.span_sets[0].attributes =
        vec![("by(resource.service.name)".to_owned(), "shop".into()), ("count()".to_owned(), Value::Int(4))];
    let mut second = grouped.span_sets[0].clone();
    second.spans[0].attributes = vec![
        ("status".to_owned(), "error".into()),
        ("ratio".to_owned(), Value::Float(0.5)),
        ("nan".to_owned(), Value::Float(f64::NAN)),
        ("flag".to_owned(), Value::Bool(false)),
        ("list".to_owned(), Value::Array(vec!["a".into(), Value::Int(1)])),
    ];
    grouped.span_sets.push(second);
    let stats = |span_count, error_count| ServiceStats { span_count, error_count };
    grouped.service_stats = BTreeMap::from([("a".to_owned(), stats(3, 1)), ("b".to_owned(), stats(1, 0))]);
    let metrics = SearchMetrics {
        inspected_traces: 2,
        inspected_bytes: 5_000_000_000,
        inspected_spans: 9,
        total_blocks: 3,
        total_block_bytes: 4,
        completed_jobs: 5,
        total_jobs: 6,
    };
    SearchResponse {
        traces: vec![grouped.into(), hit(2).into()],
        metrics,
        partial: None,
        held: Held::default(),
    }
}

fn series() -> MetricsResponse {
    let sample = |timestamp_ms, value| Sample { timestamp_ms, value };
    let exemplar = Exemplar {
        labels: vec![("trace:id".to_owned(), "abc".into()), ("span:id".to_owned(), "9".into())],
        value: 0.25,
        timestamp_ms: 1_700_000_000_001,
    };
    let by_status = Series {
        labels: vec![
            ("resource.service.name".to_owned(), "shop".into()),
            ("p".to_owned(), Value::Float(0.9)),
        ],
        samples: vec![
            sample(1_700_000_000_000, 1.5),
            sample(1_700_000_010_000, 0.0),
            sample(1_700_000_020_000, f64::INFINITY),
        ],
        exemplars: vec![exemplar],
    };
    let rate = Series {
        labels: vec![("__name__".to_owned(), "rate".into())],
        samples: vec![sample(1_700_000_000_000, 12.0)],
        exemplars: vec![],
    };
    let metrics = SearchMetrics { inspected_spans: 9, ..SearchMetrics::default() };
    MetricsResponse { series: vec![rate, by_status], metrics, partial: Some("deadline".to_owned()) }
}

/// With everything that a span can have.
fn full_trace() -> Trace {
    let root = SpanBuilder::new("root").trace(7).id(1).service("a").scope("x", "1").error("broken");
    let root = root.event("retry", 1, vec![Attribute::new("n", Value::Int(1))]).link(9, 8, vec![]);
    let mut root = root.build();
    root.attributes = vec![
        Attribute::new("text", Value::from("x")),
        Attribute::new("int", Value::Int(i64::MIN)),
        Attribute::new("bytes", Value::Bytes(vec![0, 255])),
        Attribute::new("map", Value::Map(vec![("k".to_owned(), Value::Bool(true))])),
    ];
    let child = SpanBuilder::new("child").trace(7).id(2).parent(1).service("b").scope("y", "2").build();
    Trace::assemble(vec![root, child]).unwrap()
}
