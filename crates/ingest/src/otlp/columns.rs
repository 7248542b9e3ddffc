//! A binary request to columns, without messages in between. The rules are those of [`super::spans`], which does the same by
//! way of messages: tests hold one against the other.

use arrow::array::RecordBatch;
use vivace_model::schema::AttributeScope;
use vivace_model::{SpanId, SpanKind, StatusCode, Value};
use vivace_storage::columns::{AttributeOrder, SpanBatchBuilder, SpanFields, ValueRef};

use super::any::{Any, key_and_any};
use super::rejections::{Owner, Rejections};
use super::wire::{Reader, Result, Within};
use crate::IngestError;

/// The spans of a request that have valid ids, and what became of the others.
#[derive(Debug)]
pub struct Columns {
    /// In the order of a block's rows.
    pub spans: RecordBatch,
    /// Spans that are not among them.
    pub rejections: Rejections,
}

/// Reads a binary `ExportTraceServiceRequest`. `order` is shared by batches that will be joined. Keys and texts of
/// attributes that are longer than `max_attribute_bytes` are cut, at the end of a character.
///
/// # Errors
/// [`IngestError::Malformed`] says what is wrong and where.
pub fn columns(
    body: &[u8],
    order: &AttributeOrder,
    max_attribute_bytes: usize,
) -> std::result::Result<Columns, IngestError> {
    let mut decoder = Decoder::new(max_attribute_bytes);
    decoder
        .request(Reader::new(body))
        .map_err(|error| IngestError::Malformed { format: "protobuf", reason: error.describe(body) })?;
    Ok(Columns { spans: decoder.builder.finish_sorted(order), rejections: decoder.rejections })
}

#[derive(Debug)]
struct Decoder<'a> {
    builder: SpanBatchBuilder,
    rejections: Rejections,
    scratch: Scratch<'a>,
}

/// Submessages of the message at hand, to be read once its other fields are known.
#[derive(Debug, Default)]
struct Scratch<'a> {
    spans: Vec<Reader<'a>>,
    attributes: Vec<Reader<'a>>,
    events: Vec<Reader<'a>>,
    links: Vec<Reader<'a>>,
}

/// The fields of a span that are no lists.
#[derive(Debug, Default)]
struct SpanMessage<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    kind: i32,
    status: i32,
    fields: SpanFields<'a>,
}

impl<'a> Decoder<'a> {
    fn new(max_attribute_bytes: usize) -> Self {
        let rejections = Rejections::new(max_attribute_bytes);
        Self { builder: SpanBatchBuilder::default(), rejections, scratch: Scratch::default() }
    }

