//! Lists of attributes, events and links under construction.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int8Array, ListArray, PrimitiveArray, StringArray, StructArray, UInt32Array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, UInt64Type};
use vivace_model::schema::{attribute_fields, event_fields, link_fields};
use vivace_model::{Attribute, Value};

use super::ValueRef;
use super::texts::Keys;

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn list_of(fields: Fields, offsets: Vec<i32>, children: Vec<ArrayRef>) -> ListArray {
    let items = Arc::new(StructArray::new(fields.clone(), children, None));
    let item = Arc::new(Field::new("item", DataType::Struct(fields), false));
    ListArray::new(item, OffsetBuffer::new(ScalarBuffer::from(trimmed(offsets))), items, None)
}

fn end_row(offsets: &mut Vec<i32>, length: usize) {
    offsets.push(i32::try_from(length).expect("a batch is bounded far below 2^31 list items"));
}

fn trimmed<T>(mut values: Vec<T>) -> Vec<T> {
    values.shrink_to_fit();
    values
}

/// Hands on where a value stands; bytes, arrays and maps as the JSON text that lists have for them.
pub(super) fn with_ref(value: &Value, take: impl FnOnce(ValueRef<'_>)) {
    match value {
        Value::Empty => take(ValueRef::Empty),
        Value::String(text) => take(ValueRef::String(text)),
        Value::Bool(truth) => take(ValueRef::Bool(*truth)),
        Value::Int(number) => take(ValueRef::Int(*number)),
        Value::Float(number) => take(ValueRef::Float(*number)),
        other @ (Value::Bytes(_) | Value::Array(_) | Value::Map(_)) => take(ValueRef::Json(&other.to_json())),
    }
}

/// Texts without a dictionary.
#[derive(Debug)]
struct Strings {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    present: Vec<bool>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { ends: vec![0], bytes: Vec::new(), present: Vec::new() }
    }
}

impl Strings {
    fn push(&mut self, text: Option<&str>) {
        self.bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
        self.present.push(text.is_some());
        end_row(&mut self.ends, self.bytes.len());
    }

    fn finish(self) -> ArrayRef {
        let nulls = self.present.contains(&false).then(|| NullBuffer::from(self.present));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(trimmed(self.ends)));
        Arc::new(StringArray::new(offsets, Buffer::from_vec(trimmed(self.bytes)), nulls))
    }
}

/// Collects one attribute list per row.
#[derive(Debug)]
pub struct AttributesBuilder {
    offsets: Vec<i32>,
    keys: Keys,
    codes: Vec<u32>,
    types: Vec<i8>,
    values: Strings,
}

impl Default for AttributesBuilder {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            keys: Keys::default(),
            codes: Vec::new(),
            types: Vec::new(),
            values: Strings::default(),
        }
    }
}

impl AttributesBuilder {
    /// Adds an attribute to the current row, unless the row has its key.
    pub fn attribute(&mut self, key: &str, value: ValueRef<'_>) {
        let (value_type, text) = value.written();
        self.raw_entry(key, value_type as i8, (value != ValueRef::Empty).then_some(&text));
    }

    /// The same, with type code and text as an attribute list has them.
    pub fn raw_entry(&mut self, key: &str, value_type: i8, text: Option<&str>) {
        let Some(code) = self.keys.code(key) else { return };
        self.codes.push(code);
        self.types.push(value_type);
        self.values.push(text);
    }

    pub(super) fn all(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            with_ref(&attribute.value, |value| self.attribute(&attribute.key, value));
        }
    }

    /// Ends the current row.
    pub fn end_row(&mut self) {
        self.keys.end_row();
        end_row(&mut self.offsets, self.types.len());
    }

    /// The column.
    pub fn finish(self) -> ListArray {
        let children: Vec<ArrayRef> = vec![
            self.keys.into_array(self.codes.into_iter()),
            Arc::new(Int8Array::from(trimmed(self.types))),
            self.values.finish(),
        ];
        list_of(attribute_fields(), self.offsets, children)
    }
}

#[derive(Debug)]
pub(super) struct EventsBuilder {
    offsets: Vec<i32>,
    time: Vec<u64>,
    name: Strings,
    pub(super) attributes: AttributesBuilder,
    dropped: Vec<u32>,
}

impl Default for EventsBuilder {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            time: Vec::new(),
            name: Strings::default(),
            attributes: AttributesBuilder::default(),
            dropped: Vec::new(),
        }
    }
}

impl EventsBuilder {
    pub(super) fn end(&mut self, time: u64, name: &str, dropped: u32) {
        self.time.push(time);
        self.name.push(Some(name));
        self.attributes.end_row();
        self.dropped.push(dropped);
    }

    pub(super) fn end_row(&mut self) {
        end_row(&mut self.offsets, self.time.len());
    }

    pub(super) fn finish(self) -> ListArray {
        let children: Vec<ArrayRef> = vec![
            Arc::new(PrimitiveArray::<UInt64Type>::from(trimmed(self.time))),
            self.name.finish(),
            Arc::new(self.attributes.finish()),
            Arc::new(UInt32Array::from(trimmed(self.dropped))),
        ];
        list_of(event_fields(), self.offsets, children)
    }
}

#[derive(Debug)]
pub(super) struct LinksBuilder {
    offsets: Vec<i32>,
    trace_id: BinaryBuilder,
    span_id: BinaryBuilder,
    trace_state: Strings,
    flags: Vec<u32>,
    pub(super) attributes: AttributesBuilder,
    dropped: Vec<u32>,
}

impl Default for LinksBuilder {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            trace_id: BinaryBuilder::with_capacity(0, 0),
            span_id: BinaryBuilder::with_capacity(0, 0),
            trace_state: Strings::default(),
            flags: Vec::new(),
            attributes: AttributesBuilder::default(),
            dropped: Vec::new(),
        }
    }
}

impl LinksBuilder {
    pub(super) fn end(
        &mut self,
        (trace_id, span_id): (&[u8], &[u8]),
        trace_state: &str,
        flags: u32,
        dropped: u32,
    ) {
        self.trace_id.append_value(trace_id);
        self.span_id.append_value(span_id);
        self.trace_state.push(non_empty(trace_state));
        self.flags.push(flags);
        self.attributes.end_row();
        self.dropped.push(dropped);
    }

    pub(super) fn end_row(&mut self) {
        end_row(&mut self.offsets, self.flags.len());
    }

    pub(super) fn finish(mut self) -> ListArray {
        let children: Vec<ArrayRef> = vec![
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            self.trace_state.finish(),
            Arc::new(UInt32Array::from(trimmed(self.flags))),
            Arc::new(self.attributes.finish()),
            Arc::new(UInt32Array::from(trimmed(self.dropped))),
        ];
        list_of(link_fields(), self.offsets, children)
    }
}
