use std::collections::BTreeMap;

use vivace_model::{Span, SpanId, SpanKind, StatusCode, TraceId};
use vivace_testkit::SpanBuilder;

use super::*;
use crate::columns::SpanBatchBuilder;
use crate::index::format::unpack;

const MINUTE: u64 = 60_000_000_000;

fn batch(spans: &[Span]) -> RecordBatch {
    let mut builder = SpanBatchBuilder::default();
    spans.iter().for_each(|span| builder.push(span));
    builder.finish()
}

/// Traces in which `front` asks one of three services, a second apart; every fourth call fails.
fn spans(traces: u64) -> Vec<Span> {
    let span = |trace: u64, id: u64, service: &str, kind, start: u64, length: u64| {
        let mut span =
            SpanBuilder::new("call").service(service).kind(kind).times(start, start + length).build();
        span.trace_id = TraceId(u128::from(trace + 1).to_be_bytes());
        span.span_id = SpanId(id.to_be_bytes());
        span.parent_span_id = (id > 1).then(|| SpanId(1_u64.to_be_bytes()));
        span
    };
    let each = |trace: u64| {
        let start = 100 * MINUTE + trace * 1_000_000_000;
        let client = span(trace, 1, "front", SpanKind::Client, start, 2_000 + trace);
        let mut server = span(trace, 2, &format!("back {}", trace % 3), SpanKind::Server, start + 5, 1_000);
        if trace.is_multiple_of(4) {
            server.status = StatusCode::Error;
        }
        [client, server]
    };
    (0..traces).flat_map(each).collect()
}

type Counts = (u64, u64, u64, u64);

/// By connection, client, server and cell: calls, errors, and how many have latencies.
fn said(section: &SectionBytes) -> BTreeMap<(String, u64), Counts> {
    let edges = decode_root(&section.root).expect("a root");
    let mut said = BTreeMap::new();
    for chunk in edges.chunks(0, u64::MAX) {
        let reference = edges.reference(chunk).expect("a reference");
        let start = reference.offset as usize;
        let stored = &section.rest[start..start + reference.length as usize];
        let chunk = EdgeChunk::decode(unpack(reference, stored).expect("unpacks")).expect("a chunk");
        chunk.for_each(|cell| {
            let name = |number: u32| &*edges.names()[number as usize];
            let key = format!("{:?} {} {}", cell.connection, name(cell.client), name(cell.server));
            let sum = |latencies: &[(u16, u64)]| latencies.iter().map(|(_, count)| count).sum::<u64>();
            assert!(cell.server_latencies.is_sorted());
            let counts: &mut Counts = said.entry((key, cell.cell)).or_default();
            counts.0 += cell.calls;
            counts.1 += cell.errors;
            counts.2 += sum(cell.client_latencies);
            counts.3 += sum(cell.server_latencies);
        });
    }
    said
}

#[test]
fn edges_say_what_calls_say() {
    let spans = spans(1_000);
    let mut builder = EdgesBuilder::default();
    for spans in spans.chunks(300) {
        builder.add(&batch(spans)).expect("adds");
        builder.end_chunk().expect("ends");
    }
    let section = builder.section().expect("builds").expect("is there");
    let mut expected: BTreeMap<(String, u64), Counts> = BTreeMap::new();
    for pair in spans.chunks(2) {
        let cell = pair[0].start / (EDGE_MINUTES * MINUTE);
        let service = pair[1].resource.service_name().expect("a service");
        let failed = u64::from(pair[1].status == StatusCode::Error);
        for (key, client) in
            [(format!("Some(Request) front {service}"), 1), (format!("None {service} {service}"), 0)]
        {
            let counts = expected.entry((key, cell)).or_default();
            *counts = (counts.0 + 1, counts.1 + failed, counts.2 + client, counts.3 + 1);
        }
    }
    assert_eq!(said(&section), expected);
    let edges = decode_root(&section.root).expect("a root");
    assert!(edges.chunks(0, u64::MAX).count() > 3);
    assert_eq!(edges.chunks(0, 19).count(), 0);
    assert_eq!(edges.chunks(20, 20).next(), Some(0));
}

#[test]
fn too_many_services_cost_the_section_and_damage_is_noticed() {
    let mut many = spans(20_000);
    for (at, span) in many.iter_mut().enumerate() {
        *span = SpanBuilder::new("call").service(&format!("service {at}")).kind(SpanKind::Server).build();
    }
    let mut builder = EdgesBuilder::default();
    many.chunks(8_000).for_each(|spans| builder.add(&batch(spans)).expect("adds"));
    assert!(builder.section().expect("builds").is_none());

    let mut builder = EdgesBuilder::default();
    builder.add(&batch(&spans(20))).expect("adds");
    let section = builder.section().expect("builds").expect("is there");
    for end in 0..section.root.len() {
        assert!(decode_root(&section.root[..end]).is_none(), "{end}");
    }
    let reference = *decode_root(&section.root).expect("a root").reference(0).expect("a reference");
    let chunk = unpack(&reference, &section.rest).expect("unpacks");
    for end in 0..chunk.len() {
        assert!(EdgeChunk::decode(chunk[..end].to_vec()).is_none(), "{end}");
    }
}
