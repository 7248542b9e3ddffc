use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use serde_json::{Value as Json, json};
use tower::ServiceExt;
use vivace_model::{SpanId, Trace, TraceId};
use vivace_query::{
    Latency, MatchedSpan, MetricsWindow, SearchResponse, ServiceEdge, ServiceGraph, ServiceGraphRequest,
    ServiceNode, SpanSet, TagNames, TagScope, TagValue, TagValueKind, TagValues, TraceMatch,
};
use vivace_testkit::SpanBuilder;

use super::router;
use crate::backend::fake::{FakeBackend, app, starting};
use crate::config::Config;
use crate::state::App;

mod golden;
mod limits;
mod traces;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn ask_with(app: &App, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request =
        headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    let response = router(app).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.into_body().collect().await.unwrap().to_bytes() }
}

async fn ask(backend: FakeBackend, path: &str) -> Answer {
    ask_with(&app(backend, |_| {}).0, path, &[]).await
}

fn hit(spans: usize) -> TraceMatch {
    let span = MatchedSpan {
        span_id: SpanId([0, 0, 0, 0, 0, 0, 0, 9]),
        name: "n".into(),
        start: 5,
        duration: 7,
        attributes: vec![("http.status_code".into(), 200_i64.into())],
    };
    TraceMatch {
        trace_id: TraceId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0xbc]),
        root_service_name: None,
        root_trace_name: Some("GET /".into()),
        start: 3,
        duration: 2_999_999,
        span_sets: vec![SpanSet { spans: vec![span; spans], matched: 4, attributes: vec![] }],
        service_stats: BTreeMap::new(),
    }
}

fn finding(traces: Vec<TraceMatch>) -> FakeBackend {
    FakeBackend {
        found: SearchResponse {
            traces: traces.into_iter().map(Into::into).collect(),
            ..SearchResponse::default()
        },
        ..FakeBackend::default()
    }
}

