use std::sync::Arc;

use vivace_model::{Attribute, Resource, Scope, Span, Value};

/// Tells what spans take in memory. What neighbours share counts once.
#[derive(Debug, Default)]
pub(super) struct Weights {
    last: Option<(Arc<Resource>, Arc<Scope>)>,
}

impl Weights {
    /// Bytes the next span takes beside those before it.
    pub(super) fn next(&mut self, span: &Span) -> u64 {
        let (resource, scope) = match &self.last {
            Some((resource, scope)) => {
                (!Arc::ptr_eq(resource, &span.resource), !Arc::ptr_eq(scope, &span.scope))
            }
            None => (true, true),
        };
        let mut bytes = own(span);
        if resource {
            let Resource { attributes, schema_url, .. } = &*span.resource;
            bytes += size_of::<Resource>() + list(attributes) + schema_url.len();
        }
        if scope {
            let Scope { name, version, attributes, schema_url, .. } = &*span.scope;
            bytes += size_of::<Scope>() + list(attributes) + name.len() + version.len() + schema_url.len();
        }
        if resource || scope {
            self.last = Some((Arc::clone(&span.resource), Arc::clone(&span.scope)));
        }
        bytes as u64
    }
}

fn own(span: &Span) -> usize {
    let texts = [&span.trace_state, &span.name, &span.status_message];
    let events =
        span.events.iter().map(|event| size_of_val(event) + event.name.len() + list(&event.attributes));
    let links = span.links.iter().map(|link| {
        let ids = link.trace_id.len() + link.span_id.len();
        size_of_val(link) + ids + link.trace_state.len() + list(&link.attributes)
    });
    let texts: usize = texts.into_iter().map(String::len).sum();
    size_of::<Span>() + texts + list(&span.attributes) + events.sum::<usize>() + links.sum::<usize>()
}

fn list(attributes: &[Attribute]) -> usize {
    attributes.iter().map(|of| size_of::<Attribute>() + of.key.len() + beyond(&of.value)).sum()
}

/// What a value takes beside itself.
fn beyond(value: &Value) -> usize {
    match value {
        Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) => items.iter().map(|item| size_of::<Value>() + beyond(item)).sum(),
        Value::Map(entries) => {
            entries.iter().map(|(key, item)| size_of::<Attribute>() + key.len() + beyond(item)).sum()
        }
    }
}
