use std::sync::Arc;

use vivace_base::Randomness;
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
fn a_narrow_read_decodes_with_the_rest_empty() {
    let span = rich_span(1);
    let mut builder = SpanBatchBuilder::default();
    builder.push(&span);
    let batch = builder.finish().project(&[0, 5]).expect("columns");
    let mut decoder = SpanDecoder::new(&batch).expect("layout");
    let decoded = decoder.span(0);
    assert_eq!((decoded.trace_id, decoded.name), (span.trace_id, span.name));
    assert_eq!((decoded.span_id, decoded.start, decoded.attributes), (SpanId([0; 8]), 0, Vec::new()));
    assert_eq!(*decoded.resource, Resource::default());
}

#[test]
fn a_column_of_the_wrong_type_is_named() {
    let batch = SpanBatchBuilder::default().finish();
    let wrong = batch.project(&[1]).expect("column").columns().to_vec();
    let field = arrow::datatypes::Field::new("trace_id", wrong[0].data_type().clone(), true);
    let schema = Arc::new(arrow::datatypes::Schema::new(vec![field.with_name("kind")]));
    let batch = arrow::array::RecordBatch::try_new(schema, wrong).expect("a batch");
    let error = SpanDecoder::new(&batch).err().expect("wrong type");
    assert_eq!(error.column, vivace_model::schema::KIND);
}

/// Rows of different shapes: attributes in and out of order, of changing types, frequent and rare.
fn shaped_spans(random: &vivace_testkit::SeededRandomness, count: usize) -> Vec<Span> {
    let spans = vivace_testkit::TraceGenerator::new(random.next_u64()).traces(count, 8);
    let shuffled = |attributes: &mut Vec<Attribute>| {
        for last in (1..attributes.len()).rev() {
            attributes.swap(last, random.index(last + 1));
        }
    };
    spans
        .into_iter()
        .map(|mut span| {
            if random.chance(30) {
                span.attributes.push(Attribute::new(format!("rare{}", random.below(200)), 1_i64));
                shuffled(&mut span.attributes);
                shuffled(&mut Arc::make_mut(&mut span.resource).attributes);
                shuffled(&mut Arc::make_mut(&mut span.scope).attributes);
            }
            span
        })
        .collect()
}

fn decoded(batch: &arrow::array::RecordBatch) -> Vec<Span> {
    let mut decoder = SpanDecoder::new(batch).expect("layout");
    (0..batch.num_rows()).map(|row| decoder.span(row)).collect()
}

fn in_block_order(mut spans: Vec<Span>) -> Vec<Span> {
    let mut starts: std::collections::HashMap<TraceId, u64> = std::collections::HashMap::new();
    for span in &spans {
        let start = starts.entry(span.trace_id).or_insert(u64::MAX);
        *start = span.start.min(*start);
    }
    spans.sort_by_key(|span| {
        let duration = span.end.wrapping_sub(span.start).cast_signed();
        (starts[&span.trace_id], span.trace_id, span.start, span.span_id, span.kind as i8, duration)
    });
    spans
}

#[test]
fn sorted_batches_stay_sorted_and_whole_when_they_are_joined() {
    use crate::block::{column_order, conform, join_batches, row_order};
    for seed in vivace_testkit::seeds(20) {
        let random = vivace_testkit::SeededRandomness::new(seed);
        let order = AttributeOrder::default();
        let all = shaped_spans(&random, 120);
        let mut batches = Vec::new();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (some, later) = rest.split_at((1 + random.index(90)).min(rest.len()));
            let mut builder = SpanBatchBuilder::default();
            some.iter().for_each(|span| builder.push(span));
            let batch = builder.finish_sorted(&order);
            assert_eq!(decoded(&batch), in_block_order(some.to_vec()), "seed {seed}");
            batches.push(batch);
            rest = later;
        }
        let joined = join_batches(&batches, &order).expect("batches of spans");
        assert_eq!(decoded(&joined), in_block_order(all.clone()), "seed {seed}");
        let mut columns = column_order(&batches);
        columns.retain(|_| random.chance(80));
        let target = Arc::new(vivace_model::schema::block_schema(&columns));
        let conformed: Vec<_> = batches
            .iter()
            .map(|batch| conform(batch, &columns, &target).expect("a batch of spans"))
            .collect();
        let rows = row_order(&conformed).expect("keys");
        let joined = gather_batches(&conformed, &rows).expect("one layout");
        assert_eq!(decoded(&joined), in_block_order(all), "seed {seed}, some columns dropped");
    }
}

#[test]
fn columns_of_several_batches_keep_the_order_they_agree_on() {
    let order = AttributeOrder::default();
    let batch = |keys: &[&str]| {
        let mut span = rich_span(1);
        span.attributes = keys.iter().map(|key| Attribute::new(*key, 1_i64)).collect();
        let mut builder = SpanBatchBuilder::default();
        builder.push(&span);
        builder.finish_sorted(&order)
    };
    let batches = [batch(&["a", "c"]), batch(&["b", "c"]), batch(&["a", "b", "c", "d"]), batch(&["d", "a"])];
    let keys = crate::block::column_order(&batches).into_iter().filter(|own| own.key.len() == 1);
    let keys: Vec<_> = keys.map(|own| own.key).collect();
    let at = |key: &str| keys.iter().position(|known| known == key);
    assert!(at("a") < at("c") && at("b") < at("c") && at("c") < at("d"), "{keys:?}");
}