#[tokio::test]
async fn search_answers_in_the_shape_clients_read() {
    let answer = ask(finding(vec![hit(1)]), "/api/search?q={}&start=1&end=2").await;
    let attributes = json!([{"key": "http.status_code", "value": {"intValue": "200"}}]);
    let spans = json!([{"spanID": "0000000000000009", "name": "n", "startTimeUnixNano": "5",
        "durationNanos": "7", "attributes": attributes}]);
    let set = json!({"spans": spans, "matched": 4});
    let expected = json!({
        "traces": [{"traceID": "abc", "rootServiceName": "<root span not yet received>",
            "rootTraceName": "GET /", "startTimeUnixNano": "3", "durationMs": 2,
            "spanSet": set, "spanSets": [set]}],
        "metrics": {},
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(answer.headers.get("x-vivace-partial").is_none());
}

/// Kiali reads `spanSet.spans[0]` unchecked.
#[tokio::test]
async fn a_hit_without_spans_never_leaves_the_server() {
    let mut half = hit(1);
    half.span_sets.insert(0, SpanSet { spans: vec![], matched: 1, attributes: vec![] });
    let mut none = hit(1);
    none.span_sets.clear();
    let answer = ask(finding(vec![hit(0), half, none, hit(1)]), "/api/search").await.json();
    let traces = answer["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 2);
    for trace in traces {
        assert_eq!(trace["spanSet"], trace["spanSets"][0]);
        assert_eq!(trace["spanSets"].as_array().unwrap().len(), 1);
        assert_eq!(trace["spanSet"]["spans"].as_array().unwrap().len(), 1);
    }
    let empty = ask(finding(vec![]), "/api/search").await.json();
    assert_eq!(empty["traces"], json!([]));
}

#[tokio::test]
async fn an_incomplete_answer_says_so_in_a_header() {
    let mut backend = finding(vec![]);
    backend.found.partial = Some("deadline\nö".to_owned());
    let answer = ask(backend, "/api/search").await;
    assert_eq!(answer.headers["x-vivace-partial"], "deadline  ");
}

#[tokio::test]
async fn search_hands_on_what_was_asked() {
    let (app, backend) = app(finding(vec![]), |_| {});
    let path = "/api/search?q=%7B%20.a%20%3D%201%20%7D&limit=7&spss=10&start=10&end=20&minDuration=1.5ms&maxDuration=2s";
    assert_eq!(ask_with(&app, path, &[]).await.status, StatusCode::OK);
    ask_with(&app, "/api/search?spss=0", &[]).await;
    let asked = backend.searched.lock().unwrap();
    assert_eq!((asked[0].limit, asked[0].spans_per_span_set), (7, 10));
    assert_eq!((asked[0].min_duration, asked[0].max_duration), (Some(1_500_000), Some(2_000_000_000)));
    assert_eq!((asked[0].range.start, asked[0].range.end), (10_000_000_000, 20_999_999_999));
    assert_eq!((asked[1].limit, asked[1].spans_per_span_set), (20, 3));
}

/// Without query, tags and times, as Grafana once asked.
#[tokio::test]
async fn what_is_no_parameter_is_a_tag() {
    let (app, backend) = app(finding(vec![]), |_| {});
    for query in
        ["name=a&status=ok&limit=3", "tags=name%3Da%20status%3Dok", "start=1&end=2&name=a", "q=%7B%7D&name=a"]
    {
        assert_eq!(ask_with(&app, &format!("/api/search?{query}"), &[]).await.status, StatusCode::OK);
    }
    let asked: Vec<String> =
        backend.searched.lock().unwrap().iter().map(|request| request.query.to_string()).collect();
    let tags = r#"{ name =~ "(?i).*a.*" } && { status = ok }"#;
    assert_eq!(asked, [tags, tags, "{ true }", "{ true }"]);
}

#[tokio::test]
async fn wrong_searches_are_refused_with_the_reason() {
    let cases = [
        ("q={}&tags=a%3Db", "can't specify tags and q"),
        ("tags=a%3D%3Db", "invalid tags: unexpected '=' at pos 3"),
        ("tags=a%3Db%20a%3Dc", "invalid tags: tag a has been set twice"),
        ("since=5", "invalid since"),
        ("q=(%7B%7D%7Crate())%2B(%7B%7D%7Crate())", "math expressions not supported"),
        ("q=%7B%20.a%20%3D%3D%204%20%7D", "invalid TraceQL query: parse error at line 1, col "),
        ("limit=0", "invalid limit: must be a positive number"),
        ("limit=-1", "invalid limit"),
        ("limit=262145", "exceeds max limit 262144"),
        ("spss=101", "exceeds max spans per span set 100"),
        ("start=5", "must provide both or neither"),
        ("start=5&end=5", "start must be before end"),
        ("start=6&end=5", "start must be before end. received start=6 end=5"),
        ("start=x&end=5", "invalid start"),
        ("start=1&end=604802", "exceeds 168h"),
        ("minDuration=5", "invalid minDuration"),
        ("minDuration=2s&maxDuration=1s", "must be greater than minDuration"),
    ];
    for (query, reason) in cases {
        let answer = ask(finding(vec![]), &format!("/api/search?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.text().contains(reason), "{query}: {}", answer.text());
    }
}

/// Two resources, the first with two scopes.
fn trace() -> Trace {
    let span = |id, service, scope| {
        SpanBuilder::new("op").trace(7).id(id).service(service).scope(scope, "1").attribute("k", "v").build()
    };
    Trace::assemble(vec![span(1, "a", "x"), span(2, "a", "y"), span(3, "b", "x"), span(4, "a", "x")]).unwrap()
}

fn with_trace() -> FakeBackend {
    FakeBackend { trace: Some(trace()), ..FakeBackend::default() }
}

/// Kiali reads `batches[0].scopeSpans[0]` unchecked, and no scope after the first.
#[tokio::test]
async fn a_trace_has_one_batch_per_resource_and_scope() {
    let answer = ask(with_trace(), "/api/traces/7").await;
    assert_eq!(answer.status, StatusCode::OK);
    let told = answer.json();
    let batches = told["batches"].as_array().unwrap();
    assert_eq!(batches.len(), 3);
    let mut spans = 0;
    for batch in batches {
        let scopes = batch["scopeSpans"].as_array().unwrap();
        assert_eq!(scopes.len(), 1);
        spans += scopes[0]["spans"].as_array().unwrap().len();
        assert_eq!(batch["resource"]["attributes"][0]["key"], "service.name");
    }
    assert_eq!(spans, 4);
    let span = &batches[0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "AAAAAAAAAAAAAAAAAAAABw==");
    assert_eq!(span["spanId"], "AAAAAAAAAAE=");
    assert!(span["startTimeUnixNano"].is_string() && span["status"].is_object(), "{span}");
}

#[tokio::test]
async fn a_missing_trace_is_404_in_v1_and_empty_in_v2() {
    let answer = ask(with_trace(), "/api/traces/8").await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_FOUND, 0));
    let answer = ask(with_trace(), "/api/v2/traces/8").await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"trace": {}, "metrics": {}})));
}

