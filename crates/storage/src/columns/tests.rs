use std::sync::Arc;

use vivace_model::{
    Attribute, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId, Value,
};

use super::*;

pub(crate) fn rich_span(seed: u8) -> Span {
    let values = [
        Value::Empty,
        Value::from("text"),
        Value::from(true),
        Value::from(-7_i64),
        Value::from(0.1 + f64::from(seed)),
        Value::Bytes(vec![0, seed]),
        Value::Array(vec![Value::from("a"), Value::from(1_i64)]),
        Value::Map(vec![("k".to_owned(), Value::from(f64::INFINITY))]),
    ];
    let attributes: Vec<_> =
        values.into_iter().enumerate().map(|(at, value)| Attribute::new(format!("a{at}"), value)).collect();
    Span {
        trace_id: TraceId([seed; 16]),
        span_id: SpanId([seed.max(1); 8]),
        parent_span_id: seed.is_multiple_of(2).then_some(SpanId([9; 8])),
        trace_state: if seed.is_multiple_of(3) { String::new() } else { "k=v".to_owned() },
        flags: 257,
        name: format!("span {seed}"),
        kind: SpanKind::Client,
        start: 1_000 + u64::from(seed),
        end: if seed == 5 { 0 } else { 5_000 },
        status: StatusCode::Error,
        status_message: "broken".to_owned(),
        attributes: attributes.clone(),
        dropped_attributes: 1,
        events: vec![Event {
            time: 1_500,
            name: "exception".to_owned(),
            attributes: attributes.clone(),
            dropped_attributes: 4,
        }],
        dropped_events: 2,
        links: vec![Link {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            trace_state: String::new(),
            flags: 1,
            attributes: attributes.clone(),
            dropped_attributes: 5,
        }],
        dropped_links: 3,
        resource: Arc::new(Resource {
            attributes: vec![Attribute::new("service.name", format!("svc{}", seed % 3))],
            dropped_attributes: 6,
            schema_url: "https://schema".to_owned(),
        }),
        scope: Arc::new(Scope {
            name: "lib".to_owned(),
            version: String::new(),
            attributes,
            dropped_attributes: 7,
            schema_url: String::new(),
        }),
    }
}

#[test]
fn every_field_survives() {
    let spans: Vec<_> = (0..9).map(rich_span).collect();
    let mut builder = SpanBatchBuilder::default();
    spans.iter().for_each(|span| builder.push(span));
    let batch = builder.finish();
    let mut decoder = SpanDecoder::new(&batch).expect("layout");
    for (row, span) in spans.iter().enumerate() {
        assert_eq!(decoder.span(row), *span);
    }
}

#[test]
fn attributes_are_gathered_from_the_list() {
    let mut builder = SpanBatchBuilder::default();
    builder.push(&rich_span(1));
    let batch = builder.finish();
    let scope = vivace_model::schema::AttributeScope::Span;
    let gathered = AttributeValues::gather(&batch, scope, "a3").expect("layout");
    assert_eq!(gathered.0, [Some(ValueRef::Int(-7))]);
    let absent = AttributeValues::gather(&batch, scope, "nope").expect("layout");
    assert_eq!(absent.0, [None]);
}

#[test]
fn a_missing_column_is_named() {
    let batch = SpanBatchBuilder::default().finish().project(&[0, 1]).expect("columns");
    let error = SpanDecoder::new(&batch).err().expect("columns are missing");
    assert_eq!(error.column, vivace_model::schema::PARENT_SPAN_ID);
}
