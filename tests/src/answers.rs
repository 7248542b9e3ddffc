//! Reads traces in the JSON of Tempo's lookup endpoints: OTLP's own, but for ids in base64 and enums by name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Value, json};

/// The spans of a list of resource spans.
pub fn resource_spans(list: &Value) -> Vec<ResourceSpans> {
    let mut list = list.clone();
    translate(&mut list);
    serde_json::from_value(list.clone()).unwrap_or_else(|e| panic!("not a trace ({e}): {list}"))
}

/// The spans of `/api/traces/{id}`.
pub fn v1(answer: &Value) -> Vec<ResourceSpans> {
    assert_eq!(keys(answer), ["batches"], "{answer}");
    resource_spans(&answer["batches"])
}

/// The spans of `/api/v2/traces/{id}`.
pub fn v2(answer: &Value) -> Vec<ResourceSpans> {
    assert!(answer["metrics"].is_object(), "{answer}");
    assert!(answer.get("status").is_none(), "not the whole trace: {answer}");
    resource_spans(&answer["trace"]["resourceSpans"])
}

/// The names of an object's fields.
pub fn keys(object: &Value) -> Vec<&str> {
    object.as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn translate(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(translate),
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "traceId" | "spanId" | "parentSpanId" => *field = hex_of(field),
                    "kind" => *field = number(SpanKind::from_str_name(name_of(field)).map(i32::from), field),
                    "code" => {
                        *field = number(StatusCode::from_str_name(name_of(field)).map(i32::from), field)
                    }
                    _ => translate(field),
                }
            }
        }
        _ => {}
    }
}

fn name_of(field: &Value) -> &str {
    field.as_str().unwrap_or_default()
}

fn number(number: Option<i32>, field: &Value) -> Value {
    json!(number.unwrap_or_else(|| panic!("{field} is no name of OTLP's")))
}

fn hex_of(field: &Value) -> Value {
    let bytes = STANDARD.decode(name_of(field)).unwrap_or_else(|e| panic!("{field} is not base64: {e}"));
    json!(hex::encode(bytes))
}
