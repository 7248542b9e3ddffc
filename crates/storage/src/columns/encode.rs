use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, FixedSizeBinaryArray, Int8Array, ListArray, PrimitiveArray, RecordBatch,
    StringArray, StructArray, UInt32Array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Fields, Int8Type, Int64Type, Schema, UInt32Type, UInt64Type,
};
use vivace_model::schema::{self, AttributeScope, attribute_fields, event_fields, link_fields, order_type};
use vivace_model::{Attribute, Resource, Scope, Span, SpanKind, StatusCode, Value};

use super::ValueRef;
use super::attribute_log::{AttributeLog, Attributes};
use super::gather::gather;
use super::order::AttributeOrder;
use super::texts::{Keys, TextRows};
use crate::block::sorted_rows;

/// What a span has besides attributes, events, links and its origin.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "the names are those of the span")]
pub struct SpanFields<'a> {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub parent_span_id: Option<[u8; 8]>,
    pub start: u64,
    pub end: u64,
    pub name: &'a str,
    pub kind: SpanKind,
    pub status: StatusCode,
    pub status_message: &'a str,
    pub trace_state: &'a str,
    pub flags: u32,
    pub dropped_attributes: u32,
    pub dropped_events: u32,
    pub dropped_links: u32,
}

/// Collects spans into one batch, laid out as in a block: frequent attributes in columns of their own. What belongs to
/// something comes before its end: attributes, events and links before [`end_span`](Self::end_span), and a resource and a
/// scope before the spans that are theirs.
#[derive(Debug, Default)]
pub struct SpanBatchBuilder {
    trace_id: Vec<[u8; 16]>,
    span_id: Vec<[u8; 8]>,
    parent_span_id: Vec<[u8; 8]>,
    /// A bit of whether there is one.
    has_parent: Vec<bool>,
    start: Vec<u64>,
    duration: Vec<i64>,
    name: TextRows,
    kind: Vec<i8>,
    status: Vec<i8>,
    status_message: TextRows,
    trace_state: TextRows,
    flags: Vec<u32>,
    dropped: [Vec<u32>; 3],
    attributes: AttributeLog,
    span_resource: Vec<u32>,
    span_scope: Vec<u32>,
    resources: Origins,
    scopes: Origins,
    scope_name: TextRows,
    scope_version: TextRows,
    events: EventsBuilder,
    links: LinksBuilder,
    /// The last ones that [`push`](Self::push) saw.
    pushed: Option<(Arc<Resource>, Arc<Scope>)>,
}

/// Resources or scopes, a row each, whatever number of spans they have.
#[derive(Debug, Default)]
struct Origins {
    attributes: AttributeLog,
    dropped: Vec<u32>,
    schema_url: TextRows,
}

impl SpanBatchBuilder {
    /// An attribute of the span, resource or scope that ends next. Of equal keys the first is kept.
    pub fn attribute(&mut self, scope: AttributeScope, key: &str, value: ValueRef<'_>) {
        match scope {
            AttributeScope::Span => self.attributes.push(key, value),
            AttributeScope::Resource => self.resources.attributes.push(key, value),
            AttributeScope::Instrumentation => self.scopes.attributes.push(key, value),
        }
    }

    /// Ends a resource: the spans that follow are its.
    pub fn end_resource(&mut self, dropped_attributes: u32, schema_url: &str) {
        self.resources.end(dropped_attributes, schema_url);
    }

    /// Ends an instrumentation scope: the spans that follow are its.
    pub fn end_scope(&mut self, name: &str, version: &str, dropped_attributes: u32, schema_url: &str) {
        self.scope_name.push_non_empty(name);
        self.scope_version.push_non_empty(version);
        self.scopes.end(dropped_attributes, schema_url);
    }

    /// An attribute of the event that ends next.
    pub fn event_attribute(&mut self, key: &str, value: ValueRef<'_>) {
        self.events.attributes.attribute(key, value);
    }

    /// Ends an event of the span that ends next.
    pub fn end_event(&mut self, time: u64, name: &str, dropped_attributes: u32) {
        self.events.end(time, name, dropped_attributes);
    }

