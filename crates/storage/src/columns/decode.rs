use std::sync::Arc;

use arrow::array::{
    Array, FixedSizeBinaryArray, Int8Array, Int64Array, RecordBatch, UInt32Array, UInt64Array,
};
use vivace_model::schema::{self, AttributeColumn, AttributeScope};
use vivace_model::{Attribute, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId};

use super::ColumnError;
use super::access::{AttributeList, AttributeValues, EventColumns, LinkColumns, column, list_column};
use super::text::{TextColumn, text_column};

/// Reads whole spans out of a batch that has every column. Attributes come in the order of their keys, whatever the
/// batch's layout, so that the same span reads the same from head and block.
pub struct SpanDecoder<'a> {
    trace_id: &'a FixedSizeBinaryArray,
    span_id: &'a FixedSizeBinaryArray,
    parent_span_id: &'a FixedSizeBinaryArray,
    start: &'a UInt64Array,
    duration: &'a Int64Array,
    name: TextColumn<'a>,
    kind: &'a Int8Array,
    status: &'a Int8Array,
    status_message: TextColumn<'a>,
    trace_state: TextColumn<'a>,
    flags: &'a UInt32Array,
    dropped: [&'a UInt32Array; 3],
    attributes: AttributeReader<'a>,
    resource_attributes: AttributeReader<'a>,
    resource_dropped: &'a UInt32Array,
    resource_url: TextColumn<'a>,
    scope_name: TextColumn<'a>,
    scope_version: TextColumn<'a>,
    scope_attributes: AttributeReader<'a>,
    scope_dropped: &'a UInt32Array,
    scope_url: TextColumn<'a>,
    events: EventColumns<'a>,
    links: LinkColumns<'a>,
    last_resource: Arc<Resource>,
    last_scope: Arc<Scope>,
}

