//! Operands from the columns of a batch.

use std::collections::HashMap;

use arrow::array::{Array, FixedSizeBinaryArray, Int8Array, Int64Array, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use vivace_model::schema::{self, AttributeScope};
use vivace_model::{SpanKind, StatusCode, TraceId};
use vivace_storage::columns::{
    AttributeList, AttributeValues, EventColumns, LinkColumns, column, text_column,
};
use vivace_storage::index::IndexScope;
use vivace_storage::{ColumnError, Projection};
use vivace_traceql::{Attribute, Intrinsic, Scope};

use super::filter::{Node, evaluate, of_events, of_links, unscoped};
use super::rows::{MAX_BINDINGS, hex};
use super::{Filter, Operand, Operands, trace_level, vector};

/// Adds the columns a filter reads.
pub(crate) fn project(filter: &Filter, projection: &mut Projection) {
    filter.attributes().iter().for_each(|attribute| project_attribute(attribute, projection));
}

/// Adds the columns an attribute is read from.
pub(crate) fn project_attribute(attribute: &Attribute, projection: &mut Projection) {
    let (scope, key) = match attribute {
        Attribute::Intrinsic(intrinsic) => return projection.fixed.extend(intrinsic_columns(*intrinsic)),
        Attribute::Named { scope, name, .. } => (scope, name),
    };
    match scope {
        Scope::None => {
            AttributeScope::ALL.into_iter().for_each(|scope| projection.attribute(scope, key));
            projection.listed.extend([IndexScope::Event, IndexScope::Link].map(|scope| (scope, key.clone())));
        }
        Scope::Span => projection.attribute(AttributeScope::Span, key),
        Scope::Resource => projection.attribute(AttributeScope::Resource, key),
        Scope::Instrumentation => projection.attribute(AttributeScope::Instrumentation, key),
        Scope::Event => projection.fixed.push(schema::EVENTS),
        Scope::Link => projection.fixed.push(schema::LINKS),
    }
}

fn intrinsic_columns(intrinsic: Intrinsic) -> &'static [&'static str] {
    use Intrinsic as I;
    match intrinsic {
        I::Duration => &[schema::START, schema::DURATION],
        I::Name => &[schema::NAME],
        I::Status => &[schema::STATUS],
        I::StatusMessage => &[schema::STATUS_MESSAGE],
        I::Kind => &[schema::KIND],
        I::TraceId => &[schema::TRACE_ID],
        I::SpanId => &[schema::SPAN_ID],
        I::ParentId => &[schema::PARENT_SPAN_ID],
        I::EventName => &[schema::EVENTS],
        I::EventTimeSinceStart => &[schema::EVENTS, schema::START],
        I::LinkTraceId | I::LinkSpanId => &[schema::LINKS],
        I::InstrumentationName => &[schema::SCOPE_NAME],
        I::InstrumentationVersion => &[schema::SCOPE_VERSION],
        I::RootName
        | I::RootServiceName
        | I::TraceDuration
        | I::ChildCount
        | I::NestedSetLeft
        | I::NestedSetRight
        | I::NestedSetParent
        | I::Parent => &[],
    }
}

/// For each row whether a part of the filter holds, row by row.
pub(super) fn rows_hold(
    filter: &Filter,
    node: &Node,
    batch: &RecordBatch,
) -> Result<BooleanBuffer, ColumnError> {
    let asked = node.attributes();
    let columns = Columns::new(filter.attributes(), |at| asked.contains(&at), batch)?;
    Ok(BooleanBuffer::collect_bool(batch.num_rows(), |row| columns.any_binding(node, row)))
}

/// Per row the value of an attribute, the first of several events or links that has it.
pub(crate) fn values<'a>(
    attribute: &Attribute,
    batch: &'a RecordBatch,
) -> Result<Vec<Operand<'a>>, ColumnError> {
    let mut columns = Columns::new(std::slice::from_ref(attribute), |_| true, batch)?;
    match columns.attributes.pop() {
        Some(Source::Row(values)) => return Ok(values),
        other => columns.attributes.extend(other),
    }
    Ok((0..batch.num_rows()).map(|row| columns.first_value(row)).collect())
}

