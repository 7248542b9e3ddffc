//! Answers as Kiali reads them, for traces of the shapes that made it panic or lose spans.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use serde_json::Value;
use vivace_e2e::kiali::{self, CLUSTER, DetailSpan, Hit};
use vivace_e2e::spans::{
    MILLISECOND, SECOND, array, attribute, batch, error, event, hex_id, link, scope, service, short_id, span,
    text,
};
use vivace_e2e::{Client, Server};

use crate::ten_minutes_ago;

const TRACE: [u8; 16] = [0, 0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3];

fn in_cluster(mut spans: ResourceSpans) -> ResourceSpans {
    for span in spans.scope_spans.iter_mut().flat_map(|of| &mut of.spans) {
        span.attributes.push(attribute("istio.cluster_id", text(CLUSTER)));
    }
    spans
}

/// Sends one trace and returns how Kiali's search and lookup see it, from the head and from a block.
async fn seen(spans: Vec<ResourceSpans>, service: &str) -> Vec<(Vec<Hit>, Vec<DetailSpan>, Value)> {
    let server = Server::start().await;
    server.otlp().send(spans.into_iter().map(in_cluster).collect()).await;
    let live = view(&server.client(), service).await;
    let (status, builder) = server.terminate().await;
    assert!(status.success(), "{status}");
    let server = builder.start().await;
    vec![live, view(&server.client(), service).await]
}

async fn view(client: &Client, service: &str) -> (Vec<Hit>, Vec<DetailSpan>, Value) {
    let found = search(client, &kiali::query(service)).await;
    let trace = client.trace_json(&hex_id(TRACE)).await.ok().json();
    (kiali::search(&found), kiali::trace(&trace), trace)
}