impl<'a> SpanDecoder<'a> {
    /// Prepares to read from a batch.
    ///
    /// # Errors
    /// [`ColumnError`] when a column is missing or of the wrong type.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        Ok(Self {
            trace_id: column(batch, schema::TRACE_ID)?,
            span_id: column(batch, schema::SPAN_ID)?,
            parent_span_id: column(batch, schema::PARENT_SPAN_ID)?,
            start: column(batch, schema::START)?,
            duration: column(batch, schema::DURATION)?,
            name: text_column(batch, schema::NAME)?,
            kind: column(batch, schema::KIND)?,
            status: column(batch, schema::STATUS)?,
            status_message: text_column(batch, schema::STATUS_MESSAGE)?,
            trace_state: text_column(batch, schema::TRACE_STATE)?,
            flags: column(batch, schema::FLAGS)?,
            dropped: [
                column(batch, schema::DROPPED_ATTRIBUTES)?,
                column(batch, schema::DROPPED_EVENTS)?,
                column(batch, schema::DROPPED_LINKS)?,
            ],
            attributes: AttributeReader::new(batch, AttributeScope::Span)?,
            resource_attributes: AttributeReader::new(batch, AttributeScope::Resource)?,
            resource_dropped: column(batch, schema::RESOURCE_DROPPED)?,
            resource_url: text_column(batch, schema::RESOURCE_SCHEMA_URL)?,
            scope_name: text_column(batch, schema::SCOPE_NAME)?,
            scope_version: text_column(batch, schema::SCOPE_VERSION)?,
            scope_attributes: AttributeReader::new(batch, AttributeScope::Instrumentation)?,
            scope_dropped: column(batch, schema::SCOPE_DROPPED)?,
            scope_url: text_column(batch, schema::SCOPE_SCHEMA_URL)?,
            events: EventColumns::new(batch, schema::EVENTS)?,
            links: LinkColumns::new(batch, schema::LINKS)?,
            last_resource: Arc::default(),
            last_scope: Arc::default(),
        })
    }

    /// The trace id in a row.
    pub fn trace_id(&self, row: usize) -> TraceId {
        TraceId(fixed(self.trace_id.value(row)))
    }

    /// The span in a row. Neighbours of one origin share their resource and scope.
    pub fn span(&mut self, row: usize) -> Span {
        let start = self.start.value(row);
        Span {
            trace_id: self.trace_id(row),
            span_id: SpanId(fixed(self.span_id.value(row))),
            parent_span_id: self
                .parent_span_id
                .is_valid(row)
                .then(|| SpanId(fixed(self.parent_span_id.value(row)))),
            trace_state: text(self.trace_state, row),
            flags: self.flags.value(row),
            name: text(self.name, row),
            kind: SpanKind::from_otlp(self.kind.value(row).into()),
            start,
            end: start.wrapping_add(self.duration.value(row).cast_unsigned()),
            status: StatusCode::from_otlp(self.status.value(row).into()),
            status_message: text(self.status_message, row),
            attributes: self.attributes.read(row),
            dropped_attributes: self.dropped[0].value(row),
            events: self.events.of_row(row).map(|at| self.event(at)).collect(),
            dropped_events: self.dropped[1].value(row),
            links: self.links.of_row(row).map(|at| self.link(at)).collect(),
            dropped_links: self.dropped[2].value(row),
            resource: self.resource(row),
            scope: self.scope(row),
        }
    }

    fn event(&self, at: usize) -> Event {
        Event {
            time: self.events.time.value(at),
            name: text(TextColumn::Plain(self.events.name), at),
            attributes: list_attributes(&self.events.attributes, at),
            dropped_attributes: self.events.dropped.value(at),
        }
    }

    fn link(&self, at: usize) -> Link {
        Link {
            trace_id: self.links.trace_id.value(at).to_vec(),
            span_id: self.links.span_id.value(at).to_vec(),
            trace_state: text(TextColumn::Plain(self.links.trace_state), at),
            flags: self.links.flags.value(at),
            attributes: list_attributes(&self.links.attributes, at),
            dropped_attributes: self.links.dropped.value(at),
        }
    }

    fn resource(&mut self, row: usize) -> Arc<Resource> {
        let resource = Resource {
            attributes: self.resource_attributes.read(row),
            dropped_attributes: self.resource_dropped.value(row),
            schema_url: text(self.resource_url, row),
        };
        if *self.last_resource != resource {
            self.last_resource = Arc::new(resource);
        }
        Arc::clone(&self.last_resource)
    }

    fn scope(&mut self, row: usize) -> Arc<Scope> {
        let scope = Scope {
            name: text(self.scope_name, row),
            version: text(self.scope_version, row),
            attributes: self.scope_attributes.read(row),
            dropped_attributes: self.scope_dropped.value(row),
            schema_url: text(self.scope_url, row),
        };
        if *self.last_scope != scope {
            self.last_scope = Arc::new(scope);
        }
        Arc::clone(&self.last_scope)
    }
}

/// All attributes of one scope: own columns and list.
struct AttributeReader<'a> {
    columns: Vec<(String, AttributeValues<'a>)>,
    list: AttributeList<'a>,
}

impl<'a> AttributeReader<'a> {
    fn new(batch: &'a RecordBatch, scope: AttributeScope) -> Result<Self, ColumnError> {
        let schema = batch.schema();
        let own = schema.fields().iter().filter_map(|field| AttributeColumn::from_column_name(field.name()));
        let columns = own
            .filter(|own| own.scope == scope)
            .map(|own| Ok((own.key.clone(), AttributeValues::of_column(batch, &own)?)))
            .collect::<Result<_, ColumnError>>()?;
        Ok(Self { columns, list: list_column(batch, scope.list_column())? })
    }

    fn read(&self, row: usize) -> Vec<Attribute> {
        let own = self.columns.iter().filter_map(|(key, values)| Some((key.as_str(), values.0[row]?)));
        let listed = self.list.entries(row).map(|entry| (self.list.key(entry), self.list.value(entry)));
        sorted(own.chain(listed).map(|(key, value)| Attribute::new(key, value.to_value())).collect())
    }
}

fn list_attributes(list: &AttributeList<'_>, row: usize) -> Vec<Attribute> {
    let listed = list.entries(row).map(|entry| Attribute::new(list.key(entry), list.value(entry).to_value()));
    sorted(listed.collect())
}

fn sorted(mut attributes: Vec<Attribute>) -> Vec<Attribute> {
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    attributes
}

fn text(column: TextColumn<'_>, row: usize) -> String {
    column.get(row).unwrap_or_default().to_owned()
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}