/// Values of a batch's rows by number; several numbers may have the same value.
#[derive(Debug)]
pub(crate) struct Coded<'a> {
    pub(crate) codes: Vec<u32>,
    pub(crate) values: Vec<Operand<'a>>,
}

/// The same as [`first_values`], as numbers.
pub(crate) fn coded<'a>(attributes: &[Attribute], batch: &'a RecordBatch) -> Result<Coded<'a>, ColumnError> {
    if let [attribute] = attributes
        && let Some(coded) = vector::coded(attribute, batch)?
    {
        return Ok(coded);
    }
    let operands = first_values(attributes, batch)?;
    let (mut by_key, mut distinct) = (HashMap::new(), Vec::new());
    let mut key = Vec::new();
    let mut code = |operand: Operand<'a>| {
        key.clear();
        operand.encode(&mut key);
        if let Some(known) = by_key.get(&key) {
            return *known;
        }
        let code = distinct.len() as u32;
        by_key.insert(key.clone(), code);
        distinct.push(operand);
        code
    };
    let codes = operands.into_iter().map(&mut code).collect();
    Ok(Coded { codes, values: distinct })
}

/// Per row the value of the first of the attributes that has one.
pub(crate) fn first_values<'a>(
    attributes: &[Attribute],
    batch: &'a RecordBatch,
) -> Result<Vec<Operand<'a>>, ColumnError> {
    let mut operands = vec![Operand::Nil; batch.num_rows()];
    for attribute in attributes {
        fill(&mut operands, values(attribute, batch)?);
    }
    Ok(operands)
}

/// Puts other values where there are none.
fn fill<'a>(values: &mut [Operand<'a>], others: Vec<Operand<'a>>) {
    for (value, other) in values.iter_mut().zip(others) {
        if value.is_nil() {
            *value = other;
        }
    }
}

/// Per row the number that an attribute is; [`None`] where it is none.
pub(crate) fn numbers(attribute: &Attribute, batch: &RecordBatch) -> Result<Vec<Option<f64>>, ColumnError> {
    let number = |operand: Operand<'_>| match operand {
        Operand::Int(number) | Operand::Duration(number) => Some(number as f64),
        Operand::Float(number) if !number.is_nan() => Some(number),
        _ => None,
    };
    if *attribute == Attribute::Intrinsic(Intrinsic::Duration) {
        let starts: &UInt64Array = column(batch, schema::START)?;
        let durations: &Int64Array = column(batch, schema::DURATION)?;
        let each = starts.values().iter().zip(durations.values());
        let nanos = each.map(|(start, nanos)| Operand::nanos(end(*start, *nanos).saturating_sub(*start)));
        return Ok(nanos.map(number).collect());
    }
    Ok(values(attribute, batch)?.into_iter().map(number).collect())
}

/// Calls `visit` with every value an attribute has on these rows: one of each event and link where several have it.
pub(crate) fn each_value<'a>(
    attribute: &Attribute,
    batch: &'a RecordBatch,
    rows: &[usize],
    mut visit: impl FnMut(Operand<'a>),
) -> Result<(), ColumnError> {
    let columns = Columns::new(std::slice::from_ref(attribute), |_| true, batch)?;
    rows.iter().for_each(|row| columns.each_value(*row, &mut visit));
    Ok(())
}

struct Columns<'a> {
    attributes: Vec<Source<'a>>,
    events: Option<EventColumns<'a>>,
    links: Option<LinkColumns<'a>>,
}

