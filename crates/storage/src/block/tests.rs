mod tables;

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use vivace_base::{BlockId, ByteSize, MemoryBudget};
use vivace_model::schema::AttributeScope;
use vivace_model::{Attribute, Span, TenantId, TraceId, Value};
use vivace_testkit::SpanBuilder;

use super::*;
use crate::columns::tests::rich_span;
use crate::columns::{SpanBatchBuilder, SpanDecoder};
use crate::index::{INDEX_FILE, SummaryCounts, TraceHash, ValueHash};
use crate::{BlockMeta, limits};

fn batch(spans: &[Span]) -> RecordBatch {
    let mut builder = SpanBatchBuilder::default();
    spans.iter().for_each(|span| builder.push(span));
    builder.finish()
}

async fn stored(spans: &[Span]) -> (Arc<dyn ObjectStore>, TenantId, BlockMeta) {
    let halves = spans.split_at(spans.len() / 2);
    put(build_block(&[batch(halves.0), batch(halves.1)]).expect("builds")).await
}

/// The block in a store of its own.
async fn put(block: BuiltBlock) -> (Arc<dyn ObjectStore>, TenantId, BlockMeta) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let tenant = TenantId::single();
    let id: BlockId = "0".repeat(32).parse().expect("id");
    let meta = store_block(&*store, &tenant, id, block, None).await.expect("stores");
    (store, tenant, meta)
}

async fn read_all(reader: &BlockReader) -> Vec<Span> {
    decoded(reader.read(&Projection::everything()).expect("opens")).await
}

async fn decoded(batches: SpanStream) -> Vec<Span> {
    let decode = |batch: RecordBatch| {
        let mut decoder = SpanDecoder::new(&batch).expect("layout");
        (0..batch.num_rows()).map(|row| decoder.span(row)).collect::<Vec<_>>()
    };
    let spans: Vec<Vec<Span>> = batches.map_ok(decode).try_collect().await.expect("reads");
    spans.concat()
}

#[tokio::test]
async fn keeps_every_span_in_trace_order() {
    let mut spans: Vec<_> = (1..40).map(rich_span).collect();
    let mut late = rich_span(1);
    late.span_id.0[0] = 77;
    late.start = 9_999;
    spans.push(late);
    let (store, tenant, meta) = stored(&spans).await;
    assert_eq!((meta.rows, meta.traces), (40, 39));
    let reader = BlockReader::open(store, &tenant, &meta).await.expect("opens");
    let read = read_all(&reader).await;
    spans.sort_by_key(|span| (span.trace_id, span.start));
    assert_eq!(read, spans, "traces 1 to 39 start in the order of their ids");
}

#[tokio::test]
async fn frequent_attributes_get_columns_and_rare_ones_do_not() {
    let mut spans: Vec<_> = (0..250).map(|at| rich_span(at as u8)).collect();
    spans[3].attributes.push(Attribute::new("rare", 1_i64));
    spans[4].attributes[1].value = Value::from(4_i64);
    let columns = choose_columns(&[batch(&spans)]).expect("layout");
    let names: Vec<_> = columns.iter().map(|own| own.column_name()).collect();
    assert!(names.contains(&"span.a1:str".to_owned()));
    assert!(names.contains(&"resource.service.name:str".to_owned()));
    assert!(!names.contains(&"span.rare:int".to_owned()) && !names.contains(&"span.a1:int".to_owned()));

    let (store, tenant, meta) = stored(&spans).await;
    let reader = BlockReader::open(store, &tenant, &meta).await.expect("opens");
    let read = read_all(&reader).await;
    assert_eq!(
        read.iter().find(|span| span.trace_id == spans[4].trace_id),
        Some(&spans[4]),
        "the odd type comes back from the list"
    );
}

