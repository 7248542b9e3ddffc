use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use vivace_model::{Event, Link, Resource, Scope, Span, SpanKind, StatusCode};

use super::chunks::{Chunks, Pieces};
use super::value::attribute;
use super::writer::Object;
use crate::api::traces::TraceForm;

/// A trace as OTLP JSON. One batch per pair of resource and scope in a portion: Kiali reads only the first scope of a
/// batch.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) enum TraceJson {
    /// Version 1: `{"batches":[…]}`.
    Batches,
    /// Version 2: `TraceByIDResponse`.
    Response,
}

impl TraceForm for TraceJson {
    fn has_message(&self) -> bool {
        matches!(self, Self::Response)
    }

    fn portion(&self, spans: Vec<Span>, is_first: bool) -> Box<dyn Iterator<Item = Bytes> + Send> {
        let before = match self {
            _ if !is_first => ",",
            Self::Batches => r#"{"batches":["#,
            Self::Response => r#"{"trace":{"resourceSpans":["#,
        };
        let (headings, order) = group(&spans);
        Box::new(Chunks::new(Batches {
            spans,
            headings,
            order,
            next: 0,
            before: Some(before),
            heading: None,
        }))
    }

    fn tail(&self, message: Option<&str>) -> Bytes {
        if matches!(self, Self::Batches) {
            return "]}".into();
        }
        let mut tail = r#"]},"metrics":{}"#.to_owned();
        super::status(&mut Object::continuing(&mut tail), message);
        tail.push('}');
        tail.into()
    }
}

/// What a batch says before and after its spans.
#[derive(Debug)]
struct Heading {
    before: String,
    after: String,
}

#[derive(Debug)]
struct Batches {
    spans: Vec<Span>,
    headings: Vec<Heading>,
    /// Heading and span, batch by batch.
    order: Vec<(usize, usize)>,
    next: usize,
    before: Option<&'static str>,
    /// The batch that is open.
    heading: Option<usize>,
}

impl Batches {
    /// Closes the open batch and opens the next.
    fn turn(&mut self, heading: Option<usize>, out: &mut String) {
        let text = |index: Option<usize>| index.and_then(|index| self.headings.get(index));
        if let Some(open) = text(self.heading) {
            out.push_str(&open.after);
            if heading.is_some() {
                out.push(',');
            }
        }
        if let Some(next) = text(heading) {
            out.push_str(&next.before);
        }
        self.heading = heading;
    }
}

impl Pieces for Batches {
    fn write_next(&mut self, out: &mut String) -> bool {
        if let Some(before) = self.before.take() {
            out.push_str(before);
            return true;
        }
        let Some((heading, index)) = self.order.get(self.next).copied() else {
            let was_open = self.heading.is_some();
            self.turn(None, out);
            return was_open;
        };
        if self.heading == Some(heading) {
            out.push(',');
        } else {
            self.turn(Some(heading), out);
        }
        if let Some(it) = self.spans.get(index) {
            span(it, out);
        }
        self.next += 1;
        true
    }
}

/// The batches in order of first appearance, and the spans of each in their order. Resources and scopes are the same
/// when they read the same.
fn group(spans: &[Span]) -> (Vec<Heading>, Vec<(usize, usize)>) {
    let mut headings = Vec::new();
    let mut by_address = HashMap::new();
    let mut by_text: HashMap<(String, String), usize> = HashMap::new();
    let mut order = Vec::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        let address = (Arc::as_ptr(&span.resource), Arc::as_ptr(&span.scope));
        let heading = *by_address.entry(address).or_insert_with(|| {
            let heading = heading(&span.resource, &span.scope);
            let text = (heading.before.clone(), heading.after.clone());
            *by_text.entry(text).or_insert_with(|| {
                headings.push(heading);
                headings.len() - 1
            })
        });
        order.push((heading, index));
    }
    order.sort_unstable();
    (headings, order)
}

fn heading(resource: &Resource, scope: &Scope) -> Heading {
    let mut before = String::from(r#"{"resource":"#);
    let mut object = Object::open(&mut before);
    object.list("attributes", &resource.attributes, attribute);
    object.u32("droppedAttributesCount", resource.dropped_attributes);
    object.close();
    before.push_str(r#","scopeSpans":[{"scope":"#);
    let mut object = Object::open(&mut before);
    object.string("name", &scope.name);
    object.string("version", &scope.version);
    object.list("attributes", &scope.attributes, attribute);
    object.u32("droppedAttributesCount", scope.dropped_attributes);
    object.close();
    before.push_str(r#","spans":["#);
    let mut after = String::from("]");
    schema_url(&scope.schema_url, &mut after);
    after.push_str("}]");
    schema_url(&resource.schema_url, &mut after);
    after.push('}');
    Heading { before, after }
}

fn schema_url(url: &str, out: &mut String) {
    if !url.is_empty() {
        out.push_str(r#","schemaUrl":"#);
        super::writer::string(out, url);
    }
}

fn span(span: &Span, out: &mut String) {
    let mut object = Object::open(out);
    object.base64("traceId", &span.trace_id.0);
    object.base64("spanId", &span.span_id.0);
    object.string("traceState", &span.trace_state);
    if let Some(parent) = &span.parent_span_id {
        object.base64("parentSpanId", &parent.0);
    }
    object.u32("flags", span.flags);
    object.string("name", &span.name);
    object.string("kind", kind(span.kind));
    object.u64("startTimeUnixNano", span.start);
    object.u64("endTimeUnixNano", span.end);
    object.list("attributes", &span.attributes, attribute);
    object.u32("droppedAttributesCount", span.dropped_attributes);
    object.list("events", &span.events, event);
    object.u32("droppedEventsCount", span.dropped_events);
    object.list("links", &span.links, link);
    object.u32("droppedLinksCount", span.dropped_links);
    object.object("status", |status| {
        status.string("message", &span.status_message);
        status.string("code", code(span.status));
    });
    object.close();
}

fn event(event: &Event, out: &mut String) {
    let mut object = Object::open(out);
    object.u64("timeUnixNano", event.time);
    object.string("name", &event.name);
    object.list("attributes", &event.attributes, attribute);
    object.u32("droppedAttributesCount", event.dropped_attributes);
    object.close();
}

fn link(link: &Link, out: &mut String) {
    let mut object = Object::open(out);
    object.base64("traceId", &link.trace_id);
    object.base64("spanId", &link.span_id);
    object.string("traceState", &link.trace_state);
    object.list("attributes", &link.attributes, attribute);
    object.u32("droppedAttributesCount", link.dropped_attributes);
    object.u32("flags", link.flags);
    object.close();
}

/// OTLP's name; empty for the zero value.
pub(super) fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "",
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    }
}

/// OTLP's name; empty for the zero value.
pub(super) fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::Unset => "",
        StatusCode::Ok => "STATUS_CODE_OK",
        StatusCode::Error => "STATUS_CODE_ERROR",
    }
}
