use futures::future::join_all;
use object_store::memory::InMemory;
use vivace_base::{BlockId, ErrorKind, SystemRandomness};
use vivace_model::TimeRange;
use vivace_testkit::{Fault, FaultingStore, Operation, SeededRandomness, seeds};

use super::*;
use crate::block::FileCheck;

fn store() -> Arc<FaultingStore> {
    Arc::new(FaultingStore::new(Arc::new(InMemory::new()), 1))
}

async fn try_open(store: &Arc<FaultingStore>, seed: u64) -> Result<Catalog, CatalogError> {
    let store = Arc::clone(store) as Arc<dyn ObjectStore>;
    Catalog::open(store, TenantId::single(), Arc::new(SeededRandomness::new(seed))).await
}

async fn open(store: &Arc<FaultingStore>, seed: u64) -> Catalog {
    try_open(store, seed).await.expect("opens")
}

/// A log of its own for each block, so that blocks may be added in any order.
fn log(number: u64) -> String {
    format!("writer {number}")
}

fn block(number: u64) -> BlockMeta {
    BlockMeta {
        id: format!("{number:032x}").parse().expect("valid"),
        rows: 10 * number,
        traces: number,
        bytes: 1000,
        range: TimeRange { start: number, end: number + 5 },
        format: 1,
        wal: Some(WalRange { writer: log(number), first: 1, last: number + 1 }),
        level: 0,
        stored: number,
        file: None,
    }
}

async fn add(catalog: &Catalog, number: u64) -> Result<Arc<Snapshot>, CatalogError> {
    catalog.commit(|snapshot| snapshot.with_block(&block(number))).await
}

fn ids(snapshot: &Snapshot) -> Vec<BlockId> {
    let mut ids: Vec<_> = snapshot.blocks.iter().map(|block| block.id).collect();
    ids.sort();
    ids
}

fn expected_ids(numbers: impl IntoIterator<Item = u64>) -> Vec<BlockId> {
    numbers.into_iter().map(|number| block(number).id).collect()
}

async fn versions(store: &FaultingStore) -> Vec<u64> {
    let listed = store.list(Some(&catalog_prefix(&TenantId::single())));
    let mut versions: Vec<_> = listed
        .try_collect::<Vec<_>>()
        .await
        .expect("listed")
        .iter()
        .filter_map(|o| snapshot_version(&o.location))
        .collect();
    versions.sort_unstable();
    versions
}

#[tokio::test]
async fn a_commit_is_seen_at_once_and_by_whoever_opens_later() {
    let store = store();
    let catalog = open(&store, 1).await;
    assert_eq!(*catalog.snapshot(), Snapshot::default());
    add(&catalog, 3).await.expect("committed");
    let snapshot = add(&catalog, 7).await.expect("committed");
    assert_eq!(snapshot, catalog.snapshot());
    assert_eq!(
        (snapshot.version, snapshot.covered_through(&log(7)), snapshot.covered_through("other")),
        (2, 8, 0)
    );
    assert_eq!(*open(&store, 2).await.snapshot(), *snapshot);
}

#[tokio::test]
async fn a_change_that_is_none_writes_nothing() {
    let store = store();
    let catalog = open(&store, 1).await;
    add(&catalog, 1).await.expect("committed");
    let again = add(&catalog, 1).await.expect("nothing to do");
    assert_eq!((again.version, store.calls(Operation::Put)), (1, 1));
}

#[test]
fn records_that_are_covered_come_into_no_second_block() {
    let of_records = |number, first, last| BlockMeta {
        wal: Some(WalRange { writer: "writer".to_owned(), first, last }),
        ..block(number)
    };
    let snapshot = Snapshot::default().with_block(&of_records(1, 1, 9)).expect("a new block");
    assert_eq!(snapshot.with_block(&of_records(2, 4, 9)), None);
    let next = snapshot.with_block(&of_records(3, 10, 12)).expect("a new block");
    assert_eq!((next.blocks.len(), next.covered_through("writer")), (2, 12));
}

