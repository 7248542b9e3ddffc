use std::collections::BTreeSet;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use tempfile::TempDir;
use vivace_base::{ErrorKind, SystemClock, SystemFiles};
use vivace_model::{Span, SpanId, TraceId};
use vivace_storage::BlockReader;
use vivace_storage::block::Projection;
use vivace_storage::columns::SpanDecoder;
use vivace_testkit::{FaultingStore, Operation, SeededRandomness, TraceGenerator};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::*;

const BLOCK: ByteSize = ByteSize::from_mib(4);

/// One data directory and object store over several lives of the program.
struct World {
    dir: TempDir,
    store: Arc<FaultingStore>,
    budget: Arc<MemoryBudget>,
}

impl World {
    fn new(memory: ByteSize) -> Self {
        let store = Arc::new(FaultingStore::new(Arc::new(InMemory::new()), 7));
        Self { dir: TempDir::new().expect("a directory"), store, budget: MemoryBudget::new(memory) }
    }

    async fn open(&self) -> Arc<Ingest> {
        self.open_with(usize::MAX).await
    }

    async fn open_with(&self, max_attribute_bytes: usize) -> Arc<Ingest> {
        let randomness: Arc<dyn Randomness> = Arc::new(SeededRandomness::new(11));
        let store: Arc<dyn ObjectStore> = self.store.clone();
        let catalogs =
            Catalogs::open_all(Arc::clone(&store), Arc::clone(&randomness)).await.expect("catalogs");
        let options = IngestOptions {
            wal_dir: self.dir.path().join("wal"),
            max_wal_bytes: ByteSize::from_mib(1024),
            max_block_bytes: BLOCK,
            max_block_age: Duration::from_secs(3600),
        };
        let context = IngestContext {
            files: Arc::new(SystemFiles),
            store,
            catalogs: Arc::new(catalogs),
            budget: Arc::clone(&self.budget),
            clock: Arc::new(SystemClock::default()),
            randomness,
            policies: Arc::new(IngestPolicy { max_attribute_bytes }),
        };
        let ingest = Ingest::open(options, context).await.expect("opens");
        ingest.start();
        ingest
    }
}

/// As after a crash: nothing is flushed, the log is left as it is.
async fn crash(ingest: Arc<Ingest>) {
    ingest.stopping.notify_one();
    let task = ingest.cutting.lock().expect("lock").take();
    task.expect("running").await.expect("ends");
    ingest.wal.close();
}

async fn send(ingest: &Arc<Ingest>, spans: &[Span]) -> Accepted {
    ingest.export(&TenantId::single(), request(spans)).await.expect("accepted")
}

fn request(spans: &[Span]) -> Bytes {
    ExportTraceServiceRequest { resource_spans: otlp::encode(spans) }.encode_to_vec().into()
}

/// Every span a query would see: the uncovered head and the blocks.
async fn visible(ingest: &Arc<Ingest>) -> Vec<(TraceId, SpanId)> {
    let tenant = TenantId::single();
    let live = ingest.live().snapshot(&tenant);
    let snapshot = ingest.catalogs.get(&tenant).expect("readable").map(|c| c.snapshot()).unwrap_or_default();
    let covered = snapshot.covered_through(&live.writer);
    let sorted = live.uncovered(covered).map(|sorted| sorted.expect("spans").spans().clone());
    let mut batches: Vec<_> = sorted.collect();
    for meta in &snapshot.blocks {
        let store = Arc::clone(&ingest.cutter.store());
        let reader = BlockReader::open(store, &tenant, meta).await.expect("opens");
        let stream = reader.read(&Projection::everything()).expect("reads");
        batches.extend(futures::TryStreamExt::try_collect::<Vec<_>>(stream).await.expect("reads"));
    }
    let mut seen = Vec::new();
    for batch in &batches {
        let mut decoder = SpanDecoder::new(batch).expect("layout");
        seen.extend(
            (0..batch.num_rows()).map(|row| decoder.span(row)).map(|span| (span.trace_id, span.span_id)),
        );
    }
    seen.sort();
    seen
}

