use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};
use tempfile::TempDir;
use vivace_base::{BlockId, ByteSize, SystemFiles};
use vivace_model::Span;
use vivace_testkit::{BASE_TIME, ManualClock, SeededRandomness, TraceGenerator};

use super::repeats::Repeats;
use super::*;
use crate::block::{SPANS_FILE, build_block, store_block};
use crate::columns::SpanBatchBuilder;
use crate::index::INDEX_FILE;
use crate::{BlockMeta, Catalog, CommitSink, Record, Seq, Wal, WalOptions, WalRange, paths};

const AGE: Duration = Duration::from_secs(3600);

struct World {
    context: CheckContext,
    clock: Arc<ManualClock>,
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(BASE_TIME));
        let context = CheckContext {
            store: Arc::new(InMemory::new()),
            files: Arc::new(SystemFiles),
            budget: MemoryBudget::new(ByteSize::from_mib(256)),
            clock: clock.clone(),
            randomness: Arc::new(SeededRandomness::new(3)),
        };
        Self { context, clock, dir: TempDir::new().expect("made") }
    }

    async fn catalog(&self) -> Catalog {
        let (store, random) = (Arc::clone(&self.context.store), Arc::clone(&self.context.randomness));
        Catalog::open(store, TenantId::single(), random).await.expect("opens")
    }

    /// Stores a block that no catalog names yet.
    async fn store(&self, spans: &[Span], wal: Option<WalRange>) -> BlockMeta {
        let mut batch = SpanBatchBuilder::default();
        spans.iter().for_each(|span| batch.push(span));
        let block = build_block(&[batch.finish()]).expect("builds");
        let id = BlockId::generate(self.context.clock.now(), &*self.context.randomness);
        store_block(&*self.context.store, &TenantId::single(), id, block, wal).await.expect("stores")
    }

    async fn commit(&self, meta: &BlockMeta) {
        self.catalog().await.commit(|snapshot| snapshot.with_block(meta)).await.expect("commits");
    }

    async fn check(&self, repair: bool) -> Report {
        let options = CheckOptions { wal_dir: Some(self.dir.path().to_owned()), repair, orphan_age: AGE };
        check(&options, &self.context, &mut |_, _, _| {}).await.expect("can be checked")
    }
}

fn spans(seed: u64) -> Vec<Span> {
    TraceGenerator::new(seed).traces(20, 6)
}

fn problems(report: &Report, severity: Severity) -> Vec<String> {
    let of = report.findings.iter().filter(|finding| finding.severity == severity);
    of.map(|finding| format!("{}: {}", finding.place, finding.problem)).collect()
}

struct Nowhere;

impl CommitSink<()> for Nowhere {
    fn committed(&mut self, _: Seq, _: &TenantId, (): ()) {}
}

#[tokio::test]
async fn what_is_whole_is_whole_and_repeats_are_counted() {
    let world = World::new();
    let (one, other) = (spans(1), spans(2));
    for block in [&one[..], &other, &one[..7]] {
        let meta = world.store(block, None).await;
        world.commit(&meta).await;
    }
    let report = world.check(true).await;
    assert_eq!((problems(&report, Severity::Damage), report.damaged), (vec![], false));
    let counts = report.counts;
    assert_eq!((counts.tenants, counts.blocks, counts.repeated_spans), (1, 3, 7));
    assert_eq!(counts.spans, (one.len() + other.len() + 7) as u64);
}

#[tokio::test]
async fn orphans_are_deleted_once_nobody_can_come_to_name_them() {
    let world = World::new();
    world.commit(&world.store(&spans(1), None).await).await;
    let orphan = world.store(&spans(2), None).await;
    let folder = paths::block_prefix(&TenantId::single(), orphan.id);
    let found = problems(&world.check(true).await, Severity::Note);
    assert!(found[0].contains("it may be under construction"), "{found:?}");
    world.clock.advance(AGE);
    world.check(false).await;
    assert_eq!(
        list(&world.context, &folder).await.expect("lists").len(),
        2,
        "nothing is deleted without --repair"
    );
    let report = world.check(true).await;
    assert_eq!(report.findings[0].done.as_deref(), Some("deleted"));
    assert!(!report.damaged && list(&world.context, &folder).await.expect("lists").is_empty());
}