    fn request(&mut self, mut message: Reader<'a>) -> Result<()> {
        let mut count = 0;
        while let Some(tag) = message.next()? {
            match tag.field {
                1 => {
                    let read = message.message(tag).and_then(|message| self.resource_spans(message));
                    read.item("resource_spans", count)?;
                    count += 1;
                }
                _ => message.skip(tag)?,
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self, mut message: Reader<'a>) -> Result<()> {
        let (mut resources, mut scopes) = (Vec::new(), Vec::new());
        let mut schema_url = "";
        while let Some(tag) = message.next()? {
            match tag.field {
                1 => resources.push(message.message(tag).field("resource")?),
                2 => scopes.push(message.message(tag).item("scope_spans", scopes.len())?),
                3 => schema_url = message.text(tag).field("schema_url")?,
                _ => message.skip(tag)?,
            }
        }
        let mut dropped = Dropped::default();
        for resource in resources {
            self.resource(resource, &mut dropped).field("resource")?;
        }
        self.builder.end_resource(dropped.total(), schema_url);
        for (at, scope) in scopes.into_iter().enumerate() {
            self.scope_spans(scope).item("scope_spans", at)?;
        }
        Ok(())
    }

    fn resource(&mut self, mut message: Reader<'a>, dropped: &mut Dropped) -> Result<()> {
        let mut count = 0;
        while let Some(tag) = message.next()? {
            match tag.field {
                1 => {
                    let read = message.message(tag).and_then(|entry| {
                        key_value(entry, Owner::Resource, &mut self.rejections, dropped, |key, value| {
                            self.builder.attribute(AttributeScope::Resource, key, value);
                        })
                    });
                    read.item("attributes", count)?;
                    count += 1;
                }
                2 => dropped.by_sender = message.small_number(tag).field("dropped_attributes_count")?,
                3 => message.message(tag).and_then(entity_ref).field("entity_refs")?,
                _ => message.skip(tag)?,
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, mut message: Reader<'a>) -> Result<()> {
        let mut scopes = Vec::new();
        let mut spans = std::mem::take(&mut self.scratch.spans);
        let mut schema_url = "";
        while let Some(tag) = message.next()? {
            match tag.field {
                1 => scopes.push(message.message(tag).field("scope")?),
                2 => spans.push(message.message(tag).item("spans", spans.len())?),
                3 => schema_url = message.text(tag).field("schema_url")?,
                _ => message.skip(tag)?,
            }
        }
        let (mut name, mut version, mut dropped) = ("", "", Dropped::default());
        for scope in scopes {
            self.scope(scope, &mut name, &mut version, &mut dropped).field("scope")?;
        }
        self.builder.end_scope(name, version, dropped.total(), schema_url);
        for (at, span) in spans.drain(..).enumerate() {
            self.span(span).item("spans", at)?;
        }
        self.scratch.spans = spans;
        Ok(())
    }

    fn scope(
        &mut self,
        mut message: Reader<'a>,
        name: &mut &'a str,
        version: &mut &'a str,
        dropped: &mut Dropped,
    ) -> Result<()> {
        let mut count = 0;
        while let Some(tag) = message.next()? {
            match tag.field {
                1 => *name = message.text(tag).field("name")?,
                2 => *version = message.text(tag).field("version")?,
                3 => {
                    let read = message.message(tag).and_then(|entry| {
                        key_value(entry, Owner::Scope, &mut self.rejections, dropped, |key, value| {
                            self.builder.attribute(AttributeScope::Instrumentation, key, value);
                        })
                    });
                    read.item("attributes", count)?;
                    count += 1;
                }
                4 => dropped.by_sender = message.small_number(tag).field("dropped_attributes_count")?,
                _ => message.skip(tag)?,
            }
        }
        Ok(())
    }

    fn span(&mut self, message: Reader<'a>) -> Result<()> {
        let mut span = SpanMessage::default();
        span_fields(message, &mut span, &mut self.scratch)?;
        if !self.rejections.admit(span.trace_id, span.span_id, span.fields.name) {
            // Whether the rest of it is well-formed still decides over the request.
            let (mut nowhere, mut untold) = (SpanBatchBuilder::default(), Rejections::new(usize::MAX));
            return span_lists(&mut nowhere, &mut untold, &mut self.scratch).map(drop);
        }
        let mut dropped = span_lists(&mut self.builder, &mut self.rejections, &mut self.scratch)?;
        dropped.by_sender = span.fields.dropped_attributes;
        self.builder.end_span(&SpanFields {
            trace_id: span.trace_id.try_into().unwrap_or_default(),
            span_id: span.span_id.try_into().unwrap_or_default(),
            parent_span_id: parent(span.parent_span_id),
            kind: SpanKind::from_otlp(span.kind),
            status: StatusCode::from_otlp(span.status),
            dropped_attributes: dropped.total(),
            ..span.fields
        });
        Ok(())
    }
}

/// Attributes that something lacks.
#[derive(Debug, Clone, Copy, Default)]
struct Dropped {
    by_sender: u32,
    too_deep: u32,
}

impl Dropped {
    fn total(self) -> u32 {
        self.by_sender.saturating_add(self.too_deep)
    }
}

/// A parent id that is empty, all zero or of another length than 8 bytes names no span: the span is a root.
fn parent(bytes: &[u8]) -> Option<[u8; 8]> {
    bytes.try_into().ok().filter(|id| !SpanId(*id).is_zero())
}

fn span_fields<'a>(
    mut message: Reader<'a>,
    span: &mut SpanMessage<'a>,
    scratch: &mut Scratch<'a>,
) -> Result<()> {
    let fields = &mut span.fields;
    while let Some(tag) = message.next()? {
        match tag.field {
            9 => scratch.attributes.push(message.message(tag).item("attributes", scratch.attributes.len())?),
            1 => span.trace_id = message.bytes(tag).field("trace_id")?,
            2 => span.span_id = message.bytes(tag).field("span_id")?,
            3 => fields.trace_state = message.text(tag).field("trace_state")?,
            4 => span.parent_span_id = message.bytes(tag).field("parent_span_id")?,
            5 => fields.name = message.text(tag).field("name")?,
            6 => span.kind = message.code(tag).field("kind")?,
            7 => fields.start = message.fixed64(tag).field("start_time_unix_nano")?,
            8 => fields.end = message.fixed64(tag).field("end_time_unix_nano")?,
            10 => fields.dropped_attributes = message.small_number(tag).field("dropped_attributes_count")?,
            11 => scratch.events.push(message.message(tag).item("events", scratch.events.len())?),
            12 => fields.dropped_events = message.small_number(tag).field("dropped_events_count")?,
            13 => scratch.links.push(message.message(tag).item("links", scratch.links.len())?),
            14 => fields.dropped_links = message.small_number(tag).field("dropped_links_count")?,
            15 => {
                let read = message
                    .message(tag)
                    .and_then(|message| status(message, &mut fields.status_message, &mut span.status));
                read.field("status")?;
            }
            16 => fields.flags = message.fixed32(tag).field("flags")?,
            _ => message.skip(tag)?,
        }
    }
    Ok(())
}

fn status<'a>(mut message: Reader<'a>, text: &mut &'a str, code: &mut i32) -> Result<()> {
    while let Some(tag) = message.next()? {
        match tag.field {
            2 => *text = message.text(tag).field("message")?,
            3 => *code = message.code(tag).field("code")?,
            _ => message.skip(tag)?,
        }
    }
    Ok(())
}

/// Attributes, events and links of a span; how many attributes are not among them.
fn span_lists(
    builder: &mut SpanBatchBuilder,
    rejections: &mut Rejections,
    scratch: &mut Scratch<'_>,
) -> Result<Dropped> {
    let mut dropped = Dropped::default();
    for (at, attribute) in scratch.attributes.drain(..).enumerate() {
        let read = key_value(attribute, Owner::Span, rejections, &mut dropped, |key, value| {
            builder.attribute(AttributeScope::Span, key, value);
        });
        read.item("attributes", at)?;
    }
    for (at, message) in scratch.events.drain(..).enumerate() {
        event(builder, rejections, message).item("events", at)?;
    }
    for (at, message) in scratch.links.drain(..).enumerate() {
        link(builder, rejections, message).item("links", at)?;
    }
    Ok(dropped)
}

fn event(builder: &mut SpanBatchBuilder, rejections: &mut Rejections, mut message: Reader<'_>) -> Result<()> {
    let (mut time, mut name, mut dropped, mut count) = (0, "", Dropped::default(), 0);
    while let Some(tag) = message.next()? {
        match tag.field {
            1 => time = message.fixed64(tag).field("time_unix_nano")?,
            2 => name = message.text(tag).field("name")?,
            3 => {
                let read = message.message(tag).and_then(|entry| {
                    key_value(entry, Owner::Event, rejections, &mut dropped, |key, value| {
                        builder.event_attribute(key, value)
                    })
                });
                read.item("attributes", count)?;
                count += 1;
            }
            4 => dropped.by_sender = message.small_number(tag).field("dropped_attributes_count")?,
            _ => message.skip(tag)?,
        }
    }
    builder.end_event(time, name, dropped.total());
    Ok(())
}

fn link(builder: &mut SpanBatchBuilder, rejections: &mut Rejections, mut message: Reader<'_>) -> Result<()> {
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
    let (mut trace_state, mut flags, mut dropped, mut count) = ("", 0, Dropped::default(), 0);
    while let Some(tag) = message.next()? {
        match tag.field {
            1 => trace_id = message.bytes(tag).field("trace_id")?,
            2 => span_id = message.bytes(tag).field("span_id")?,
            3 => trace_state = message.text(tag).field("trace_state")?,
            4 => {
                let read = message.message(tag).and_then(|entry| {
                    key_value(entry, Owner::Link, rejections, &mut dropped, |key, value| {
                        builder.link_attribute(key, value)
                    })
                });
                read.item("attributes", count)?;
                count += 1;
            }
            5 => dropped.by_sender = message.small_number(tag).field("dropped_attributes_count")?,
            6 => flags = message.fixed32(tag).field("flags")?,
            _ => message.skip(tag)?,
        }
    }
    builder.end_link((trace_id, span_id), trace_state, flags, dropped.total());
    Ok(())
}

/// Nothing of it is kept.
fn entity_ref(mut message: Reader<'_>) -> Result<()> {
    while let Some(tag) = message.next()? {
        match tag.field {
            1..=4 => message.text(tag).map(drop)?,
            _ => message.skip(tag)?,
        }
    }
    Ok(())
}

/// Gives the attribute to `take`, unless its value is too deep.
#[inline]
fn key_value(
    message: Reader<'_>,
    owner: Owner,
    rejections: &mut Rejections,
    dropped: &mut Dropped,
    take: impl FnOnce(&str, ValueRef<'_>),
) -> Result<()> {
    let (key, value) = key_and_any(message, Value::MAX_DEPTH)?;
    let key = rejections.shorten(owner, key, key);
    match value {
        Any::Empty => take(key, ValueRef::Empty),
        Any::String(text) => take(key, ValueRef::String(rejections.shorten(owner, key, text))),
        Any::Bool(truth) => take(key, ValueRef::Bool(truth)),
        Any::Int(number) => take(key, ValueRef::Int(number)),
        Any::Float(number) => take(key, ValueRef::Float(number)),
        Any::Tree(value) => take(key, ValueRef::Json(&value.to_json())),
        Any::TooDeep => {
            dropped.too_deep = dropped.too_deep.saturating_add(1);
            rejections.leave_out(key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