/// Where the values of one attribute are.
enum Source<'a> {
    Row(Vec<Operand<'a>>),
    EventAttribute(String),
    EventName,
    EventTimeSinceStart(&'a UInt64Array),
    LinkAttribute(String),
    LinkTraceId,
    LinkSpanId,
    /// Span before resource, event, link, instrumentation.
    Unscoped {
        key: String,
        first: Vec<Operand<'a>>,
        last: Vec<Operand<'a>>,
    },
}

impl<'a> Columns<'a> {
    /// The attributes at the positions that are asked for. Events and links that were not read have no key that is
    /// asked for without a scope.
    fn new(
        attributes: &[Attribute],
        asked: impl Fn(usize) -> bool,
        batch: &'a RecordBatch,
    ) -> Result<Self, ColumnError> {
        let any = |name, test: fn(&Attribute) -> bool| {
            let read = batch.column_by_name(name).is_some();
            let looks =
                |(at, attribute)| asked(at) && (test(attribute) || (read && unscoped(attribute).is_some()));
            attributes.iter().enumerate().any(looks)
        };
        let events = any(schema::EVENTS, of_events);
        let events = events.then(|| EventColumns::new(batch, schema::EVENTS)).transpose()?;
        let links = any(schema::LINKS, of_links);
        let links = links.then(|| LinkColumns::new(batch, schema::LINKS)).transpose()?;
        let source = |(at, attribute)| {
            if asked(at) { source(attribute, batch) } else { Ok(Source::Row(Vec::new())) }
        };
        let attributes = attributes.iter().enumerate().map(source).collect::<Result<_, _>>()?;
        Ok(Self { attributes, events, links })
    }

    fn any_binding(&self, node: &Node, row: usize) -> bool {
        let events = self.bindings(row, Self::looks_at_events, self.events.map(|events| events.of_row(row)));
        let links = self.bindings(row, Self::looks_at_links, self.links.map(|links| links.of_row(row)));
        let pairs = events.iter().flat_map(|event| links.iter().map(move |link| (*event, *link)));
        pairs.take(MAX_BINDINGS).any(|(event, link)| {
            evaluate(node, &Binding { columns: self, row, event, link }) == Operand::Bool(true)
        })
    }

    fn first_value(&self, row: usize) -> Operand<'a> {
        let events = self.bindings(row, Self::looks_at_events, self.events.map(|events| events.of_row(row)));
        let links = self.bindings(row, Self::looks_at_links, self.links.map(|links| links.of_row(row)));
        let pairs = events.iter().flat_map(|event| links.iter().map(move |link| (*event, *link)));
        let values = pairs.take(MAX_BINDINGS).map(|(event, link)| self.operand(0, row, event, link));
        values.into_iter().find(|value| !value.is_nil()).unwrap_or(Operand::Nil)
    }

    /// The values the only attribute has on a row under some choice of an event and a link.
    fn each_value(&self, row: usize, visit: &mut impl FnMut(Operand<'a>)) {
        let events = self.bindings(row, Self::looks_at_events, self.events.map(|events| events.of_row(row)));
        let links = self.bindings(row, Self::looks_at_links, self.links.map(|links| links.of_row(row)));
        let Some(Source::Unscoped { key, .. }) = self.attributes.first() else {
            // At most one of the two is looked at.
            let pairs = events.iter().flat_map(|event| links.iter().map(move |link| (*event, *link)));
            return pairs.for_each(|(event, link)| visit(self.operand(0, row, event, link)));
        };
        // An event that has the key hides the links; those that lack it are all alike.
        let has = |event: &Option<usize>| match (self.events, event) {
            (Some(events), Some(at)) => !find(&events.attributes, *at, key).is_nil(),
            _ => false,
        };
        events.iter().filter(|event| has(event)).for_each(|event| visit(self.operand(0, row, *event, None)));
        if let Some(lacking) = events.iter().find(|event| !has(event)) {
            links.iter().for_each(|link| visit(self.operand(0, row, *lacking, *link)));
        }
    }

    fn bindings(
        &self,
        row: usize,
        looks: fn(&Self, &Source<'a>, usize) -> bool,
        items: Option<std::ops::Range<usize>>,
    ) -> Vec<Option<usize>> {
        match items {
            Some(items)
                if !items.is_empty() && self.attributes.iter().any(|source| looks(self, source, row)) =>
            {
                items.map(Some).collect()
            }
            _ => vec![None],
        }
    }

    fn looks_at_events(&self, source: &Source<'a>, row: usize) -> bool {
        match source {
            Source::EventAttribute(_) | Source::EventName | Source::EventTimeSinceStart(_) => true,
            Source::Unscoped { key, first, .. } => {
                first[row].is_nil() && self.events.is_some_and(|events| events.attributes.may_have(key))
            }
            _ => false,
        }
    }

    fn looks_at_links(&self, source: &Source<'a>, row: usize) -> bool {
        match source {
            Source::LinkAttribute(_) | Source::LinkTraceId | Source::LinkSpanId => true,
            Source::Unscoped { key, first, .. } => {
                first[row].is_nil() && self.links.is_some_and(|links| links.attributes.may_have(key))
            }
            _ => false,
        }
    }

    fn operand(
        &self,
        attribute: usize,
        row: usize,
        event: Option<usize>,
        link: Option<usize>,
    ) -> Operand<'a> {
        let of_event = |read: &dyn Fn(EventColumns<'a>, usize) -> Operand<'a>| match (self.events, event) {
            (Some(events), Some(at)) => read(events, at),
            _ => Operand::Unbound,
        };
        let of_link = |read: &dyn Fn(LinkColumns<'a>, usize) -> Operand<'a>| match (self.links, link) {
            (Some(links), Some(at)) => read(links, at),
            _ => Operand::Unbound,
        };
        let event_attribute = |key: &str| of_event(&|events, at| find(&events.attributes, at, key));
        let link_attribute = |key: &str| of_link(&|links, at| find(&links.attributes, at, key));
        match &self.attributes[attribute] {
            Source::Row(values) => values[row].clone(),
            Source::EventAttribute(key) => event_attribute(key),
            Source::EventName => of_event(&|events, at| Operand::text(events.name.value(at))),
            Source::EventTimeSinceStart(start) => {
                of_event(&|events, at| Operand::nanos(events.time.value(at).saturating_sub(start.value(row))))
            }
            Source::LinkAttribute(key) => link_attribute(key),
            Source::LinkTraceId => {
                of_link(&|links, at| Operand::String(hex(links.trace_id.value(at)).into()))
            }
            Source::LinkSpanId => of_link(&|links, at| Operand::String(hex(links.span_id.value(at)).into())),
            Source::Unscoped { key, first, last } => {
                let or_else = |found: Operand<'a>, next: &dyn Fn() -> Operand<'a>| {
                    if found.is_nil() { next() } else { found }
                };
                let found = or_else(first[row].clone(), &|| event_attribute(key));
                let found = or_else(found, &|| link_attribute(key));
                or_else(found, &|| last[row].clone())
            }
        }
    }
}

struct Binding<'b, 'a> {
    columns: &'b Columns<'a>,
    row: usize,
    event: Option<usize>,
    link: Option<usize>,
}

impl Operands for Binding<'_, '_> {
    fn get(&self, attribute: usize) -> Operand<'_> {
        self.columns.operand(attribute, self.row, self.event, self.link)
    }
}

fn find<'a>(list: &AttributeList<'a>, row: usize, key: &str) -> Operand<'a> {
    let entry = list.entries(row).find(|entry| list.key(*entry) == key);
    entry.map_or(Operand::Nil, |entry| Operand::of_ref(list.value(entry)))
}