fn ids(spans: &[Span]) -> Vec<(TraceId, SpanId)> {
    let set: BTreeSet<_> = spans.iter().map(|span| (span.trace_id, span.span_id)).collect();
    assert_eq!(set.len(), spans.len(), "the generator repeats no ids");
    set.into_iter().collect()
}

#[tokio::test]
async fn every_acknowledged_span_is_seen_once_through_crash_cut_and_restart() {
    let world = World::new(ByteSize::from_mib(64));
    let spans = TraceGenerator::new(3).traces(40, 10);
    let (first, second) = spans.split_at(spans.len() / 2);

    let ingest = world.open().await;
    for batch in first.chunks(7) {
        assert_eq!(send(&ingest, batch).await.accepted, batch.len() as u64);
    }
    assert_eq!(visible(&ingest).await, ids(first), "in the head");
    crash(ingest).await;

    let ingest = world.open().await;
    assert_eq!(visible(&ingest).await, ids(first), "replayed");
    assert_eq!(ingest.stats().head_spans(), first.len() as u64);
    ingest.flush().await.expect("flushes");
    let stats = ingest.stats();
    assert_eq!((stats.heads, stats.cuts.at_once, stats.cuts.completed.count()), (vec![], 1, 1));
    assert_eq!((stats.cuts.by_size, stats.cuts.by_age, stats.cuts.failed), (0, 0, 0));
    assert_eq!(visible(&ingest).await, ids(first), "in a block");
    send(&ingest, second).await;
    crash(ingest).await;

    let ingest = world.open().await;
    assert_eq!(visible(&ingest).await, ids(&spans), "a block and the replayed rest");
    ingest.shutdown().await.expect("shuts down");
    drop(ingest);
    let ingest = world.open().await;
    assert_eq!(ingest.stats().heads, [], "a clean shutdown leaves nothing to replay");
    assert_eq!(visible(&ingest).await, ids(&spans));
    ingest.shutdown().await.expect("shuts down");
}

#[tokio::test]
async fn a_store_that_is_down_loses_nothing_and_repeats_nothing() {
    let world = World::new(ByteSize::from_mib(64));
    let ingest = world.open().await;
    let spans = TraceGenerator::new(4).traces(20, 10);
    send(&ingest, &spans).await;
    for (before, after) in [(100, 0), (0, 100)] {
        world.store.fail_at_random(Operation::Put, before, after);
        // Whether the commit that fails after its effect is noticed as done is the catalog's affair.
        let _ = ingest.flush().await;
        assert_eq!(
            visible(&ingest).await,
            ids(&spans),
            "failing {before} % before, {after} % after the effect"
        );
    }
    let stats = ingest.stats();
    assert!(stats.cuts.failed > 0 && stats.heads.iter().all(|head| head.cutting), "{stats:?}");
    world.store.heal();
    ingest.flush().await.expect("flushes");
    assert_eq!(ingest.stats().cuts.at_once, 1, "what is tried again is not begun again");
    assert_eq!(ingest.stats().heads, []);
    assert_eq!(visible(&ingest).await, ids(&spans));
    ingest.shutdown().await.expect("shuts down");
}

#[tokio::test]
async fn without_room_a_batch_is_refused_and_nothing_of_it_kept() {
    let world = World::new(ByteSize::from_mib(1));
    let ingest = world.open().await;
    let _all = world.budget.reserve(Holder::Query, world.budget.limit().bytes()).expect("nothing is taken");
    world.store.fail_at_random(Operation::Put, 100, 0);
    let spans = TraceGenerator::new(5).traces(20, 10);
    let error = ingest.export(&TenantId::single(), request(&spans)).await.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(visible(&ingest).await, []);
    world.store.heal();
    ingest.shutdown().await.expect("shuts down");
}

