//! What a span costs on its way in: OTLP bytes to columns, and joining columns in the head.

use std::hint::black_box;

use arrow::array::RecordBatch;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use vivace_ingest::otlp::{columns, encode};
use vivace_storage::block::join_batches;
use vivace_storage::columns::AttributeOrder;
use vivace_testkit::MeshGenerator;

/// Attributes may be as long by default.
const LONGEST: usize = 2048;

/// A request as a collector sends it: spans of whole traces, by the service that reports them.
fn request(mesh: &mut MeshGenerator, traces: usize) -> Vec<u8> {
    ExportTraceServiceRequest { resource_spans: encode(&mesh.traces(traces)) }.encode_to_vec()
}

fn mesh(seed: u64, wide: bool) -> MeshGenerator {
    let mesh = MeshGenerator::new(seed);
    if wide { mesh.wide() } else { mesh }
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (name, traces, wide) in [("mesh", 50, false), ("mesh, small", 1, false), ("wide", 50, true)] {
        let body = request(&mut mesh(1, wide), traces);
        let spans = traces * MeshGenerator::SPANS_PER_TRACE;
        let order = AttributeOrder::default();
        let batch = columns(&body, &order, LONGEST).expect("well-formed").spans;
        eprintln!(
            "{name}: {} B of OTLP and {} B of columns a span, {} columns",
            body.len() / spans,
            batch.get_array_memory_size() / spans,
            batch.num_columns()
        );
        group.throughput(Throughput::Elements(spans as u64));
        group.bench_function(BenchmarkId::new("columns", name), |b| {
            b.iter(|| columns(black_box(&body), &order, LONGEST).expect("well-formed"));
        });
        group.bench_function(BenchmarkId::new("prost", name), |b| {
            b.iter(|| ExportTraceServiceRequest::decode(black_box(body.as_slice())).expect("well-formed"));
        });
    }
    group.finish();
}

fn batches(count: usize, wide: bool, order: &AttributeOrder) -> Vec<RecordBatch> {
    let mut mesh = mesh(2, wide);
    (0..count).map(|_| columns(&request(&mut mesh, 50), order, LONGEST).expect("well-formed").spans).collect()
}

fn joining(c: &mut Criterion) {
    let mut group = c.benchmark_group("join");
    group.sample_size(20);
    for (name, wide) in [("mesh", false), ("wide", true)] {
        let order = AttributeOrder::default();
        let first = batches(64, wide, &order);
        let join = |parts: &[RecordBatch]| join_batches(parts, &order).expect("batches of spans");
        let second: Vec<_> = first.chunks(4).map(join).collect();
        let third: Vec<_> = second.chunks(4).map(join).collect();
        let whole = join(&third);
        eprintln!("{name}: {} B a span when joined", whole.get_array_memory_size() / whole.num_rows());
        for (level, parts) in
            [("4 of 1 k", &first[..4]), ("4 of 4 k", &second[..4]), ("4 of 16 k", &third[..4])]
        {
            let rows: usize = parts.iter().map(RecordBatch::num_rows).sum();
            group.throughput(Throughput::Elements(rows as u64));
            group.bench_function(BenchmarkId::new(name, level), |b| b.iter(|| join(black_box(parts))));
        }
    }
    group.finish();
}

criterion_group!(benches, decoding, joining);
criterion_main!(benches);
