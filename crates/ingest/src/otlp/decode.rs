//! The same as [`super::columns`] by way of prost's messages: what tests compare with.

use std::collections::HashSet;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, span};
use vivace_model::{
    Attribute, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId, Value,
};

use super::rejections::Rejections;

/// Takes the spans with bad ids out of a request.
pub(super) fn keep_valid(request: &mut ExportTraceServiceRequest) -> Rejections {
    let mut rejections = Rejections::new(usize::MAX);
    let scopes = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
    for scope in scopes {
        scope.spans.retain(|span| rejections.admit(&span.trace_id, &span.span_id, &span.name));
    }
    rejections
}

/// The spans of a request whose ids are valid; others are skipped.
pub(super) fn spans(request: ExportTraceServiceRequest) -> impl Iterator<Item = Span> {
    request.resource_spans.into_iter().flat_map(resource_spans)
}

fn resource_spans(message: ResourceSpans) -> impl Iterator<Item = Span> {
    let resource = Arc::new(resource(message.resource.unwrap_or_default(), message.schema_url));
    message.scope_spans.into_iter().flat_map(move |scope| scope_spans(scope, &resource))
}

fn scope_spans(message: ScopeSpans, resource: &Arc<Resource>) -> impl Iterator<Item = Span> + use<> {
    let scope = Arc::new(scope(message.scope.unwrap_or_default(), message.schema_url));
    let resource = Arc::clone(resource);
    message.spans.into_iter().filter_map(move |span| convert(span, &resource, &scope))
}

fn resource(message: OtlpResource, schema_url: String) -> Resource {
    let (attributes, dropped_attributes) = attributes(message.attributes, message.dropped_attributes_count);
    Resource { attributes, dropped_attributes, schema_url }
}

fn scope(message: InstrumentationScope, schema_url: String) -> Scope {
    let (attributes, dropped_attributes) = attributes(message.attributes, message.dropped_attributes_count);
    Scope { name: message.name, version: message.version, attributes, dropped_attributes, schema_url }
}

fn convert(message: OtlpSpan, resource: &Arc<Resource>, scope: &Arc<Scope>) -> Option<Span> {
    let status = message.status.unwrap_or_default();
    let (attributes, dropped_attributes) = attributes(message.attributes, message.dropped_attributes_count);
    Some(Span {
        trace_id: TraceId(message.trace_id.try_into().ok()?),
        span_id: SpanId(message.span_id.try_into().ok()?),
        parent_span_id: parent(&message.parent_span_id),
        trace_state: message.trace_state,
        flags: message.flags,
        name: message.name,
        kind: SpanKind::from_otlp(message.kind),
        start: message.start_time_unix_nano,
        end: message.end_time_unix_nano,
        status: StatusCode::from_otlp(status.code),
        status_message: status.message,
        attributes,
        dropped_attributes,
        events: message.events.into_iter().map(event).collect(),
        dropped_events: message.dropped_events_count,
        links: message.links.into_iter().map(link).collect(),
        dropped_links: message.dropped_links_count,
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
    })
}

/// A parent id that is empty, all zero or of another length than 8 bytes names no span: the span is a root.
fn parent(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().ok().map(SpanId).filter(|id| !id.is_zero())
}

fn event(message: span::Event) -> Event {
    let (attributes, dropped_attributes) = attributes(message.attributes, message.dropped_attributes_count);
    Event { time: message.time_unix_nano, name: message.name, attributes, dropped_attributes }
}

fn link(message: span::Link) -> Link {
    let (attributes, dropped_attributes) = attributes(message.attributes, message.dropped_attributes_count);
    Link {
        trace_id: message.trace_id,
        span_id: message.span_id,
        trace_state: message.trace_state,
        flags: message.flags,
        attributes,
        dropped_attributes,
    }
}

/// OTLP requires keys to be unique; of equal ones the first is kept. What is too deep is dropped, and counted as that.
fn attributes(messages: Vec<KeyValue>, dropped_by_sender: u32) -> (Vec<Attribute>, u32) {
    let mut converted: Vec<Attribute> = messages
        .into_iter()
        .map(|message| Attribute { key: message.key, value: message.value.map_or(Value::Empty, value) })
        .collect();
    let all = converted.len();
    converted.retain(|attribute| depth(&attribute.value) <= Value::MAX_DEPTH);
    let dropped = dropped_by_sender.saturating_add((all - converted.len()) as u32);
    drop_repeated(&mut converted);
    (converted, dropped)
}

fn depth(value: &Value) -> u32 {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        _ => 0,
    }
}

fn drop_repeated(attributes: &mut Vec<Attribute>) {
    /// Below this, comparing all pairs is cheaper than hashing.
    const FEW: usize = 24;
    if attributes.len() <= FEW {
        let mut at = 1;
        while at < attributes.len() {
            if attributes[..at].iter().any(|earlier| earlier.key == attributes[at].key) {
                attributes.remove(at);
            } else {
                at += 1;
            }
        }
        return;
    }
    let mut seen = HashSet::with_capacity(attributes.len());
    attributes.retain(|attribute| seen.insert(attribute.key.clone()));
}

fn value(message: AnyValue) -> Value {
    use any_value::Value as Any;
    match message.value {
        None => Value::Empty,
        Some(Any::StringValue(text)) => Value::String(text),
        Some(Any::BoolValue(truth)) => Value::Bool(truth),
        Some(Any::IntValue(number)) => Value::Int(number),
        Some(Any::DoubleValue(number)) => Value::Float(number),
        Some(Any::BytesValue(bytes)) => Value::Bytes(bytes),
        Some(Any::ArrayValue(array)) => Value::Array(array.values.into_iter().map(value).collect()),
        Some(Any::KvlistValue(list)) => {
            let entries = list.values.into_iter();
            Value::Map(entries.map(|entry| (entry.key, entry.value.map_or(Value::Empty, value))).collect())
        }
        // A reference into a string table that only the profiles signal has.
        Some(Any::StringValueStrindex(_)) => Value::Empty,
    }
}
