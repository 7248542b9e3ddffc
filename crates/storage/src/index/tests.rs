use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use object_store::PutPayload;
use object_store::memory::InMemory;
use vivace_base::{ByteSize, Holder, MemoryBudget};
use vivace_model::{Attribute, Span, TenantId, Value};

use super::*;
use crate::block::{BlockReader, build_block, store_block};
use crate::columns::tests::rich_span;
use crate::columns::{SpanBatchBuilder, ValueRef};
use crate::{BlockMeta, limits};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;

fn batch(spans: &[Span]) -> RecordBatch {
    let mut builder = SpanBatchBuilder::default();
    spans.iter().for_each(|span| builder.push(span));
    builder.finish()
}

fn budget() -> Arc<MemoryBudget> {
    MemoryBudget::new(ByteSize::from_mib(64))
}

fn built(spans: &[Span]) -> Vec<u8> {
    let mut builder = IndexBuilder::default();
    builder.add(&batch(spans)).expect("layout");
    builder.finish().expect("builds")
}

async fn open(bytes: Vec<u8>) -> Result<BlockIndex, IndexError> {
    let (store, path) = (InMemory::new(), Path::from("index.bin"));
    store.put(&path, bytes.into()).await.expect("puts");
    BlockIndex::open(Arc::new(store), path, &budget()).await
}

async fn listed(tags: &Tags<'_>, scope: IndexScope, key: &str) -> Vec<String> {
    match tags.values(scope, key, &budget()).await.expect("reads") {
        IndexedValues::Listed(values) => values.iter().map(|value| format!("{value:?}")).collect(),
        other => panic!("{scope:?} {key}: {other:?}"),
    }
}

