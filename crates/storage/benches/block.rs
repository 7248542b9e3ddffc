//! What a block costs to write and to index, and what it answers: filters on columns, traces by id.

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::{Builder, Runtime};
use vivace_base::{BlockId, ByteSize, MemoryBudget};
use vivace_model::schema::{self, AttributeScope};
use vivace_model::{TenantId, TraceId};
use vivace_storage::block::{build_block, choose_columns, conform, store_block};
use vivace_storage::columns::{AttributeOrder, AttributeValues, SpanBatchBuilder, ValueRef, column};
use vivace_storage::index::{IndexBuilder, TraceHash};
use vivace_storage::{BlockReader, Projection, limits};
use vivace_testkit::MeshGenerator;

const TRACES: usize = 3_200;
const SPANS: u64 = (TRACES * MeshGenerator::SPANS_PER_TRACE) as u64;
const SLOW_NANOS: i64 = 49_000_000;

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

/// Spans as the head has them when a block is cut.
fn spans() -> RecordBatch {
    let mut builder = SpanBatchBuilder::default();
    MeshGenerator::new(3).traces(TRACES).iter().for_each(|span| builder.push(span));
    builder.finish_sorted(&AttributeOrder::default())
}

/// A block of the spans in memory, opened, and the ids in it.
async fn opened(spans: &RecordBatch) -> (BlockReader, Vec<TraceId>) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (tenant, id): (_, BlockId) = (TenantId::single(), "0".repeat(32).parse().expect("an id"));
    let block = build_block(std::slice::from_ref(spans)).expect("builds");
    let (file, index) = (block.bytes.len() as u64, block.index.len() as u64);
    eprintln!("{} B of file and {} B of index for 1000 spans", file * 1000 / SPANS, index * 1000 / SPANS);
    let meta = store_block(&*store, &tenant, id, block, None).await.expect("stores");
    let ids = MeshGenerator::new(3).traces(TRACES).iter().map(|span| span.trace_id).collect();
    (BlockReader::open(store, &tenant, &meta).await.expect("opens"), ids)
}

fn writing(c: &mut Criterion) {
    let spans = [spans()];
    let mut group = c.benchmark_group("write");
    group.sample_size(10).throughput(Throughput::Elements(SPANS));
    group.bench_function("block of 64 k", |b| b.iter(|| build_block(black_box(&spans)).expect("builds")));
    let columns = choose_columns(&spans).expect("columns of spans");
    let target = Arc::new(schema::block_schema(&columns));
    let rows = conform(&spans[0], &columns, &target).expect("columns of spans");
    let parts: Vec<RecordBatch> = (0..rows.num_rows())
        .step_by(limits::BLOCK_WRITE_ROWS)
        .map(|at| rows.slice(at, limits::BLOCK_WRITE_ROWS.min(rows.num_rows() - at)))
        .collect();
    group.bench_function("index of 64 k", |b| {
        b.iter(|| {
            let mut index = IndexBuilder::default();
            parts.iter().for_each(|part| index.add(black_box(part)).expect("columns of spans"));
            index.finish().expect("an index")
        });
    });
    group.finish();
}

/// How many rows of a block the filter keeps.
async fn matching(
    reader: &BlockReader,
    projection: &Projection,
    keeps: impl Fn(&RecordBatch) -> usize,
) -> usize {
    let mut batches = reader.read(projection).expect("opens");
    let mut found = 0;
    while let Some(batch) = batches.try_next().await.expect("reads") {
        found += keeps(&batch);
    }
    found
}

fn texts<'a>(batch: &'a RecordBatch, scope: AttributeScope, key: &str) -> AttributeValues<'a> {
    AttributeValues::gather(batch, scope, key).expect("columns of spans")
}

fn scanning(c: &mut Criterion) {
    let runtime = runtime();
    let (reader, _) = runtime.block_on(opened(&spans()));
    let mut group = c.benchmark_group("scan");
    group.sample_size(20).throughput(Throughput::Elements(SPANS));
    let mut equal = Projection::default();
    equal.attributes.push((AttributeScope::Resource, "service.name".to_owned()));
    equal.attributes.push((AttributeScope::Span, "http.method".to_owned()));
    let both = |batch: &RecordBatch| {
        let services = texts(batch, AttributeScope::Resource, "service.name").0;
        let methods = texts(batch, AttributeScope::Span, "http.method").0;
        let (service, method) = (Some(ValueRef::String("reviews")), Some(ValueRef::String("POST")));
        services.iter().zip(&methods).filter(|(s, m)| **s == service && **m == method).count()
    };
    group.bench_function("two equal texts", |b| {
        b.iter(|| runtime.block_on(matching(black_box(&reader), &equal, both)));
    });
    let numeric = Projection { fixed: vec![schema::DURATION], ..Projection::default() };
    let slow = |batch: &RecordBatch| {
        let durations: &Int64Array = column(batch, schema::DURATION).expect("columns of spans");
        durations.values().iter().filter(|nanos| **nanos > SLOW_NANOS).count()
    };
    group.bench_function("a number above another", |b| {
        b.iter(|| runtime.block_on(matching(black_box(&reader), &numeric, slow)));
    });
    for (name, found) in [
        ("two equal texts", runtime.block_on(matching(&reader, &equal, both))),
        ("a number above another", runtime.block_on(matching(&reader, &numeric, slow))),
    ] {
        eprintln!("{name}: {found} of {SPANS} rows");
    }
    group.finish();
}

/// The rows of a trace, by its id.
async fn lookup(reader: &BlockReader, id: TraceId, budget: &Arc<MemoryBudget>) -> usize {
    let ids = reader.trace_ids(budget).await.expect("an index");
    let runs = reader.trace_runs(budget).await.expect("an index");
    let rows: Vec<_> = ids.find(TraceHash::of(&id)).map(|entry| runs.rows(entry)).collect();
    let batches = reader.read_rows(&rows, &Projection::everything(), budget).expect("opens");
    let batches: Vec<RecordBatch> = batches.try_collect().await.expect("reads");
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn looking_up(c: &mut Criterion) {
    let (runtime, budget) = (runtime(), MemoryBudget::new(ByteSize::from_mib(256)));
    let (reader, ids) = runtime.block_on(opened(&spans()));
    let mut next = ids.iter().cycle().step_by(7919);
    c.bench_function("lookup/a trace by id", |b| {
        b.iter(|| {
            let id = *next.next().expect("it goes round");
            let rows = runtime.block_on(lookup(&reader, id, &budget));
            assert_eq!(rows, MeshGenerator::SPANS_PER_TRACE);
        });
    });
}

criterion_group!(benches, writing, scanning, looking_up);
criterion_main!(benches);
