//! What becomes of blocks: commits, crashes, retention, garbage.

use super::*;

async fn with_blocks(seed: u64, count: u64) -> (World, Vec<BlockMeta>) {
    let world = World::new(seed).await;
    let mut generator = TraceGenerator::new(seed);
    let mut metas = Vec::new();
    for _ in 0..count {
        metas.push(world.add(&generator.traces(5, 4)).await);
        world.clock.advance(Duration::from_secs(1));
    }
    (world, metas)
}

#[tokio::test]
async fn blocks_are_deleted_a_while_after_they_were_merged() {
    let (world, inputs) = with_blocks(1, 3).await;
    world.clock.advance(LATER);
    let answer = world.answer().await;
    let compactor = world.compactor();
    assert!(compactor.round().await);
    let merged = world.snapshot().await;
    let mut all = ids(&inputs);
    all.extend(ids(&merged.blocks));
    assert_eq!((merged.blocks.len(), merged.tombstones.len()), (1, 3));
    assert_eq!(merged.blocks[0].stored, inputs[2].stored, "when spans came in is not forgotten");
    world.clock.advance(Duration::from_secs(560));
    assert!(!compactor.round().await);
    assert_eq!(world.folders().await, all, "queries may still read them");
    world.clock.advance(Duration::from_secs(40));
    compactor.round().await;
    assert_eq!(world.folders().await, ids(&merged.blocks));
    assert_eq!(world.snapshot().await.tombstones, []);
    assert_eq!((compactor.stats().blocks_deleted, compactor.stats().orphans_deleted), (3, 0));
    assert_eq!(world.answer().await, answer);
}

#[tokio::test]
async fn retention_takes_blocks_out_by_age_and_by_bytes() {
    let (mut world, blocks) = with_blocks(2, 4).await;
    world.policy.compaction_disabled = true;
    world.policy.block_retention = Duration::from_secs(10);
    world.clock.advance(Duration::from_secs(8));
    let compactor = world.compactor();
    compactor.round().await;
    assert_eq!(ids(&world.snapshot().await.blocks), ids(&blocks[2..]), "12 and 11 seconds are too much");
    assert_eq!(compactor.stats().blocks_expired, 2);
    world.policy.max_stored_bytes = Some(ByteSize::from_bytes(blocks[3].bytes));
    world.compactor().round().await;
    assert_eq!(ids(&world.snapshot().await.blocks), ids(&blocks[3..]));
    assert_eq!(world.snapshot().await.tombstones.len(), 3);
    assert_eq!(world.folders().await.len(), 4, "their objects stay for a while");
}

#[tokio::test]
async fn what_no_catalog_names_is_deleted_once_nobody_can_come_to_name_it() {
    let (mut world, blocks) = with_blocks(3, 1).await;
    world.policy.compaction_disabled = true;
    let orphan = |clock: &ManualClock, random: &SeededRandomness| BlockId::generate(clock.now(), random);
    let put = |id: BlockId| {
        let path = paths::block_prefix(&TenantId::single(), id).join("spans.parquet");
        let store = Arc::clone(&world.store);
        async move { store.put(&path, "spans".into()).await.expect("written") }
    };
    let old = orphan(&world.clock, &world.random);
    put(old).await;
    let compactor = world.compactor();
    compactor.round().await;
    world.clock.advance(world.options.orphan_age - world.options.sweep_interval);
    let young = orphan(&world.clock, &world.random);
    put(young).await;
    compactor.round().await;
    assert_eq!(world.folders().await.len(), 3, "all are too young");
    world.clock.advance(world.options.sweep_interval);
    compactor.round().await;
    let mut left = ids(&blocks);
    left.insert(young);
    assert_eq!(world.folders().await, left);
    assert_eq!(compactor.stats().orphans_deleted, 1);
    let lists = world.store.calls(Operation::List);
    world.clock.advance(world.options.sweep_interval - Duration::from_secs(1));
    compactor.round().await;
    assert_eq!(world.store.calls(Operation::List), lists, "not every round looks for garbage");
}

