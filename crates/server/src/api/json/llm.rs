use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use vivace_model::{Attribute, Event, Link, Span, StatusCode, TraceId, Value};

use super::chunks::{Chunks, Pieces};
use super::trace::{code, kind};
use super::writer::{Object, string};
use crate::api::traces::TraceForm;

/// A trace as a language model likes it (`reference/tempo.md` 2.2): the spans of a portion by service and scope, ids in
/// hex, attributes as plain JSON.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct LlmJson {
    pub(in crate::api) trace: TraceId,
}

impl TraceForm for LlmJson {
    fn has_message(&self) -> bool {
        true
    }

    fn portion(&self, spans: Vec<Span>, is_first: bool) -> Box<dyn Iterator<Item = Bytes> + Send> {
        let before = if is_first {
            format!(r#"{{"trace":{{"traceId":"{}","services":["#, self.trace)
        } else {
            ",".to_owned()
        };
        let order = order(&spans);
        Box::new(Chunks::new(Services { spans, order, next: 0, before: Some(before), open: None }))
    }

    fn tail(&self, message: Option<&str>) -> Bytes {
        let mut tail = "]}".to_owned();
        super::status(&mut Object::continuing(&mut tail), message);
        tail.push('}');
        tail.into()
    }
}

#[derive(Debug)]
struct Services {
    spans: Vec<Span>,
    /// Service, scope and span, in the order in which they are written.
    order: Vec<(usize, usize, usize)>,
    next: usize,
    before: Option<String>,
    /// The service and scope whose lists are open.
    open: Option<(usize, usize)>,
}

impl Pieces for Services {
    fn write_next(&mut self, out: &mut String) -> bool {
        if let Some(before) = self.before.take() {
            out.push_str(&before);
            return true;
        }
        let next = self.order.get(self.next).copied();
        let Some((service, scope, span)) =
            next.and_then(|(service, scope, index)| Some((service, scope, self.spans.get(index)?)))
        else {
            let was_open = self.open.take().is_some();
            out.push_str(if was_open { "]}]}" } else { "" });
            return was_open;
        };
        if self.open == Some((service, scope)) {
            out.push(',');
        } else if self.open.is_some_and(|(open, _)| open == service) {
            out.push_str("]},");
            open_scope(span, out);
        } else {
            out.push_str(if self.open.is_some() { "]}]}," } else { "" });
            open_service(span, out);
            open_scope(span, out);
        }
        write_span(span, out);
        self.open = Some((service, scope));
        self.next += 1;
        true
    }
}

/// Services and scopes in order of first appearance, and the spans of each in their order.
fn order(spans: &[Span]) -> Vec<(usize, usize, usize)> {
    let services = numbers(spans, |span| &span.resource);
    let scopes = numbers(spans, |span| &span.scope);
    let triples = services.into_iter().zip(scopes).enumerate();
    let mut order: Vec<_> = triples.map(|(index, (service, scope))| (service, scope, index)).collect();
    order.sort_unstable();
    order
}

/// What each span has of something they share, by number; equal ones have one number.
fn numbers<T: std::fmt::Debug>(spans: &[Span], of: impl Fn(&Span) -> &Arc<T>) -> Vec<usize> {
    let mut by_address = HashMap::new();
    let mut by_text = HashMap::new();
    let number = |span| {
        let shared = of(span);
        *by_address.entry(Arc::as_ptr(shared)).or_insert_with(|| {
            let next = by_text.len();
            *by_text.entry(format!("{shared:?}")).or_insert(next)
        })
    };
    spans.iter().map(number).collect()
}

fn open_service(span: &Span, out: &mut String) {
    let mut object = Object::open(out);
    object.string("serviceName", span.resource.service_name().unwrap_or_default());
    let named = |of: &&Attribute| of.key == "service.name" && of.value.as_str().is_some();
    let rest: Vec<&Attribute> = span.resource.attributes.iter().filter(|of| !named(of)).collect();
    plain(&mut object, "resource", rest);
    object.key("scopes").push('[');
}

fn open_scope(span: &Span, out: &mut String) {
    let mut object = Object::open(out);
    object.string("name", &span.scope.name);
    object.string("version", &span.scope.version);
    object.key("spans").push('[');
}

fn write_span(span: &Span, out: &mut String) {
    let mut object = Object::open(out);
    object.string("spanId", &span.span_id.to_string());
    string(object.key("name"), &span.name);
    if let Some(parent) = &span.parent_span_id {
        object.string("parentSpanId", &parent.to_string());
    }
    object.string("kind", kind(span.kind));
    object.u64("startTimeUnixNano", span.start);
    object.u64("endTimeUnixNano", span.end);
    if span.duration() > 0 && span.start > 0 {
        // Writing to a String cannot fail.
        let _ = write!(object.key("durationMs"), "{}", serde_json::json!(span.duration() as f64 / 1e6));
    }
    plain(&mut object, "attributes", &span.attributes);
    object.list("events", &span.events, write_event);
    object.list("links", &span.links, write_link);
    let status = match span.status {
        StatusCode::Unset => "STATUS_CODE_UNSET",
        set => code(set),
    };
    object.object("status", |object| {
        object.string("code", status);
        string(object.key("message"), &span.status_message);
    });
    object.close();
}

fn write_event(event: &Event, out: &mut String) {
    let mut object = Object::open(out);
    string(object.key("name"), &event.name);
    object.u64("timeUnixNano", event.time);
    plain(&mut object, "attributes", &event.attributes);
    object.close();
}

fn write_link(link: &Link, out: &mut String) {
    let mut object = Object::open(out);
    string(object.key("traceId"), &hex::encode(&link.trace_id));
    string(object.key("spanId"), &hex::encode(&link.span_id));
    plain(&mut object, "attributes", &link.attributes);
    object.close();
}

/// Attributes as one object, unless there are none. Of a key that is there twice the first counts.
fn plain<'a>(object: &mut Object<'_>, key: &str, attributes: impl IntoIterator<Item = &'a Attribute>) {
    let mut values: serde_json::Map<String, serde_json::Value> = serde_json::Map::new();
    for Attribute { key, value } in attributes {
        values.entry(key.clone()).or_insert_with(|| Value::to_plain_json(value));
    }
    if !values.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(object.key(key), "{}", serde_json::Value::Object(values));
    }
}
