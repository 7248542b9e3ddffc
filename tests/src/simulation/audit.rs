//! What must hold at any moment of any life.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use vivace_base::{BlockId, ByteSize, Clock, MemoryBudget};
use vivace_model::{TenantId, TimeRange};
use vivace_query::SearchRequest;
use vivace_storage::columns::SpanDecoder;
use vivace_storage::{BlockReader, Catalog, Projection, Snapshot, limits, paths};
use vivace_testkit::SeededRandomness;

use super::ledger::SpanName;
use super::process::Process;
use super::world::World;

type Found = BTreeMap<SpanName, usize>;

impl World {
    /// Every acknowledged span is there, once; a batch is there whole or not at all; what was seen stays.
    pub(super) async fn audit(&mut self, process: &Process) {
        for tenant in self.ledger.tenants.clone() {
            self.check_blocks(&tenant).await;
            let stored = self.stored(process, &tenant).await;
            self.check_batches(&tenant, &stored);
            self.check_query(process, &tenant, &stored).await;
        }
    }

    /// How often each span is in the head and in blocks.
    async fn stored(&self, process: &Process, tenant: &TenantId) -> Found {
        let live = process.ingest.live().snapshot(tenant);
        let catalog = process.catalogs.get(tenant).expect("no catalog is damaged");
        let snapshot = catalog.map(|catalog| catalog.snapshot()).unwrap_or_default();
        let covered = snapshot.covered_through(&live.writer);
        let sorted = live.uncovered(covered).map(|sorted| sorted.expect("spans").spans().clone());
        let mut batches: Vec<_> = sorted.collect();
        for meta in &snapshot.blocks {
            let reader = BlockReader::open(Arc::clone(&self.objects), tenant, meta).await;
            let reader = reader.unwrap_or_else(|error| panic!("the catalog names a block: {error}"));
            let stream = reader.read(&Projection::everything()).expect("reads");
            batches.extend(stream.try_collect::<Vec<_>>().await.expect("reads"));
        }
        let mut found = Found::new();
        for batch in &batches {
            let mut decoder = SpanDecoder::new(batch).expect("layout");
            for span in (0..batch.num_rows()).map(|row| decoder.span(row)) {
                *found.entry((span.trace_id, span.span_id)).or_default() += 1;
            }
        }
        found
    }

    fn check_batches(&mut self, tenant: &TenantId, found: &Found) {
        let owners = self.ledger.owners(tenant);
        for name in found.keys() {
            assert!(owners.contains_key(name), "{tenant} has a span that nobody sent it: {name:?}");
        }
        let now = self.clock.now();
        let kept = self.retention.map_or(u64::MAX, |kept| kept.as_nanos() as u64);
        for (at, batch) in self.ledger.batches.iter_mut().enumerate().filter(|(_, b)| b.tenant == *tenant) {
            let there = batch.names.iter().filter(|name| found.contains_key(*name)).count();
            let told = format!("batch {at} of {tenant}, {there} spans are there: {batch:?}");
            assert!(there == 0 || there == batch.names.len(), "a part of a {told}");
            let most = batch.names.iter().filter_map(|name| found.get(name)).max().copied().unwrap_or(0);
            assert!(most <= batch.attempts, "{most} times, {told}");
            let expected = batch.acknowledged || batch.seen;
            let old = batch.sent.saturating_add(kept) < now;
            assert!(there > 0 || !expected || old || batch.gone, "lost: {told}");
            assert!(there == 0 || !batch.gone, "came back: {told}");
            batch.seen |= there > 0;
            batch.gone |= there == 0 && expected;
        }
    }

    /// A query sees the same, each span once.
    async fn check_query(&self, process: &Process, tenant: &TenantId, stored: &Found) {
        let request = SearchRequest {
            query: vivace_traceql::parse_validated("{ }").expect("a query"),
            limit: 1_000_000,
            spans_per_span_set: 1_000_000,
            range: TimeRange::ALL,
            min_duration: None,
            max_duration: None,
        };
        let answer = process.engine.search(&tenant.clone().into(), &request, &mut |_| {}).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.partial, None);
        let mut shown = Found::new();
        for trace in &answer.traces {
            for span in trace.span_sets.iter().flat_map(|set| &set.spans) {
                *shown.entry((trace.trace_id, span.span_id)).or_default() += 1;
            }
        }
        let expected: Found = stored.keys().map(|name| (*name, 1)).collect();
        assert_eq!(shown, expected, "a query shows something else than is stored for {tenant}");
    }

    /// What the newest catalog names is there, and no log record is in two blocks.
    async fn check_blocks(&self, tenant: &TenantId) {
        let snapshot = self.newest(tenant).await;
        let budget = MemoryBudget::new(ByteSize::from_mib(64));
        let mut ids = BTreeSet::new();
        let mut ranges = Vec::new();
        for meta in &snapshot.blocks {
            assert!(ids.insert(meta.id), "{tenant}: block {} is named twice", meta.id);
            let reader = BlockReader::open(Arc::clone(&self.objects), tenant, meta).await;
            let reader = reader.unwrap_or_else(|error| panic!("the catalog names a block: {error}"));
            let index = reader.index(&budget).await.expect("memory");
            assert!(index.is_some(), "{tenant}: block {} has no index", meta.id);
            ranges.extend(meta.wal.clone());
        }
        ranges.sort_by_key(|range| (range.writer.clone(), range.first));
        for pair in ranges.windows(2) {
            let apart = pair[0].writer != pair[1].writer || pair[0].last < pair[1].first;
            assert!(apart, "{tenant}: records are in two blocks: {pair:?}");
        }
    }

    async fn newest(&self, tenant: &TenantId) -> Arc<Snapshot> {
        let random = Arc::new(SeededRandomness::new(0));
        let catalog = Catalog::open(Arc::clone(&self.objects), tenant.clone(), random).await;
        catalog.expect("the newest snapshot is whole").snapshot()
    }

    /// Nothing is left in the store but what catalogs name, and their newest snapshots.
    pub(super) async fn check_garbage(&self) {
        for tenant in &self.ledger.tenants {
            let snapshot = self.newest(tenant).await;
            assert!(snapshot.tombstones.is_empty(), "{tenant}: {:?}", snapshot.tombstones);
            let named: BTreeSet<BlockId> = snapshot.blocks.iter().map(|block| block.id).collect();
            let blocks = self.list(&paths::blocks_prefix(tenant)).await;
            let stored = blocks.iter().filter_map(|path| path.parts().nth(3)?.as_ref().parse().ok());
            assert_eq!(stored.collect::<BTreeSet<BlockId>>(), named, "{tenant}: blocks in the store");
            let snapshots = self.list(&paths::catalog_prefix(tenant)).await.len() as u64;
            assert!(snapshots <= limits::SNAPSHOTS_KEPT, "{tenant}: {snapshots} snapshots");
        }
    }

    async fn list(&self, prefix: &Path) -> Vec<Path> {
        let listed = self.objects.list(Some(prefix)).map_ok(|object| object.location);
        listed.try_collect().await.expect("the store lists")
    }
}
