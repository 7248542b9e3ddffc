//! The engine's answers as messages (`reference/tempo.md` 3). Over HTTP the same messages are sent to who accepts
//! `application/protobuf`.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use prost::Message;
use prost::encoding::{message, string};
use vivace_ingest::otlp;
use vivace_model::Value;
use vivace_query::{Exemplar, MatchedSpan, SearchMetrics, SpanSet, TraceMatch};

use super::packets::{Items, Packet, Sent};
use super::tempopb;
use crate::api::{NO_ROOT, complete};

mod metrics;
mod tags;

/// Number of the field that is the list, in every message that is one.
const LIST: u32 = 1;

impl Packet for tempopb::SearchResponse {
    type Answer = vivace_query::SearchResponse;
    type Item = tempopb::TraceSearchMetadata;

    fn partial(answer: &Self::Answer) -> Option<&str> {
        answer.partial.as_deref()
    }

    fn parts(answer: Self::Answer) -> (Self, Items<Self::Item>) {
        let frame = Self { traces: Vec::new(), metrics: Some(search_metrics(&answer.metrics)) };
        let hits = answer.traces.into_iter().filter_map(complete).map(hit);
        (frame, Box::new(hits))
    }

    fn item_len(item: &Self::Item) -> usize {
        message::encoded_len(LIST, item)
    }

    fn push(&mut self, item: Self::Item) {
        self.traces.push(item);
    }

    fn fresh(item: Self::Item, sent: &mut Sent) -> Option<Self::Item> {
        sent.is_new(item.encode_to_vec()).then_some(item)
    }
}

fn hit(found: TraceMatch) -> tempopb::TraceSearchMetadata {
    let span_sets: Vec<_> = found.span_sets.into_iter().map(span_set).collect();
    let stats = |stats: vivace_query::ServiceStats| tempopb::ServiceStats {
        span_count: stats.span_count,
        error_count: stats.error_count,
    };
    tempopb::TraceSearchMetadata {
        trace_id: found.trace_id.short_hex(),
        root_service_name: found.root_service_name.unwrap_or_else(|| NO_ROOT.to_owned()),
        root_trace_name: found.root_trace_name.unwrap_or_default(),
        start_time_unix_nano: found.start,
        duration_ms: u32::try_from(found.duration / 1_000_000).unwrap_or(u32::MAX),
        span_set: span_sets.first().cloned(),
        span_sets,
        service_stats: found
            .service_stats
            .into_iter()
            .map(|(name, service)| (name, stats(service)))
            .collect(),
    }
}

fn span_set(set: SpanSet) -> tempopb::SpanSet {
    tempopb::SpanSet {
        spans: set.spans.into_iter().map(span).collect(),
        matched: set.matched,
        attributes: key_values(&set.attributes),
    }
}

fn span(span: MatchedSpan) -> tempopb::Span {
    tempopb::Span {
        span_id: span.span_id.to_string(),
        name: span.name,
        start_time_unix_nano: span.start,
        duration_nanos: span.duration,
        attributes: key_values(&span.attributes),
    }
}

fn search_metrics(metrics: &SearchMetrics) -> tempopb::SearchMetrics {
    tempopb::SearchMetrics {
        inspected_traces: metrics.inspected_traces,
        inspected_bytes: metrics.inspected_bytes,
        total_blocks: metrics.total_blocks,
        completed_jobs: metrics.completed_jobs,
        total_jobs: metrics.total_jobs,
        total_block_bytes: metrics.total_block_bytes,
        inspected_spans: metrics.inspected_spans,
        ..tempopb::SearchMetrics::default()
    }
}

fn exemplar(exemplar: Exemplar) -> tempopb::Exemplar {
    tempopb::Exemplar {
        labels: key_values(&exemplar.labels),
        value: exemplar.value,
        timestamp_ms: exemplar.timestamp_ms,
    }
}

fn key_values(attributes: &[(String, Value)]) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| otlp::key_value(key, value)).collect()
}

fn text_len(text: &String) -> usize {
    string::encoded_len(LIST, text)
}

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;
