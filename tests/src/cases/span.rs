//! Spans of a case file.

use std::sync::Arc;

use vivace_model::{Attribute, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId};
use vivace_testkit::{BASE_TIME, SpanBuilder};

use super::words::{Words, duration_of, span_id};

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
                "tracestate" => draft.span.trace_state = value,
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
    Span { trace_id, span_id, ..SpanBuilder::new("work").no_resource().duration_ms(0).build() }
}

fn kind(name: &str) -> Result<SpanKind, String> {
    let found = (0..=5).map(SpanKind::from_otlp).find(|kind| kind.name() == name);
    found.ok_or_else(|| format!("no kind {name}"))
}

fn status(name: &str) -> Result<StatusCode, String> {
    let found = (0..=2).map(StatusCode::from_otlp).find(|status| status.name() == name);
    found.ok_or_else(|| format!("no status {name}"))
}
