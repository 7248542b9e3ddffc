//! Spans of a case file.

use std::sync::Arc;

use serde_json::Value as Json;
use vivace_model::{
    Attribute, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId, Value,
};
use vivace_testkit::BASE_TIME;

/// A span whose details may still follow.
#[derive(Debug)]
pub(super) struct Draft {
    span: Span,
    resource: Resource,
    scope: Scope,
}

impl Draft {
    /// `TRACE SPAN [key=value ...]`
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut words = Words::new(text);
        let span = plain(words.trace_id()?, words.span_id()?);
        let mut draft = Self { span, resource: Resource::default(), scope: Scope::default() };
        let mut service = "shop".to_owned();
        let mut duration = 10_000_000;
        while !words.is_empty() {
            let (key, value) = words.pair()?;
            match key.as_str() {
                "parent" => draft.span.parent_span_id = Some(span_id(&value)?),
                "service" => service = value,
                "name" => draft.span.name = value,
                "kind" => draft.span.kind = kind(&value)?,
                "status" => draft.span.status = status(&value)?,
                "message" => draft.span.status_message = value,
                "start" => draft.span.start = BASE_TIME.saturating_add_signed(duration_of(&value)?),
                "dur" => duration = duration_of(&value)?,
                "scope" => draft.scope.name = value,
                "version" => draft.scope.version = value,
                _ => return Err(format!("unknown key {key}")),
            }
        }
        draft.span.end = draft.span.start.saturating_add_signed(duration);
        if service != "-" {
            draft.resource.attributes.push(Attribute::new("service.name", service));
        }
        Ok(draft)
    }

    /// A line below the span.
    pub(super) fn detail(&mut self, word: &str, rest: &str) -> Result<(), String> {
        let mut words = Words::new(rest);
        match word {
            "attributes" => self.span.attributes.extend(words.attributes()?),
            "resource" => self.resource.attributes.extend(words.attributes()?),
            "instrumentation" => self.scope.attributes.extend(words.attributes()?),
            "event" => {
                let (name, after) = (words.next()?, words.duration()?);
                let time = self.span.start.saturating_add_signed(after);
                let attributes = words.attributes()?;
                self.span.events.push(Event { time, name, attributes, dropped_attributes: 0 });
            }
            _ => self.span.links.push(Link {
                trace_id: words.trace_id()?.0.to_vec(),
                span_id: words.span_id()?.0.to_vec(),
                trace_state: String::new(),
                flags: 0,
                attributes: words.attributes()?,
                dropped_attributes: 0,
            }),
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Span {
        Span { resource: Arc::new(self.resource), scope: Arc::new(self.scope), ..self.span }
    }
}

fn plain(trace_id: TraceId, span_id: SpanId) -> Span {
    Span {
        trace_id,
        span_id,
        parent_span_id: None,
        trace_state: String::new(),
        flags: 0,
        name: "work".to_owned(),
        kind: SpanKind::Internal,
        start: BASE_TIME,
        end: BASE_TIME,
        status: StatusCode::Unset,
        status_message: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        resource: Arc::default(),
        scope: Arc::default(),
    }
}

fn kind(name: &str) -> Result<SpanKind, String> {
    let found = (0..=5).map(SpanKind::from_otlp).find(|kind| kind.name() == name);
    found.ok_or_else(|| format!("no kind {name}"))
}

fn status(name: &str) -> Result<StatusCode, String> {
    let found = (0..=2).map(StatusCode::from_otlp).find(|status| status.name() == name);
    found.ok_or_else(|| format!("no status {name}"))
}

fn span_id(hex: &str) -> Result<SpanId, String> {
    let number = u64::from_str_radix(hex, 16).map_err(|e| format!("span id {hex}: {e}"))?;
    Ok(SpanId(number.to_be_bytes()))
}

/// Nanoseconds of `5ms`, `-1s`, `0ns`.
fn duration_of(text: &str) -> Result<i64, String> {
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
    fn pair(&mut self) -> Result<(String, String), String> {
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

    /// The rest of the line: a JSON object, or nothing.
    pub(super) fn attributes(&mut self) -> Result<Vec<Attribute>, String> {
        let text = std::mem::take(&mut self.rest);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let json: serde_json::Map<String, Json> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        json.into_iter().map(|(key, json)| Ok(Attribute { key, value: value(json)? })).collect()
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