    /// An attribute of the link that ends next.
    pub fn link_attribute(&mut self, key: &str, value: ValueRef<'_>) {
        self.links.attributes.attribute(key, value);
    }

    /// Ends a link of the span that ends next.
    pub fn end_link(&mut self, ids: (&[u8], &[u8]), trace_state: &str, flags: u32, dropped_attributes: u32) {
        self.links.end(ids, trace_state, flags, dropped_attributes);
    }

    /// Ends a span: adds a row.
    pub fn end_span(&mut self, span: &SpanFields<'_>) {
        self.trace_id.push(span.trace_id);
        self.span_id.push(span.span_id);
        self.parent_span_id.push(span.parent_span_id.unwrap_or_default());
        self.has_parent.push(span.parent_span_id.is_some());
        self.start.push(span.start);
        self.duration.push(span.end.wrapping_sub(span.start).cast_signed());
        self.name.push(span.name);
        self.kind.push(span.kind as i8);
        self.status.push(span.status as i8);
        self.status_message.push_non_empty(span.status_message);
        self.trace_state.push_non_empty(span.trace_state);
        self.flags.push(span.flags);
        let dropped = [span.dropped_attributes, span.dropped_events, span.dropped_links];
        self.dropped.iter_mut().zip(dropped).for_each(|(column, count)| column.push(count));
        self.attributes.end_row();
        self.events.end_row();
        self.links.end_row();
        if self.resources.dropped.is_empty() {
            self.end_resource(0, "");
        }
        if self.scopes.dropped.is_empty() {
            self.end_scope("", "", 0, "");
        }
        self.span_resource.push(self.resources.dropped.len() as u32 - 1);
        self.span_scope.push(self.scopes.dropped.len() as u32 - 1);
    }

    /// Adds a span as a row.
    pub fn push(&mut self, span: &Span) {
        self.push_origin(span);
        for attribute in &span.attributes {
            with_ref(&attribute.value, |value| self.attributes.push(&attribute.key, value));
        }
        for event in &span.events {
            self.events.attributes.all(&event.attributes);
            self.events.end(event.time, &event.name, event.dropped_attributes);
        }
        for link in &span.links {
            self.links.attributes.all(&link.attributes);
            let ids = (link.trace_id.as_slice(), link.span_id.as_slice());
            self.links.end(ids, &link.trace_state, link.flags, link.dropped_attributes);
        }
        self.end_span(&SpanFields {
            trace_id: span.trace_id.0,
            span_id: span.span_id.0,
            parent_span_id: span.parent_span_id.map(|id| id.0),
            start: span.start,
            end: span.end,
            name: &span.name,
            kind: span.kind,
            status: span.status,
            status_message: &span.status_message,
            trace_state: &span.trace_state,
            flags: span.flags,
            dropped_attributes: span.dropped_attributes,
            dropped_events: span.dropped_events,
            dropped_links: span.dropped_links,
        });
    }

