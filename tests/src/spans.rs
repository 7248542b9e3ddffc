//! OTLP spans, built and compared.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// One second in OTLP's nanoseconds.
pub const SECOND: u64 = 1_000_000_000;
/// One millisecond in OTLP's nanoseconds.
pub const MILLISECOND: u64 = 1_000_000;

/// A span with the resource and scope it came under, in an order that does not depend on how it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatSpan {
    /// Resource, attributes by key.
    pub resource: Resource,
    /// Scope, attributes by key.
    pub scope: InstrumentationScope,
    /// Span, attributes by key.
    pub span: Span,
}

/// All spans, ordered by id, kind and start.
pub fn flatten(resource_spans: &[ResourceSpans]) -> Vec<FlatSpan> {
    let mut flat = Vec::new();
    for of_resource in resource_spans {
        for of_scope in &of_resource.scope_spans {
            for span in &of_scope.spans {
                flat.push(FlatSpan::new(of_resource, of_scope, span));
            }
        }
    }
    flat.sort_by(|a, b| a.key().cmp(&b.key()));
    flat
}

impl FlatSpan {
    fn new(of_resource: &ResourceSpans, of_scope: &ScopeSpans, span: &Span) -> Self {
        let mut flat = Self {
            resource: of_resource.resource.clone().unwrap_or_default(),
            scope: of_scope.scope.clone().unwrap_or_default(),
            span: span.clone(),
        };
        // An unset status and an empty one are the same.
        flat.span.status = Some(flat.span.status.unwrap_or_default());
        sort(&mut flat.resource.attributes);
        sort(&mut flat.scope.attributes);
        sort(&mut flat.span.attributes);
        flat.span.events.iter_mut().for_each(|event| sort(&mut event.attributes));
        flat.span.links.iter_mut().for_each(|link| sort(&mut link.attributes));
        flat
    }

    fn key(&self) -> (&[u8], &[u8], i32, u64) {
        (&self.span.trace_id, &self.span.span_id, self.span.kind, self.span.start_time_unix_nano)
    }
}

fn sort(attributes: &mut [KeyValue]) {
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
}

/// A value of an attribute.
pub fn value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

/// A string.
pub fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

/// An array.
pub fn array(values: impl IntoIterator<Item = Value>) -> Value {
    Value::ArrayValue(ArrayValue { values: values.into_iter().map(value).collect() })
}

/// An attribute.
pub fn attribute(key: &str, of: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value(of)), ..KeyValue::default() }
}

/// Attributes that are all strings.
pub fn texts(attributes: &[(&str, &str)]) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| attribute(key, text(value))).collect()
}

/// A resource of this service.
pub fn service(name: &str) -> Resource {
    Resource { attributes: texts(&[("service.name", name)]), ..Resource::default() }
}

/// An instrumentation scope.
pub fn scope(name: &str, version: &str) -> InstrumentationScope {
    InstrumentationScope {
        name: name.to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    }
}

/// A server span of 10 ms without attributes.
pub fn span(trace: [u8; 16], id: u64, parent: Option<u64>, name: &str, start: u64) -> Span {
    Span {
        trace_id: trace.to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: parent.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
        name: name.to_owned(),
        kind: SpanKind::Server as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 10 * MILLISECOND,
        ..Span::default()
    }
}

/// Status error with a message.
pub fn error(message: &str) -> Option<Status> {
    Some(Status { message: message.to_owned(), code: StatusCode::Error as i32 })
}

/// An event.
pub fn event(name: &str, time: u64, attributes: Vec<KeyValue>) -> Event {
    Event { time_unix_nano: time, name: name.to_owned(), attributes, dropped_attributes_count: 0 }
}

/// A link to a span of another trace.
pub fn link(trace: [u8; 16], span: u64, attributes: Vec<KeyValue>) -> Link {
    Link { trace_id: trace.to_vec(), span_id: span.to_be_bytes().to_vec(), attributes, ..Link::default() }
}

/// Spans of one resource and scope.
pub fn batch(resource: Resource, scope: InstrumentationScope, spans: Vec<Span>) -> ResourceSpans {
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    ResourceSpans { resource: Some(resource), scope_spans, schema_url: String::new() }
}

/// A trace id as the lookup endpoints take it.
pub fn hex_id(id: [u8; 16]) -> String {
    hex::encode(id)
}

/// A trace id as search prints it: without leading zeros.
pub fn short_id(id: [u8; 16]) -> String {
    hex_id(id).trim_start_matches('0').to_owned()
}