#[tokio::test]
async fn two_writers_lose_no_update() {
    let store = store();
    let catalogs = [open(&store, 1).await, open(&store, 2).await];
    let commits = (0..40).map(|number| add(&catalogs[number as usize % 2], number));
    for result in join_all(commits).await {
        result.expect("committed");
    }
    let newest = open(&store, 3).await.snapshot();
    assert_eq!(ids(&newest), expected_ids(0..40));
    assert_eq!(newest.version, 40);
    for catalog in &catalogs {
        assert_eq!(*catalog.refresh().await.expect("refreshed"), *newest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_on_threads_lose_no_update() {
    let store = store();
    let tasks: Vec<_> = (0..4)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let catalog = open(&store, writer).await;
                for number in 0..25 {
                    add(&catalog, writer * 100 + number).await.expect("committed");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let expected = (0..4).flat_map(|writer| (0..25).map(move |number| writer * 100 + number));
    assert_eq!(ids(&open(&store, 9).await.snapshot()), expected_ids(expected));
}

#[tokio::test]
async fn a_put_that_failed_before_its_effect_changes_nothing() {
    let store = store();
    let catalog = open(&store, 1).await;
    add(&catalog, 1).await.expect("committed");
    store.fail_next(Operation::Put, Fault::BeforeEffect);
    let error = add(&catalog, 2).await.expect_err("the store failed");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("catalog/00000000000000000002.json"), "{error}");
    assert_eq!(ids(&catalog.snapshot()), expected_ids([1]));
    assert_eq!(ids(&open(&store, 2).await.snapshot()), expected_ids([1]));
    add(&catalog, 2).await.expect("committed");
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_counts_once() {
    let store = store();
    let catalog = open(&store, 1).await;
    store.fail_next(Operation::Put, Fault::AfterEffect);
    let snapshot = add(&catalog, 1).await.expect("found to be done");
    assert_eq!((snapshot.version, ids(&snapshot)), (1, expected_ids([1])));
    assert_eq!(*open(&store, 2).await.snapshot(), *snapshot);
}

#[tokio::test]
async fn a_lost_answer_does_not_make_a_change_that_cannot_see_itself_twice() {
    let store = store();
    let catalog = open(&store, 1).await;
    let count_up = |snapshot: &Snapshot| {
        let mut next = snapshot.clone();
        *next.covered.entry("count".to_owned()).or_default() += 1;
        Some(next)
    };
    store.fail_next(Operation::Put, Fault::AfterEffect);
    let snapshot = catalog.commit(count_up).await.expect("found to be done");
    assert_eq!((snapshot.version, snapshot.covered_through("count")), (1, 1));
}

#[tokio::test]
async fn when_even_the_reading_back_fails_the_same_change_again_finds_it_done() {
    let store = store();
    let catalog = open(&store, 1).await;
    store.fail_next(Operation::Put, Fault::AfterEffect);
    store.fail_next(Operation::Get, Fault::BeforeEffect);
    add(&catalog, 1).await.expect_err("nobody knows");
    let snapshot = add(&catalog, 1).await.expect("seen to be done");
    assert_eq!((snapshot.version, ids(&snapshot)), (1, expected_ids([1])));
}

#[tokio::test]
async fn a_commit_that_was_taken_elsewhere_is_built_anew() {
    let store = store();
    let (ours, theirs) = (open(&store, 1).await, open(&store, 2).await);
    add(&theirs, 1).await.expect("committed");
    store.fail_next(Operation::Put, Fault::BeforeEffect);
    // The failed put leaves it open whose version 1 is; reading it back shows that it is theirs.
    let snapshot = add(&ours, 2).await.expect("committed");
    assert_eq!((snapshot.version, ids(&snapshot)), (2, expected_ids([1, 2])));
}

#[tokio::test]
async fn only_the_newest_snapshots_are_kept() {
    let store = store();
    let catalog = open(&store, 1).await;
    for number in 1..=20 {
        add(&catalog, number).await.expect("committed");
    }
    assert_eq!(versions(&store).await, (5..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn old_snapshots_that_could_not_be_deleted_go_later_and_oldest_first() {
    let store = store();
    let catalog = open(&store, 1).await;
    store.fail_at_random(Operation::Delete, 100, 0);
    for number in 1..=20 {
        add(&catalog, number).await.expect("a failed deletion does not fail the commit");
    }
    assert_eq!(versions(&store).await.len(), 20);
    store.heal();
    store.pass_next(Operation::Delete);
    store.fail_next(Operation::Delete, Fault::BeforeEffect);
    add(&catalog, 21).await.expect("committed");
    assert_eq!(versions(&store).await, (2..=21).collect::<Vec<_>>());
    add(&open(&store, 2).await, 22).await.expect("committed");
    assert_eq!(versions(&store).await, (7..=22).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_writer_far_behind_notices_and_catches_up() {
    let store = store();
    let (slow, reader, fast) = (open(&store, 1).await, open(&store, 2).await, open(&store, 3).await);
    for catalog in [&slow, &reader] {
        catalog.refresh().await.expect("refreshed");
    }
    add(&slow, 100).await.expect("committed");
    reader.refresh().await.expect("refreshed");
    for number in 0..40 {
        add(&fast, number).await.expect("committed");
    }
    assert_eq!(*reader.refresh().await.expect("refreshed"), *fast.snapshot());
    let snapshot = add(&slow, 101).await.expect("committed");
    assert_eq!(snapshot.version, 42);
    assert_eq!(ids(&snapshot), expected_ids((0..40).chain([100, 101])));
    assert_eq!(*fast.refresh().await.expect("refreshed"), *snapshot);
    assert_eq!(versions(&store).await, (27..=42).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_but_opening_lists() {
    let store = store();
    let (ours, theirs) = (open(&store, 1).await, open(&store, 2).await);
    for number in 0..10 {
        add(&ours, 2 * number).await.expect("committed");
        add(&theirs, 2 * number + 1).await.expect("committed");
        ours.refresh().await.expect("refreshed");
    }
    assert_eq!(store.calls(Operation::List), 2);
}

#[tokio::test]
async fn a_store_that_fails_at_random_loses_no_acknowledged_block_and_doubles_none() {
    for seed in seeds(60) {
        let store = Arc::new(FaultingStore::new(Arc::new(InMemory::new()), seed));
        let random = SeededRandomness::new(seed);
        for operation in [Operation::Put, Operation::Get, Operation::Delete] {
            store.fail_at_random(operation, 10, 10);
        }
        let mut catalogs = [open(&store, 1).await, open(&store, 2).await];
        let mut acknowledged = Vec::new();
        for number in 0..40 {
            let at = random.index(2);
            if add(&catalogs[at], number).await.is_ok() {
                acknowledged.push(number);
            }
            if random.chance(10) {
                // A crash and a restart.
                if let Ok(reopened) = try_open(&store, 100 + number).await {
                    catalogs[at] = reopened;
                }
            }
        }
        store.heal();
        let found = ids(&open(&store, 3).await.snapshot());
        let lost: Vec<_> = expected_ids(acknowledged).into_iter().filter(|id| !found.contains(id)).collect();
        assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
        assert!(found.is_sorted_by(|a, b| a < b), "seed {seed}: a block stands twice in {found:?}");
    }
}

#[tokio::test]
async fn a_crash_between_block_and_commit_leaves_the_old_catalog() {
    let store = store();
    let catalog = open(&store, 1).await;
    add(&catalog, 1).await.expect("committed");
    let orphan = crate::paths::block_prefix(&TenantId::single(), block(2).id).join("spans.parquet");
    store.put(&orphan, PutPayload::from_static(b"spans")).await.expect("written");
    drop(catalog);
    assert_eq!(ids(&open(&store, 2).await.snapshot()), expected_ids([1]));
}

#[tokio::test]
async fn damage_and_newer_formats_are_named() {
    let corrupt = |text: &str| format::decode(text.as_bytes(), 7, "the/path").expect_err(text);
    let error = corrupt(r#"{"format":1,"version":7"#);
    assert!(
        matches!(error, CatalogError::Corrupt { .. }) && error.to_string().contains("the/path"),
        "{error}"
    );
    let error = corrupt(r#"{"format":4,"everything":"else"}"#);
    assert!(matches!(error, CatalogError::UnsupportedFormat { found: 4, known: 3, .. }), "{error}");
    let error = corrupt(r#"{"format":1,"version":8,"commit":"c","blocks":[],"covered":{}}"#);
    assert!(error.to_string().contains("it says it is version 8"), "{error}");
    let block = r#"{"id":"xyz","rows":1,"traces":1,"bytes":1,"start_unix_nano":1,"end_unix_nano":1,"format":1,"level":0}"#;
    let error =
        corrupt(&format!(r#"{{"format":1,"version":7,"commit":"c","blocks":[{block}],"covered":{{}}}}"#));
    assert!(error.to_string().contains("`xyz` is not a block id"), "{error}");
}

/// What both fixtures have.
fn stored_blocks() -> Vec<BlockMeta> {
    let id = |text: &str| text.parse().expect("valid");
    let first = BlockMeta {
        id: id("018bcfe568000123456789abcdef0123"),
        rows: 1000,
        traces: 90,
        bytes: 35_000,
        range: TimeRange { start: 1_700_000_000_000_000_001, end: 1_700_000_060_000_000_999 },
        format: 1,
        wal: Some(WalRange { writer: "00112233445566778899aabbccddeeff".to_owned(), first: 1, last: 12 }),
        level: 0,
        stored: 1_700_000_000_000_000_000,
        file: None,
    };
    let second =
        BlockMeta { id: id("018bcfe568000123456789abcdef0124"), wal: None, level: 2, ..first.clone() };
    vec![first, second]
}

#[test]
fn version_1_is_read_and_unknown_fields_are_ignored() {
    let bytes = include_bytes!("../../testdata/catalog-v1.json");
    let stored = format::decode(bytes, 7, "fixture").expect("valid");
    assert_eq!(stored.commit, "0123456789abcdef0123456789abcdef");
    let covered = [("00112233445566778899aabbccddeeff".to_owned(), 12)].into();
    let expected = Snapshot { version: 7, blocks: stored_blocks(), covered, tombstones: Vec::new() };
    assert_eq!(stored.snapshot, expected);
}

#[test]
fn version_2_is_read() {
    let bytes = include_bytes!("../../testdata/catalog-v2.json");
    let stored = format::decode(bytes, 9, "fixture").expect("valid");
    let [first, second] = &stored_blocks()[..] else { panic!("two blocks") };
    let merged = BlockMeta { stored: 1_700_000_060_000_000_000, ..second.clone() };
    let removed = 1_700_000_123_000_000_000;
    let gone = |text: &str| Tombstone { id: text.parse().expect("valid"), removed };
    let tombstones = vec![gone("018bcfe568000123456789abcdef0120"), gone("018bcfe568000123456789abcdef0121")];
    let covered = [("00112233445566778899aabbccddeeff".to_owned(), 12)].into();
    let blocks = vec![first.clone(), merged];
    assert_eq!(stored.snapshot, Snapshot { version: 9, blocks, covered, tombstones });
}

/// Bytes of format 3, kept forever.
#[test]
fn version_3_is_read_and_any_changed_byte_is_found() {
    let bytes = include_bytes!("../../testdata/catalog-v3.json");
    let stored = format::decode(bytes, 9, "fixture").expect("valid");
    let mut expected =
        format::decode(include_bytes!("../../testdata/catalog-v2.json"), 9, "fixture").expect("valid");
    expected.snapshot.blocks[0].file = Some(FileCheck { length: 34_000, tail: 4_000, crc: 3_735_928_559 });
    assert_eq!(stored.snapshot, expected.snapshot);
    assert_eq!(format::encode(&stored.snapshot, &stored.commit), bytes);
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1;
        format::decode(&damaged, 9, "fixture").expect_err("changed");
        format::decode(&bytes[..at], 9, "fixture").expect_err("cut off");
    }
}

fn with_blocks(numbers: std::ops::Range<u64>) -> Snapshot {
    numbers.fold(Snapshot::default(), |snapshot, number| {
        snapshot.with_block(&block(number)).expect("a new block")
    })
}

#[test]
fn blocks_are_replaced_all_or_none() {
    let snapshot = with_blocks(1..4);
    let old = expected_ids([1, 3]);
    let next = snapshot.replacing(&old, &[block(9)], 77).expect("all are there");
    assert_eq!(ids(&next), expected_ids([2, 9]));
    assert_eq!(
        next.tombstones.iter().map(|gone| (gone.id, gone.removed)).collect::<Vec<_>>(),
        [(old[0], 77), (old[1], 77)]
    );
    assert_eq!(next.covered_through(&log(3)), 4, "the log stays covered");
    assert_eq!(next.replacing(&old, &[block(9)], 78), None, "it is done");
    assert_eq!(snapshot.replacing(&expected_ids([1, 8]), &[block(9)], 77), None, "one is gone");
}

#[test]
fn blocks_are_dropped_and_their_tombstones_too() {
    let next = with_blocks(1..4).without_blocks(&expected_ids([2, 8]), 77).expect("one is there");
    assert_eq!((ids(&next), next.tombstones.len()), (expected_ids([1, 3]), 1));
    assert_eq!(next.without_blocks(&expected_ids([2, 8]), 78), None);
    let clean = next.without_tombstones(&expected_ids([2])).expect("one is there");
    assert_eq!((clean.tombstones.len(), clean.without_tombstones(&expected_ids([2]))), (0, None));
}

#[test]
fn tombstones_are_bounded() {
    let tombstone = Tombstone { id: block(1).id, removed: 5 };
    let full = Snapshot { tombstones: vec![tombstone; crate::limits::MAX_TOMBSTONES], ..with_blocks(2..3) };
    let next = full.without_blocks(&expected_ids([2]), 77).expect("it is there");
    assert_eq!(next.tombstones.len(), crate::limits::MAX_TOMBSTONES);
    assert_eq!(next.tombstones.last().map(|gone| gone.id), Some(block(2).id));
}

#[test]
fn a_snapshot_survives_its_format() {
    let snapshot =
        (1..=3).try_fold(Snapshot::default(), |s, number| s.with_block(&block(number))).expect("new blocks");
    let snapshot = snapshot.without_blocks(&expected_ids([2]), 77).expect("it is there");
    let snapshot = Snapshot { version: 9, ..snapshot };
    let stored = format::decode(&format::encode(&snapshot, "commit"), 9, "path").expect("valid");
    assert_eq!((stored.snapshot, stored.commit.as_str()), (snapshot, "commit"));
}

#[tokio::test]
async fn tenants_are_found_again_and_kept_apart() {
    let store = store();
    let open_all =
        || Catalogs::open_all(Arc::clone(&store) as Arc<dyn ObjectStore>, Arc::new(SystemRandomness));
    let tenants: Vec<TenantId> = ["a", "a*b", "b"].map(|id| id.parse().expect("valid")).into();
    let catalogs = open_all().await.expect("opens");
    assert!(catalogs.tenants().is_empty());
    for (number, tenant) in tenants.iter().enumerate() {
        assert!(catalogs.get(tenant).expect("undamaged").is_none());
        add(&catalogs.get_or_create(tenant).await.expect("made"), number as u64).await.expect("committed");
    }
    let again = open_all().await.expect("opens");
    assert_eq!(again.tenants(), tenants);
    for (number, tenant) in tenants.iter().enumerate() {
        let catalog = again.get(tenant).expect("undamaged").expect("known");
        assert_eq!(ids(&catalog.snapshot()), expected_ids([number as u64]));
    }
}

#[tokio::test]
async fn a_damaged_catalog_costs_its_own_tenant_only() {
    let store = store();
    let [good, bad]: [TenantId; 2] = ["good", "bad"].map(|id| id.parse().expect("valid"));
    let open_all =
        || Catalogs::open_all(Arc::clone(&store) as Arc<dyn ObjectStore>, Arc::new(SystemRandomness));
    let catalogs = open_all().await.expect("opens");
    add(&catalogs.get_or_create(&good).await.expect("made"), 1).await.expect("committed");
    store.put(&snapshot_path(&bad, 1), PutPayload::from_static(b"{")).await.expect("written");
    let catalogs = open_all().await.expect("opens");
    assert!(catalogs.get(&good).expect("undamaged").is_some());
    assert_eq!(catalogs.get(&bad).expect_err("damaged").kind(), ErrorKind::Corrupt);
    assert_eq!(catalogs.get_or_create(&bad).await.expect_err("damaged").kind(), ErrorKind::Corrupt);
    store.fail_next(Operation::List, Fault::BeforeEffect);
    assert_eq!(open_all().await.expect_err("no answer").kind(), ErrorKind::Unavailable);
}
