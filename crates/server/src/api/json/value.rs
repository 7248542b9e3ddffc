use std::fmt::Write;

use vivace_model::{Attribute, Value};

use super::writer::{Object, base64, double, string};

/// `KeyValue`
pub(super) fn attribute(attribute: &Attribute, out: &mut String) {
    key_value(&attribute.key, &attribute.value, out);
}

/// `KeyValue`
pub(super) fn key_value(key: &str, value: &Value, out: &mut String) {
    let mut object = Object::open(out);
    object.string("key", key);
    any_value(value, object.key("value"));
    object.close();
}

/// `AnyValue`; the one field that is set is written even if it is zero. The nesting of values is bounded where they
/// are read: prost stops at 100 levels, stored JSON at 64.
fn any_value(value: &Value, out: &mut String) {
    let mut object = Object::open(out);
    match value {
        Value::Empty => {}
        Value::String(text) => string(object.key("stringValue"), text),
        Value::Bool(truth) => object.key("boolValue").push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => {
            // Writing to a String cannot fail.
            let _ = write!(object.key("intValue"), "\"{number}\"");
        }
        Value::Float(number) => double(object.key("doubleValue"), *number),
        Value::Bytes(bytes) => base64(object.key("bytesValue"), bytes),
        Value::Array(values) => {
            object.object("arrayValue", |array| array.list("values", values, any_value));
        }
        Value::Map(entries) => object.object("kvlistValue", |map| {
            map.list("values", entries, |(key, value), out| key_value(key, value, out));
        }),
    }
    object.close();
}
