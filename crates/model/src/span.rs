use std::sync::Arc;

use vivace_base::UnixNanos;

use crate::{Attribute, SpanId, TraceId, Value};

/// One span, whole. Times are nanoseconds since the Unix epoch. What OTLP sends is kept, unknown fields excepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id; never zero.
    pub span_id: SpanId,
    /// The span that caused it; [`None`] for a root.
    pub parent_span_id: Option<SpanId>,
    /// W3C tracestate, verbatim.
    pub trace_state: String,
    /// W3C flags and OTLP's remote bits.
    pub flags: u32,
    /// What it did.
    pub name: String,
    /// Its role in a call.
    pub kind: SpanKind,
    /// When it began.
    pub start: UnixNanos,
    /// When it ended; may be before `start` if the sender's clock says so.
    pub end: UnixNanos,
    /// How it ended.
    pub status: StatusCode,
    /// What the sender says about how it ended.
    pub status_message: String,
    /// Its attributes, in the order sent.
    pub attributes: Vec<Attribute>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
    /// What happened during it.
    pub events: Vec<Event>,
    /// How many events the sender dropped.
    pub dropped_events: u32,
    /// Other spans it refers to.
    pub links: Vec<Link>,
    /// How many links the sender dropped.
    pub dropped_links: u32,
    /// What emitted it.
    pub resource: Arc<Resource>,
    /// Which instrumentation recorded it.
    pub scope: Arc<Scope>,
}

/// What emitted a span: a process, a workload, a proxy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource {
    /// Its attributes, `service.name` among them.
    pub attributes: Vec<Attribute>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
    /// OTLP `ResourceSpans.schema_url`.
    pub schema_url: String,
}

/// The instrumentation that recorded a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
    /// OTLP `ScopeSpans.schema_url`.
    pub schema_url: String,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub time: UnixNanos,
    /// What.
    pub name: String,
    /// More about it.
    pub attributes: Vec<Attribute>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
}

/// A reference to another span. Ids are kept as sent, of whatever length.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The other trace.
    pub trace_id: Vec<u8>,
    /// The other span.
    pub span_id: Vec<u8>,
    /// W3C tracestate, verbatim.
    pub trace_state: String,
    /// W3C flags.
    pub flags: u32,
    /// More about it.
    pub attributes: Vec<Attribute>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
}

/// A span's role in a call; discriminants are OTLP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "the names are OTLP's")]
pub enum SpanKind {
    #[default]
    Unspecified = 0,
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// How a span ended; discriminants are OTLP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "the names are OTLP's")]
pub enum StatusCode {
    #[default]
    Unset = 0,
    Ok = 1,
    Error = 2,
}

impl SpanKind {
    /// OTLP's number; a number OTLP does not know is [`SpanKind::Unspecified`].
    pub fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// TraceQL's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

impl StatusCode {
    /// OTLP's number; a number OTLP does not know is [`StatusCode::Unset`].
    pub fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// TraceQL's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

impl Span {
    /// How long it took in nanoseconds; zero if it ended before it began.
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl Resource {
    /// The string attribute `service.name`.
    pub fn service_name(&self) -> Option<&str> {
        self.attributes.iter().find(|a| a.key == "service.name").and_then(|a| Value::as_str(&a.value))
    }
}
