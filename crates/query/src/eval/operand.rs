use std::borrow::Cow;

use vivace_model::{SpanKind, StatusCode, Value};
use vivace_storage::columns::ValueRef;
use vivace_traceql::{Kind, Static, Status};

/// A value during evaluation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand<'a> {
    /// The span does not have it.
    Nil,
    /// There is no event or link that could have it: not even `= nil` holds.
    Unbound,
    String(Cow<'a, str>),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    Status(StatusCode),
    Kind(SpanKind),
    /// Values of one basic type.
    Array(Vec<Operand<'a>>),
}

impl<'a> Operand<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }

    pub(crate) fn nanos(duration: u64) -> Self {
        Self::Duration(i64::try_from(duration).unwrap_or(i64::MAX))
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Nil | Self::Unbound)
    }

    /// What a stored value is to TraceQL; maps, bytes and mixed arrays are kept but not searchable.
    pub(crate) fn of_ref(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Empty => Self::Nil,
            ValueRef::String(text) => Self::text(text),
            ValueRef::Bool(truth) => Self::Bool(truth),
            ValueRef::Int(number) => Self::Int(number),
            ValueRef::Float(number) => Self::Float(number),
            ValueRef::Json(text) => match Value::from_json(text) {
                Some(Value::Array(values)) => Operand::of_array(&values).into_owned(),
                _ => Self::Nil,
            },
        }
    }

    /// As [`Operand::of_ref`], for a value in memory.
    pub(crate) fn of_value(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Self::text(text),
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Int(number) => Self::Int(*number),
            Value::Float(number) => Self::Float(*number),
            Value::Array(values) => Self::of_array(values),
            Value::Empty | Value::Bytes(_) | Value::Map(_) => Self::Nil,
        }
    }

    fn of_array(values: &'a [Value]) -> Self {
        let basic =
            |value| matches!(value, &Value::String(_) | &Value::Bool(_) | &Value::Int(_) | &Value::Float(_));
        let alike = |pair: &[Value]| std::mem::discriminant(&pair[0]) == std::mem::discriminant(&pair[1]);
        if values.iter().all(basic) && values.windows(2).all(alike) {
            Self::Array(values.iter().map(Self::of_value).collect())
        } else {
            Self::Nil
        }
    }

    pub(crate) fn of_static(literal: &Static) -> Operand<'static> {
        match literal {
            Static::Nil => Operand::Nil,
            Static::Int(number) => Operand::Int(*number),
            Static::Float(number) => Operand::Float(*number),
            Static::String(text) => Operand::String(Cow::Owned(text.clone())),
            Static::Bool(truth) => Operand::Bool(*truth),
            Static::Duration(nanos) => Operand::Duration(*nanos),
            Static::Status(Status::Error) => Operand::Status(StatusCode::Error),
            Static::Status(Status::Ok) => Operand::Status(StatusCode::Ok),
            Static::Status(Status::Unset) => Operand::Status(StatusCode::Unset),
            Static::Kind(kind) => Operand::Kind(match kind {
                Kind::Unspecified => SpanKind::Unspecified,
                Kind::Internal => SpanKind::Internal,
                Kind::Server => SpanKind::Server,
                Kind::Client => SpanKind::Client,
                Kind::Producer => SpanKind::Producer,
                Kind::Consumer => SpanKind::Consumer,
            }),
        }
    }

    pub(crate) fn borrowed(&self) -> Operand<'_> {
        match self {
            Self::String(text) => Operand::text(text),
            other => other.clone(),
        }
    }

    pub(crate) fn into_owned(self) -> Operand<'static> {
        match self {
            Self::Nil => Operand::Nil,
            Self::Unbound => Operand::Unbound,
            Self::String(text) => Operand::String(Cow::Owned(text.into_owned())),
            Self::Int(number) => Operand::Int(number),
            Self::Float(number) => Operand::Float(number),
            Self::Bool(truth) => Operand::Bool(truth),
            Self::Duration(nanos) => Operand::Duration(nanos),
            Self::Status(status) => Operand::Status(status),
            Self::Kind(kind) => Operand::Kind(kind),
            Self::Array(values) => Operand::Array(values.into_iter().map(Operand::into_owned).collect()),
        }
    }

    /// Appends bytes that are equal for equal values of equal types, and only for those.
    pub(crate) fn encode(&self, key: &mut Vec<u8>) {
        let mut fixed = |tag: u8, bytes: [u8; 8]| {
            key.push(tag);
            key.extend(bytes);
        };
        match self {
            Self::Nil | Self::Unbound => key.push(0),
            Self::Int(number) => fixed(1, number.to_le_bytes()),
            // One zero, one NaN.
            Self::Float(number) if *number == 0.0 => fixed(2, 0.0_f64.to_le_bytes()),
            Self::Float(number) if number.is_nan() => fixed(2, f64::NAN.to_le_bytes()),
            Self::Float(number) => fixed(2, number.to_le_bytes()),
            Self::Duration(nanos) => fixed(3, nanos.to_le_bytes()),
            Self::Bool(truth) => key.extend([4, u8::from(*truth)]),
            Self::Status(status) => key.extend([5, *status as u8]),
            Self::Kind(kind) => key.extend([6, *kind as u8]),
            Self::String(text) => {
                fixed(7, (text.len() as u64).to_le_bytes());
                key.extend(text.as_bytes());
            }
            Self::Array(elements) => {
                fixed(8, (elements.len() as u64).to_le_bytes());
                elements.iter().for_each(|element| element.encode(key));
            }
        }
    }

    /// How a search result shows it: durations, statuses and kinds as text (`reference/tempo.md` 2.3); [`None`] when
    /// there is nothing to show.
    pub(crate) fn to_output(&self) -> Option<Value> {
        match self {
            Self::Nil | Self::Unbound => None,
            Self::String(text) => Some(Value::String(text.clone().into_owned())),
            Self::Int(number) => Some(Value::Int(*number)),
            Self::Float(number) => Some(Value::Float(*number)),
            Self::Bool(truth) => Some(Value::Bool(*truth)),
            Self::Duration(nanos) => Some(Value::String(vivace_traceql::format_duration(*nanos))),
            Self::Status(status) => Some(Value::from(status.name())),
            Self::Kind(kind) => Some(Value::from(kind.name())),
            Self::Array(values) => Some(Value::Array(values.iter().filter_map(Self::to_output).collect())),
        }
    }
}