#[tokio::test]
async fn a_projection_reads_only_what_it_names() {
    let (store, tenant, meta) = stored(&[rich_span(1), rich_span(2)]).await;
    let reader = BlockReader::open(store, &tenant, &meta).await.expect("opens");
    let mut projection = Projection { fixed: vec!["name"], ..Projection::default() };
    projection.attribute(AttributeScope::Span, "a3");
    let batches: Vec<_> = reader.read(&projection).expect("opens").try_collect().await.expect("reads");
    let schema = batches[0].schema();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["name", "span_attributes", "span.a3:int"]);
}

#[tokio::test]
async fn what_one_query_reads_is_counted_and_bounded() {
    let memory = MemoryBudget::new(ByteSize::from_mib(64));
    let spans: Vec<_> = (1..40).map(rich_span).collect();
    let (store, tenant, meta) = stored(&spans).await;
    let reader = BlockReader::open(store, &tenant, &meta).await.expect("opens");
    let names = Projection { fixed: vec!["name"], ..Projection::default() };
    let everything = Projection::everything();
    let drain = async |batches: Result<SpanStream, BlockError>| -> Result<(), BlockError> {
        batches?.try_for_each(|_| std::future::ready(Ok(()))).await
    };
    let read_by = async |projection: &Projection, some_rows: bool| {
        let meter = ReadMeter::new(None);
        let metered = reader.clone().metered(&meter);
        let rows = 0..metered.row_count();
        let batches = if some_rows {
            metered.read_rows(std::slice::from_ref(&rows), projection, &memory)
        } else {
            metered.read(projection)
        };
        drain(batches).await.expect("reads");
        meter.read()
    };
    for some_rows in [false, true] {
        let (few, all) = (read_by(&names, some_rows).await, read_by(&everything, some_rows).await);
        assert!(few > 0 && few * 5 < all && all < meta.bytes, "{few} and {all} of {}", meta.bytes);
    }
    // Pieces of a query share a limit; what went before counts.
    let few = read_by(&names, false).await;
    let meter = ReadMeter::new(Some(ByteSize::from_bytes(2 * few)));
    let metered = reader.metered(&meter);
    for _ in 0..2 {
        drain(metered.read(&names)).await.expect("is allowed");
    }
    let error = drain(metered.read(&names)).await.expect_err("too much");
    assert!(
        matches!(error, BlockError::TooMuchRead(TooMuchRead(limit)) if limit.bytes() == 2 * few),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let rows = 0..metered.row_count();
    let error =
        drain(metered.read_rows(std::slice::from_ref(&rows), &names, &memory)).await.expect_err("too much");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn damage_is_named() {
    let (store, tenant, meta) = stored(&[rich_span(1)]).await;
    let path = crate::paths::block_prefix(&tenant, meta.id).join(SPANS_FILE);
    store.put(&path, PutPayload::from_static(b"not parquet at all")).await.expect("puts");
    let error = BlockReader::open(Arc::clone(&store), &tenant, &meta).await.expect_err("damaged");
    assert!(matches!(&error, BlockError::Corrupt { path, .. } if path.ends_with(SPANS_FILE)), "{error}");
    store.delete(&path).await.expect("deletes");
    let error = BlockReader::open(store, &tenant, &meta).await.expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

/// Each byte of the file, a few at a time: never other spans, and no panic.
#[tokio::test]
async fn any_changed_byte_of_the_file_is_found() {
    let spans: Vec<_> = (1..60).map(rich_span).collect();
    let (store, tenant, meta) = stored(&spans).await;
    let path = crate::paths::block_prefix(&tenant, meta.id).join(SPANS_FILE);
    let whole = store.get(&path).await.expect("there").bytes().await.expect("read");
    for at in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x10;
        store.put(&path, bytes.into()).await.expect("puts");
        let read = match BlockReader::open(Arc::clone(&store), &tenant, &meta).await {
            Ok(reader) => {
                reader.read(&Projection::everything()).expect("begins").try_collect::<Vec<_>>().await
            }
            Err(error) => Err(error),
        };
        let error = read.expect_err("changed bytes are not read");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
    }
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        store.put(&path, whole.slice(..length).into()).await.expect("puts");
        let error = BlockReader::open(Arc::clone(&store), &tenant, &meta).await.expect_err("cut off");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes: {error}");
    }
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let (store, tenant, mut meta) = stored(&[rich_span(1)]).await;
    meta.format += 1;
    let error = BlockReader::open(store, &tenant, &meta).await.expect_err("too new");
    assert!(matches!(error, BlockError::TooNew { .. }), "{error}");
}

/// Bytes of format 1, kept forever.
#[tokio::test]
async fn blocks_of_format_1_stay_readable() {
    let reader = fixture("block-v1").await;
    assert_eq!(read_all(&reader).await, fixture_spans());
    let runs = reader.trace_runs(&MemoryBudget::new(ByteSize::from_mib(16))).await.expect("from the spans");
    assert!(runs.len() == 120 && !runs.is_distinct(0), "its writer did not look for duplicates");
}

/// Bytes of format 2, kept forever.
#[tokio::test]
async fn blocks_of_format_2_stay_readable() {
    check_indexed(fixture("block-v2").await).await;
}

/// Bytes of format 3, kept forever. `VIVACE_WRITE_FIXTURES=1` writes them anew while format 3 is not released.
#[tokio::test]
async fn blocks_of_format_3_stay_readable() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/block-v3");
    if std::env::var_os("VIVACE_WRITE_FIXTURES").is_some() {
        let block = build_block(&[batch(&fixture_spans())]).expect("builds");
        let FileCheck { length, tail, crc } = block.file;
        std::fs::create_dir_all(&folder).expect("makes the folder");
        std::fs::write(folder.join(SPANS_FILE), block.bytes).expect("writes");
        std::fs::write(folder.join(INDEX_FILE), block.index).expect("writes");
        std::fs::write(folder.join("check"), format!("{length} {tail} {crc}\n")).expect("writes");
    }
    check_indexed(fixture("block-v3").await).await;
}

