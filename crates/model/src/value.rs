/// An attribute's value, as OTLP knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Present without a value.
    Empty,
    /// Text.
    String(String),
    /// Truth.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Floating point number.
    Float(f64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A list, possibly of mixed types.
    Array(Vec<Value>),
    /// Named values in order.
    Map(Vec<(String, Value)>),
}

/// A named value.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// The name without scope, such as `http.status_code`.
    pub key: String,
    /// The value.
    pub value: Value,
}

impl Attribute {
    /// A named value.
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl Value {
    /// How deep arrays and maps may stand in one another; deeper attributes are left out when they come in. What is
    /// within can be written in every form a value takes: protobuf's readers go down 100 messages, readers of JSON 128
    /// levels, and a map takes three of the former and four of the latter, behind seven and twelve of the span around it.
    pub const MAX_DEPTH: u32 = 24;

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}
