use std::sync::Arc;

use vivace_base::UnixNanos;
use vivace_model::{
    Attribute, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId, Value,
};

/// When test spans start unless told otherwise: 2023-11-14T22:13:20Z.
pub const BASE_TIME: UnixNanos = 1_700_000_000_000_000_000;

const MILLISECOND: u64 = 1_000_000;

/// Builds one span: unless told otherwise a root of trace 1 with span id 1, of service `test-service`, internal, unset,
/// starting at [`BASE_TIME`] and taking 10 ms.
#[derive(Debug, Clone)]
pub struct SpanBuilder {
    span: Span,
    resource: Resource,
    scope: Scope,
}

impl SpanBuilder {
    /// A span of this name.
    pub fn new(name: &str) -> Self {
        let resource = Resource {
            attributes: vec![Attribute::new("service.name", "test-service")],
            ..Resource::default()
        };
        let span = Span {
            trace_id: trace_id(1),
            span_id: span_id(1),
            parent_span_id: None,
            trace_state: String::new(),
            flags: 0,
            name: name.to_owned(),
            kind: SpanKind::Internal,
            start: BASE_TIME,
            end: BASE_TIME + 10 * MILLISECOND,
            status: StatusCode::Unset,
            status_message: String::new(),
            attributes: Vec::new(),
            dropped_attributes: 0,
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            resource: Arc::new(Resource::default()),
            scope: Arc::new(Scope::default()),
        };
        Self { span, resource, scope: Scope::default() }
    }

    /// Of the trace with this number as its id.
    pub fn trace(mut self, id: u128) -> Self {
        self.span.trace_id = trace_id(id);
        self
    }

    /// With this number as its span id.
    pub fn id(mut self, id: u64) -> Self {
        self.span.span_id = span_id(id);
        self
    }

    /// Caused by the span with this number as its id.
    pub fn parent(mut self, id: u64) -> Self {
        self.span.parent_span_id = Some(span_id(id));
        self
    }

    /// Starting this many milliseconds after [`BASE_TIME`], its duration kept.
    pub fn start_ms(mut self, milliseconds: u64) -> Self {
        let duration = self.span.duration();
        self.span.start = BASE_TIME + milliseconds * MILLISECOND;
        self.span.end = self.span.start + duration;
        self
    }

    /// Taking this many milliseconds.
    pub fn duration_ms(mut self, milliseconds: u64) -> Self {
        self.span.end = self.span.start + milliseconds * MILLISECOND;
        self
    }

    /// From and to these times, in nanoseconds since the epoch.
    pub fn times(mut self, start: UnixNanos, end: UnixNanos) -> Self {
        (self.span.start, self.span.end) = (start, end);
        self
    }

    /// Of this kind.
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.span.kind = kind;
        self
    }

    /// With this status.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.span.status = status;
        self
    }

    /// With an error status and this message.
    pub fn error(mut self, message: &str) -> Self {
        self.span.status = StatusCode::Error;
        self.span.status_message = message.to_owned();
        self
    }

    /// Of this service.
    pub fn service(self, name: &str) -> Self {
        self.resource_attribute("service.name", name)
    }

    /// With this span attribute; a key given again is replaced.
    pub fn attribute(mut self, key: &str, value: impl Into<Value>) -> Self {
        set(&mut self.span.attributes, key, value.into());
        self
    }

    /// With this resource attribute; a key given again is replaced.
    pub fn resource_attribute(mut self, key: &str, value: impl Into<Value>) -> Self {
        set(&mut self.resource.attributes, key, value.into());
        self
    }

    /// Without any resource attribute, `service.name` included.
    pub fn no_resource(mut self) -> Self {
        self.resource.attributes.clear();
        self
    }

    /// Recorded by this instrumentation.
    pub fn scope(mut self, name: &str, version: &str) -> Self {
        (self.scope.name, self.scope.version) = (name.to_owned(), version.to_owned());
        self
    }

    /// With this attribute on its instrumentation scope; a key given again is replaced.
    pub fn scope_attribute(mut self, key: &str, value: impl Into<Value>) -> Self {
        set(&mut self.scope.attributes, key, value.into());
        self
    }

    /// With an event this many milliseconds after its start.
    pub fn event(mut self, name: &str, after_ms: u64, attributes: Vec<Attribute>) -> Self {
        let time = self.span.start + after_ms * MILLISECOND;
        self.span.events.push(Event { time, name: name.to_owned(), attributes, dropped_attributes: 0 });
        self
    }

    /// With a link to the span of these numbers as ids.
    pub fn link(mut self, trace: u128, span: u64, attributes: Vec<Attribute>) -> Self {
        self.span.links.push(Link {
            trace_id: trace_id(trace).0.to_vec(),
            span_id: span_id(span).0.to_vec(),
            trace_state: String::new(),
            flags: 0,
            attributes,
            dropped_attributes: 0,
        });
        self
    }

    /// The span.
    pub fn build(self) -> Span {
        Span { resource: Arc::new(self.resource), scope: Arc::new(self.scope), ..self.span }
    }
}

fn trace_id(number: u128) -> TraceId {
    TraceId(number.to_be_bytes())
}

fn span_id(number: u64) -> SpanId {
    SpanId(number.to_be_bytes())
}

fn set(attributes: &mut Vec<Attribute>, key: &str, value: Value) {
    match attributes.iter_mut().find(|attribute| attribute.key == key) {
        Some(attribute) => attribute.value = value,
        None => attributes.push(Attribute::new(key, value)),
    }
}
