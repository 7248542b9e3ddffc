use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use vivace_base::Holder;
use vivace_model::{Span, Trace, TraceId};
use vivace_testkit::{
    BASE_TIME, Fault, FaultingStore, ManualClock, Operation, SeededRandomness, SpanBuilder, TraceGenerator,
    seeds,
};

use super::*;
use crate::block::{build_block, store_block};
use crate::columns::{SpanBatchBuilder, SpanDecoder};
use crate::{BlockMeta, BlockReader, Catalog, Projection, Snapshot, limits, paths};

mod lifecycle;
mod merging;

/// Everything there is to do is due by then.
const LATER: Duration = Duration::from_secs(24 * 3600);

/// A tenant's blocks, and a compactor for them.
struct World {
    store: Arc<FaultingStore>,
    clock: Arc<ManualClock>,
    budget: Arc<MemoryBudget>,
    random: Arc<SeededRandomness>,
    catalogs: Arc<Catalogs>,
    policy: TenantPolicy,
    options: CompactionOptions,
}

impl World {
    async fn new(seed: u64) -> Self {
        let store = Arc::new(FaultingStore::new(Arc::new(InMemory::new()), seed));
        let random = Arc::new(SeededRandomness::new(seed));
        let catalogs = open_catalogs(&store, &random).await;
        let policy = TenantPolicy {
            block_retention: Duration::from_secs(14 * 24 * 3600),
            max_stored_bytes: None,
            compaction_window: Duration::from_secs(3600),
            compaction_disabled: false,
        };
        Self {
            store,
            clock: Arc::new(ManualClock::new(BASE_TIME)),
            budget: MemoryBudget::new(ByteSize::from_mib(512)),
            random,
            catalogs,
            policy,
            options: CompactionOptions::default(),
        }
    }

    /// What a restart leaves.
    async fn restart(&mut self) {
        self.store.heal();
        self.catalogs = open_catalogs(&self.store, &self.random).await;
    }

    fn compactor(&self) -> Arc<Compactor> {
        let context = CompactionContext {
            store: Arc::clone(&self.store) as Arc<dyn ObjectStore>,
            catalogs: Arc::clone(&self.catalogs),
            budget: Arc::clone(&self.budget),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            randomness: Arc::clone(&self.random) as Arc<dyn Randomness>,
        };
        Compactor::new(self.options.clone(), Arc::new(self.policy.clone()), context)
    }

    async fn catalog(&self) -> Arc<Catalog> {
        self.catalogs.get_or_create(&TenantId::single()).await.expect("opens")
    }

    async fn snapshot(&self) -> Arc<Snapshot> {
        self.catalog().await.refresh().await.expect("refreshed")
    }

    /// Cuts a block of the spans.
    async fn add(&self, spans: &[Span]) -> BlockMeta {
        self.add_for(&TenantId::single(), spans).await
    }

    async fn add_for(&self, tenant: &TenantId, spans: &[Span]) -> BlockMeta {
        let mut builder = SpanBatchBuilder::default();
        spans.iter().for_each(|span| builder.push(span));
        let built = build_block(&[builder.finish()]).expect("builds");
        let id = BlockId::generate(self.clock.now(), &*self.random);
        let meta = store_block(&*self.store, tenant, id, built, None).await.expect("stores");
        let catalog = self.catalogs.get_or_create(tenant).await.expect("opens");
        catalog.commit(|snapshot| snapshot.with_block(&meta)).await.expect("committed");
        meta
    }

    async fn read(&self, meta: &BlockMeta) -> Vec<Span> {
        let store = Arc::clone(&self.store) as Arc<dyn ObjectStore>;
        let reader = BlockReader::open(store, &TenantId::single(), meta).await.expect("opens");
        let stream = reader.read(&Projection::everything()).expect("reads");
        let batches: Vec<_> = stream.try_collect().await.expect("reads");
        let decode = |batch: &arrow::array::RecordBatch| {
            let mut decoder = SpanDecoder::new(batch).expect("layout");
            (0..batch.num_rows()).map(|row| decoder.span(row)).collect::<Vec<_>>()
        };
        batches.iter().flat_map(decode).collect()
    }

    /// The spans of all blocks that the catalog names, as a query sees them.
    async fn answer(&self) -> BTreeMap<TraceId, Vec<Span>> {
        let mut spans = Vec::new();
        for meta in &self.snapshot().await.blocks {
            spans.extend(self.read(meta).await);
        }
        assembled(spans)
    }

    /// The folders of blocks in the store.
    async fn folders(&self) -> HashSet<BlockId> {
        let prefix = paths::blocks_prefix(&TenantId::single());
        let objects: Vec<_> = self.store.list(Some(&prefix)).try_collect().await.expect("listed");
        let id =
            |path: &object_store::path::Path| path.parts().nth(3).and_then(|id| id.as_ref().parse().ok());
        objects.iter().filter_map(|object| id(&object.location)).collect()
    }
}

async fn open_catalogs(store: &Arc<FaultingStore>, random: &Arc<SeededRandomness>) -> Arc<Catalogs> {
    let (store, random) = (Arc::clone(store) as Arc<dyn ObjectStore>, Arc::clone(random));
    Arc::new(Catalogs::open_all(store, random).await.expect("opens"))
}

/// Rounds until there is nothing to do.
async fn run_to_end(compactor: &Compactor) {
    for _ in 0..1000 {
        if !compactor.round().await {
            return;
        }
    }
    panic!("it never ends");
}

fn ids(blocks: &[BlockMeta]) -> HashSet<BlockId> {
    blocks.iter().map(|block| block.id).collect()
}

/// What is true of the spans whatever blocks they are in.
fn assembled(spans: Vec<Span>) -> BTreeMap<TraceId, Vec<Span>> {
    let mut traces: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
    for span in spans {
        traces.entry(span.trace_id).or_default().push(span);
    }
    let whole = |spans| Trace::assemble(spans).expect("has spans").into_spans();
    traces.into_iter().map(|(id, spans)| (id, whole(spans))).collect()
}
