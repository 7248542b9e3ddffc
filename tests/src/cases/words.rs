//! Words of a case file's lines.

use serde_json::Value as Json;
use vivace_model::{Attribute, SpanId, TraceId, Value};

/// From hex, of whatever length.
pub(super) fn span_id(hex: &str) -> Result<SpanId, String> {
    let number = u64::from_str_radix(hex, 16).map_err(|e| format!("span id {hex}: {e}"))?;
    Ok(SpanId(number.to_be_bytes()))
}

/// Nanoseconds of `5ms`, `-1s`, `0ns`.
pub(super) fn duration_of(text: &str) -> Result<i64, String> {
    let units = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor)))
        .ok_or_else(|| format!("{text} has no unit of ns, us, ms, s"))?;
    number.parse::<i64>().map(|number| number * factor).map_err(|e| format!("duration {text}: {e}"))
}

/// The words of a line: separated by spaces, quoted where they hold some.
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.trim() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn end(&self) -> Result<(), String> {
        if self.is_empty() { Ok(()) } else { Err(format!("unexpected {}", self.rest)) }
    }

    /// The next word; a quoted one as JSON writes it.
    pub(super) fn next(&mut self) -> Result<String, String> {
        if self.is_empty() {
            return Err("a word is missing".to_owned());
        }
        if self.rest.starts_with('"') {
            let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
            let word = stream.next().ok_or("a word is missing")?.map_err(|e| e.to_string())?;
            self.rest = self.rest[stream.byte_offset()..].trim_start();
            return Ok(word);
        }
        let (word, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        self.rest = rest.trim_start();
        Ok(word.to_owned())
    }

    /// `key=value`
    pub(super) fn pair(&mut self) -> Result<(String, String), String> {
        let (key, rest) = self.rest.split_once('=').ok_or_else(|| format!("no `=` in {}", self.rest))?;
        self.rest = rest;
        Ok((key.to_owned(), self.next()?))
    }

    pub(super) fn number<N: std::str::FromStr>(&mut self) -> Result<N, String> {
        let word = self.next()?;
        word.parse().map_err(|_| format!("{word} is no number"))
    }

    pub(super) fn duration(&mut self) -> Result<i64, String> {
        duration_of(&self.next()?)
    }

    pub(super) fn trace_id(&mut self) -> Result<TraceId, String> {
        self.next()?.parse().map_err(|e| format!("{e}"))
    }

    pub(super) fn span_id(&mut self) -> Result<SpanId, String> {
        span_id(&self.next()?)
    }

    pub(super) fn at_object(&self) -> bool {
        self.rest.starts_with('{')
    }

    /// A JSON object; without one nothing.
    pub(super) fn object(&mut self) -> Result<Vec<(String, Value)>, String> {
        if !self.at_object() {
            return Ok(Vec::new());
        }
        let mut stream =
            serde_json::Deserializer::from_str(self.rest).into_iter::<serde_json::Map<String, Json>>();
        let json = stream.next().ok_or("an object is missing")?.map_err(|e| e.to_string())?;
        self.rest = self.rest[stream.byte_offset()..].trim_start();
        json.into_iter().map(|(key, json)| Ok((key, value(json)?))).collect()
    }

    /// The rest of the line: a JSON object, or nothing.
    pub(super) fn attributes(&mut self) -> Result<Vec<Attribute>, String> {
        let object = self.object()?;
        self.end()?;
        Ok(object.into_iter().map(|(key, value)| Attribute { key, value }).collect())
    }
}

/// JSON's values are OTLP's, except for `null`, a value that is empty, and `{"$bytes": "hex"}`.
fn value(json: Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Empty,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().ok_or_else(|| format!("no number: {number}"))?),
        },
        Json::String(text) => Value::String(text),
        Json::Array(elements) => Value::Array(elements.into_iter().map(value).collect::<Result<_, _>>()?),
        Json::Object(map) => match map.get("$bytes") {
            Some(Json::String(digits)) => Value::Bytes(hex::decode(digits).map_err(|e| e.to_string())?),
            _ => {
                let entry = |(key, json)| value(json).map(|value| (key, value));
                Value::Map(map.into_iter().map(entry).collect::<Result<_, _>>()?)
            }
        },
    })
}