    fn push_origin(&mut self, span: &Span) {
        let last = self.pushed.as_ref();
        let same_resource = last.is_some_and(|(resource, _)| Arc::ptr_eq(resource, &span.resource));
        let same_scope = last.is_some_and(|(_, scope)| Arc::ptr_eq(scope, &span.scope));
        if !same_resource {
            self.resources.attributes.all(&span.resource.attributes);
            self.end_resource(span.resource.dropped_attributes, &span.resource.schema_url);
        }
        if !same_scope {
            let scope = &span.scope;
            self.scopes.attributes.all(&scope.attributes);
            self.end_scope(&scope.name, &scope.version, scope.dropped_attributes, &scope.schema_url);
        }
        if !same_resource || !same_scope {
            self.pushed = Some((Arc::clone(&span.resource), Arc::clone(&span.scope)));
        }
    }

    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.trace_id.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.trace_id.is_empty()
    }

    /// The batch, its rows as they came.
    pub fn finish(self) -> RecordBatch {
        let rows = (0..self.len()).collect::<Vec<_>>();
        self.build(&rows, None)
    }

    /// The batch, its rows in the order of a block's rows and its columns in the order that `columns` keeps for many
    /// batches.
    pub fn finish_sorted(self, columns: &AttributeOrder) -> RecordBatch {
        let rows = sorted_rows(&self.trace_id, &self.start, |row| {
            (self.start[row], self.span_id[row], self.kind[row], self.duration[row])
        });
        self.build(&rows, Some(columns))
    }

    fn build(self, rows: &[usize], columns: Option<&AttributeOrder>) -> RecordBatch {
        let each = || rows.iter().copied();
        let [dropped_attributes, dropped_events, dropped_links] = self.dropped;
        let span_rows: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        let resource_rows = picked(&self.span_resource, rows);
        let scope_rows = picked(&self.span_scope, rows);
        let in_scope = || scope_rows.iter().map(|row| *row as usize);
        let attributes = self.attributes.finish(AttributeScope::Span, &span_rows, columns);
        let resource = self.resources.finish(AttributeScope::Resource, &resource_rows, columns);
        let scope = self.scopes.finish(AttributeScope::Instrumentation, &scope_rows, columns);
        let mut fixed: Vec<(&str, ArrayRef)> = vec![
            (schema::TRACE_ID, ids(&self.trace_id, None, rows)),
            (schema::SPAN_ID, ids(&self.span_id, None, rows)),
            (schema::PARENT_SPAN_ID, ids(&self.parent_span_id, Some(&self.has_parent), rows)),
            (schema::START, numbers::<UInt64Type>(&self.start, rows)),
            (schema::DURATION, numbers::<Int64Type>(&self.duration, rows)),
            (schema::NAME, self.name.finish(each())),
            (schema::KIND, numbers::<Int8Type>(&self.kind, rows)),
            (schema::STATUS, numbers::<Int8Type>(&self.status, rows)),
            (schema::STATUS_MESSAGE, self.status_message.finish(each())),
            (schema::TRACE_STATE, self.trace_state.finish(each())),
            (schema::FLAGS, numbers::<UInt32Type>(&self.flags, rows)),
            (schema::DROPPED_ATTRIBUTES, numbers::<UInt32Type>(&dropped_attributes, rows)),
            (schema::DROPPED_EVENTS, numbers::<UInt32Type>(&dropped_events, rows)),
            (schema::DROPPED_LINKS, numbers::<UInt32Type>(&dropped_links, rows)),
            (schema::SPAN_ATTRIBUTES, Arc::new(attributes.list)),
            (schema::RESOURCE_ATTRIBUTES, Arc::new(resource.attributes.list)),
            (schema::RESOURCE_DROPPED, resource.dropped),
            (schema::RESOURCE_SCHEMA_URL, resource.schema_url),
            (schema::SCOPE_NAME, self.scope_name.finish(in_scope())),
            (schema::SCOPE_VERSION, self.scope_version.finish(in_scope())),
            (schema::SCOPE_ATTRIBUTES, Arc::new(scope.attributes.list)),
            (schema::SCOPE_DROPPED, scope.dropped),
            (schema::SCOPE_SCHEMA_URL, scope.schema_url),
            (schema::EVENTS, reordered(self.events.finish(), rows)),
            (schema::LINKS, reordered(self.links.finish(), rows)),
        ];
        let orders = [
            (schema::SPAN_ATTRIBUTE_ORDER, attributes.order),
            (schema::RESOURCE_ATTRIBUTE_ORDER, resource.attributes.order),
            (schema::SCOPE_ATTRIBUTE_ORDER, scope.attributes.order),
        ];
        let all_canonical = || new_null_array(&order_type(), rows.len());
        fixed.extend(orders.map(|(name, order)| (name, order.unwrap_or_else(all_canonical))));
        let own = [attributes.own, resource.attributes.own, scope.attributes.own].into_iter().flatten();
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (name, array) in fixed {
            fields.extend(schema::fixed_field(name));
            arrays.push(array);
        }
        for (column, array) in own {
            fields.push(Arc::new(Field::new(column.column_name(), array.data_type().clone(), true)));
            arrays.push(array);
        }
        let schema = Schema::new(fields);
        RecordBatch::try_new(Arc::new(schema), arrays).expect("arrays have the types of their fields")
    }
}

/// What a resource or a scope gives the batch.
struct OriginColumns {
    attributes: Attributes,
    dropped: ArrayRef,
    schema_url: ArrayRef,
}

