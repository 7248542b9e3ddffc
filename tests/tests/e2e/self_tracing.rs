//! Spans a server makes of its own work.

use std::time::Duration;

use serde_json::Value;
use vivace_e2e::s3::free_port;
use vivace_e2e::{Client, FlatSpan, Server, ServerBuilder, Traffic, flatten};

use crate::{recent, ten_minutes_ago};

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const UNWANTED: &str = "0af7651916cd43dd8448eb211c80319d";
const CALLER: &str = "b7ad6b7169203331";
const EXPORT: &str = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
const EXPORT_ROUTE: &str = "opentelemetry_proto_collector_trace_v1_traceservice_export";

/// A server that sends its spans to `endpoint`.
fn sending_to(endpoint: &str, ratio: &str) -> ServerBuilder {
    ServerBuilder::new()
        .config("self_tracing_endpoint", &format!("\"http://{endpoint}\""))
        .config("self_tracing_ratio", ratio)
        .environment("OTEL_BSP_SCHEDULE_DELAY", "100")
}

async fn search_as(client: &Client, trace: &str, flags: &str) {
    let caller = format!("00-{trace}-{CALLER}-{flags}");
    client.get_with("/api/search?q=%7B%7D", &[], &[("traceparent", &caller)]).await.ok();
}

/// The spans of a trace, once there is one that `is_there`.
async fn spans_of(client: &Client, trace: &str, is_there: impl Fn(&[FlatSpan]) -> bool) -> Vec<FlatSpan> {
    let asking = async {
        loop {
            let found = client.trace(trace).await;
            let spans = found.map(|found| flatten(&found.resource_spans)).unwrap_or_default();
            if is_there(&spans) {
                return spans;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the spans arrive")
}

fn named<'a>(spans: &'a [FlatSpan], name: &str) -> Option<&'a FlatSpan> {
    spans.iter().find(|span| span.span.name == name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_in_its_callers_trace() {
    let collector = Server::start().await;
    let server = sending_to(&collector.addresses().otlp_grpc, "0").start().await;
    search_as(&server.client(), UNWANTED, "00").await;
    search_as(&server.client(), TRACE, "01").await;
    let spans = spans_of(&collector.client(), TRACE, |spans| named(spans, "GET /api/search").is_some()).await;
    let request = named(&spans, "GET /api/search").expect("waited for");
    assert_eq!(hex::encode(&request.span.parent_span_id), CALLER);
    let query = named(&spans, "search").expect("the question is part of the request");
    assert_eq!(query.span.parent_span_id, request.span.span_id);
    let admission = named(&spans, "admission").expect("so is its wait");
    assert_eq!(admission.span.parent_span_id, query.span.span_id);
    assert!(named(&spans, "walk").is_some(), "{spans:#?}");
    // What the caller did not want, and what had no caller, came before or not at all.
    let all = collector.client().search("{ }", 100, 100, recent()).await;
    assert_eq!(all["traces"].as_array().map(Vec::len), Some(1), "{all:#}");
    let service = &all["traces"][0]["rootServiceName"];
    assert!(service.is_string(), "{service}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_to_itself_makes_no_spans_of_that() {
    let address = format!("127.0.0.1:{}", free_port());
    let server = sending_to(&address, "1").listen_otlp_grpc(&address).start().await;
    let client = server.client();
    let traces = Traffic::new(5, ten_minutes_ago()).traces(1);
    server.otlp().send(traces[0].resource_spans.clone()).await;
    // Each question makes spans, hence an export; with a loop each export would make the next.
    let exporting = async {
        while exports(&client).await < 5.0 {
            search_as(&client, UNWANTED, "01").await;
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, exporting).await.expect("spans are exported");
    search_as(&client, TRACE, "01").await;
    spans_of(&client, TRACE, |spans| named(spans, "GET /api/search").is_some()).await;
    let query = format!("{{ resource.service.name = \"vivace\" && name =~ \".*{EXPORT}\" }}");
    let found = client.search(&query, 100, 100, recent()).await;
    let found = found["traces"].as_array().cloned().unwrap_or_default();
    let by_grpc = |trace: &Value| trace["rootTraceName"].as_str().is_some_and(|name| name.contains(EXPORT));
    assert_eq!(found.iter().filter(|trace| by_grpc(trace)).count(), 0, "{found:#?}");
}

/// Exports that came in over gRPC; the test sends over HTTP.
async fn exports(client: &Client) -> f64 {
    let page = client.get("/metrics").await.ok().text();
    let name = "tempo_request_duration_seconds_count{method=\"gRPC\",route=\"".to_owned() + EXPORT_ROUTE;
    let counts = page.lines().filter(|line| line.starts_with(&name));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