async fn search(client: &Client, query: &str) -> Value {
    let from = ten_minutes_ago() / SECOND - 60;
    client.search(query, 100, kiali::SPANS_PER_TRACE, (from, from + 600)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_without_a_root_has_a_name() {
    let start = ten_minutes_ago();
    let orphan = span(TRACE, 5, Some(4), "orphan", start);
    for (hits, spans, _) in seen(vec![batch(service("late"), scope("x", "1"), vec![orphan])], "late").await {
        assert_eq!(hits.len(), 1);
        assert_eq!((hits[0].trace_id.as_str(), hits[0].matched), (short_id(TRACE).as_str(), 1));
        assert_eq!(hits[0].service, "late");
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].parent, 4u64.to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_has_not_arrived_is_said() {
    let server = Server::start().await;
    let orphan = span(TRACE, 5, Some(4), "orphan", ten_minutes_ago());
    server.otlp().send(vec![in_cluster(batch(service("late"), scope("x", "1"), vec![orphan]))]).await;
    let found = search(&server.client(), &kiali::query("late")).await;
    assert_eq!(found["traces"][0]["rootServiceName"], "<root span not yet received>");
    let root = span(TRACE, 4, None, "root", ten_minutes_ago());
    server.otlp().send(vec![in_cluster(batch(service("front"), scope("x", "1"), vec![root]))]).await;
    let found = search(&server.client(), &kiali::query("late")).await;
    assert_eq!(found["traces"][0]["rootServiceName"], "front");
    assert_eq!(found["traces"][0]["rootTraceName"], "root");
    assert_eq!(found["traces"][0]["spanSet"]["matched"], 2);
}

/// Kiali reads the first scope of a batch only, so that no batch may have a second.
#[tokio::test(flavor = "multi_thread")]
async fn spans_of_every_scope_are_seen() {
    let start = ten_minutes_ago();
    let mut spans = batch(service("many"), scope("one", "1"), vec![span(TRACE, 1, None, "a", start)]);
    for (id, name) in [(2, "two"), (3, "three")] {
        let spans_of = vec![span(TRACE, id, Some(1), name, start + id * MILLISECOND)];
        spans.scope_spans.push(ScopeSpans {
            scope: Some(scope(name, "1")),
            spans: spans_of,
            ..ScopeSpans::default()
        });
    }
    for (hits, spans, _) in seen(vec![spans], "many").await {
        assert_eq!(hits[0].matched, 3);
        let mut names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "three", "two"]);
    }
}

/// Types are kept: only strings are `stringValue`, 64-bit integers are strings inside `intValue`.
#[tokio::test(flavor = "multi_thread")]
async fn attributes_of_every_type_have_tempos_form() {
    let mut root = span(TRACE, 1, None, "typed", ten_minutes_ago());
    root.attributes = vec![
        attribute("http.status_code", Any::IntValue(200)),
        attribute("ratio", Any::DoubleValue(0.5)),
        attribute("flag", Any::BoolValue(false)),
        attribute("list", array([text("a"), Any::IntValue(1)])),
        attribute("bytes", Any::BytesValue(vec![1, 2, 255])),
        attribute("text", text("x")),
    ];
    root.status = error("broken");
    let spans = vec![batch(service("typed"), scope("x", "1"), vec![root])];
    for (hits, spans, json) in seen(spans, "typed").await {
        assert_eq!(hits.len(), 1);
        assert!(spans[0].attributes.contains(&("text".to_owned(), "x".to_owned())));
        let span = &json["batches"][0]["scopeSpans"][0]["spans"][0];
        let value = |key: &str| {
            let list = span["attributes"].as_array().expect("attributes");
            list.iter().find(|attribute| attribute["key"] == key).map(|attribute| attribute["value"].clone())
        };
        let json = |text: &str| Some(serde_json::from_str::<Value>(text).expect("JSON"));
        assert_eq!(value("http.status_code"), json(r#"{"intValue":"200"}"#));
        assert_eq!(value("ratio"), json(r#"{"doubleValue":0.5}"#));
        assert_eq!(value("flag"), json(r#"{"boolValue":false}"#));
        assert_eq!(
            value("list"),
            json(r#"{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":"1"}]}}"#)
        );
        assert_eq!(value("bytes"), json(r#"{"bytesValue":"AQL/"}"#));
        assert_eq!(
            span["status"],
            json(r#"{"message":"broken","code":"STATUS_CODE_ERROR"}"#).unwrap_or_default()
        );
        assert_eq!(span["kind"], "SPAN_KIND_SERVER");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_links_have_tempos_form() {
    let start = ten_minutes_ago();
    let mut root = span(TRACE, 1, None, "eventful", start);
    root.events = vec![event("retry", start + 1, vec![attribute("n", Any::IntValue(1))])];
    root.links = vec![link([9; 16], 8, vec![attribute("why", text("retry"))])];
    let spans = vec![batch(service("eventful"), scope("x", "1"), vec![root])];
    for (_, _, json) in seen(spans, "eventful").await {
        let span = &json["batches"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["events"][0]["timeUnixNano"], (start + 1).to_string());
        assert_eq!(span["events"][0]["name"], "retry");
        assert_eq!(span["events"][0]["attributes"][0]["value"]["intValue"], "1");
        assert_eq!(span["links"][0]["traceId"], "CQkJCQkJCQkJCQkJCQkJCQ==");
        assert_eq!(span["links"][0]["spanId"], "AAAAAAAAAAg=");
    }
}

/// `select` shows what the spans have, and nothing for what they lack.
#[tokio::test(flavor = "multi_thread")]
async fn selected_attributes_are_shown() {
    let server = Server::start().await;
    let mut root = span(TRACE, 1, None, "selected", ten_minutes_ago());
    root.attributes = vec![
        attribute("node_id", text("sidecar~1")),
        attribute("http.method", text("GET")),
        attribute("other", text("x")),
    ];
    root.status = error("broken");
    server.otlp().send(vec![in_cluster(batch(service("shop"), scope("x", "1"), vec![root]))]).await;
    let found = search(&server.client(), &kiali::query("shop")).await;
    let attributes = found["traces"][0]["spanSet"]["spans"][0]["attributes"].as_array().expect("attributes");
    let value =
        |key: &str| attributes.iter().find(|a| a["key"] == key).map(|a| a["value"]["stringValue"].clone());
    assert_eq!(value("node_id"), Some("sidecar~1".into()));
    assert_eq!(value("http.method"), Some("GET".into()));
    assert_eq!(value("service.name"), Some("shop".into()));
    assert_eq!(value("istio.cluster_id"), Some(CLUSTER.into()));
    assert_eq!(value("status"), Some("error".into()));
    assert_eq!(value("component"), None, "the span has none");
    assert_eq!(value("other"), None, "nobody asked for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_is_nothing_to_walk() {
    let server = Server::start().await;
    let client = server.client();
    for query in [kiali::query("nobody"), "{ }".to_owned(), "{ false }".to_owned()] {
        assert!(kiali::search(&search(&client, &query).await).is_empty(), "{query}");
    }
    let reply = client.trace_json(&hex_id(TRACE)).await;
    assert_eq!((reply.status, reply.body.len()), (404, 0), "{reply:?}");
    let reply = client.trace_v2_json(&hex_id(TRACE)).await;
    assert_eq!(reply["trace"], serde_json::json!({}), "{reply}");
    assert!(reply["metrics"].is_object(), "{reply}");
}

/// Kiali's percentile filter: `minDuration` beside `q` counts.
#[tokio::test(flavor = "multi_thread")]
async fn min_duration_counts_beside_a_query() {
    let server = Server::start().await;
    let start = ten_minutes_ago();
    for (number, milliseconds) in [(1u8, 10), (2, 250), (3, 900)] {
        let mut root = span([number; 16], 1, None, "timed", start + u64::from(number) * SECOND);
        root.end_time_unix_nano = root.start_time_unix_nano + milliseconds * MILLISECOND;
        server.otlp().send(vec![in_cluster(batch(service("timed"), scope("x", "1"), vec![root]))]).await;
    }
    let query = kiali::query("timed");
    let (from, to) = ((start / SECOND - 60).to_string(), (start / SECOND + 60).to_string());
    for (parameter, value, expected) in [
        ("minDuration", "250ms", vec![3, 2]),
        ("maxDuration", "250ms", vec![2, 1]),
        ("minDuration", "1s", vec![]),
    ] {
        let parameters =
            [("q", query.as_str()), ("start", &from), ("end", &to), (parameter, value), ("spss", "10")];
        let hits = kiali::search(&server.client().json("/api/search", &parameters).await);
        let ids: Vec<String> = hits.into_iter().map(|hit| hit.trace_id).collect();
        let expected: Vec<String> = expected.into_iter().map(|number| short_id([number; 16])).collect();
        assert_eq!(ids, expected, "{parameter}={value}");
    }
}

/// What else Kiali asks: health, version, services.
#[tokio::test(flavor = "multi_thread")]
async fn health_version_and_services() {
    let server = Server::start().await;
    let client = server.client();
    let root = span(TRACE, 1, None, "a", ten_minutes_ago());
    server.otlp().send(vec![batch(service("shop"), scope("x", "1"), vec![root])]).await;
    assert_eq!(client.get("/api/echo").await.ok().text(), "echo\n");
    assert_eq!(client.get("/ready").await.ok().text(), "ready\n");
    let version = client.json("/api/status/buildinfo", &[]).await;
    assert!(version["version"].as_str().is_some_and(|version| !version.is_empty()), "{version}");
    assert_eq!(client.json("/status/services", &[]).await, serde_json::json!(["shop"]));
    // The braces are not escaped in Kiali's discovery.
    let found = client.get("/api/search?q={}").await.ok().json();
    assert!(found["metrics"].is_object(), "{found}");
}
