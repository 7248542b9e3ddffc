//! Values as OTLP JSON `AnyValue` text: how arrays, maps and bytes are kept in the residual attribute columns, so that
//! any reader of a block can make sense of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value as Json, json};

use crate::Value;

impl Value {
    /// The value as OTLP JSON `AnyValue`.
    pub fn to_json(&self) -> String {
        encode(self).to_string()
    }

    /// The value as JSON says it, types left out: bytes as hex, and text for the numbers JSON does not have.
    pub fn to_plain_json(&self) -> Json {
        match self {
            Value::Empty => Json::Null,
            Value::String(text) => json!(text),
            Value::Bool(truth) => json!(truth),
            Value::Int(number) => json!(number),
            Value::Float(number) if number.is_finite() => json!(number),
            Value::Float(number) if number.is_nan() => json!("NaN"),
            Value::Float(number) => json!(if *number > 0.0 { "Infinity" } else { "-Infinity" }),
            Value::Bytes(bytes) => json!(hex::encode(bytes)),
            Value::Array(values) => values.iter().map(Value::to_plain_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|(key, value)| (key.clone(), value.to_plain_json())).collect()
            }
        }
    }

    /// Reads what [`Value::to_json`] wrote of a value within [`Value::MAX_DEPTH`]; anything else is [`None`].
    pub fn from_json(text: &str) -> Option<Value> {
        decode(&serde_json::from_str(text).ok()?)
    }
}

fn encode(value: &Value) -> Json {
    match value {
        Value::Empty => json!({}),
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(truth) => json!({ "boolValue": truth }),
        Value::Int(number) => json!({ "intValue": number.to_string() }),
        Value::Float(number) if number.is_finite() => json!({ "doubleValue": number }),
        Value::Float(number) if number.is_nan() => json!({ "doubleValue": "NaN" }),
        Value::Float(number) => {
            json!({ "doubleValue": if *number > 0.0 { "Infinity" } else { "-Infinity" } })
        }
        Value::Bytes(bytes) => json!({ "bytesValue": BASE64.encode(bytes) }),
        Value::Array(values) => {
            json!({ "arrayValue": { "values": values.iter().map(encode).collect::<Vec<_>>() } })
        }
        Value::Map(entries) => {
            let values: Vec<_> =
                entries.iter().map(|(key, value)| json!({ "key": key, "value": encode(value) })).collect();
            json!({ "kvlistValue": { "values": values } })
        }
    }
}

/// As deep as serde_json reads.
fn decode(json: &Json) -> Option<Value> {
    let Some((kind, content)) = json.as_object()?.iter().next() else { return Some(Value::Empty) };
    match kind.as_str() {
        "stringValue" => Some(Value::String(content.as_str()?.to_owned())),
        "boolValue" => content.as_bool().map(Value::Bool),
        "intValue" => content.as_str()?.parse().ok().map(Value::Int),
        "doubleValue" => decode_float(content).map(Value::Float),
        "bytesValue" => BASE64.decode(content.as_str()?).ok().map(Value::Bytes),
        "arrayValue" => {
            let items = members(content)?.iter().map(|item| decode(item).unwrap_or(Value::Empty));
            Some(Value::Array(items.collect()))
        }
        "kvlistValue" => members(content)?
            .iter()
            .map(|item| decode_entry(item.as_object()?))
            .collect::<Option<_>>()
            .map(Value::Map),
        _ => None,
    }
}

fn members(content: &Json) -> Option<&Vec<Json>> {
    content.as_object()?.get("values")?.as_array()
}

fn decode_entry(entry: &Map<String, Json>) -> Option<(String, Value)> {
    let value = entry.get("value").and_then(decode).unwrap_or(Value::Empty);
    Some((entry.get("key")?.as_str()?.to_owned(), value))
}

fn decode_float(content: &Json) -> Option<f64> {
    match content.as_str() {
        None => content.as_f64(),
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
