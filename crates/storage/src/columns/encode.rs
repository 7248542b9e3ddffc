use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, FixedSizeBinaryBuilder, Int8Array, ListArray, PrimitiveArray, RecordBatch,
    StringBuilder, StringDictionaryBuilder, StructArray, UInt32Array,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Int64Type, UInt64Type};
use vivace_model::schema::{ValueType, attribute_fields, event_fields, link_fields, span_schema};
use vivace_model::{Attribute, Event, Link, Span, Value};

/// Texts with a dictionary.
type TextBuilder = StringDictionaryBuilder<Int32Type>;

/// Collects spans into one batch of the span schema.
#[derive(Default)]
pub struct SpanBatchBuilder {
    trace_id: Vec<[u8; 16]>,
    span_id: Vec<[u8; 8]>,
    parent_span_id: Vec<Option<[u8; 8]>>,
    start: Vec<u64>,
    duration: Vec<i64>,
    name: TextBuilder,
    kind: Vec<i8>,
    status: Vec<i8>,
    status_message: TextBuilder,
    trace_state: TextBuilder,
    flags: Vec<u32>,
    dropped: [Vec<u32>; 3],
    attributes: AttributesBuilder,
    resource: OriginBuilder,
    scope_name: TextBuilder,
    scope_version: TextBuilder,
    scope: OriginBuilder,
    events: EventsBuilder,
    links: LinksBuilder,
}

