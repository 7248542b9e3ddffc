//! A trace that does not fit into the server's memory is taken in, found and streamed, and never looks complete when it
//! is not.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, TracesData};
use prost::Message;
use vivace_e2e::client::TraceByIdResponse;
use vivace_e2e::spans::{self, MILLISECOND, batch, scope, service, span};
use vivace_e2e::{Compression, Encoding, Reply, Server, ServerBuilder, flatten, otlp};

use crate::{recent, ten_minutes_ago};

const TRACE: [u8; 16] = [0x77; 16];
const BATCHES: u64 = 50;
const BATCH: u64 = 1_000;
/// Six tenths of it may be reserved, less than the decoded spans take; a debug build itself takes a third.
const LIMIT: u64 = 112 << 20;

/// Spans with what a proxy says about a call, about 700 bytes each.
fn spans_of(number: u64, start: u64) -> Vec<ResourceSpans> {
    let called = |id: u64| {
        let url = format!("http://reviews.bookinfo.svc.cluster.local:9080/reviews/{id}?page={}", id % 7);
        let request = format!("{id:08x}-aaaa-bbbb-cccc-{id:012x}");
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        let attributes = [
            ("http.url", url.as_str()),
            ("guid:x-request-id", &request),
            ("user_agent", agent),
            ("upstream_cluster", "outbound|9080||reviews.bookinfo.svc.cluster.local"),
            ("istio.canonical_service", "reviews"),
            ("response_flags", "-"),
            ("peer.address", "10.244.0.17"),
            (
                "node_id",
                "sidecar~10.244.0.17~reviews-v1-5b5d6494f4-pbwkp.bookinfo~bookinfo.svc.cluster.local",
            ),
        ];
        let parent = (id > 1).then_some(id / 2);
        Span {
            attributes: spans::texts(&attributes),
            ..span(TRACE, id, parent, "call", start + id * MILLISECOND)
        }
    };
    let ids = (0..BATCH).map(|at| number * BATCH + at + 1);
    let (even, odd): (Vec<u64>, Vec<u64>) = ids.partition(|id| id % 2 == 0);
    let of =
        |name, ids: Vec<u64>| batch(service(name), scope("lib", "1"), ids.into_iter().map(called).collect());
    vec![of("reviews", even), of("ratings", odd)]
}

/// A server with little memory that has the trace, in many blocks and the head. Nothing merges them meanwhile, which would
/// take turns with queries for the little memory.
async fn loaded() -> Server {
    let limit = format!("{LIMIT}");
    let builder = ServerBuilder::new().flag("--memory-limit").flag(&limit).config("max_block_bytes", "1MiB");
    let builder = builder.config("compaction_disabled", "true");
    let server = builder.start().await;
    let (sender, start) = (server.otlp(), ten_minutes_ago());
    for number in 0..BATCHES {
        let request = otlp::request(spans_of(number, start));
        sender.send_as(&request, Encoding::Protobuf, Compression::None).await;
    }
    server
}

async fn ask(server: &Server, path: &str, accept: &str) -> Reply {
    server
        .client()
        .get_with(&format!("{path}/{}", spans::hex_id(TRACE)), &[], &[("Accept", accept)])
        .await
        .ok()
}

#[track_caller]
fn check_peak(server: &Server) {
    let peak = server.peak_memory();
    println!("peak memory: {} MiB", peak >> 20);
    assert!(peak < LIMIT, "{} MiB of {} MiB", peak >> 20, LIMIT >> 20);
}

#[track_caller]
fn check(found: &[Vec<u8>]) {
    let ids: HashSet<&Vec<u8>> = found.iter().collect();
    assert_eq!((found.len() as u64, ids.len() as u64), (BATCHES * BATCH, BATCHES * BATCH));
}

fn of_protobuf(trace: &TracesData) -> Vec<Vec<u8>> {
    flatten(&trace.resource_spans).into_iter().map(|flat| flat.span.span_id).collect()
}