#[tokio::test]
async fn many_small_requests_are_joined() {
    let world = World::new(ByteSize::from_mib(64));
    let ingest = world.open().await;
    let spans = TraceGenerator::new(6).traces(60, 8);
    for span in &spans {
        send(&ingest, std::slice::from_ref(span)).await;
    }
    // The joiner works beside: the one there is, since two would take each other's turns.
    let batches = || ingest.live().snapshot(&TenantId::single()).batches.len();
    for _ in 0..2_000 {
        if batches() <= 15 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(batches() <= 15, "{} batches for {} requests", batches(), spans.len());
    assert_eq!(visible(&ingest).await, ids(&spans));
    ingest.shutdown().await.expect("shuts down");
}

/// The texts of attribute `k` that a query would see, by span.
async fn texts(ingest: &Arc<Ingest>) -> Vec<(SpanId, String)> {
    let live = ingest.live().snapshot(&TenantId::single());
    let mut texts = Vec::new();
    for sorted in live.uncovered(0) {
        let batch = sorted.expect("spans").spans().clone();
        let mut decoder = SpanDecoder::new(&batch).expect("layout");
        for span in (0..batch.num_rows()).map(|row| decoder.span(row)) {
            let attribute = span.attributes.iter().find(|attribute| attribute.key == "k").expect("k");
            texts.push((span.span_id, attribute.value.as_str().expect("a text").to_owned()));
        }
    }
    texts.sort();
    texts
}

#[tokio::test]
async fn replay_cuts_attributes_where_they_were_cut_at_first() {
    let world = World::new(ByteSize::from_mib(64));
    let mut spans = TraceGenerator::new(8).trace(2);
    for (span, text) in spans.iter_mut().zip(["long text", "short"]) {
        (span.resource, span.scope) = (Arc::default(), Arc::default());
        (span.events, span.links) = (Vec::new(), Vec::new());
        span.attributes = vec![vivace_model::Attribute::new("k", text)];
    }
    spans.sort_by_key(|span| span.span_id);
    let expected = |limit: usize| -> Vec<(SpanId, String)> {
        let text = |span: &Span| span.attributes[0].value.as_str().expect("a text").to_owned();
        spans.iter().map(|span| (span.span_id, text(span).chars().take(limit).collect())).collect()
    };
    let ingest = world.open_with(6).await;
    let accepted = send(&ingest, &spans).await;
    assert_eq!((accepted.accepted, accepted.rejected(), accepted.truncated.total()), (2, 0, 1));
    let told = "attribute \"k\": 9 bytes cut to max_attribute_bytes, 6";
    assert_eq!(accepted.message, told);
    assert_eq!(texts(&ingest).await, expected(6));
    crash(ingest).await;
    for limit in [3, usize::MAX] {
        let ingest = world.open_with(limit).await;
        assert_eq!(texts(&ingest).await, expected(6), "replayed under a limit of {limit}");
        crash(ingest).await;
    }
    // What was whole stays so under a stricter limit.
    let world = World::new(ByteSize::from_mib(64));
    let ingest = world.open().await;
    assert_eq!(send(&ingest, &spans).await.message, "");
    crash(ingest).await;
    let ingest = world.open_with(3).await;
    assert_eq!(texts(&ingest).await, expected(usize::MAX));
    ingest.shutdown().await.expect("shuts down");
}

#[tokio::test]
async fn a_damaged_catalog_costs_its_tenant_only_and_its_log_waits() {
    let world = World::new(ByteSize::from_mib(64));
    let ingest = world.open().await;
    let (spans, other) = (TraceGenerator::new(7).traces(5, 3), "other".parse().expect("a tenant"));
    send(&ingest, &spans).await;
    ingest.flush().await.expect("flushes");
    let late = TraceGenerator::new(8).traces(5, 3);
    send(&ingest, &late).await;
    ingest.export(&other, request(&spans)).await.expect("accepted");
    crash(ingest).await;
    let path = vivace_storage::paths::catalog_prefix(&TenantId::single()).join("00000000000000000001.json");
    let whole = world.store.get(&path).await.expect("there").bytes().await.expect("read");
    world.store.put(&path, whole.slice(1..).into()).await.expect("damaged");

    let ingest = world.open().await;
    let refused = ingest.export(&TenantId::single(), request(&late)).await.expect_err("damaged");
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert_eq!(ingest.live().snapshot(&other).batches.len(), 1, "the other tenant goes on");
    ingest.flush().await.expect("flushes");
    ingest.shutdown().await.expect("shuts down");
    drop(ingest);

    world.store.put(&path, whole.into()).await.expect("repaired");
    let ingest = world.open().await;
    assert_eq!(visible(&ingest).await.len(), spans.len() + late.len(), "what waited in the log is back");
    ingest.shutdown().await.expect("shuts down");
}
