use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryArray, Float64Array,
    Int64Array, PrimitiveArray, RecordBatch,
};
use arrow::datatypes::{Int8Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType};
use vivace_model::{Attribute, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId};

use super::ColumnError;
use super::access::{AttributeList, EventColumns, LinkColumns, ValueRef, column, list_column, problem};
use super::order::read_order;
use super::text::{TextColumn, text_column};

/// Reads whole spans out of a batch. Columns the batch lacks, as after a narrow read, count as empty. Attributes come in
/// the order they were sent in, or by key if the batch does not know it.
pub struct SpanDecoder<'a> {
    trace_id: Option<&'a FixedSizeBinaryArray>,
    span_id: Option<&'a FixedSizeBinaryArray>,
    parent_span_id: Option<&'a FixedSizeBinaryArray>,
    start: Number<'a, UInt64Type>,
    duration: Number<'a, Int64Type>,
    name: Text<'a>,
    kind: Number<'a, Int8Type>,
    status: Number<'a, Int8Type>,
    status_message: Text<'a>,
    trace_state: Text<'a>,
    flags: Number<'a, UInt32Type>,
    dropped: [Number<'a, UInt32Type>; 3],
    attributes: AttributeReader<'a>,
    resource: OriginReader<'a>,
    scope_name: Text<'a>,
    scope_version: Text<'a>,
    scope: OriginReader<'a>,
    events: Option<EventColumns<'a>>,
    links: Option<LinkColumns<'a>>,
    last_resource: Option<(usize, Arc<Resource>)>,
    last_scope: Option<(usize, Arc<Scope>)>,
}

impl<'a> SpanDecoder<'a> {
    /// Prepares to read from a batch.
    ///
    /// # Errors
    /// [`ColumnError`] when a column has the wrong type.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        let has = |name: &str| batch.column_by_name(name).is_some();
        Ok(Self {
            trace_id: ids(batch, schema::TRACE_ID)?,
            span_id: ids(batch, schema::SPAN_ID)?,
            parent_span_id: ids(batch, schema::PARENT_SPAN_ID)?,
            start: Number::new(batch, schema::START)?,
            duration: Number::new(batch, schema::DURATION)?,
            name: Text::new(batch, schema::NAME)?,
            kind: Number::new(batch, schema::KIND)?,
            status: Number::new(batch, schema::STATUS)?,
            status_message: Text::new(batch, schema::STATUS_MESSAGE)?,
            trace_state: Text::new(batch, schema::TRACE_STATE)?,
            flags: Number::new(batch, schema::FLAGS)?,
            dropped: [
                Number::new(batch, schema::DROPPED_ATTRIBUTES)?,
                Number::new(batch, schema::DROPPED_EVENTS)?,
                Number::new(batch, schema::DROPPED_LINKS)?,
            ],
            attributes: AttributeReader::new(batch, AttributeScope::Span)?,
            resource: OriginReader {
                attributes: AttributeReader::new(batch, AttributeScope::Resource)?,
                dropped: Number::new(batch, schema::RESOURCE_DROPPED)?,
                schema_url: Text::new(batch, schema::RESOURCE_SCHEMA_URL)?,
            },
            scope_name: Text::new(batch, schema::SCOPE_NAME)?,
            scope_version: Text::new(batch, schema::SCOPE_VERSION)?,
            scope: OriginReader {
                attributes: AttributeReader::new(batch, AttributeScope::Instrumentation)?,
                dropped: Number::new(batch, schema::SCOPE_DROPPED)?,
                schema_url: Text::new(batch, schema::SCOPE_SCHEMA_URL)?,
            },
            events: has(schema::EVENTS).then(|| EventColumns::new(batch, schema::EVENTS)).transpose()?,
            links: has(schema::LINKS).then(|| LinkColumns::new(batch, schema::LINKS)).transpose()?,
            last_resource: None,
            last_scope: None,
        })
    }

    /// The trace id in a row.
    pub fn trace_id(&self, row: usize) -> TraceId {
        TraceId(fixed(self.trace_id, row).unwrap_or_default())
    }

    /// The span in a row. Neighbours of one origin share their resource and scope.
    pub fn span(&mut self, row: usize) -> Span {
        let start = self.start.get(row);
        let events = self.events.iter().flat_map(|events| events.of_row(row).map(|at| event(events, at)));
        let links = self.links.iter().flat_map(|links| links.of_row(row).map(|at| link(links, at)));
        Span {
            trace_id: self.trace_id(row),
            span_id: SpanId(fixed(self.span_id, row).unwrap_or_default()),
            parent_span_id: fixed(self.parent_span_id, row).map(SpanId),
            trace_state: self.trace_state.get(row),
            flags: self.flags.get(row),
            name: self.name.get(row),
            kind: SpanKind::from_otlp(self.kind.get(row).into()),
            start,
            end: start.wrapping_add(self.duration.get(row).cast_unsigned()),
            status: StatusCode::from_otlp(self.status.get(row).into()),
            status_message: self.status_message.get(row),
            attributes: self.attributes.read(row),
            dropped_attributes: self.dropped[0].get(row),
            events: events.collect(),
            dropped_events: self.dropped[1].get(row),
            links: links.collect(),
            dropped_links: self.dropped[2].get(row),
            resource: self.resource(row),
            scope: self.scope(row),
        }
    }

    fn resource(&mut self, row: usize) -> Arc<Resource> {
        if let Some((last, resource)) = &mut self.last_resource
            && self.resource.same(*last, row)
        {
            *last = row;
            return Arc::clone(resource);
        }
        let resource = Arc::new(Resource {
            attributes: self.resource.attributes.read(row),
            dropped_attributes: self.resource.dropped.get(row),
            schema_url: self.resource.schema_url.get(row),
        });
        self.last_resource = Some((row, Arc::clone(&resource)));
        resource
    }

    fn scope(&mut self, row: usize) -> Arc<Scope> {
        if let Some((last, scope)) = &mut self.last_scope
            && self.scope.same(*last, row)
            && self.scope_name.same(*last, row)
            && self.scope_version.same(*last, row)
        {
            *last = row;
            return Arc::clone(scope);
        }
        let scope = Arc::new(Scope {
            name: self.scope_name.get(row),
            version: self.scope_version.get(row),
            attributes: self.scope.attributes.read(row),
            dropped_attributes: self.scope.dropped.get(row),
            schema_url: self.scope.schema_url.get(row),
        });
        self.last_scope = Some((row, Arc::clone(&scope)));
        scope
    }
}