async fn check_indexed(reader: BlockReader) {
    let budget = MemoryBudget::new(ByteSize::from_mib(16));
    assert_eq!(read_all(&reader).await, fixture_spans());
    let runs = reader.trace_runs(&budget).await.expect("from the index");
    assert!(runs.len() == 120 && runs.is_distinct(0));
    let ids = reader.trace_ids(&budget).await.expect("from the index");
    let seventh = fixture_spans()[7].trace_id;
    assert_eq!(ids.find(TraceHash::of(&seventh)).collect::<Vec<_>>(), [7]);
    let services = reader.zones("resource.service.name:str", &budget).await.expect("memory").expect("known");
    assert!(services.may_have(0, ValueHash::of("svc1")) && !services.may_have(0, ValueHash::of("svc9")));
    let summaries = reader.summaries(&budget).await.expect("memory").expect("there are some");
    for (at, table) in summaries.tables().iter().enumerate() {
        let chunk = reader.summary_chunk((at, 0), &budget).await.expect("memory").expect("is readable");
        let mut spans = 0;
        chunk.for_each(|_, _, counts| match counts {
            SummaryCounts::Spans(count) => spans += count,
            SummaryCounts::Slots(slots) => spans += slots.iter().map(|(_, count)| count).sum::<u64>(),
        });
        assert_eq!(spans, 120, "{table:?}");
    }
    let edges = reader.edges(&budget).await.expect("memory").expect("there are some");
    assert!(edges.names().iter().any(|name| &**name == "svc1"), "{edges:?}");
}

fn fixture_spans() -> Vec<Span> {
    let mut spans: Vec<_> = (1..=120).map(rich_span).collect();
    spans[3].attributes.push(Attribute::new("rare", 1_i64));
    spans
}