#[tokio::test]
async fn an_index_of_other_traces_is_found_and_made_anew() {
    let world = World::new();
    let (one, other) = (world.store(&spans(1), None).await, world.store(&spans(2), None).await);
    world.commit(&one).await;
    world.commit(&other).await;
    let index = |meta: &BlockMeta| paths::block_prefix(&TenantId::single(), meta.id).join(INDEX_FILE);
    world.context.store.copy(&index(&other), &index(&one)).await.expect("copied");
    let report = world.check(true).await;
    assert_eq!(
        problems(&report, Severity::Damage),
        [format!("{}: it tells other traces than the block has", index(&one))]
    );
    assert!(!world.check(false).await.damaged, "it was made anew");
}

#[tokio::test]
async fn a_block_that_cannot_be_read_is_put_aside() {
    let world = World::new();
    let (one, other) = (world.store(&spans(1), None).await, world.store(&spans(2), None).await);
    world.commit(&one).await;
    world.commit(&other).await;
    let path = paths::block_prefix(&TenantId::single(), one.id).join(SPANS_FILE);
    world.context.store.put(&path, PutPayload::from_static(b"something else")).await.expect("puts");
    assert!(world.check(false).await.damaged);
    let lost = world.check(true).await.findings[0].lost.clone().expect("told");
    assert!(lost.starts_with(&format!("{} spans of {} traces", one.rows, one.traces)), "{lost}");
    let report = world.check(false).await;
    assert_eq!((report.damaged, report.counts.blocks, report.findings.len()), (false, 1, 0), "{report:?}");
    assert!(world.context.store.head(&format!("quarantine/{path}").as_str().into()).await.is_ok());
}

#[tokio::test]
async fn records_in_two_blocks_and_blocks_named_twice_are_found() {
    let world = World::new();
    let range = |first, last| Some(WalRange { writer: "writer".to_owned(), first, last });
    let (one, other) = (world.store(&spans(1), range(1, 4)).await, world.store(&spans(2), range(4, 6)).await);
    world.commit(&one).await;
    world.commit(&other).await;
    let twice = |snapshot: &crate::Snapshot| {
        let mut next = snapshot.clone();
        next.blocks.push(one.clone());
        next.covered.clear();
        Some(next)
    };
    world.catalog().await.commit(twice).await.expect("commits");
    let found = problems(&world.check(false).await, Severity::Damage);
    for told in ["twice", "both have log record 4", "does not say that the log records of block"] {
        assert!(found.iter().any(|found| found.contains(told)), "{told}: {found:?}");
    }
}

#[tokio::test]
async fn log_records_are_counted_and_a_log_in_use_is_not_repaired() {
    let world = World::new();
    let options = WalOptions::new(
        world.dir.path(),
        Arc::clone(&world.context.clock),
        Arc::clone(&world.context.randomness),
    );
    let (wal, _) = Wal::open(options, Nowhere).expect("opens");
    for _ in 0..3 {
        let record =
            Record { tenant: TenantId::single(), format: 1, payload: b"x".as_slice().into(), attachment: () };
        wal.append(record).await.expect("appended");
    }
    let writer = wal.writer_id().to_owned();
    let wal_range = Some(WalRange { writer, first: 1, last: 2 });
    world.commit(&world.store(&spans(1), wal_range).await).await;
    let counts = world.check(false).await.counts;
    assert_eq!((counts.log_segments, counts.log_records, counts.log_records_uncovered), (1, 3, 1));
    let options = CheckOptions { wal_dir: Some(world.dir.path().to_owned()), repair: true, orphan_age: AGE };
    let refused = check(&options, &world.context, &mut |_, _, _| {}).await.expect_err("in use");
    assert!(matches!(refused, CheckError::Wal(WalError::Locked { .. })), "{refused}");
    drop(wal);
    assert!(!world.check(true).await.damaged);
}

#[test]
fn repeats_are_counted_in_bounded_memory() {
    let random = SeededRandomness::new(1);
    let hashes: Vec<u64> = (0..3 * Repeats::KEPT).map(|_| random.next_u64()).collect();
    let mut repeats = Repeats::default();
    hashes.iter().chain(hashes.iter().step_by(3)).for_each(|hash| repeats.add(*hash));
    let expected = Repeats::KEPT as u64;
    assert!(repeats.count().abs_diff(expected) < expected / 50, "{} of {expected}", repeats.count());
}