#[tokio::test]
async fn inputs_that_go_away_while_they_are_merged_win() {
    let (world, inputs) = with_blocks(4, 3).await;
    world.clock.advance(LATER);
    let catalog = world.catalog().await;
    let job = plan(&catalog.snapshot().blocks, world.clock.now(), Duration::from_secs(3600), &world.options);
    assert_eq!(job.len(), 1);
    // Another process, with a catalog of its own, drops one of them first; ours does not know yet.
    let elsewhere = open_catalogs(&world.store, &world.random).await;
    let theirs = elsewhere.get_or_create(&TenantId::single()).await.expect("opens");
    let gone = [inputs[1].id];
    theirs.commit(|snapshot| snapshot.without_blocks(&gone, world.clock.now())).await.expect("committed");
    let compactor = world.compactor();
    assert!(compactor.round().await);
    assert_eq!(compactor.stats().jobs_in_vain, 1);
    let snapshot = world.snapshot().await;
    assert_eq!(ids(&snapshot.blocks), ids(&[inputs[0].clone(), inputs[2].clone()]));
    assert_eq!(world.folders().await, ids(&inputs), "what was written in vain is gone");
    assert!(compactor.round().await, "the others are merged now");
    assert_eq!(world.snapshot().await.blocks.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_compactors_and_a_writer_lose_nothing() {
    for seed in seeds(4) {
        let mut world = World::new(seed).await;
        world.options.min_inputs = 2;
        let mut generator = TraceGenerator::new(seed);
        let pieces: Vec<Vec<Span>> = (0..12).map(|_| generator.traces(6, 4)).collect();
        let ours = world.compactor();
        let mut elsewhere = World::new(seed).await;
        elsewhere.options.min_inputs = 2;
        elsewhere.store = Arc::clone(&world.store);
        elsewhere.clock = Arc::clone(&world.clock);
        elsewhere.random = Arc::new(SeededRandomness::new(seed + 1000));
        elsewhere.catalogs = open_catalogs(&world.store, &elsewhere.random).await;
        elsewhere.catalog().await;
        let theirs = elsewhere.compactor();
        let writing = async {
            for piece in &pieces {
                world.add(piece).await;
                tokio::task::yield_now().await;
            }
        };
        let compacting = |compactor: Arc<Compactor>, catalog: Arc<Catalog>| async move {
            for _ in 0..12 {
                catalog.refresh().await.expect("refreshed");
                compactor.round().await;
                tokio::task::yield_now().await;
            }
        };
        let (a, b) = (world.catalog().await, elsewhere.catalog().await);
        tokio::join!(writing, compacting(ours, a), compacting(theirs, b));
        assert_eq!(world.answer().await, assembled(pieces.concat()), "seed {seed}");
        let snapshot = world.snapshot().await;
        assert!(snapshot.blocks.len() < 12, "seed {seed}: {} blocks", snapshot.blocks.len());
    }
}

/// Dies at each call to the store that merging and deleting makes: before it has an effect, and after.
#[tokio::test]
async fn a_crash_at_any_call_loses_nothing_and_leaves_garbage_that_is_found() {
    for seed in seeds(1) {
        for last in [Fault::BeforeEffect, Fault::AfterEffect] {
            let mut calls = 0;
            while crash_once(seed, calls, last).await {
                calls += 1;
            }
            assert!(calls > 10, "seed {seed}: a job makes only {calls} calls");
        }
    }
}

/// Whether there was a crash: no longer once `calls` is more than all there are.
async fn crash_once(seed: u64, calls: u64, last: Fault) -> bool {
    let told = format!("seed {seed}, crash after {calls} calls, {last:?}");
    let (mut world, inputs) = with_blocks(seed, 2).await;
    world.options.sweep_interval = Duration::from_secs(700);
    let answer = world.answer().await;
    world.clock.advance(LATER);
    let before = world.snapshot().await;
    world.store.fuse().blow_after(calls, last);
    let compactor = world.compactor();
    for _ in 0..4 {
        compactor.round().await;
        world.clock.advance(Duration::from_secs(700));
    }
    let crashed = world.store.fuse().has_blown();
    world.restart().await;
    let after = world.snapshot().await;
    let old_or_new = ids(&after.blocks) == ids(&inputs) || after.blocks.len() == 1;
    assert!(old_or_new, "{told}: {before:?} became {after:?}");
    assert_eq!(world.answer().await, answer, "{told}");
    let compactor = world.compactor();
    for _ in 0..5 {
        run_to_end(&compactor).await;
        world.clock.advance(world.options.orphan_age);
    }
    let end = world.snapshot().await;
    assert_eq!((end.blocks.len(), end.tombstones.len()), (1, 0), "{told}");
    assert_eq!(world.folders().await, ids(&end.blocks), "{told}: garbage is left");
    assert_eq!(world.answer().await, answer, "{told}");
    crashed
}

#[tokio::test]
async fn a_store_that_fails_at_random_loses_nothing() {
    for seed in seeds(10) {
        let (mut world, _) = with_blocks(seed, 9).await;
        let answer = world.answer().await;
        for operation in [
            Operation::Put,
            Operation::PutPart,
            Operation::Complete,
            Operation::Get,
            Operation::List,
            Operation::Delete,
        ] {
            world.store.fail_at_random(operation, 4, 4);
        }
        let compactor = world.compactor();
        for _ in 0..60 {
            compactor.round().await;
            world.clock.advance(Duration::from_secs(300));
        }
        world.restart().await;
        assert_eq!(world.answer().await, answer, "seed {seed}");
    }
}

#[tokio::test]
async fn a_damaged_block_is_left_alone_and_the_others_go_on() {
    let (world, inputs) = with_blocks(5, 4).await;
    world.clock.advance(LATER);
    let path = paths::block_prefix(&TenantId::single(), inputs[1].id).join("spans.parquet");
    world.store.put(&path, "no spans".into()).await.expect("written");
    let compactor = world.compactor();
    assert!(!compactor.round().await);
    assert_eq!(compactor.stats().errors, 1);
    world.clock.advance(Duration::from_secs(1));
    run_to_end(&compactor).await;
    let snapshot = world.snapshot().await;
    assert_eq!(snapshot.blocks.len(), 2);
    assert!(ids(&snapshot.blocks).contains(&inputs[1].id), "nothing is thrown away");
    assert_eq!(compactor.stats().errors, 1);
}

#[tokio::test]
async fn one_tenants_trouble_does_not_stop_others() {
    let world = World::new(6).await;
    let [bad, good]: [TenantId; 2] = ["a-bad", "b-good"].map(|id| id.parse().expect("valid"));
    let mut generator = TraceGenerator::new(6);
    for tenant in [&bad, &good] {
        for _ in 0..2 {
            world.add_for(tenant, &generator.traces(3, 3)).await;
        }
    }
    world.clock.advance(LATER);
    let compactor = world.compactor();
    world.store.fail_next(Operation::Get, Fault::BeforeEffect);
    assert!(compactor.round().await);
    let blocks = |tenant: &TenantId| {
        world.catalogs.get(tenant).expect("undamaged").expect("known").snapshot().blocks.len()
    };
    assert_eq!((blocks(&bad), blocks(&good)), (2, 1));
    assert!(!compactor.round().await, "it is left alone for a while");
    world.clock.advance(Duration::from_secs(1));
    assert!(compactor.round().await);
    assert_eq!(blocks(&bad), 1);
}

#[tokio::test]
async fn in_the_background_it_works_when_blocks_come_and_stops_when_told() {
    let (mut world, _) = with_blocks(8, 1).await;
    world.options.min_inputs = 2;
    let compactor = world.compactor();
    compactor.start();
    let mut generator = TraceGenerator::new(80);
    world.add(&generator.traces(3, 3)).await;
    let catalog = world.catalog().await;
    let merged = async {
        while catalog.snapshot().blocks.iter().all(|block| block.level == 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), merged).await.expect("it wakes up for a new block");
    compactor.shutdown().await;
    let version = catalog.snapshot().version;
    for _ in 0..2 {
        world.add(&generator.traces(3, 3)).await;
    }
    tokio::task::yield_now().await;
    assert_eq!(catalog.snapshot().version, version + 2);
    assert!(compactor.stats().backlog.iter().all(|tenant| tenant.tenant == TenantId::single()));
}
