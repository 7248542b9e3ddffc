//! What protobuf's JSON mapping allows beyond what exporters normally write: nulls for absent fields, names for enum
//! values, numbers as text, empty lists without their field. Only bodies that a strict reading refuses come here.

use serde_json::{Map, Value};

/// Rewrites a request in place to the strict form, as far as it can be.
pub(super) fn normalize(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (key, field) in fields.iter_mut() {
                normalize_field(key, field);
            }
            if fields.contains_key("value") && !fields.contains_key("key") {
                fields.insert("key".to_owned(), Value::from(""));
            }
        }
        _ => {}
    }
}

fn normalize_field(key: &str, field: &mut Value) {
    normalize(field);
    let replacement = match key {
        "kind" => enum_number(
            field,
            "SPAN_KIND_",
            &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"],
        ),
        "code" => enum_number(field, "STATUS_CODE_", &["UNSET", "OK", "ERROR"]),
        "doubleValue" => field.as_str().and_then(|text| text.parse::<f64>().ok()).map(Value::from),
        "flags" | "droppedAttributesCount" | "droppedEventsCount" | "droppedLinksCount" => {
            field.as_str().and_then(|text| text.parse::<u32>().ok()).map(Value::from)
        }
        _ => None,
    };
    if let Some(replacement) = replacement {
        *field = replacement;
    }
    if matches!(key, "arrayValue" | "kvlistValue")
        && let Value::Object(fields) = field
        && !fields.contains_key("values")
    {
        *fields = Map::from_iter([("values".to_owned(), Value::Array(Vec::new()))]);
    }
}

fn enum_number(field: &Value, prefix: &str, names: &[&str]) -> Option<Value> {
    let name = field.as_str()?.strip_prefix(prefix)?;
    names.iter().position(|known| *known == name).map(Value::from)
}
