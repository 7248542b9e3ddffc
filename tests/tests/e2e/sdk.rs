//! Spans as the official OpenTelemetry SDK of Python sends them (`tests/sdk/send_traces.py`).

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use vivace_e2e::spans::{array, attribute, text};
use vivace_e2e::{FlatSpan, Server, flatten, sdk};

use crate::recent;

const WAYS: [&str; 5] = ["http", "http-gzip", "http-deflate", "grpc", "grpc-gzip"];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sdk_sends_is_found_whole() {
    let server = Server::start().await;
    let addresses = server.addresses();
    let Some(printed) = sdk::run("send_traces.py", &[&addresses.otlp_http, &addresses.otlp_grpc]) else {
        return;
    };
    let sent: Vec<Vec<&str>> = printed.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(sent.iter().map(|words| words[0]).collect::<Vec<_>>(), WAYS);
    for words in &sent {
        let found = server.client().trace(words[1]).await.expect("the trace is found");
        check_trace(&flatten(&found.resource_spans), words[0], words[2]);
        check_search(&server, words[0], words[1]).await;
    }
    let server = server.kill().start().await;
    for words in &sent {
        let found = server.client().trace(words[1]).await.expect("the trace is found after a restart");
        check_trace(&flatten(&found.resource_spans), words[0], words[2]);
    }
}

fn check_trace(spans: &[FlatSpan], name: &str, root_id: &str) {
    assert_eq!(spans.len(), 2, "{spans:?}");
    let root = spans.iter().find(|flat| flat.span.name == "buy").expect("the root");
    let child = spans.iter().find(|flat| flat.span.name == "read").expect("the child");
    assert_eq!(hex::encode(&root.span.span_id), root_id);
    assert!(root.span.parent_span_id.is_empty());
    assert_eq!(child.span.parent_span_id, root.span.span_id);
    check_root(root);
    check_child(child);
    for flat in spans {
        let service = attribute("service.name", text(&format!("sdk-{name}")));
        assert!(flat.resource.attributes.contains(&service), "{:?}", flat.resource);
        let replicas = attribute("deployment.replicas", Value::IntValue(3));
        assert!(flat.resource.attributes.contains(&replicas), "{:?}", flat.resource);
        assert!(flat.span.start_time_unix_nano < flat.span.end_time_unix_nano);
    }
}

fn check_root(root: &FlatSpan) {
    let span = &root.span;
    assert_eq!(span.kind, SpanKind::Server as i32);
    assert_eq!(span.status.as_ref().map(|status| status.code), Some(StatusCode::Ok as i32));
    assert_eq!((root.scope.name.as_str(), root.scope.version.as_str()), ("shop", "1.2.3"));
    // By key, as flatten leaves them.
    let expected: Vec<KeyValue> = [
        ("count", Value::IntValue(200)),
        ("empty", text("")),
        ("flag", Value::BoolValue(true)),
        ("negative", Value::IntValue(i64::MIN)),
        ("numbers", array([1, 2, 3].map(Value::IntValue))),
        ("ratio", Value::DoubleValue(0.1)),
        ("text", text("größe 🎻")),
        ("texts", array([text("a"), text("b")])),
    ]
    .into_iter()
    .map(|(key, value)| attribute(key, value))
    .collect();
    assert_eq!(span.attributes, expected);
    let event = &span.events[..];
    assert_eq!(event.len(), 1);
    assert_eq!(event[0].name, "checked");
    assert_eq!(event[0].time_unix_nano, span.start_time_unix_nano + 1000);
    assert_eq!(event[0].attributes, [attribute("items", Value::IntValue(7))]);
    assert_eq!(span.links.len(), 1);
    assert_eq!(hex::encode(&span.links[0].trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex::encode(&span.links[0].span_id), "00f067aa0ba902b7");
    assert_eq!(span.links[0].attributes, [attribute("why", text("retry"))]);
}

fn check_child(child: &FlatSpan) {
    assert_eq!(child.span.kind, SpanKind::Client as i32);
    let status = child.span.status.clone().unwrap_or_default();
    assert_eq!((status.code, status.message.as_str()), (StatusCode::Error as i32, "no such row"));
    let scope = InstrumentationScope {
        name: "store".to_owned(),
        version: "4.5.6".to_owned(),
        attributes: vec![attribute("store.engine", text("mem"))],
        dropped_attributes_count: 0,
    };
    assert_eq!(child.scope, scope);
}

/// Each condition is true of one span of each trace.
async fn check_search(server: &Server, name: &str, trace_id: &str) {
    let service = format!("resource.service.name = \"sdk-{name}\"");
    let conditions = [
        "span.text = \"größe 🎻\"",
        "span.count = 200",
        "span.count > 199.5",
        "span.ratio = 0.1",
        "span.flag = true",
        "span.flag",
        "status = ok",
        "status = error && kind = client",
        "statusMessage = \"no such row\"",
        "instrumentation:name = \"store\"",
        "instrumentation.store.engine = \"mem\"",
        "event:name = \"checked\"",
        "event.items = 7",
        "link:traceID = \"0af7651916cd43dd8448eb211c80319c\"",
        "link.why = \"retry\"",
        "resource.deployment.replicas = 3",
    ];
    for condition in conditions {
        let query = format!("{{ {service} && {condition} }}");
        let found = server.client().search(&query, 5, 5, recent()).await;
        let ids: Vec<&str> = found["traces"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|hit| hit["traceID"].as_str())
            .collect();
        assert_eq!(ids, [trace_id.trim_start_matches('0')], "{query}");
    }
}