impl Origins {
    fn end(&mut self, dropped_attributes: u32, schema_url: &str) {
        self.attributes.end_row();
        self.dropped.push(dropped_attributes);
        self.schema_url.push_non_empty(schema_url);
    }

    fn finish(self, scope: AttributeScope, rows: &[u32], columns: Option<&AttributeOrder>) -> OriginColumns {
        let dropped: Vec<u32> = rows.iter().map(|row| self.dropped[*row as usize]).collect();
        OriginColumns {
            attributes: self.attributes.finish(scope, rows, columns),
            dropped: Arc::new(UInt32Array::from(dropped)),
            schema_url: self.schema_url.finish(rows.iter().map(|row| *row as usize)),
        }
    }
}

fn picked(values: &[u32], rows: &[usize]) -> Vec<u32> {
    rows.iter().map(|row| values[*row]).collect()
}

fn numbers<T: ArrowPrimitiveType>(values: &[T::Native], rows: &[usize]) -> ArrayRef {
    let picked: Vec<T::Native> = rows.iter().map(|row| values[*row]).collect();
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(picked), None))
}

fn ids<const N: usize>(values: &[[u8; N]], present: Option<&[bool]>, rows: &[usize]) -> ArrayRef {
    let width = i32::try_from(N).expect("ids are a few bytes wide");
    let mut bytes = Vec::with_capacity(rows.len() * N);
    rows.iter().for_each(|row| bytes.extend_from_slice(&values[*row]));
    let nulls = present
        .map(|present| NullBuffer::new(rows.iter().map(|row| present[*row]).collect::<BooleanBuffer>()));
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    Arc::new(FixedSizeBinaryArray::new(width, Buffer::from_vec(bytes), nulls))
}

/// The rows of an array in this order.
fn reordered(array: ListArray, rows: &[usize]) -> ArrayRef {
    let array: ArrayRef = Arc::new(array);
    if rows.is_sorted() {
        return array;
    }
    let order: Vec<_> = rows.iter().map(|row| (0, *row)).collect();
    gather(&[&array], &order).expect("lists of structs can be rearranged")
}

pub(super) fn non_empty(text: &str) -> Option<&str> {
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
fn with_ref(value: &Value, take: impl FnOnce(ValueRef<'_>)) {
    match value {
        Value::Empty => take(ValueRef::Empty),
        Value::String(text) => take(ValueRef::String(text)),
        Value::Bool(truth) => take(ValueRef::Bool(*truth)),
        Value::Int(number) => take(ValueRef::Int(*number)),
        Value::Float(number) => take(ValueRef::Float(*number)),
        other @ (Value::Bytes(_) | Value::Array(_) | Value::Map(_)) => take(ValueRef::Json(&other.to_json())),
    }
}

impl AttributeLog {
    fn all(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            with_ref(&attribute.value, |value| self.push(&attribute.key, value));
        }
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

    fn all(&mut self, attributes: &[Attribute]) {
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
struct EventsBuilder {
    offsets: Vec<i32>,
    time: Vec<u64>,
    name: Strings,
    attributes: AttributesBuilder,
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
    fn end(&mut self, time: u64, name: &str, dropped: u32) {
        self.time.push(time);
        self.name.push(Some(name));
        self.attributes.end_row();
        self.dropped.push(dropped);
    }

    fn end_row(&mut self) {
        end_row(&mut self.offsets, self.time.len());
    }

    fn finish(self) -> ListArray {
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
struct LinksBuilder {
    offsets: Vec<i32>,
    trace_id: BinaryBuilder,
    span_id: BinaryBuilder,
    trace_state: Strings,
    flags: Vec<u32>,
    attributes: AttributesBuilder,
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
    fn end(&mut self, (trace_id, span_id): (&[u8], &[u8]), trace_state: &str, flags: u32, dropped: u32) {
        self.trace_id.append_value(trace_id);
        self.span_id.append_value(span_id);
        self.trace_state.push(non_empty(trace_state));
        self.flags.push(flags);
        self.attributes.end_row();
        self.dropped.push(dropped);
    }

    fn end_row(&mut self) {
        end_row(&mut self.offsets, self.flags.len());
    }

    fn finish(mut self) -> ListArray {
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
