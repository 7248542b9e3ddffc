//! What a span costs on its way in: OTLP bytes to columns, and joining columns in the head.

use std::hint::black_box;

use arrow::array::RecordBatch;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use vivace_ingest::otlp::columns;
use vivace_storage::block::{build_block, join_batches};
use vivace_storage::columns::AttributeOrder;
use vivace_testkit::SeededRandomness;

const SERVICES: [&str; 8] =
    ["ingress", "frontend", "checkout", "payment", "catalog", "reviews", "ratings", "shipping"];
const SPANS_PER_TRACE: usize = 20;

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

fn number(key: &str, value: i64) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::IntValue(value)) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

/// As a proxy of a mesh reports a call.
fn proxy_attributes(random: &SeededRandomness, service: &str) -> Vec<KeyValue> {
    let request = random.bytes(16).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let user = random.below(5000);
    vec![
        text("node_id", format!("sidecar~10.0.0.{}~{service}~cluster.local", random.below(20))),
        text("zone", ""),
        text("guid:x-request-id", request),
        text("http.url", format!("http://{service}.shop.svc:8080/api/v1/users/{user}/cart")),
        text("http.method", *random.pick(&["GET", "GET", "POST"])),
        text("downstream_cluster", "-"),
        text("user_agent", "Go-http-client/1.1"),
        text("http.protocol", "HTTP/1.1"),
        text("peer.address", format!("10.0.0.{}", random.below(20))),
        text("request_size", random.below(3000).to_string()),
        text("response_size", random.below(9000).to_string()),
        text("component", "proxy"),
        text("upstream_cluster", format!("outbound|8080||{service}.shop.svc.cluster.local")),
        number("http.status_code", *random.pick(&[200, 200, 200, 404, 503])),
        text("response_flags", "-"),
        text("istio.mesh_id", "cluster.local"),
        text("istio.canonical_service", service),
        text("istio.canonical_revision", "v1"),
    ]
}

/// As an SDK reports work.
fn sdk_attributes(random: &SeededRandomness) -> Vec<KeyValue> {
    vec![
        text("rpc.system", "grpc"),
        text("rpc.service", "shop.Cart"),
        text("rpc.method", *random.pick(&["Get", "Put", "List"])),
        number("rpc.grpc.status_code", 0),
        text("server.address", "cart.shop.svc"),
        number("server.port", 8080),
        number("thread.id", random.below(64) as i64),
        text("enduser.id", format!("user-{}", random.below(5000))),
    ]
}

fn resource_spans(service: &str, spans: Vec<Span>) -> ResourceSpans {
    let attributes = vec![
        text("service.name", service),
        text("k8s.namespace.name", "shop"),
        text("k8s.pod.name", format!("{service}-7d9f8c6b5-x2x4z")),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", "go"),
    ];
    let scope = InstrumentationScope { name: "shop".into(), version: "1.4.2".into(), ..Default::default() };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }],
        ..Default::default()
    }
}

/// A request as a collector sends it: spans of whole traces, by the service that reports them.
fn request(
    random: &SeededRandomness,
    traces: usize,
    extra: impl Fn(&SeededRandomness) -> Vec<KeyValue>,
) -> Vec<u8> {
    let mut by_service: Vec<Vec<Span>> = SERVICES.iter().map(|_| Vec::new()).collect();
    for _ in 0..traces {
        let trace_id = random.bytes(16);
        let start = 1_700_000_000_000_000_000 + random.below(60_000_000_000);
        let mut parent = Vec::new();
        for number in 0..SPANS_PER_TRACE {
            let at = random.index(SERVICES.len());
            let proxy = number % 3 != 0;
            let mut attributes =
                if proxy { proxy_attributes(random, SERVICES[at]) } else { sdk_attributes(random) };
            attributes.extend(extra(random));
            let span_id = random.bytes(8);
            let start = start + number as u64 * 1_000_000;
            by_service[at].push(Span {
                trace_id: trace_id.clone(),
                span_id: span_id.clone(),
                parent_span_id: std::mem::replace(&mut parent, span_id),
                name: format!("{}.shop.svc.cluster.local:8080/*", SERVICES[at]),
                kind: 2 + i32::from(proxy),
                start_time_unix_nano: start,
                end_time_unix_nano: start + random.below(50_000_000),
                attributes,
                status: Some(Status { code: 0, ..Default::default() }),
                ..Default::default()
            });
        }
    }
    let groups = SERVICES.iter().zip(by_service);
    let resource_spans = groups.map(|(service, spans)| resource_spans(service, spans)).collect();
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// Twenty of ten thousand keys.
fn many_keys(random: &SeededRandomness) -> Vec<KeyValue> {
    (0..20)
        .map(|_| text(&format!("custom.key.{}", random.below(10_000)), random.below(100).to_string()))
        .collect()
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (name, traces, wide) in [("mesh", 50, false), ("mesh, small", 1, false), ("wide", 50, true)] {
        let random = SeededRandomness::new(1);
        let body = request(&random, traces, |random| if wide { many_keys(random) } else { Vec::new() });
        let spans = traces * SPANS_PER_TRACE;
        let order = AttributeOrder::default();
        let batch = columns(&body, &order).expect("well-formed").spans;
        println!(
            "{name}: {} B of OTLP and {} B of columns a span, {} columns",
            body.len() / spans,
            batch.get_array_memory_size() / spans,
            batch.num_columns()
        );
        group.throughput(Throughput::Elements(spans as u64));
        group.bench_function(BenchmarkId::new("columns", name), |b| {
            b.iter(|| columns(black_box(&body), &order).expect("well-formed"));
        });
        group.bench_function(BenchmarkId::new("prost", name), |b| {
            b.iter(|| ExportTraceServiceRequest::decode(black_box(body.as_slice())).expect("well-formed"));
        });
    }
    group.finish();
}

fn batches(count: usize, wide: bool, order: &AttributeOrder) -> Vec<RecordBatch> {
    let random = SeededRandomness::new(2);
    let body = || request(&random, 50, |random| if wide { many_keys(random) } else { Vec::new() });
    (0..count).map(|_| columns(&body(), order).expect("well-formed").spans).collect()
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
        println!("{name}: {} B a span when joined", whole.get_array_memory_size() / whole.num_rows());
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

fn building(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    let order = AttributeOrder::default();
    let parts = batches(64, false, &order);
    let whole = [join_batches(&parts, &order).expect("batches of spans")];
    group.throughput(Throughput::Elements(whole[0].num_rows() as u64));
    group.bench_function("block of 64 k", |b| b.iter(|| build_block(black_box(&whole)).expect("builds")));
    group.finish();
}

criterion_group!(benches, decoding, joining, building);
criterion_main!(benches);