fn source<'a>(attribute: &Attribute, batch: &'a RecordBatch) -> Result<Source<'a>, ColumnError> {
    let (scope, key) = match attribute {
        Attribute::Intrinsic(intrinsic) => return intrinsic_source(*intrinsic, batch),
        Attribute::Named { scope, name, .. } => (scope, name),
    };
    let of_scopes = |scopes: &[AttributeScope]| gather(batch, scopes, key);
    Ok(match scope {
        Scope::Span => Source::Row(of_scopes(&[AttributeScope::Span])?),
        Scope::Resource => Source::Row(of_scopes(&[AttributeScope::Resource])?),
        Scope::Instrumentation => Source::Row(of_scopes(&[AttributeScope::Instrumentation])?),
        Scope::Event => Source::EventAttribute(key.clone()),
        Scope::Link => Source::LinkAttribute(key.clone()),
        Scope::None if vector::is_nested(attribute, batch) => Source::Unscoped {
            key: key.clone(),
            first: of_scopes(&[AttributeScope::Span, AttributeScope::Resource])?,
            last: of_scopes(&[AttributeScope::Instrumentation])?,
        },
        Scope::None => Source::Row(of_scopes(&[
            AttributeScope::Span,
            AttributeScope::Resource,
            AttributeScope::Instrumentation,
        ])?),
    })
}

