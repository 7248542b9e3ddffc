//! What a merge makes of its inputs.

use vivace_model::Attribute;

use super::*;

/// Random spans in several pieces: traces in one, in some and in all of them, sent twice, with times that differ.
fn pieces(seed: u64, count: usize, traces: usize, largest: usize) -> Vec<Vec<Span>> {
    let random = SeededRandomness::new(seed);
    let mut generator = TraceGenerator::new(seed);
    let mut pieces = vec![Vec::new(); count];
    for number in 0..traces {
        let trace = generator.trace(if number == 0 { largest } else { 1 + random.index(12) });
        let home = number * count / traces;
        let spread = number == 0 || random.chance(30);
        for span in trace {
            let at = if spread { random.index(count) } else { home };
            if random.chance(5) {
                let mut again = span.clone();
                if random.chance(50) {
                    again.start += random.below(1000);
                    again.name.push_str(" again");
                }
                pieces[random.index(count)].push(again);
            }
            pieces[at].push(span);
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

async fn merge_all(world: &World, pieces: &[Vec<Span>]) -> BlockMeta {
    for piece in pieces {
        world.add(piece).await;
    }
    world.clock.advance(LATER);
    let compactor = world.compactor();
    run_to_end(&compactor).await;
    let stats = compactor.stats();
    assert_eq!((stats.errors, stats.jobs_in_vain, stats.waits_for_memory), (0, 0, 0));
    let snapshot = world.snapshot().await;
    assert_eq!(snapshot.blocks.len(), 1, "one block is left");
    assert_eq!(snapshot.tombstones.len(), pieces.len());
    snapshot.blocks[0].clone()
}

/// The output holds what the pieces hold, in the order of a block, and the catalog tells the truth about it.
async fn check(world: &World, meta: &BlockMeta, expected: &BTreeMap<TraceId, Vec<Span>>) {
    let spans: Vec<Span> = world.read(meta).await;
    let traces: Vec<&[Span]> = spans.chunk_by(|a, b| a.trace_id == b.trace_id).collect();
    assert_eq!(traces.len(), expected.len(), "traces are together");
    assert!(traces.is_sorted_by_key(|trace| (trace[0].start, trace[0].trace_id)), "traces are in order");
    for trace in traces {
        assert_eq!(trace, expected[&trace[0].trace_id], "of trace {:?}", trace[0].trace_id);
    }
    assert_eq!((meta.rows, meta.traces), (spans.len() as u64, expected.len() as u64));
    assert_eq!(meta.range.start, spans.iter().map(|span| span.start).min().expect("spans"));
    assert_eq!(meta.range.end, spans.iter().map(|span| span.end.max(span.start)).max().expect("spans"));
    let objects: Vec<_> = world
        .store
        .list(Some(&paths::block_prefix(&TenantId::single(), meta.id)))
        .try_collect()
        .await
        .expect("listed");
    assert_eq!(objects.iter().map(|object| object.size).sum::<u64>(), meta.bytes);
}

#[tokio::test]
async fn the_output_is_what_assembling_the_inputs_gives() {
    for seed in seeds(8) {
        let world = World::new(seed).await;
        let pieces = pieces(seed, 2 + seed as usize, 150, 60);
        let meta = merge_all(&world, &pieces).await;
        check(&world, &meta, &assembled(pieces.concat())).await;
        assert_eq!(world.budget.reserved_by(Holder::Compaction).bytes(), 0);
    }
}

#[tokio::test]
async fn a_trace_too_large_for_a_group_is_merged_as_it_is_read() {
    let world = World::new(3).await;
    let pieces = pieces(3, 3, 40, 2 * limits::COMPACTION_GROUP_ROWS + 77);
    let meta = merge_all(&world, &pieces).await;
    check(&world, &meta, &assembled(pieces.concat())).await;
}

#[tokio::test]
async fn more_spread_traces_than_a_group_has_are_merged_group_by_group() {
    let world = World::new(5).await;
    let mut generator = TraceGenerator::new(5);
    let mut halves = [Vec::new(), Vec::new()];
    for number in 0..600 {
        // Parts that are in the other order in the second block.
        let mut trace = generator.trace(20);
        trace.sort_by_key(|span| span.start);
        let late = trace.split_off(10);
        let delay = 1_000_000 * (600 - number);
        let late = late.into_iter().map(|mut span| {
            (span.start, span.end) = (span.start + delay * 3000, span.end + delay * 3000);
            span
        });
        halves[0].extend(trace);
        halves[1].extend(late);
    }
    let meta = merge_all(&world, &halves).await;
    check(&world, &meta, &assembled(halves.concat())).await;
    assert!(meta.rows as usize > 2 * limits::COMPACTION_GROUP_ROWS);
}

#[tokio::test]
async fn blocks_with_different_columns_are_merged() {
    let world = World::new(7).await;
    let mut generator = TraceGenerator::new(7);
    let mut pieces: Vec<Vec<Span>> = (0..3).map(|_| generator.traces(40, 8)).collect();
    // A column in the first, in the list of the second, of another type in the third.
    pieces[0].iter_mut().for_each(|span| span.attributes.push(Attribute::new("mixed", "text")));
    pieces[1][5].attributes.push(Attribute::new("mixed", "rare"));
    pieces[2].iter_mut().for_each(|span| span.attributes.push(Attribute::new("mixed", 5_i64)));
    let meta = merge_all(&world, &pieces).await;
    check(&world, &meta, &assembled(pieces.concat())).await;
    let reader = BlockReader::open(world.store.clone(), &TenantId::single(), &meta).await.expect("opens");
    for name in ["span.mixed:str", "span.mixed:int"] {
        assert!(reader.schema().column_with_name(name).is_some(), "no column {name}");
    }
}

/// What merging the blocks reserves.
async fn needed(world: &World, inputs: &[BlockMeta]) -> u64 {
    let mut readers = Vec::new();
    for meta in inputs {
        let store = Arc::clone(&world.store) as Arc<dyn ObjectStore>;
        readers.push(BlockReader::open(store, &TenantId::single(), meta).await.expect("opens"));
    }
    let mut memory = memory::JobMemory::for_footers(&world.budget, inputs.len()).expect("fits");
    memory.for_rows(inputs, &readers).expect("fits");
    world.budget.reserved_by(Holder::Compaction).bytes()
}

/// But for the index, which has so much of each row.
#[tokio::test]
async fn memory_does_not_grow_with_the_blocks() {
    let mut needs = Vec::new();
    for traces in [600, 2400] {
        let world = World::new(11).await;
        let mut metas = Vec::new();
        for piece in 0..3 {
            let span = |number: u64| {
                let name = format!("span {}", number % 50);
                let trace = u128::from(number / 25 + 1);
                SpanBuilder::new(&name).trace(trace).id(3 * number + piece + 1).start_ms(number).build()
            };
            let spans: Vec<Span> = (0..traces * 25).map(span).collect();
            metas.push(world.add(&spans).await);
        }
        let rows: u64 = metas.iter().map(|block| block.rows).sum();
        needs.push(needed(&world, &metas).await - rows * limits::INDEX_ROW);
    }
    assert!(needs[1] < needs[0] + needs[0] / 2, "{needs:?} bytes for one and for four times as many rows");
}

#[tokio::test]
async fn with_little_memory_fewer_blocks_are_merged_at_once_and_with_none_it_waits() {
    let mut world = World::new(13).await;
    let pieces = pieces(13, 8, 200, 30);
    let mut metas = Vec::new();
    for piece in &pieces {
        metas.push(world.add(piece).await);
    }
    world.clock.advance(LATER);
    let (two, all) = (needed(&world, &metas[..2]).await, needed(&world, &metas).await);
    assert!(two < all);
    world.budget = MemoryBudget::new(ByteSize::from_bytes(two / 2));
    let starved = world.compactor();
    assert!(!starved.round().await);
    assert_eq!((starved.stats().waits_for_memory, starved.stats().errors), (1, 0));
    assert_eq!(world.snapshot().await.blocks, metas);
    world.budget = MemoryBudget::new(ByteSize::from_bytes((two + all) / 2));
    let compactor = world.compactor();
    assert!(compactor.round().await);
    let blocks = compactor.stats().levels[0].blocks;
    assert!((2..8).contains(&blocks), "{blocks} blocks in the first job");
    assert_eq!(world.answer().await, assembled(pieces.concat()));
}

#[tokio::test]
async fn a_large_output_is_uploaded_in_parts() {
    let world = World::new(17).await;
    let mut generator = TraceGenerator::new(17);
    let random = SeededRandomness::new(17);
    let mut pieces: Vec<Vec<Span>> = (0..2).map(|_| generator.traces(20, 8)).collect();
    for span in pieces.iter_mut().flatten() {
        let text: String = random.bytes(80_000).iter().map(|byte| char::from(b' ' + byte % 90)).collect();
        span.attributes.push(Attribute::new("body", text));
    }
    let puts = world.store.calls(Operation::PutPart);
    let meta = merge_all(&world, &pieces).await;
    assert!(meta.bytes > 2 * limits::COMPACTION_UPLOAD_PART as u64, "{} bytes", meta.bytes);
    assert!(world.store.calls(Operation::PutPart) > puts + 2, "a start and several parts");
    check(&world, &meta, &assembled(pieces.concat())).await;
}

/// A block of format 1 that is in the way of nothing else is brought to the newest format.
#[tokio::test]
async fn a_block_of_format_1_becomes_one_of_the_newest() {
    let world = World::new(19).await;
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/block-v1/spans.parquet");
    let bytes = std::fs::read(file).expect("the fixture is checked in");
    let sample = world.add(&TraceGenerator::new(19).traces(1, 1)).await;
    let path = paths::block_prefix(&TenantId::single(), sample.id).join(crate::block::SPANS_FILE);
    world.store.put(&path, bytes.into()).await.expect("puts");
    let old = BlockMeta { rows: 120, traces: 120, format: 1, file: None, ..sample };
    let spans = world.read(&old).await;
    let catalog = world.catalog().await;
    let as_old = |snapshot: &Snapshot| Some(Snapshot { blocks: vec![old.clone()], ..snapshot.clone() });
    catalog.commit(as_old).await.expect("committed");
    world.clock.advance(LATER);
    run_to_end(&world.compactor()).await;
    let [meta] = &world.snapshot().await.blocks[..] else { panic!("one block") };
    assert_eq!((meta.format, meta.rows, meta.level), (vivace_model::schema::FORMAT, 120, 0));
    let in_key_order = |spans: Vec<Span>| spans.into_iter().map(in_key_order).collect::<Vec<_>>();
    assert_eq!(in_key_order(world.read(meta).await), in_key_order(spans));
}

/// Blocks of format 1 do not tell in which order attributes were sent.
fn in_key_order(mut span: Span) -> Span {
    let sorted = |attributes: &[Attribute]| {
        let mut sorted = attributes.to_vec();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        sorted
    };
    span.attributes = sorted(&span.attributes);
    let (mut resource, mut scope) = ((*span.resource).clone(), (*span.scope).clone());
    (resource.attributes, scope.attributes) = (sorted(&resource.attributes), sorted(&scope.attributes));
    (span.resource, span.scope) = (resource.into(), scope.into());
    span
}