fn of_json(batches: &serde_json::Value) -> Vec<Vec<u8>> {
    let batches = batches.as_array().expect("batches").iter();
    let scopes = batches.flat_map(|batch| batch["scopeSpans"].as_array().expect("scopes"));
    let found = scopes.flat_map(|scope| scope["spans"].as_array().expect("spans"));
    found.map(|span| BASE64.decode(span["spanId"].as_str().expect("an id")).expect("base64")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_larger_than_memory_is_streamed() {
    let server = loaded().await;
    let bare = ask(&server, "/api/traces", "application/protobuf").await;
    check(&of_protobuf(&TracesData::decode(bare.body.as_slice()).expect("a trace")));
    let response = ask(&server, "/api/v2/traces", "application/protobuf").await;
    let response = TraceByIdResponse::decode(response.body.as_slice()).expect("a response");
    assert_eq!((response.status, response.message.as_str()), (0, ""));
    check(&of_protobuf(&response.trace.expect("a trace")));
    check(&of_json(&ask(&server, "/api/traces", "application/json").await.json()["batches"]));
    let told = ask(&server, "/api/v2/traces", "application/json").await.json();
    check(&of_json(&told["trace"]["resourceSpans"]));
    let told = ask(&server, "/api/v2/traces", "application/vnd.grafana.llm").await.json();
    let services = told["trace"]["services"].as_array().expect("services").iter();
    let scopes = services.flat_map(|service| service["scopes"].as_array().expect("scopes"));
    let spans: usize = scopes.map(|scope| scope["spans"].as_array().expect("spans").len()).sum();
    assert_eq!(spans as u64, BATCHES * BATCH);

    // What needs it whole says so.
    let path = format!("/api/v2/traces/{}", spans::hex_id(TRACE));
    let refused = server.client().get_with(&path, &[("q", "{ name = \"call\" }")], &[]).await.expect(429);
    assert!(refused.text().contains("does not fit into memory all at once"), "{}", refused.text());
    check_peak(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_giant_trace_is_found_and_measured() {
    let server = loaded().await;
    let client = server.client();
    let all = BATCHES * BATCH;
    for (query, matched) in [
        ("{ span.response_flags = \"-\" }", all),
        ("{ resource.service.name = \"reviews\" } && { }", all),
        ("{ resource.service.name = \"reviews\" }", all / 2),
        ("{ } | count() > 1000", all),
    ] {
        let told = client.search(query, 20, 3, recent()).await;
        let found = &told["traces"][0];
        assert_eq!(found["traceID"], spans::short_id(TRACE), "{query}: {told}");
        assert_eq!(found["spanSet"]["matched"], matched, "{query}");
        assert_eq!(found["spanSet"]["spans"].as_array().expect("spans").len(), 3, "{query}");
        assert_eq!(told["status"], serde_json::Value::Null, "{query}: {told}");
    }
    let told =
        client.query_range("{ } | count_over_time() by (resource.service.name)", recent(), 3_600).await;
    let samples = told["series"].as_array().expect("series").iter().flat_map(|of| of["samples"].as_array());
    let counted: f64 = samples.flatten().filter_map(|sample| sample["value"].as_f64()).sum();
    assert_eq!(counted, all as f64, "{told}");
    let path = "/api/v2/search/tag/resource.service.name/values";
    let told = client.json(path, &[("q", "{ span.response_flags = \"-\" }")]).await;
    assert_eq!(told["tagValues"].as_array().map(Vec::len), Some(2), "{told}");
    check_peak(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_finished_is_broken_off() {
    let server = loaded().await;
    let url = format!("http://{}/api/traces/{}", server.addresses().http, spans::hex_id(TRACE));
    let mut response = reqwest::get(&url).await.expect("an answer");
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.chunk().await.expect("the beginning").is_some());
    // The server is a few pieces ahead of its reader, far from the end.
    let blocks = server.builder().data_dir().join("objects/tenants/single-tenant/blocks");
    std::fs::remove_dir_all(&blocks).expect("there are blocks");
    let mut read = 0;
    let broken = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => read += bytes.len(),
            Ok(None) => panic!("the body looks complete after {read} bytes"),
            Err(error) => break error,
        }
    };
    assert!(broken.is_body() || broken.is_decode() || broken.is_request(), "{broken:?}");
}
