//! `kill -9` at random moments under load: what was acknowledged is there, once, and nothing is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use serde_json::Value;
use tokio::task::JoinSet;
use vivace_base::SystemRandomness;
use vivace_e2e::spans::SECOND;
use vivace_e2e::traffic::all_spans;
use vivace_e2e::{
    Client, Compression, Encoding, Otlp, SentTrace, Server, ServerBuilder, Traffic, flatten, otlp,
};
use vivace_model::TenantId;
use vivace_storage::object::default_url;
use vivace_storage::{Catalog, open_store};
use vivace_testkit::{SeededRandomness, seeds};

use crate::ten_minutes_ago;

const ROUNDS: u64 = 10;
const SENDERS: u64 = 3;
const TRACES_PER_REQUEST: usize = 4;
/// Keeps a round's checks short, however fast the machine is.
const REQUESTS_PER_SENDER: usize = 60;
const LONGEST_LIFE_MS: u64 = 900;
const MAX_SPANS_PER_SET: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn kill_in_a_loop_loses_nothing_and_doubles_nothing() {
    for seed in seeds(1) {
        let builder = ServerBuilder::new();
        let blocks = default_url(&builder.data_dir()).expect("a temporary directory has a URL");
        scenario(builder, seed, || open_store(&blocks).expect("the blocks are a directory")).await;
    }
}

/// What was sent, and what is known about it.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: Vec<SentTrace>,
    /// The server died before it answered.
    unsure: Vec<SentTrace>,
}

pub(crate) async fn scenario(builder: ServerBuilder, seed: u64, store: impl Fn() -> Arc<dyn ObjectStore>) {
    let random = SeededRandomness::new(seed);
    eprintln!("seed {seed}");
    let start = ten_minutes_ago();
    // Merging would hide a second copy.
    let mut builder = builder.tiny_blocks().config("compaction_disabled", "true");
    let mut ledger = Ledger::default();
    for round in 0..ROUNDS {
        let server = builder.start().await;
        check(&server.client(), &ledger, start).await;
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let traffic = Traffic::new(seed * 1000 + round * SENDERS + sender, start);
            senders.spawn(push(server.otlp(), traffic));
        }
        tokio::time::sleep(Duration::from_millis(random.below(LONGEST_LIFE_MS))).await;
        builder = server.kill();
        for sent in senders.join_all().await {
            ledger.acknowledged.extend(sent.acknowledged);
            ledger.unsure.extend(sent.unsure);
        }
    }
    let server = builder.start().await;
    let found = check(&server.client(), &ledger, start).await;
    look_up(&server.client(), &ledger, &random).await;
    assert!(ledger.acknowledged.len() as u64 > ROUNDS, "too little was acknowledged to mean anything");
    check_blocks(server, found, store()).await;
}

/// Sends until the server is gone.
async fn push(otlp: Otlp, mut traffic: Traffic) -> Ledger {
    let mut ledger = Ledger::default();
    for _ in 0..REQUESTS_PER_SENDER {
        let traces = traffic.traces(TRACES_PER_REQUEST);
        let request = otlp::request(all_spans(&traces));
        match otlp.export(&request, Encoding::Protobuf, Compression::None).await {
            Ok(reply) => {
                reply.ok();
                ledger.acknowledged.extend(traces);
            }
            Err(_) => {
                ledger.unsure.extend(traces);
                break;
            }
        }
    }
    ledger
}

/// Every acknowledged span once, every other at most once, and none that was never sent. Returns how many there are.
async fn check(client: &Client, ledger: &Ledger, start: u64) -> u64 {
    let range = (start / SECOND - 60, start / SECOND + 3600);
    let limit = ledger.acknowledged.len() + ledger.unsure.len() + 1;
    let answer = client.search("{ }", limit, MAX_SPANS_PER_SET, range).await;
    let hits = answer["traces"].as_array().map(Vec::as_slice).unwrap_or_default();
    let by_id: BTreeMap<&str, &Value> = hits.iter().map(|hit| (text(&hit["traceID"]), hit)).collect();
    assert_eq!(by_id.len(), hits.len(), "a trace is listed twice");
    let mut total = 0;
    for trace in &ledger.acknowledged {
        let hit = by_id.get(trace.short().as_str());
        let spans = span_ids(hit.unwrap_or_else(|| panic!("acknowledged and lost: {}", trace.hex())));
        assert_eq!(spans, sent_ids(trace), "spans of {}", trace.hex());
        total += spans.len();
    }
    for trace in &ledger.unsure {
        let Some(hit) = by_id.get(trace.short().as_str()) else { continue };
        let (spans, sent) = (span_ids(hit), sent_ids(trace));
        let distinct: BTreeSet<&String> = spans.iter().collect();
        assert_eq!(distinct.len(), spans.len(), "a span of {} is there twice", trace.hex());
        assert!(spans.iter().all(|id| sent.contains(id)), "{} has spans nobody sent", trace.hex());
        total += spans.len();
    }
    let known = by_id.len() - count(&ledger.acknowledged, &by_id) - count(&ledger.unsure, &by_id);
    assert_eq!(known, 0, "traces nobody sent");
    total as u64
}

fn count(traces: &[SentTrace], by_id: &BTreeMap<&str, &Value>) -> usize {
    traces.iter().filter(|trace| by_id.contains_key(trace.short().as_str())).count()
}

/// Sorted, with what is there twice twice.
fn span_ids(hit: &Value) -> Vec<String> {
    let spans = hit["spanSets"][0]["spans"].as_array().expect("a hit has spans");
    assert_eq!(hit["spanSets"][0]["matched"], spans.len(), "all spans fit into the answer: {hit}");
    let mut ids: Vec<String> = spans.iter().map(|span| text(&span["spanID"]).to_owned()).collect();
    ids.sort();
    ids
}

fn sent_ids(trace: &SentTrace) -> Vec<String> {
    let mut ids: Vec<String> = trace.spans().map(|span| hex::encode(&span.span_id)).collect();
    ids.sort();
    ids
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// Some acknowledged traces, whole and unchanged.
async fn look_up(client: &Client, ledger: &Ledger, random: &SeededRandomness) {
    for _ in 0..50 {
        let trace = random.pick(&ledger.acknowledged);
        let found = client.trace(&trace.hex()).await.expect("an acknowledged trace is found");
        assert_eq!(flatten(&found.resource_spans), flatten(&trace.resource_spans));
    }
}

/// The blocks hold each span once too: no query is there to hide a second copy.
async fn check_blocks(server: Server, spans: u64, store: Arc<dyn ObjectStore>) {
    let (status, _builder) = server.terminate().await;
    assert!(status.success(), "{status}");
    let tenant = TenantId::single();
    let catalog = Catalog::open(store, tenant, Arc::new(SystemRandomness)).await.expect("the catalog opens");
    let snapshot = catalog.snapshot();
    assert!(snapshot.blocks.len() > 1, "too few blocks to mean anything");
    assert_eq!(snapshot.blocks.iter().map(|block| block.rows).sum::<u64>(), spans, "spans in blocks");
}
