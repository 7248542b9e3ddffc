//! What is sent as OTLP comes back as OTLP: through columns, the log, blocks as they are cut and as they are merged.

use std::collections::HashSet;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use vivace_e2e::cases::Store;
use vivace_e2e::wild::Wild;
use vivace_ingest::otlp::encode;
use vivace_testkit::{SeededRandomness, seeds};

const SEEDS: u64 = 30;
const BLOCKS: usize = 3;
const REQUESTS_PER_BLOCK: u64 = 4;
const TRACES: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_comes_back_as_it_was_sent() {
    for seed in seeds(SEEDS) {
        // Prints the seed if this fails.
        let random = SeededRandomness::new(seed);
        let (mut wild, store) = (Wild::new(seed), Store::empty().await);
        let mut sent = Vec::new();
        for _ in 0..BLOCKS {
            for _ in 0..1 + random.below(REQUESTS_PER_BLOCK) {
                let request = wild.request(TRACES);
                let accepted = store.export(&request).await;
                assert_eq!((accepted.rejected(), accepted.message.as_str()), (0, ""), "seed {seed}");
                sent.extend(request.resource_spans);
            }
            store.cut().await;
        }
        let sent = listed(sent);
        assert!(sent.len() > BLOCKS, "seed {seed}");
        same(&sent, &listed(encode(&store.stored_spans().await)), &format!("seed {seed}, cut"));
        store.compact().await;
        same(&sent, &listed(encode(&store.stored_spans().await)), &format!("seed {seed}, compacted"));
    }
}

/// Spans, each with where it came from, as text: a NaN is not equal to itself. Two ways of saying the same are one.
fn listed(resource_spans: Vec<ResourceSpans>) -> Vec<String> {
    let mut spans = Vec::new();
    for ResourceSpans { resource, scope_spans, schema_url } in resource_spans {
        let mut resource = resource.unwrap_or_default();
        plain(&mut resource.attributes);
        for ScopeSpans { scope, spans: of_scope, schema_url: scope_schema_url } in scope_spans {
            let mut scope = scope.unwrap_or_default();
            plain(&mut scope.attributes);
            let from = format!("{resource:#?} {schema_url:?} {scope:#?} {scope_schema_url:?}");
            spans.extend(of_scope.into_iter().map(|span| format!("{:#?} {from}", plain_span(span))));
        }
    }
    spans.sort();
    spans
}

fn plain_span(mut span: Span) -> Span {
    plain(&mut span.attributes);
    span.events.iter_mut().for_each(|event| plain(&mut event.attributes));
    span.links.iter_mut().for_each(|link| plain(&mut link.attributes));
    if span.parent_span_id == [0; 8] {
        span.parent_span_id.clear();
    }
    span.status = Some(span.status.unwrap_or_default());
    span
}

/// OTLP wants keys to be unique: of equal ones the first is kept. In a map they may stand again.
fn plain(attributes: &mut Vec<KeyValue>) {
    let mut seen = HashSet::new();
    attributes.retain(|attribute| seen.insert(attribute.key.clone()));
    attributes.iter_mut().for_each(plain_entry);
}

/// No value and an empty one are the same.
fn plain_entry(entry: &mut KeyValue) {
    plain_value(entry.value.get_or_insert_default());
}

fn plain_value(value: &mut AnyValue) {
    match &mut value.value {
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(plain_value),
        Some(Value::KvlistValue(list)) => list.values.iter_mut().for_each(plain_entry),
        _ => {}
    }
}

fn same(sent: &[String], found: &[String], what: &str) {
    assert_eq!(found.len(), sent.len(), "{what}");
    for (found, sent) in found.iter().zip(sent) {
        if found != sent {
            let lines = found.lines().zip(sent.lines());
            let differing: Vec<_> = lines.filter(|(found, sent)| found != sent).take(10).collect();
            panic!("{what}: found and sent differ: {differing:#?}\nsent: {sent}");
        }
    }
}
