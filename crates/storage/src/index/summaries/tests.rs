use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use vivace_model::{Attribute, Resource, Span, SpanKind, StatusCode, Value};

use super::*;
use crate::columns::SpanBatchBuilder;
use crate::columns::tests::rich_span;
use crate::index::buckets::slot;
use crate::index::format::unpack;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;

/// Service, name, kind, status, and how long.
type Key = (Option<String>, String, u8, u8, u16);

fn batch(spans: &[Span]) -> RecordBatch {
    let mut builder = SpanBatchBuilder::default();
    spans.iter().for_each(|span| builder.push(span));
    builder.finish()
}

fn spans(count: u64) -> Vec<Span> {
    let services = [Some(Value::from("shop")), Some(Value::from("cart")), None, Some(Value::from(7_i64))];
    let span = |at: u64| {
        let mut span = rich_span(1);
        let service = &services[(at / 3 % 4) as usize];
        let attributes = service.iter().map(|value| Attribute::new("service.name", value.clone())).collect();
        span.resource = Arc::new(Resource { attributes, ..Resource::default() });
        span.name = format!("name {}", at % 5);
        span.kind = if at % 2 == 0 { SpanKind::Server } else { SpanKind::Client };
        span.status = if at % 7 == 0 { StatusCode::Error } else { StatusCode::Unset };
        span.start = 1_000 * SECOND + at * SECOND / 4;
        span.end = span.start + at * at * 1_000;
        span
    };
    (0..count).map(span).collect()
}

fn service(span: &Span) -> Option<String> {
    span.resource.attributes.first().map(|attribute| format!("{:?}", attribute.value))
}

/// What a table says, by group, cell and slot.
fn said(section: &crate::index::format::SectionBytes, at: usize) -> BTreeMap<(Key, u64), u64> {
    let summaries = decode_root(&section.root).expect("a root");
    let table = &summaries.tables()[at];
    let mut said = BTreeMap::new();
    for chunk in table.chunks(0, u64::MAX) {
        let reference = table.reference(chunk).expect("a reference");
        let start = reference.offset as usize;
        let stored = &section.rest[start..start + reference.length as usize];
        let chunk =
            SummaryChunk::decode(unpack(reference, stored).expect("unpacks"), table).expect("a chunk");
        chunk.for_each(|group, cell, counts| {
            let key = |slot| {
                let service = summaries.service(group.service).map(|value| format!("{:?}", value.to_value()));
                (service, summaries.name(group.name).to_owned(), group.kind, group.status, slot)
            };
            match counts {
                SummaryCounts::Spans(count) => *said.entry((key(0), cell)).or_default() += count,
                SummaryCounts::Slots(slots) => {
                    slots.iter().for_each(|(slot, count)| {
                        *said.entry((key(*slot), cell)).or_default() += count;
                    });
                }
            }
        });
    }
    said
}

#[test]
fn tables_say_what_the_spans_say() {
    let spans = spans(3_000);
    let mut builder = SummariesBuilder::default();
    spans.chunks(700).for_each(|spans| {
        builder.add(&batch(spans)).expect("adds");
        builder.end_chunk().expect("ends");
    });
    let section = builder.section().expect("builds").expect("is there");
    let summaries = decode_root(&section.root).expect("a root");
    assert_eq!(summaries.tables().len(), 3);
    for (at, table) in summaries.tables().iter().enumerate() {
        assert_eq!(table.chunks(0, u64::MAX).count(), 5);
        let mut expected: BTreeMap<(Key, u64), u64> = BTreeMap::new();
        for span in &spans {
            let named = table.dimensions.has(Dimensions::NAME);
            let slots = table.dimensions.has(Dimensions::DURATION);
            let key = (
                service(span),
                // Names that are not told apart are all the first one.
                if named { span.name.clone() } else { spans[0].name.clone() },
                span.kind as u8,
                span.status as u8,
                if slots { slot(span.duration() as i64) } else { 0 },
            );
            let cell = (span.start - 1) / (u64::from(table.seconds) * SECOND);
            *expected.entry((key, cell)).or_default() += 1;
        }
        let said = said(&section, at);
        assert_eq!(said, expected, "{table:?}");
        assert!(table.counts() >= said.len() as u64, "{table:?}");
        let first = expected.keys().map(|(_, cell)| *cell).min().expect("cells");
        assert_eq!(table.chunks(0, first).collect::<Vec<_>>(), [0]);
        assert_eq!(table.chunks(0, first - 1).count(), 0);
    }
}

#[test]
fn too_many_names_cost_the_table_of_names_and_too_many_services_all() {
    let mut many = spans(40_000);
    let tables = |spans: &[Span]| {
        let mut builder = SummariesBuilder::default();
        spans.chunks(8_000).for_each(|spans| builder.add(&batch(spans)).expect("adds"));
        let section = builder.section().expect("builds");
        section.map(|section| {
            let tables = decode_root(&section.root).expect("a root").tables;
            tables.iter().map(|table| table.dimensions).collect::<Vec<_>>()
        })
    };
    for (at, span) in many.iter_mut().enumerate() {
        span.name = format!("GET /{at}");
    }
    let unnamed = tables(&many).expect("there are tables");
    assert!(!unnamed.is_empty() && unnamed.iter().all(|table| !table.has(Dimensions::NAME)), "{unnamed:?}");
    for (at, span) in many.iter_mut().enumerate() {
        let attributes = vec![Attribute::new("service.name", Value::from(format!("service {at}")))];
        span.resource = Arc::new(Resource { attributes, ..Resource::default() });
    }
    assert_eq!(tables(&many), None);
}

#[test]
fn damage_is_no_table() {
    let mut builder = SummariesBuilder::default();
    builder.add(&batch(&spans(50))).expect("adds");
    let section = builder.section().expect("builds").expect("is there");
    let summaries = decode_root(&section.root).expect("a root");
    for end in 0..section.root.len() {
        assert!(decode_root(&section.root[..end]).is_none(), "{end}");
    }
    let table = &summaries.tables()[2];
    let reference = table.reference(0).expect("a reference");
    let start = reference.offset as usize;
    let chunk = unpack(reference, &section.rest[start..start + reference.length as usize]).expect("unpacks");
    for end in 0..chunk.len() {
        assert!(SummaryChunk::decode(chunk[..end].to_vec(), table).is_none(), "{end}");
    }
    assert!(SummariesBuilder::default().section().expect("builds").is_none());
}