#[tokio::test]
async fn wrong_trace_ids_and_times_are_refused() {
    let long = format!("/api/traces/{}", "a".repeat(33));
    let cases = [
        ("/api/traces/0g", "trace IDs can only contain hex characters: invalid character 'g' at position 2"),
        (long.as_str(), "trace IDs can't be larger than 128 bits"),
        ("/api/traces/7?start=2&end=1", "start must be before end"),
    ];
    for (path, reason) in cases {
        let answer = ask(with_trace(), path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(answer.text().contains(reason), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_trace_comes_as_protobuf_when_asked_for() {
    let (app, _) = app(with_trace(), |_| {});
    let accept = [("accept", "application/protobuf")];
    let v1 = ask_with(&app, "/api/traces/7", &accept).await;
    assert_eq!(v1.headers["content-type"], "application/protobuf");
    let decoded = TracesData::decode(v1.body.clone()).unwrap();
    let scopes = decoded.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    assert_eq!(scopes.map(|scope| scope.spans.len()).sum::<usize>(), 4);
    let v2 = ask_with(&app, "/api/v2/traces/7", &accept).await.body;
    // Field 1 is the trace, field 2 the metrics, which are empty.
    let mut rest = v2.clone();
    assert_eq!(prost::encoding::decode_varint(&mut rest).unwrap(), 0x0a);
    let length = usize::try_from(prost::encoding::decode_varint(&mut rest).unwrap()).unwrap();
    assert_eq!(rest.split_to(length), v1.body);
    assert_eq!(rest.as_ref(), [0x12, 0]);
}

#[tokio::test]
async fn v2_wraps_the_same_trace() {
    let told = ask(with_trace(), "/api/v2/traces/00000000000000000000000000000007").await.json();
    assert_eq!(told["metrics"], json!({}));
    let v1 = ask(with_trace(), "/api/traces/7").await.json();
    assert_eq!(told["trace"]["resourceSpans"], v1["batches"]);
}

#[tokio::test]
async fn large_answers_are_compressed_for_who_takes_it() {
    let (app, _) = app(with_trace(), |_| {});
    let gzip = [("accept-encoding", "gzip")];
    let answer = ask_with(&app, "/api/traces/7", &gzip).await;
    assert_eq!(answer.headers["content-encoding"], "gzip");
    assert!(ask_with(&app, "/api/traces/7", &[]).await.headers.get("content-encoding").is_none());
    assert!(ask_with(&app, "/api/echo", &gzip).await.headers.get("content-encoding").is_none());
}

fn with_tags() -> FakeBackend {
    let scopes = BTreeMap::from([
        (TagScope::Resource, vec!["service.name".to_owned()]),
        (TagScope::Span, vec!["a".to_owned(), "service.name".to_owned()]),
        (TagScope::Intrinsic, vec!["duration".to_owned()]),
    ]);
    let value = |kind, text: &str| TagValue { kind, text: text.to_owned() };
    let values = vec![value(TagValueKind::String, "x"), value(TagValueKind::Int, "1")];
    FakeBackend {
        names: TagNames { scopes, inspected_bytes: 9, partial: None },
        values: TagValues { values, ..TagValues::default() },
        ..FakeBackend::default()
    }
}

#[tokio::test]
async fn tags_come_in_both_versions() {
    let v1 = ask(with_tags(), "/api/search/tags").await.json();
    assert_eq!(v1, json!({"tagNames": ["a", "service.name"], "metrics": {"inspectedBytes": "9"}}));
    let v2 = ask(with_tags(), "/api/v2/search/tags").await.json();
    assert_eq!(v2["scopes"][0], json!({"name": "resource", "tags": ["service.name"]}));
    assert_eq!(v2["scopes"].as_array().unwrap().len(), 3);
    let wrong = ask(with_tags(), "/api/v2/search/tags?scope=x").await;
    assert_eq!((wrong.status, wrong.text()), (StatusCode::BAD_REQUEST, "invalid scope: x"));
    let none = ask(with_tags(), "/api/v2/search/tags?scope=trace").await.json();
    assert_eq!(none, json!({"scopes": [], "metrics": {}}));
}

#[tokio::test]
async fn tag_values_come_in_both_versions() {
    let v1 = ask(with_tags(), "/api/search/tag/service.name/values").await.json();
    assert_eq!(v1, json!({"tagValues": ["1", "x"], "metrics": {}}));
    let v2 = ask(with_tags(), "/api/v2/search/tag/resource.service.name/values").await.json();
    assert_eq!(v2["tagValues"][0], json!({"type": "string", "value": "x"}));
    let quoted = ask(with_tags(), "/api/v2/search/tag/span.%22a%20b%22/values?q=%7B%20.a%20%3D").await;
    assert_eq!(quoted.status, StatusCode::OK);
    for name in ["span.a/b%20c".to_owned(), "span.a%2Fb".to_owned(), "span.values/values".to_owned()] {
        let slashes = ask(with_tags(), &format!("/api/v2/search/tag/{name}/values")).await;
        assert_eq!(
            slashes.status,
            if name.contains("%20") { StatusCode::BAD_REQUEST } else { StatusCode::OK }
        );
    }
    for path in ["/api/v2/search/tag/a", "/api/search/tag/a/value", "/api/search/tag/values"] {
        assert_eq!(ask(with_tags(), path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let wrong = ask(with_tags(), "/api/v2/search/tag/nonsense/values").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().starts_with("please provide a valid tagName: "), "{}", wrong.text());
    let fixed = ask(with_tags(), "/api/search/tag/status.code/values").await.json();
    assert_eq!(fixed["tagValues"], json!(["error", "ok", "unset"]));
}

#[tokio::test]
async fn tag_values_come_in_the_form_for_language_models() {
    let (app, _) = app(with_tags(), |_| {});
    let path = "/api/v2/search/tag/resource.service.name/values";
    let llm = ask_with(&app, path, &[("accept", "application/vnd.grafana.llm+json")]).await;
    assert_eq!(llm.headers["content-type"], "application/vnd.grafana.llm+json");
    assert_eq!(llm.json(), json!({"tagValues": {"string": ["x"], "int": ["1"]}, "metrics": {}}));
    // What is asked for first by Tempo's order counts, not what stands first.
    let both = [("accept", "application/vnd.grafana.llm, application/json")];
    assert_eq!(ask_with(&app, path, &both).await.headers["content-type"], "application/json");
}

#[tokio::test]
async fn metrics_hand_on_what_was_asked() {
    let (app, backend) = app(FakeBackend::default(), |_| {});
    let query = "q=%7B%7D%7Crate()";
    let long = "&start=1700000005&end=1700000065.5&step=10s&exemplars=5&maxSeries=9&mode=recent";
    for path in [
        format!("/api/metrics/query_range?{query}{long}"),
        format!("/api/metrics/query_range?query=%7B%7D%7Crate()&q=%7B%7D%7Ccount_over_time(){long}"),
        format!("/api/metrics/query?{query}&start=1700000005123456789&end=2023-11-14T22:14:00Z"),
    ] {
        assert_eq!(ask_with(&app, &path, &[]).await.status, StatusCode::OK, "{path}");
    }
    let asked = backend.measured.lock().unwrap();
    const SECOND: u64 = 1_000_000_000;
    let (start, end) = (1_699_999_990 * SECOND, 1_700_000_070 * SECOND);
    assert_eq!(asked[0].window, MetricsWindow::Range { start, end, step: 10 * SECOND });
    assert_eq!((asked[0].exemplars, asked[0].max_series), (5, 9));
    assert_eq!(asked[1].query.to_string(), "{ true } | count_over_time()");
    let (start, end) = (1_700_000_005_123_456_789, 1_700_000_040 * SECOND);
    assert_eq!(asked[2].window, MetricsWindow::Instant { start, end });
}

#[tokio::test]
async fn wrong_metrics_are_refused_with_the_reason() {
    let cases = [
        ("q=%7B%7D", "not a metrics query"),
        ("", "invalid TraceQL query: parse error at line 1, col 1"),
        ("q=%7B%7D%7Crate()&step=-1", "invalid step: `-1` is negative"),
        ("q=%7B%7D%7Crate()&step=x", "invalid step"),
        ("q=%7B%7D%7Crate()&start=x", "invalid start"),
        ("q=%7B%7D%7Crate()&start=9&end=9", "end must be greater than start"),
        ("q=%7B%7D%7Crate()&since=25h", "exceeds the maximum allowed duration of 24h"),
        (
            "q=%7B%7D%7Crate()&since=24h&step=1s",
            "step of 1s is too small, minimum step for given range is 8640ms",
        ),
        ("q=%7B%7D%7Crate()&exemplars=-1", "invalid exemplars"),
    ];
    for (query, reason) in cases {
        let answer = ask(FakeBackend::default(), &format!("/api/metrics/query_range?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.text().contains(reason), "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn any_method_is_taken() {
    let (app, _) = app(with_tags(), |_| {});
    for method in ["GET", "POST", "HEAD", "PUT"] {
        let request = Request::builder().method(method).uri("/api/v2/search/tags").body(Body::empty());
        let response = router(&app).oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{method}");
    }
}

#[tokio::test]
async fn the_configuration_is_shown_whole_or_in_part() {
    let (app, _) = app(FakeBackend::default(), |config| config.limits.max_intervals = 7);
    let page = async |path: &str| ask_with(&app, path, &[]).await.text().to_owned();
    assert!(page("/status/config").await.contains("max_intervals: 7\n"));
    assert!(page("/status/config?mode=defaults").await.contains("max_intervals: 10000\n"));
    let difference = page("/status/config?mode=diff").await;
    assert!(
        difference.contains("max_intervals: 7\n") && !difference.contains("max_exemplars"),
        "{difference}"
    );
    let wrong = ask_with(&app, "/status/config?mode=x", &[]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(page("/status").await.contains("/api/metrics/query_range\n"));
}

/// A server with this overrides file.
fn with_overrides(backend: FakeBackend, text: &str) -> (App, Arc<FakeBackend>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("overrides.yaml");
    std::fs::write(&file, text).unwrap();
    let adjust = |config: &mut Config| {
        (config.multitenancy, config.per_tenant_override_config) = (true, Some(file));
    };
    let (app, backend) = app(backend, adjust);
    (app, backend, dir)
}

#[tokio::test]
async fn services_come_as_json_for_who_asks() {
    let (app, _) = app(with_tags(), |_| {});
    let answer = ask_with(&app, "/status/services", &[("accept", "application/json")]).await;
    assert_eq!(answer.json(), json!(["x", "1"]));
    assert_eq!(ask_with(&app, "/status/services", &[]).await.text(), "x\n1\n");
}

#[tokio::test]
async fn status_pages_answer() {
    let (app, _) = app(FakeBackend::default(), |_| {});
    assert_eq!(ask_with(&app, "/api/echo", &[]).await.text(), "echo\n");
    assert_eq!(ask_with(&app, "/ready", &[]).await.text(), "ready\n");
    let version = ask_with(&app, "/api/status/buildinfo", &[]).await.json()["version"].clone();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let open_metrics = [("accept", "application/openmetrics-text; version=1.0.0, */*;q=0.1")];
    let metrics = ask_with(&app, "/metrics", &open_metrics).await;
    assert!(metrics.text().ends_with("# EOF\n"), "{}", metrics.text());
    let metrics = ask_with(&app, "/metrics", &[]).await;
    assert!(!metrics.text().contains("# EOF"), "{}", metrics.text());
    for name in [
        "tempo_request_duration_seconds_count{method=\"GET\",route=\"ready\",status_code=\"200\",ws=\"false\"} 1",
        "vivace_memory_reserved_bytes{holder=\"head\"} 0",
        "vivace_wal_segments 0",
        "tempo_build_info{version=",
        "# TYPE vivace_wal_failed_groups_total counter\n",
        "process_open_fds ",
    ] {
        assert!(metrics.text().contains(name), "{name}\n{}", metrics.text());
    }
    assert_eq!(ask_with(&app, "/nowhere", &[]).await.status, StatusCode::NOT_FOUND);
    app.stopping();
    assert_eq!(ask_with(&app, "/ready", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_server_that_starts_answers_503() {
    let app = starting(|_| {});
    for path in ["/ready", "/api/search", "/api/traces/1", "/status/services"] {
        assert_eq!(ask_with(&app, path, &[]).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    assert_eq!(ask_with(&app, "/metrics", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn pressure_is_429_and_a_defect_500() {
    let full = ask(FakeBackend { full: true, ..FakeBackend::default() }, "/api/search").await;
    assert_eq!(full.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(full.headers["retry-after"], "5");
    let defect = ask(FakeBackend { defect: true, ..FakeBackend::default() }, "/api/traces/1").await;
    assert_eq!(defect.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn tenants_are_needed_only_with_multitenancy() {
    let multi = |config: &mut Config| config.multitenancy = true;
    let (app, _) = app(finding(vec![]), multi);
    let missing = ask_with(&app, "/api/search", &[]).await;
    assert_eq!((missing.status, missing.text()), (StatusCode::UNAUTHORIZED, "no org id"));
    let several = ask_with(&app, "/api/search", &[("x-scope-orgid", "a|b")]).await;
    assert_eq!(several.status, StatusCode::OK);
    for bad in ["a|../b", "a||b", "|", "a|b c"] {
        let answer = ask_with(&app, "/api/search", &[("x-scope-orgid", bad)]).await;
        assert!(matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED), "{bad}");
    }
    assert_eq!(ask_with(&app, "/api/search", &[("x-scope-orgid", "a")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_service_graph_leaves_nothing_out() {
    let latency = Some(Latency { p50: 0.012, p95: 0.04, p99: 0.09 });
    let node = |service: &str, requests, latency, is_virtual| ServiceNode {
        service: service.to_owned(),
        requests,
        errors: 0,
        latency,
        is_virtual,
    };
    let edge = ServiceEdge {
        client: "user".to_owned(),
        server: "shop".to_owned(),
        connection_type: "virtual_node",
        calls: 12,
        errors: 1,
        client_latency: None,
        server_latency: latency,
    };
    let graph = ServiceGraph {
        nodes: vec![node("shop", 12, latency, false), node("user", 0, None, true)],
        edges: vec![edge],
        partial: Some("some".to_owned()),
    };
    let (app, backend) = app(FakeBackend { graph, ..FakeBackend::default() }, |_| {});
    let answer = ask_with(&app, "/api/service-graph?start=100&end=200", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    let expected = json!({
        "nodes": [
            {"service": "shop", "requests": 12, "errors": 0, "p50": 0.012, "p95": 0.04, "p99": 0.09, "virtual": false},
            {"service": "user", "requests": 0, "errors": 0, "p50": null, "p95": null, "p99": null, "virtual": true},
        ],
        "edges": [{"client": "user", "server": "shop", "connectionType": "virtual_node", "calls": 12, "errors": 1,
            "clientP50": null, "clientP95": null, "clientP99": null,
            "serverP50": 0.012, "serverP95": 0.04, "serverP99": 0.09}],
        "partial": "some",
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.headers["x-vivace-partial"], "some");
    let asked = backend.graphed.lock().unwrap()[0];
    assert_eq!(asked, ServiceGraphRequest::new(100_000_000_000, 200_000_000_000));
    assert_eq!((asked.range().start, asked.range().end), (60_000_000_000, 239_999_999_999));
    for bad in ["start=now", "start=200&end=100", "since=later"] {
        let answer = ask_with(&app, &format!("/api/service-graph?{bad}"), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(ask_with(&app, "/api/service-graph", &[]).await.status, StatusCode::OK);
    let (start, end) = {
        let asked = backend.graphed.lock().unwrap()[1].range();
        (asked.start, asked.end)
    };
    assert!((3_600..=3_720).contains(&((end - start) / 1_000_000_000)), "{start} to {end}");
}
