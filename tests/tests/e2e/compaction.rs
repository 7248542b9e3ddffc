//! Blocks are merged and their inputs deleted, under queries that keep their answers and over `kill -9`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use vivace_base::SystemRandomness;
use vivace_e2e::spans::SECOND;
use vivace_e2e::traffic::all_spans;
use vivace_e2e::{Client, Compression, Encoding, Otlp, SentTrace, ServerBuilder, Traffic, flatten, otlp};
use vivace_model::TenantId;
use vivace_storage::object::default_url;
use vivace_storage::{Catalog, open_store};

use crate::ten_minutes_ago;

const TRACES_PER_REQUEST: usize = 5;
const SEED: u64 = 21;
const PATIENCE: Duration = Duration::from_secs(120);
const MERGED: &str = "tempodb_compaction_blocks_total";
const DELETED: &str = "tempodb_retention_deleted_total";

#[tokio::test(flavor = "multi_thread")]
async fn answers_stay_the_same_while_blocks_are_merged_and_deleted() {
    let start = ten_minutes_ago();
    let builder = ServerBuilder::new()
        .tiny_blocks()
        .config("query_deadline", "5s")
        .config("compacted_block_retention", "1s");
    let server = builder.start().await;
    let mut traffic = Traffic::new(SEED, start);
    let mut traces = Vec::new();
    let sending = async {
        while sum(&server.client(), MERGED).await == 0.0 {
            send(&server.otlp(), &traffic.traces(TRACES_PER_REQUEST), &mut traces).await;
            check(&server.client(), &traces, start).await;
        }
    };
    let merged = tokio::time::timeout(PATIENCE, sending).await;
    assert!(merged.is_ok(), "nothing is merged for {PATIENCE:?}");
    until(&server.client(), DELETED, &traces, start).await;
    let server = server.kill().start().await;
    check(&server.client(), &traces, start).await;
    for trace in traces.iter().step_by(10) {
        let found = server.client().trace(&trace.hex()).await.expect("the trace is found");
        assert_eq!(flatten(&found.resource_spans), flatten(&trace.resource_spans));
    }
    let url = default_url(&server.builder().data_dir()).expect("a directory has a URL");
    let (status, _builder) = server.terminate().await;
    assert!(status.success(), "{status}");
    check_blocks(&url, &traces).await;
}

/// Sends traces, the last part of the first when all others are there.
async fn send(otlp: &Otlp, traces: &[SentTrace], sent: &mut Vec<SentTrace>) {
    let mut now = traces.to_vec();
    let late = now[0].resource_spans.pop();
    for batch in [all_spans(&now), late.into_iter().collect()] {
        otlp.send_as(&otlp::request(batch), Encoding::Protobuf, Compression::None).await;
    }
    sent.extend_from_slice(traces);
}

/// Asks until the counter is above zero; meanwhile every answer is right.
async fn until(client: &Client, counter: &str, traces: &[SentTrace], start: u64) {
    let waiting = async {
        while sum(client, counter).await == 0.0 {
            check(client, traces, start).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(reached.is_ok(), "{counter} stays 0 for {PATIENCE:?}");
}

async fn sum(client: &Client, counter: &str) -> f64 {
    let page = client.get("/metrics").await.ok().text();
    let values =
        page.lines().filter(|line| line.starts_with(counter)).filter_map(|line| line.split(' ').nth(1));
    values.map(|value| value.parse::<f64>().expect("a number")).sum()
}

/// The newest traces, each with all its spans.
async fn check(client: &Client, traces: &[SentTrace], start: u64) {
    let answer =
        client.search("{ }", traces.len() + 1, 100, (start / SECOND - 60, start / SECOND + 3600)).await;
    let hits = answer["traces"].as_array().expect("traces").iter();
    let found: Vec<(&str, &Value)> =
        hits.map(|hit| (hit["traceID"].as_str().expect("text"), &hit["spanSets"][0]["matched"])).collect();
    let expected = traces.iter().rev().map(|trace| (trace.short(), Value::from(trace.span_count())));
    let expected: Vec<(String, Value)> = expected.collect();
    assert!(found.iter().copied().eq(expected.iter().map(|(id, spans)| (id.as_str(), spans))), "{found:?}");
}

/// The catalog names merged blocks with every span once.
async fn check_blocks(url: &str, traces: &[SentTrace]) {
    let store = open_store(url).expect("the blocks are a directory");
    let catalog = Catalog::open(Arc::clone(&store), TenantId::single(), Arc::new(SystemRandomness)).await;
    let snapshot = catalog.expect("the catalog opens").snapshot();
    assert!(snapshot.blocks.iter().any(|block| block.level > 0), "{:?}", snapshot.blocks);
    let spans: usize = traces.iter().map(SentTrace::span_count).sum();
    assert_eq!(snapshot.blocks.iter().map(|block| block.rows).sum::<u64>(), spans as u64);
}
