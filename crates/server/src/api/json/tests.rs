use serde_json::json;
use vivace_model::{Attribute, Value};

use super::value::attribute;
use super::writer::{double, string};

fn written(value: Value) -> serde_json::Value {
    let mut out = String::new();
    attribute(&Attribute::new("k", value), &mut out);
    serde_json::from_str(&out).unwrap()
}

#[test]
fn values_follow_the_rules_of_jsonpb() {
    let cases = [
        (Value::Empty, json!({})),
        (Value::from(""), json!({"stringValue": ""})),
        (Value::from(false), json!({"boolValue": false})),
        (Value::Int(i64::MIN), json!({"intValue": "-9223372036854775808"})),
        (Value::Int(0), json!({"intValue": "0"})),
        (Value::Float(0.5), json!({"doubleValue": 0.5})),
        (Value::Float(f64::NAN), json!({"doubleValue": "NaN"})),
        (Value::Float(f64::NEG_INFINITY), json!({"doubleValue": "-Infinity"})),
        (Value::Bytes(vec![0, 255]), json!({"bytesValue": "AP8="})),
        (Value::Array(vec![]), json!({"arrayValue": {}})),
        (
            Value::Array(vec![Value::from("a"), Value::Empty]),
            json!({"arrayValue": {"values": [{"stringValue": "a"}, {}]}}),
        ),
        (
            Value::Map(vec![("x".into(), Value::Int(1))]),
            json!({"kvlistValue": {"values": [{"key": "x", "value": {"intValue": "1"}}]}}),
        ),
    ];
    for (value, expected) in cases {
        assert_eq!(written(value), json!({"key": "k", "value": expected}));
    }
}

#[test]
fn any_text_reads_back_as_the_same() {
    let all: String = (0..=0x2ff).filter_map(char::from_u32).chain(['\u{2028}', '😀', '"', '\\']).collect();
    let mut out = String::new();
    string(&mut out, &all);
    assert_eq!(serde_json::from_str::<String>(&out).unwrap(), all);
}

#[test]
fn any_double_reads_back_as_the_same() {
    for value in [0.1, -0.0, 1e300, 5e-324, f64::MAX, 1.0 / 3.0, 3.0] {
        let mut out = String::new();
        double(&mut out, value);
        assert_eq!(serde_json::from_str::<f64>(&out).unwrap().to_bits(), value.to_bits(), "{out}");
    }
}