#[tokio::test]
async fn keys_and_typed_values_of_every_scope() {
    let mut spans: Vec<_> = (1..4).map(rich_span).collect();
    spans[0].attributes.push(Attribute::new("mixed", 200_i64));
    spans[1].attributes.push(Attribute::new("mixed", "200"));
    let index = open(built(&spans)).await.expect("opens");
    let budget = budget();
    let tags = index.tags(&budget).await.expect("reads").expect("has tags");
    let keys: BTreeSet<_> = tags.keys().collect();
    for scope in [IndexScope::Span, IndexScope::Event, IndexScope::Link, IndexScope::Instrumentation] {
        assert!((0..8).all(|at| keys.contains(&(scope, format!("a{at}").as_str()))), "{scope:?} {keys:?}");
    }
    assert!(
        keys.contains(&(IndexScope::Resource, "service.name")) && !keys.contains(&(IndexScope::Span, "k"))
    );
    assert_eq!(listed(&tags, IndexScope::Span, "mixed").await, [r#"String("200")"#, "Int(200)"]);
    assert_eq!(listed(&tags, IndexScope::Event, "a0").await, ["Empty"]);
    assert_eq!(listed(&tags, IndexScope::Link, "a4").await, ["Float(1.1)", "Float(2.1)", "Float(3.1)"]);
    assert_eq!(
        listed(&tags, IndexScope::Intrinsic, intrinsics::EVENT_NAME).await,
        [r#"String("exception")"#]
    );
    let names = [r#"String("span 1")"#, r#"String("span 2")"#, r#"String("span 3")"#];
    assert_eq!(listed(&tags, IndexScope::Intrinsic, intrinsics::NAME).await, names);
    let roots = listed(&tags, IndexScope::Intrinsic, intrinsics::ROOT_NAME).await;
    assert_eq!(roots, [names[0], names[2]], "span 2 has a parent");
    let services = listed(&tags, IndexScope::Intrinsic, intrinsics::ROOT_SERVICE_NAME).await;
    assert_eq!(services, [r#"String("svc0")"#, r#"String("svc1")"#]);
    let absent = tags.values(IndexScope::Span, "service.name", &budget).await.expect("reads");
    assert!(matches!(absent, IndexedValues::Absent), "{absent:?}");
    drop(tags);
    assert_eq!(budget.reserved().bytes(), 0, "everything is given back");
}

/// `count` spans with a value of its own each under `many`, and one of three under `few`.
fn numbered(count: usize) -> Vec<Span> {
    let span = |at: usize| {
        let mut span = rich_span(1);
        span.attributes = vec![Attribute::new("many", at as i64), Attribute::new("few", (at % 3) as i64)];
        (span.events, span.links) = (Vec::new(), Vec::new());
        span
    };
    (0..count).map(span).collect()
}

#[tokio::test]
async fn a_key_with_too_many_values_lists_none() {
    for (count, is_listed) in [(limits::MAX_INDEXED_VALUES, true), (limits::MAX_INDEXED_VALUES + 1, false)] {
        let index = open(built(&numbered(count))).await.expect("opens");
        let budget = budget();
        let tags = index.tags(&budget).await.expect("reads").expect("has tags");
        let many = tags.values(IndexScope::Span, "many", &budget).await.expect("reads");
        match many {
            IndexedValues::Listed(values) => {
                let ints = values.iter().filter(|value| matches!(value, ValueRef::Int(_))).count();
                assert_eq!((is_listed, ints), (true, count));
            }
            IndexedValues::Many => assert!(!is_listed),
            IndexedValues::Absent => panic!("the key is there"),
        }
        assert_eq!(listed(&tags, IndexScope::Span, "few").await.len(), 3);
    }
    let mut long = rich_span(1);
    long.attributes.push(Attribute::new("long", "x".repeat(limits::MAX_INDEXED_VALUE_BYTES + 1)));
    let index = open(built(&[long])).await.expect("opens");
    let budget = budget();
    let tags = index.tags(&budget).await.expect("reads").expect("has tags");
    let long = tags.values(IndexScope::Span, "long", &budget).await.expect("reads");
    assert!(matches!(long, IndexedValues::Many), "{long:?}");
}

#[tokio::test]
async fn the_longest_lists_go_first_when_memory_is_short_and_then_all() {
    let spans = batch(&numbered(2_000));
    let mut builder = IndexBuilder::with_limit(64 << 10);
    builder.add(&spans).expect("layout");
    let index = open(builder.finish().expect("builds")).await.expect("opens");
    let budget = budget();
    let tags = index.tags(&budget).await.expect("reads").expect("has tags");
    let many = tags.values(IndexScope::Span, "many", &budget).await.expect("reads");
    assert!(matches!(many, IndexedValues::Many), "{many:?}");
    assert_eq!(listed(&tags, IndexScope::Span, "few").await, ["Int(0)", "Int(1)", "Int(2)"]);

    let mut builder = IndexBuilder::with_limit(1_000);
    builder.add(&spans).expect("layout");
    let index = open(builder.finish().expect("builds")).await.expect("opens");
    assert!(index.tags(&budget).await.expect("reads").is_none(), "the keys alone are too many");
}

#[tokio::test]
async fn values_behind_the_kept_part_are_read_by_range() {
    let spans: Vec<_> = numbered(4_000)
        .into_iter()
        .enumerate()
        .map(|(at, mut span)| {
            let noise = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            span.attributes.extend((0..6).map(|key| {
                Attribute::new(format!("noise{key}"), format!("{:016x}", noise.rotate_left(key * 9)))
            }));
            span
        })
        .collect();
    let bytes = built(&spans);
    assert!(bytes.len() as u64 > 2 * limits::INDEX_PREFIX, "{} bytes", bytes.len());
    let index = open(bytes).await.expect("opens");
    let budget = budget();
    let tags = index.tags(&budget).await.expect("reads").expect("has tags");
    assert!(budget.reserved_by(Holder::Query).bytes() < 1 << 20, "{:?}", budget);
    for key in 0..6 {
        assert_eq!(listed(&tags, IndexScope::Span, &format!("noise{key}")).await.len(), 4_000);
    }
}

#[tokio::test]
async fn no_damage_goes_unnoticed() {
    let good = built(&(1..9).map(rich_span).collect::<Vec<_>>());
    let budget = budget();
    let read_all = async |bytes: Vec<u8>| -> Result<usize, IndexError> {
        let index = open(bytes).await?;
        let Some(tags) = index.tags(&budget).await? else { return Ok(0) };
        let mut count = 0;
        for (scope, key) in tags.keys() {
            if let IndexedValues::Listed(values) = tags.values(scope, key, &budget).await? {
                count += values.iter().count();
            }
        }
        count += index.trace_ids(&budget).await?.map_or(0, |ids| ids.len());
        count += index.trace_runs(&budget).await?.map_or(0, |runs| runs.len());
        if let Some(columns) = index.zone_columns(&budget).await? {
            for name in columns.names() {
                count += usize::from(index.zones(&columns, name, &budget).await?.is_some());
            }
        }
        if let Some(summaries) = index.summaries(&budget).await? {
            for (at, table) in summaries.tables().iter().enumerate() {
                for chunk in table.chunks(0, u64::MAX) {
                    let chunk = index.summary_chunk(&summaries, (at, chunk), &budget).await?;
                    chunk.into_iter().for_each(|chunk| chunk.for_each(|_, _, _| count += 1));
                }
            }
        }
        Ok(count)
    };
    assert!(read_all(good.clone()).await.expect("whole") > 50);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        let error = read_all(bad).await.expect_err("damaged");
        assert!(error.is_lasting(), "byte {at}: {error}");
        let error = read_all(good[..at].to_vec()).await.expect_err("cut off");
        assert!(
            matches!(error, IndexError::Damaged { .. } | IndexError::Store { .. }),
            "{at} bytes: {error}"
        );
    }
}

#[tokio::test]
async fn newer_formats_are_left_alone_and_unknown_sections_ignored() {
    let mut newer = built(&[rich_span(1)]);
    newer[8] = 2;
    let error = open(newer).await.expect_err("too new");
    assert!(matches!(error, IndexError::TooNew { found: 2, known: 1, .. }), "{error}");
    let later = format::SectionBytes { kind: 7, root: b"of the future".to_vec(), rest: vec![1, 2, 3] };
    let index = open(format::assemble(vec![later]).expect("builds")).await.expect("opens");
    assert!(index.tags(&budget()).await.expect("reads").is_none());
}

async fn stored(spans: &[Span]) -> (Arc<dyn ObjectStore>, TenantId, BlockMeta) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let tenant = TenantId::single();
    let id = "0".repeat(32).parse().expect("id");
    let block = build_block(&[batch(spans)]).expect("builds");
    let meta = store_block(&*store, &tenant, id, block, None).await.expect("stores");
    (store, tenant, meta)
}

#[tokio::test]
async fn a_lost_index_costs_no_block_and_is_rebuilt_the_same() {
    let mut spans: Vec<_> = (0..250).map(|at| rich_span(at as u8)).collect();
    spans[4].attributes[1].value = Value::from(4_i64);
    let (store, tenant, meta) = stored(&spans).await;
    let path = crate::paths::block_prefix(&tenant, meta.id).join(INDEX_FILE);
    let original = store.get(&path).await.expect("is there").bytes().await.expect("reads");
    store.delete(&path).await.expect("deletes");
    let reader = BlockReader::open(Arc::clone(&store), &tenant, &meta).await.expect("opens");
    assert!(reader.index(&budget()).await.expect("memory").is_none());
    reader.rebuild_index().await.expect("rebuilds");
    let rebuilt = store.get(&path).await.expect("is there").bytes().await.expect("reads");
    assert_eq!(rebuilt, original, "from a block's layout as from the head's");
    assert!(reader.index(&budget()).await.expect("memory").is_none(), "an open reader does not look again");

    let reader = BlockReader::open(Arc::clone(&store), &tenant, &meta).await.expect("opens");
    let tight = MemoryBudget::new(ByteSize::from_bytes(100));
    reader.index(&tight).await.expect_err("no memory");
    assert!(reader.index(&budget()).await.expect("memory").is_some(), "a refusal is not remembered");
    store.put(&path, PutPayload::from_static(b"not an index")).await.expect("puts");
    let reader = BlockReader::open(store, &tenant, &meta).await.expect("opens");
    assert!(reader.index(&budget()).await.expect("memory").is_none());
}

/// Bytes of format 1, kept forever.
#[tokio::test]
async fn indexes_of_format_1_stay_readable() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/block-v1").join(INDEX_FILE);
    let index = open(std::fs::read(&file).expect("the fixture is checked in")).await.expect("opens");
    let budget = budget();
    let tags = index.tags(&budget).await.expect("reads").expect("has tags");
    let span_keys: Vec<_> = tags.keys().filter(|(scope, _)| *scope == IndexScope::Span).collect();
    assert_eq!(span_keys.len(), 9, "{span_keys:?}");
    assert_eq!(listed(&tags, IndexScope::Span, "rare").await, ["Int(1)"]);
    assert_eq!(listed(&tags, IndexScope::Span, "a4").await.len(), 120);
    let services = listed(&tags, IndexScope::Resource, "service.name").await;
    assert_eq!(services, [r#"String("svc0")"#, r#"String("svc1")"#, r#"String("svc2")"#]);
}