fn event(events: &EventColumns<'_>, at: usize) -> Event {
    Event {
        time: events.time.value(at),
        name: events.name.value(at).to_owned(),
        attributes: list_attributes(&events.attributes, at),
        dropped_attributes: events.dropped.value(at),
    }
}

fn link(links: &LinkColumns<'_>, at: usize) -> Link {
    Link {
        trace_id: links.trace_id.value(at).to_vec(),
        span_id: links.span_id.value(at).to_vec(),
        trace_state: TextColumn::Plain(links.trace_state).get(at).unwrap_or_default().to_owned(),
        flags: links.flags.value(at),
        attributes: list_attributes(&links.attributes, at),
        dropped_attributes: links.dropped.value(at),
    }
}

fn list_attributes(list: &AttributeList<'_>, row: usize) -> Vec<Attribute> {
    list.entries(row).map(|entry| Attribute::new(list.key(entry), list.value(entry).to_value())).collect()
}

/// A column of numbers, all zero when there is none.
struct Number<'a, T: ArrowPrimitiveType>(Option<&'a PrimitiveArray<T>>);

impl<'a, T: ArrowPrimitiveType> Number<'a, T> {
    fn new(batch: &'a RecordBatch, name: &str) -> Result<Self, ColumnError> {
        let found = batch.column_by_name(name);
        Ok(Self(found.map(|_| column(batch, name)).transpose()?))
    }

    fn get(&self, row: usize) -> T::Native {
        self.0.map_or_else(T::Native::default, |numbers| numbers.value(row))
    }
}

/// A column of texts, all empty when there is none.
struct Text<'a>(Option<TextColumn<'a>>);

impl<'a> Text<'a> {
    fn new(batch: &'a RecordBatch, name: &str) -> Result<Self, ColumnError> {
        let found = batch.column_by_name(name);
        Ok(Self(found.map(|_| text_column(batch, name)).transpose()?))
    }

    fn get(&self, row: usize) -> String {
        self.0.and_then(|texts| texts.get(row)).unwrap_or_default().to_owned()
    }

    fn same(&self, a: usize, b: usize) -> bool {
        self.0.is_none_or(|texts| texts.same(a, b))
    }
}

fn ids<'a>(batch: &'a RecordBatch, name: &str) -> Result<Option<&'a FixedSizeBinaryArray>, ColumnError> {
    batch.column_by_name(name).map(|_| column(batch, name)).transpose()
}

/// The id in a row; [`None`] for null or where there is no column.
fn fixed<const N: usize>(ids: Option<&FixedSizeBinaryArray>, row: usize) -> Option<[u8; N]> {
    let ids = ids.filter(|ids| ids.is_valid(row))?;
    Some(ids.value(row).try_into().unwrap_or([0; N]))
}

/// What resources and scopes have in common.
struct OriginReader<'a> {
    attributes: AttributeReader<'a>,
    dropped: Number<'a, UInt32Type>,
    schema_url: Text<'a>,
}

impl OriginReader<'_> {
    fn same(&self, a: usize, b: usize) -> bool {
        self.dropped.get(a) == self.dropped.get(b) && self.schema_url.same(a, b) && self.attributes.same(a, b)
    }
}