impl SpanBatchBuilder {
    /// Adds a row.
    pub fn push(&mut self, span: &Span) {
        self.trace_id.push(span.trace_id.0);
        self.span_id.push(span.span_id.0);
        self.parent_span_id.push(span.parent_span_id.map(|id| id.0));
        self.start.push(span.start);
        self.duration.push(span.end.wrapping_sub(span.start).cast_signed());
        self.name.append_value(&span.name);
        self.kind.push(span.kind as i8);
        self.status.push(span.status as i8);
        self.status_message.append_option(non_empty(&span.status_message));
        self.trace_state.append_option(non_empty(&span.trace_state));
        self.flags.push(span.flags);
        self.dropped[0].push(span.dropped_attributes);
        self.dropped[1].push(span.dropped_events);
        self.dropped[2].push(span.dropped_links);
        self.attributes.push(&span.attributes);
        let resource = &span.resource;
        self.resource.push(&resource.attributes, resource.dropped_attributes, &resource.schema_url);
        let scope = &span.scope;
        self.scope_name.append_option(non_empty(&scope.name));
        self.scope_version.append_option(non_empty(&scope.version));
        self.scope.push(&scope.attributes, scope.dropped_attributes, &scope.schema_url);
        self.events.push(&span.events);
        self.links.push(&span.links);
    }

    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.trace_id.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.trace_id.is_empty()
    }

    /// The batch; the builder is used up.
    pub fn finish(mut self) -> RecordBatch {
        let [dropped_attributes, dropped_events, dropped_links] = self.dropped;
        let [resource_attributes, resource_dropped, resource_url] = self.resource.finish();
        let [scope_attributes, scope_dropped, scope_url] = self.scope.finish();
        let columns: Vec<ArrayRef> = vec![
            fixed_binary(self.trace_id.into_iter().map(Some)),
            fixed_binary(self.span_id.into_iter().map(Some)),
            fixed_binary(self.parent_span_id.into_iter()),
            Arc::new(PrimitiveArray::<UInt64Type>::from(self.start)),
            Arc::new(PrimitiveArray::<Int64Type>::from(self.duration)),
            Arc::new(self.name.finish()),
            Arc::new(Int8Array::from(self.kind)),
            Arc::new(Int8Array::from(self.status)),
            Arc::new(self.status_message.finish()),
            Arc::new(self.trace_state.finish()),
            Arc::new(UInt32Array::from(self.flags)),
            Arc::new(UInt32Array::from(dropped_attributes)),
            Arc::new(UInt32Array::from(dropped_events)),
            Arc::new(UInt32Array::from(dropped_links)),
            Arc::new(self.attributes.finish()),
            resource_attributes,
            resource_dropped,
            resource_url,
            Arc::new(self.scope_name.finish()),
            Arc::new(self.scope_version.finish()),
            scope_attributes,
            scope_dropped,
            scope_url,
            self.events.finish(),
            self.links.finish(),
        ];
        RecordBatch::try_new(Arc::new(span_schema()), columns)
            .expect("columns stand in the order of the span schema")
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn fixed_binary<const N: usize>(values: impl ExactSizeIterator<Item = Option<[u8; N]>>) -> ArrayRef {
    let width = i32::try_from(N).expect("ids are a few bytes wide");
    let mut builder = FixedSizeBinaryBuilder::with_capacity(values.len(), width);
    for value in values {
        match value {
            Some(bytes) => builder.append_value(bytes).expect("the width is N"),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

fn list_of(fields: Fields, offsets: Vec<i32>, children: Vec<ArrayRef>) -> ListArray {
    let items = Arc::new(StructArray::new(fields.clone(), children, None));
    let item = Arc::new(Field::new("item", DataType::Struct(fields), false));
    ListArray::new(item, OffsetBuffer::new(ScalarBuffer::from(offsets)), items, None)
}

fn end_row(offsets: &mut Vec<i32>, length: usize) {
    offsets.push(i32::try_from(length).expect("a batch is bounded far below 2^31 list items"));
}

/// Collects one attribute list per row.
pub struct AttributesBuilder {
    offsets: Vec<i32>,
    keys: TextBuilder,
    types: Vec<i8>,
    values: StringBuilder,
}

impl Default for AttributesBuilder {
    fn default() -> Self {
        Self { offsets: vec![0], keys: TextBuilder::new(), types: Vec::new(), values: StringBuilder::new() }
    }
}

impl AttributesBuilder {
    /// Adds a row's list.
    pub fn push(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            self.entry(attribute);
        }
        self.end_row();
    }

    /// Adds an entry in its written form to the current row.
    pub fn raw_entry(&mut self, key: &str, value_type: i8, value: Option<&str>) {
        self.keys.append_value(key);
        self.types.push(value_type);
        self.values.append_option(value);
    }

    /// Ends the current row.
    pub fn end_row(&mut self) {
        end_row(&mut self.offsets, self.types.len());
    }

    /// The column.
    pub fn finish(mut self) -> ListArray {
        let children: Vec<ArrayRef> = vec![
            Arc::new(self.keys.finish()),
            Arc::new(Int8Array::from(self.types)),
            Arc::new(self.values.finish()),
        ];
        list_of(attribute_fields(), self.offsets, children)
    }

    fn entry(&mut self, attribute: &Attribute) {
        let key = &attribute.key;
        let mut add = |value_type, text: Option<&str>| self.raw_entry(key, value_type as i8, text);
        match &attribute.value {
            Value::Empty => add(ValueType::Empty, None),
            Value::String(text) => add(ValueType::String, Some(text)),
            Value::Bool(truth) => add(ValueType::Bool, Some(if *truth { "true" } else { "false" })),
            Value::Int(number) => add(ValueType::Int, Some(&number.to_string())),
            Value::Float(number) => add(ValueType::Float, Some(&format!("{number:?}"))),
            other @ (Value::Bytes(_) | Value::Array(_) | Value::Map(_)) => {
                add(ValueType::Json, Some(&other.to_json()));
            }
        }
    }
}

/// Attributes, dropped count and schema URL of a resource or scope.
#[derive(Default)]
struct OriginBuilder {
    attributes: AttributesBuilder,
    dropped: Vec<u32>,
    schema_url: TextBuilder,
}

impl OriginBuilder {
    fn push(&mut self, attributes: &[Attribute], dropped: u32, schema_url: &str) {
        self.attributes.push(attributes);
        self.dropped.push(dropped);
        self.schema_url.append_option(non_empty(schema_url));
    }

    fn finish(mut self) -> [ArrayRef; 3] {
        [
            Arc::new(self.attributes.finish()),
            Arc::new(UInt32Array::from(self.dropped)),
            Arc::new(self.schema_url.finish()),
        ]
    }
}

struct EventsBuilder {
    offsets: Vec<i32>,
    time: Vec<u64>,
    name: StringBuilder,
    attributes: AttributesBuilder,
    dropped: Vec<u32>,
}

impl Default for EventsBuilder {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            time: Vec::new(),
            name: StringBuilder::new(),
            attributes: AttributesBuilder::default(),
            dropped: Vec::new(),
        }
    }
}

impl EventsBuilder {
    fn push(&mut self, events: &[Event]) {
        for event in events {
            self.time.push(event.time);
            self.name.append_value(&event.name);
            self.attributes.push(&event.attributes);
            self.dropped.push(event.dropped_attributes);
        }
        end_row(&mut self.offsets, self.time.len());
    }

    fn finish(mut self) -> ArrayRef {
        let children: Vec<ArrayRef> = vec![
            Arc::new(PrimitiveArray::<UInt64Type>::from(self.time)),
            Arc::new(self.name.finish()),
            Arc::new(self.attributes.finish()),
            Arc::new(UInt32Array::from(self.dropped)),
        ];
        Arc::new(list_of(event_fields(), self.offsets, children))
    }
}

struct LinksBuilder {
    offsets: Vec<i32>,
    trace_id: BinaryBuilder,
    span_id: BinaryBuilder,
    trace_state: StringBuilder,
    flags: Vec<u32>,
    attributes: AttributesBuilder,
    dropped: Vec<u32>,
}

impl Default for LinksBuilder {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            trace_id: BinaryBuilder::new(),
            span_id: BinaryBuilder::new(),
            trace_state: StringBuilder::new(),
            flags: Vec::new(),
            attributes: AttributesBuilder::default(),
            dropped: Vec::new(),
        }
    }
}

impl LinksBuilder {
    fn push(&mut self, links: &[Link]) {
        for link in links {
            self.trace_id.append_value(&link.trace_id);
            self.span_id.append_value(&link.span_id);
            self.trace_state.append_option(non_empty(&link.trace_state));
            self.flags.push(link.flags);
            self.attributes.push(&link.attributes);
            self.dropped.push(link.dropped_attributes);
        }
        end_row(&mut self.offsets, self.flags.len());
    }

    fn finish(mut self) -> ArrayRef {
        let children: Vec<ArrayRef> = vec![
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.trace_state.finish()),
            Arc::new(UInt32Array::from(self.flags)),
            Arc::new(self.attributes.finish()),
            Arc::new(UInt32Array::from(self.dropped)),
        ];
        Arc::new(list_of(link_fields(), self.offsets, children))
    }
}
