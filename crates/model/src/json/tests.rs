use proptest::prelude::*;

use super::*;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Empty),
        ".*".prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), -1e12..1e12].prop_map(Value::Float),
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((".*", inner), 0..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn json_keeps_every_value(value in any_value()) {
        prop_assert_eq!(Value::from_json(&value.to_json()), Some(value));
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".*") {
        let _ = Value::from_json(&text);
    }
}

#[test]
fn the_deepest_values_survive() {
    for wrap in [
        |value| Value::Array(vec![value]),
        |value| Value::Map(vec![("key".to_owned(), value), (String::new(), Value::Empty)]),
    ] {
        let deepest = (0..Value::MAX_DEPTH).fold(Value::Int(7), |value, _| wrap(value));
        assert_eq!(Value::from_json(&deepest.to_json()), Some(deepest));
    }
}

#[test]
fn text_of_any_depth_is_read_or_refused() {
    for depth in [31, 40, 100, 10_000] {
        let text =
            [r#"{"arrayValue":{"values":["#.repeat(depth), "{}".to_owned(), "]}}".repeat(depth)].concat();
        assert_eq!(Value::from_json(&text).is_some(), depth <= 40, "{depth} levels");
    }
}

#[test]
fn nan_survives() {
    let back = Value::from_json(&Value::Float(f64::NAN).to_json());
    assert!(matches!(back, Some(Value::Float(number)) if number.is_nan()));
}

#[test]
fn plain_json_leaves_types_out() {
    let cases = [
        (Value::Empty, json!(null)),
        (Value::from("a"), json!("a")),
        (Value::Bool(false), json!(false)),
        (Value::Int(i64::MIN), json!(i64::MIN)),
        (Value::Float(0.5), json!(0.5)),
        (Value::Float(f64::NAN), json!("NaN")),
        (Value::Float(f64::NEG_INFINITY), json!("-Infinity")),
        (Value::Bytes(vec![1, 255]), json!("01ff")),
        (Value::Array(vec![Value::Int(1), Value::Empty]), json!([1, null])),
        (Value::Map(vec![("k".to_owned(), Value::Array(vec![]))]), json!({"k": []})),
    ];
    for (value, expected) in cases {
        assert_eq!(value.to_plain_json(), expected, "{value:?}");
    }
}