/// All attributes of one scope: own columns and list.
struct AttributeReader<'a> {
    columns: Vec<(String, OwnColumn<'a>)>,
    list: Option<AttributeList<'a>>,
    order: Option<OrderColumn<'a>>,
}

#[derive(Clone, Copy)]
enum OwnColumn<'a> {
    Text(TextColumn<'a>),
    Bool(&'a BooleanArray),
    Int(&'a Int64Array),
    Float(&'a Float64Array),
}

impl<'a> OwnColumn<'a> {
    fn new(batch: &'a RecordBatch, own: &AttributeColumn) -> Result<Option<Self>, ColumnError> {
        let name = own.column_name();
        Ok(match own.value_type {
            ValueType::String => Some(Self::Text(text_column(batch, &name)?)),
            ValueType::Bool => Some(Self::Bool(column(batch, &name)?)),
            ValueType::Int => Some(Self::Int(column(batch, &name)?)),
            ValueType::Float => Some(Self::Float(column(batch, &name)?)),
            ValueType::Empty | ValueType::Json => None,
        })
    }

    fn get(self, row: usize) -> Option<ValueRef<'a>> {
        match self {
            Self::Text(texts) => texts.get(row).map(ValueRef::String),
            Self::Bool(truths) => truths.is_valid(row).then(|| ValueRef::Bool(truths.value(row))),
            Self::Int(numbers) => numbers.is_valid(row).then(|| ValueRef::Int(numbers.value(row))),
            Self::Float(numbers) => numbers.is_valid(row).then(|| ValueRef::Float(numbers.value(row))),
        }
    }

    fn same(self, a: usize, b: usize) -> bool {
        match self {
            Self::Text(texts) => texts.same(a, b),
            _ => self.get(a) == self.get(b),
        }
    }
}

impl<'a> AttributeReader<'a> {
    fn new(batch: &'a RecordBatch, scope: AttributeScope) -> Result<Self, ColumnError> {
        let schema = batch.schema();
        let mut columns = Vec::new();
        for field in schema.fields() {
            let own = AttributeColumn::from_column_name(field.name()).filter(|own| own.scope == scope);
            let Some(own) = own else { continue };
            columns.extend(OwnColumn::new(batch, &own)?.map(|column| (own.key, column)));
        }
        let name = scope.list_column();
        let list = batch.column_by_name(name).map(|_| list_column(batch, name)).transpose()?;
        Ok(Self { columns, list, order: OrderColumn::new(batch, scope.order_column())? })
    }

    fn read(&self, row: usize) -> Vec<Attribute> {
        let own = self.columns.iter().filter_map(|(key, values)| Some((key.as_str(), values.get(row)?)));
        let list = self.list.iter();
        let listed = list.flat_map(|list| list.entries(row).map(|at| (list.key(at), list.value(at))));
        let canonical = own.chain(listed).map(|(key, value)| Attribute::new(key, value.to_value()));
        let mut canonical: Vec<Attribute> = canonical.collect();
        let Some(order) = &self.order else {
            canonical.sort_by(|a, b| a.key.cmp(&b.key));
            return canonical;
        };
        match order.get(row).and_then(|bytes| read_order(bytes, canonical.len())) {
            Some(order) => {
                let mut canonical: Vec<_> = canonical.into_iter().map(Some).collect();
                order.into_iter().filter_map(|at| canonical[at].take()).collect()
            }
            None => canonical,
        }
    }

    fn same(&self, a: usize, b: usize) -> bool {
        let of_order = |row| self.order.as_ref().and_then(|order| order.get(row));
        self.columns.iter().all(|(_, column)| column.same(a, b))
            && self.list.as_ref().is_none_or(|list| list.same(a, b))
            && of_order(a) == of_order(b)
    }
}

/// The order in which attributes were sent, where it is not that of the columns and the list.
pub(crate) struct OrderColumn<'a>(&'a ArrayRef);

impl<'a> OrderColumn<'a> {
    /// [`None`] when the batch has none.
    pub(crate) fn new(batch: &'a RecordBatch, name: &str) -> Result<Option<Self>, ColumnError> {
        let Some(array) = batch.column_by_name(name) else { return Ok(None) };
        let coded = array
            .as_dictionary_opt::<Int32Type>()
            .is_some_and(|a| a.values().as_binary_opt::<i32>().is_some());
        if !coded && array.as_binary_opt::<i32>().is_none() {
            return Err(problem(name, "has the wrong type"));
        }
        Ok(Some(Self(array)))
    }

    /// The bytes in a row.
    pub(crate) fn get(&self, row: usize) -> Option<&'a [u8]> {
        if self.0.is_null(row) {
            return None;
        }
        if let Some(plain) = self.0.as_binary_opt::<i32>() {
            return Some(plain.value(row));
        }
        let coded = self.0.as_dictionary_opt::<Int32Type>()?;
        let orders = coded.values().as_binary_opt::<i32>()?;
        Some(orders.value(coded.keys().value(row) as usize))
    }
}
