use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, span};
use vivace_model::{Attribute, Event, Link, Resource, Scope, Span, Value};

type Scopes<'a> = Vec<(&'a Arc<Scope>, Vec<OtlpSpan>)>;

/// Groups spans by resource and scope into OTLP messages; order of first appearance is kept.
pub fn encode(spans: &[Span]) -> Vec<ResourceSpans> {
    let mut grouped: Vec<(&Arc<Resource>, Scopes<'_>)> = Vec::new();
    for span in spans {
        let resource = position_or_push(&mut grouped, &span.resource);
        let scope = position_or_push(&mut grouped[resource].1, &span.scope);
        grouped[resource].1[scope].1.push(span_message(span));
    }
    grouped.into_iter().map(|(resource, scopes)| resource_message(resource, scopes)).collect()
}

fn position_or_push<'a, K: PartialEq, V: Default>(
    groups: &mut Vec<(&'a Arc<K>, V)>,
    key: &'a Arc<K>,
) -> usize {
    let same = |(other, _): &(&Arc<K>, V)| Arc::ptr_eq(other, key) || *other == key;
    groups.iter().position(same).unwrap_or_else(|| {
        groups.push((key, V::default()));
        groups.len() - 1
    })
}

fn resource_message(resource: &Resource, scopes: Scopes<'_>) -> ResourceSpans {
    ResourceSpans {
        resource: Some(OtlpResource {
            attributes: attributes(&resource.attributes),
            dropped_attributes_count: resource.dropped_attributes,
            ..Default::default()
        }),
        scope_spans: scopes.into_iter().map(|(scope, spans)| scope_message(scope, spans)).collect(),
        schema_url: resource.schema_url.clone(),
    }
}

fn scope_message(scope: &Scope, spans: Vec<OtlpSpan>) -> ScopeSpans {
    ScopeSpans {
        scope: Some(InstrumentationScope {
            name: scope.name.clone(),
            version: scope.version.clone(),
            attributes: attributes(&scope.attributes),
            dropped_attributes_count: scope.dropped_attributes,
        }),
        spans,
        schema_url: scope.schema_url.clone(),
    }
}

fn span_message(span: &Span) -> OtlpSpan {
    OtlpSpan {
        trace_id: span.trace_id.0.to_vec(),
        span_id: span.span_id.0.to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent_span_id.map(|id| id.0.to_vec()).unwrap_or_default(),
        flags: span.flags,
        name: span.name.clone(),
        kind: span.kind as i32,
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: attributes(&span.attributes),
        dropped_attributes_count: span.dropped_attributes,
        events: span.events.iter().map(event_message).collect(),
        dropped_events_count: span.dropped_events,
        links: span.links.iter().map(link_message).collect(),
        dropped_links_count: span.dropped_links,
        status: Some(Status { message: span.status_message.clone(), code: span.status as i32 }),
    }
}

fn event_message(event: &Event) -> span::Event {
    span::Event {
        time_unix_nano: event.time,
        name: event.name.clone(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes,
    }
}

fn link_message(link: &Link) -> span::Link {
    span::Link {
        trace_id: link.trace_id.clone(),
        span_id: link.span_id.clone(),
        trace_state: link.trace_state.clone(),
        attributes: attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes,
        flags: link.flags,
    }
}

fn attributes(attributes: &[Attribute]) -> Vec<KeyValue> {
    attributes.iter().map(|attribute| key_value(&attribute.key, &attribute.value)).collect()
}

/// A named value as OTLP's message.
pub fn key_value(key: &str, value: &Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any_value(value)), ..Default::default() }
}

fn any_value(value: &Value) -> AnyValue {
    use any_value::Value as Any;
    let value = match value {
        Value::Empty => None,
        Value::String(text) => Some(Any::StringValue(text.clone())),
        Value::Bool(truth) => Some(Any::BoolValue(*truth)),
        Value::Int(number) => Some(Any::IntValue(*number)),
        Value::Float(number) => Some(Any::DoubleValue(*number)),
        Value::Bytes(bytes) => Some(Any::BytesValue(bytes.clone())),
        Value::Array(values) => {
            Some(Any::ArrayValue(ArrayValue { values: values.iter().map(any_value).collect() }))
        }
        Value::Map(entries) => {
            let values = entries.iter().map(|(key, value)| key_value(key, value)).collect();
            Some(Any::KvlistValue(KeyValueList { values }))
        }
    };
    AnyValue { value }
}
