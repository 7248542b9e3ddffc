use vivace_model::Value;

use super::wire::{Reader, Result, Within};

/// An `AnyValue` so far: fields of a message may come again, and then the last counts, or lists are continued.
#[derive(Debug)]
pub(super) enum Any<'a> {
    Empty,
    String(&'a str),
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Bytes, array or map.
    Tree(Value),
    /// Arrays and maps go further down than was allowed. It is not looked into, and stays what it is whatever else
    /// the message has.
    TooDeep,
}

impl<'a> Any<'a> {
    /// Adds what a message says, with arrays and maps of so many `levels` at most.
    fn merge(&mut self, mut message: Reader<'a>, levels: u32) -> Result<()> {
        while let Some(tag) = message.next()? {
            if matches!(self, Self::TooDeep) {
                message.skip(tag)?;
                continue;
            }
            *self = match tag.field {
                1 => Self::String(message.text(tag).field("string_value")?),
                2 => Self::Bool(message.number(tag).field("bool_value")? != 0),
                3 => Self::Int(message.number(tag).field("int_value")?.cast_signed()),
                4 => Self::Float(f64::from_bits(message.fixed64(tag).field("double_value")?)),
                5 | 6 if levels == 0 => {
                    message.bytes(tag)?;
                    Self::TooDeep
                }
                5 => {
                    let before = match std::mem::replace(self, Self::Empty) {
                        Self::Tree(Value::Array(values)) => values,
                        _ => Vec::new(),
                    };
                    let list = message.message(tag);
                    list.and_then(|list| array(list, before, levels - 1)).field("array_value")?
                }
                6 => {
                    let before = match std::mem::replace(self, Self::Empty) {
                        Self::Tree(Value::Map(entries)) => entries,
                        _ => Vec::new(),
                    };
                    let list = message.message(tag);
                    list.and_then(|list| map(list, before, levels - 1)).field("kvlist_value")?
                }
                7 => Self::Tree(Value::Bytes(message.bytes(tag).field("bytes_value")?.to_vec())),
                // A reference into a string table that only the profiles signal has.
                8 => {
                    message.code(tag).field("string_value_strindex")?;
                    Self::Empty
                }
                _ => {
                    message.skip(tag)?;
                    continue;
                }
            };
        }
        Ok(())
    }

    /// [`None`] when it is too deep.
    fn into_value(self) -> Option<Value> {
        Some(match self {
            Self::Empty => Value::Empty,
            Self::String(text) => Value::String(text.to_owned()),
            Self::Bool(truth) => Value::Bool(truth),
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
            Self::Tree(value) => value,
            Self::TooDeep => return None,
        })
    }
}

/// An array that begins with `values`.
fn array<'a>(mut message: Reader<'_>, mut values: Vec<Value>, levels: u32) -> Result<Any<'a>> {
    let mut fits = true;
    while let Some(tag) = message.next()? {
        match tag.field {
            1 => {
                let mut value = Any::Empty;
                message.message(tag).and_then(|m| value.merge(m, levels)).item("values", values.len())?;
                match value.into_value() {
                    Some(value) => values.push(value),
                    None => fits = false,
                }
            }
            _ => message.skip(tag)?,
        }
    }
    Ok(if fits { Any::Tree(Value::Array(values)) } else { Any::TooDeep })
}

/// A map that begins with `entries`.
fn map<'a>(mut message: Reader<'_>, mut entries: Vec<(String, Value)>, levels: u32) -> Result<Any<'a>> {
    let mut fits = true;
    while let Some(tag) = message.next()? {
        match tag.field {
            1 => {
                let read = message.message(tag).and_then(|entry| key_and_any(entry, levels));
                let (key, value) = read.item("values", entries.len())?;
                match value.into_value() {
                    Some(value) => entries.push((key.to_owned(), value)),
                    None => fits = false,
                }
            }
            _ => message.skip(tag)?,
        }
    }
    Ok(if fits { Any::Tree(Value::Map(entries)) } else { Any::TooDeep })
}

/// A `KeyValue`, whose value has arrays and maps of so many `levels` at most.
#[inline]
pub(super) fn key_and_any(mut message: Reader<'_>, levels: u32) -> Result<(&str, Any<'_>)> {
    let (mut key, mut value) = ("", Any::Empty);
    while let Some(tag) = message.next()? {
        match tag.field {
            1 => key = message.text(tag).field("key")?,
            2 => message.message(tag).and_then(|message| value.merge(message, levels)).field("value")?,
            3 => message.code(tag).map(drop).field("key_strindex")?,
            _ => message.skip(tag)?,
        }
    }
    Ok((key, value))
}