/// Per row the value of the first scope that has one.
fn gather<'a>(
    batch: &'a RecordBatch,
    scopes: &[AttributeScope],
    key: &str,
) -> Result<Vec<Operand<'a>>, ColumnError> {
    let mut values = vec![Operand::Nil; batch.num_rows()];
    for scope in scopes {
        AttributeValues::for_each(batch, *scope, key, |row, value| {
            if values[row].is_nil() {
                values[row] = Operand::of_ref(value);
            }
        })?;
    }
    Ok(values)
}

fn intrinsic_source<'a>(intrinsic: Intrinsic, batch: &'a RecordBatch) -> Result<Source<'a>, ColumnError> {
    use Intrinsic as I;
    let rows = 0..batch.num_rows();
    let values: Vec<Operand<'a>> = match intrinsic {
        I::Name => texts(batch, schema::NAME)?,
        I::StatusMessage => texts(batch, schema::STATUS_MESSAGE)?,
        I::InstrumentationName => texts(batch, schema::SCOPE_NAME)?,
        I::InstrumentationVersion => texts(batch, schema::SCOPE_VERSION)?,
        I::Duration => {
            let starts: &UInt64Array = column(batch, schema::START)?;
            let durations: &Int64Array = column(batch, schema::DURATION)?;
            let each = starts.values().iter().zip(durations.values());
            each.map(|(start, nanos)| Operand::nanos(end(*start, *nanos).saturating_sub(*start))).collect()
        }
        I::Status => {
            let codes: &Int8Array = column(batch, schema::STATUS)?;
            codes.values().iter().map(|code| Operand::Status(StatusCode::from_otlp((*code).into()))).collect()
        }
        I::Kind => {
            let kinds: &Int8Array = column(batch, schema::KIND)?;
            kinds.values().iter().map(|kind| Operand::Kind(SpanKind::from_otlp((*kind).into()))).collect()
        }
        I::TraceId => {
            let ids: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
            let short = |row| TraceId(ids.value(row).try_into().unwrap_or_default()).short_hex();
            rows.map(|row| Operand::String(short(row).into())).collect()
        }
        I::SpanId => hex_ids(batch, schema::SPAN_ID)?,
        I::ParentId => hex_ids(batch, schema::PARENT_SPAN_ID)?,
        I::EventName => return Ok(Source::EventName),
        I::EventTimeSinceStart => return Ok(Source::EventTimeSinceStart(column(batch, schema::START)?)),
        I::LinkTraceId => return Ok(Source::LinkTraceId),
        I::LinkSpanId => return Ok(Source::LinkSpanId),
        other => {
            debug_assert!(trace_level(&Attribute::Intrinsic(other)) || other == I::Parent);
            vec![Operand::Nil; batch.num_rows()]
        }
    };
    Ok(Source::Row(values))
}

/// The end of a span, given its start and its duration column.
pub(crate) fn end(start: u64, duration: i64) -> u64 {
    start.wrapping_add(duration.cast_unsigned())
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<Vec<Operand<'a>>, ColumnError> {
    let texts = text_column(batch, name)?;
    Ok(texts.iter().map(|text| Operand::text(text.unwrap_or_default())).collect())
}

fn hex_ids<'a>(batch: &'a RecordBatch, name: &str) -> Result<Vec<Operand<'a>>, ColumnError> {
    let ids: &FixedSizeBinaryArray = column(batch, name)?;
    let text = |row| if ids.is_valid(row) { hex(ids.value(row)) } else { String::new() };
    Ok((0..ids.len()).map(|row| Operand::String(text(row).into())).collect())
}