/// A block of checked in bytes.
async fn fixture(name: &str) -> BlockReader {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    let (store, tenant, mut meta) = stored(&[rich_span(1)]).await;
    meta.file = std::fs::read_to_string(folder.join("check")).ok().map(|text| {
        let numbers: Vec<u64> =
            text.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        let [length, tail, crc] = numbers[..] else { panic!("three numbers") };
        FileCheck { length, tail, crc: crc.try_into().expect("a CRC") }
    });
    for file in [SPANS_FILE, INDEX_FILE] {
        let bytes = std::fs::read(folder.join(file)).expect("the fixture is checked in");
        let path = crate::paths::block_prefix(&tenant, meta.id).join(file);
        store.put(&path, PutPayload::from(bytes)).await.expect("puts");
    }
    BlockReader::open(store, &tenant, &meta).await.expect("opens")
}

/// Rows that stand close together, in pages between which others are left out.
#[tokio::test]
async fn picked_rows_are_read_whatever_pages_lie_between() {
    let spans: Vec<_> = (1..=120).map(rich_span).collect();
    for page_rows in [1, 3, 120] {
        let columns = choose_columns(&[batch(&spans)]).expect("layout");
        let mut writer = BlockWriter::new(columns).expect("columns").with_rows(1_000, page_rows);
        writer.write(&batch(&spans)).expect("rows in order");
        let (store, tenant, meta) = put(writer.finish().expect("builds")).await;
        let reader = BlockReader::open(store, &tenant, &meta).await.expect("opens");
        for step in [2, 3, 7, 40, 119] {
            let wanted: Vec<usize> = (1..spans.len()).step_by(step).collect();
            let rows: Vec<_> = wanted.iter().map(|row| *row..row + 1).collect();
            let stream = reader
                .read_rows(&rows, &Projection::everything(), &MemoryBudget::new(ByteSize::from_mib(256)))
                .expect("opens");
            let expected: Vec<_> = wanted.iter().map(|row| spans[*row].clone()).collect();
            assert_eq!(decoded(stream).await, expected, "every {step} of pages of {page_rows}");
        }
    }
}

#[tokio::test]
async fn rows_read_a_little_at_a_time_are_the_same_rows() {
    let trace = |number: u128, count: u64| {
        (1..=count).map(move |id| {
            let span = SpanBuilder::new("call").trace(number).id(id).start_ms(number as u64 * 1_000_000 + id);
            if id == 1 { span.build() } else { span.parent(1 + (id * 7) % (id - 1)).build() }
        })
    };
    let large = 2 * limits::TRICKLED_ROWS as u64 + 100;
    let spans: Vec<Span> = trace(1, 10).chain(trace(2, large)).chain(trace(3, 5_000)).collect();
    let (store, tenant, meta) = stored(&spans).await;
    let reader = BlockReader::open(store, &tenant, &meta).await.expect("opens");
    let budget = MemoryBudget::new(ByteSize::from_mib(64));
    let runs = reader.trace_runs(&budget).await.expect("traces");
    let all = Projection::everything();
    for entries in [vec![0, 1, 2], vec![1], vec![0, 2], vec![2]] {
        let rows: Vec<_> = entries.iter().map(|entry| runs.rows(*entry)).collect();
        let expected = decoded(
            reader.read_rows(&rows, &all, &MemoryBudget::new(ByteSize::from_mib(256))).expect("reads"),
        )
        .await;
        let batches: Vec<_> =
            reader.trickle_rows(&rows, &all, 1_000).expect("reads").try_collect().await.expect("reads");
        assert!(batches.iter().all(|batch| batch.num_rows() <= 1_000));
        let trickled = decoded(futures::stream::iter(batches.into_iter().map(Ok)).boxed()).await;
        assert_eq!(trickled.len(), rows.iter().map(std::ops::Range::len).sum::<usize>());
        assert_eq!(trickled, expected, "{entries:?}");
    }
}
