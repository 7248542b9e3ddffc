//! Which attributes there are and what values they have: read from the spans, batch by batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, FixedSizeBinaryArray, Int64Array, RecordBatch, UInt64Array};
use futures::TryStreamExt;
use vivace_base::{Holder, MemoryBudget};
use vivace_model::TimeRange;
use vivace_model::schema::{self, AttributeColumn, AttributeScope};
use vivace_storage::columns::{AttributeList, EventColumns, LinkColumns, column, list_column};
use vivace_storage::{ColumnError, Projection};
use vivace_traceql::{Attribute, FieldExpr, Intrinsic, Scope};

use crate::eval::{Filter, Operand, columnar};
use crate::source::Source;
use crate::{
    Progress, QueryError, TagNames, TagNamesRequest, TagScope, TagValue, TagValueKind, TagValues,
    TagValuesRequest,
};

/// All names or values of one answer take at most this many bytes; past it the answer is marked partial.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What Tempo lists as intrinsics (`reference/tempo.md` 2.4).
const INTRINSICS: [&str; 25] = [
    "duration",
    "event:name",
    "event:timeSinceStart",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "link:spanID",
    "link:traceID",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:id",
    "span:kind",
    "span:name",
    "span:parentID",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:id",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
];

/// A growing answer that knows when it is large enough.
struct Collected<T> {
    items: BTreeSet<T>,
    bytes: usize,
    limit: usize,
    full: bool,
}

impl<T: Ord> Collected<T> {
    fn new(limit: usize) -> Self {
        Self {
            items: BTreeSet::new(),
            bytes: 0,
            limit: if limit == 0 { usize::MAX } else { limit },
            full: false,
        }
    }

    fn add(&mut self, item: T, bytes: usize) {
        if self.items.contains(&item) {
            return;
        }
        if self.bytes + bytes > MAX_ANSWER_BYTES {
            self.full = true;
        }
        if !self.full && self.items.len() < self.limit {
            self.bytes += bytes;
            self.items.insert(item);
        }
    }

    fn partial(&self) -> Option<String> {
        self.full.then(|| {
            format!("the answer is larger than {MAX_ANSWER_BYTES} bytes; narrow the time range or filter")
        })
    }
}

/// The names of attributes.
pub(crate) async fn names(
    source: &Arc<Source>,
    budget: &Arc<MemoryBudget>,
    request: &TagNamesRequest,
    _progress: Progress<'_, TagNames>,
) -> Result<TagNames, QueryError> {
    let wanted = |scope| request.scope.is_none_or(|only| only == scope);
    let mut found: BTreeMap<TagScope, Collected<String>> = BTreeMap::new();
    let mut add = |scope, name: &str| {
        if wanted(scope) {
            let names = found.entry(scope).or_insert_with(|| Collected::new(request.limit));
            names.add(name.to_owned(), name.len());
        }
    };
    if request.scope != Some(TagScope::Intrinsic) {
        let spans =
            Spans::new(source, budget, request.filter.as_ref(), request.range, Projection::everything())?;
        spans.visit(|batch, rows| names_in(batch, rows, &mut add)).await?;
    }
    INTRINSICS.iter().for_each(|name| add(TagScope::Intrinsic, name));
    let partial = found.values().find_map(Collected::partial).or_else(|| source.partial());
    let scopes = found.into_iter().map(|(scope, names)| (scope, names.items.into_iter().collect())).collect();
    Ok(TagNames { scopes, inspected_bytes: source.block_bytes, partial })
}

/// The values of an attribute.
pub(crate) async fn values(
    source: &Arc<Source>,
    budget: &Arc<MemoryBudget>,
    request: &TagValuesRequest,
    _progress: Progress<'_, TagValues>,
) -> Result<TagValues, QueryError> {
    let mut found = Collected::new(request.limit);
    match fixed_values(&request.attribute) {
        Some(fixed) => fixed.iter().for_each(|text| found.add(keyword(text), text.len())),
        None => {
            let mut projection = Projection::default();
            project_values(&request.attribute, &mut projection);
            let spans = Spans::new(source, budget, request.filter.as_ref(), request.range, projection)?;
            spans.visit(|batch, rows| values_in(&request.attribute, batch, rows, &mut found)).await?;
        }
    }
    let partial = found.partial().or_else(|| source.partial());
    Ok(TagValues { values: found.items.into_iter().collect(), inspected_bytes: source.block_bytes, partial })
}

/// The spans to look at.
struct Spans<'a> {
    source: &'a Arc<Source>,
    budget: &'a Arc<MemoryBudget>,
    filter: Option<Filter>,
    range: TimeRange,
    projection: Projection,
}

impl<'a> Spans<'a> {
    fn new(
        source: &'a Arc<Source>,
        budget: &'a Arc<MemoryBudget>,
        filter: Option<&FieldExpr>,
        range: TimeRange,
        mut projection: Projection,
    ) -> Result<Self, QueryError> {
        projection.fixed.extend([schema::START, schema::DURATION]);
        let filter = filter.map(Filter::compile).transpose()?;
        filter.iter().for_each(|filter| columnar::project(filter, &mut projection));
        Ok(Self { source, budget, filter, range, projection })
    }

    /// Calls `visit` with every batch and the rows in it that count.
    async fn visit(
        &self,
        mut visit: impl FnMut(&RecordBatch, &[usize]) -> Result<(), ColumnError>,
    ) -> Result<(), QueryError> {
        for piece in 0..self.source.pieces().len() {
            let mut batches = self.source.read(piece, &self.projection, None)?;
            while let Some(batch) = batches.try_next().await? {
                let _reserved = self.budget.reserve(Holder::Query, batch.get_array_memory_size() as u64)?;
                visit(&batch, &self.rows(&batch)?)?;
            }
        }
        Ok(())
    }

    fn rows(&self, batch: &RecordBatch) -> Result<Vec<usize>, ColumnError> {
        let starts: &UInt64Array = column(batch, schema::START)?;
        let durations: &Int64Array = column(batch, schema::DURATION)?;
        let holds = self.filter.as_ref().map(|filter| columnar::holds(filter, batch)).transpose()?;
        let counts = |row: &usize| {
            let start = starts.value(*row);
            let span = TimeRange { start, end: columnar::end(start, durations.value(*row)).max(start) };
            span.overlaps(&self.range) && holds.as_ref().is_none_or(|holds: &BooleanArray| holds.value(*row))
        };
        Ok((0..batch.num_rows()).filter(counts).collect())
    }
}

fn names_in(
    batch: &RecordBatch,
    rows: &[usize],
    add: &mut impl FnMut(TagScope, &str),
) -> Result<(), ColumnError> {
    for (at, field) in batch.schema().fields().iter().enumerate() {
        if let Some(own) = AttributeColumn::from_column_name(field.name())
            && rows.iter().any(|row| batch.column(at).is_valid(*row))
        {
            add(tag_scope(own.scope), &own.key);
        }
    }
    for scope in AttributeScope::ALL {
        let list = list_column(batch, scope.list_column())?;
        keys_in(&list, rows.iter().copied(), |key| add(tag_scope(scope), key));
    }
    let events = EventColumns::new(batch, schema::EVENTS)?;
    keys_in(&events.attributes, rows.iter().flat_map(|row| events.of_row(*row)), |key| {
        add(TagScope::Event, key)
    });
    let links = LinkColumns::new(batch, schema::LINKS)?;
    keys_in(&links.attributes, rows.iter().flat_map(|row| links.of_row(*row)), |key| {
        add(TagScope::Link, key)
    });
    Ok(())
}

fn keys_in(list: &AttributeList<'_>, rows: impl Iterator<Item = usize>, mut add: impl FnMut(&str)) {
    let mut seen = vec![false; list.keys().len()];
    for entry in rows.flat_map(|row| list.entries(row)) {
        seen[list.key_code(entry)] = true;
    }
    seen.iter().enumerate().filter(|(_, seen)| **seen).for_each(|(code, _)| add(list.keys().value(code)));
}

fn tag_scope(scope: AttributeScope) -> TagScope {
    match scope {
        AttributeScope::Span => TagScope::Span,
        AttributeScope::Resource => TagScope::Resource,
        AttributeScope::Instrumentation => TagScope::Instrumentation,
    }
}

/// Values that are the same whatever the data: enumerations, and nothing for what is a continuum or a position.
fn fixed_values(attribute: &Attribute) -> Option<&'static [&'static str]> {
    use Intrinsic as I;
    let Attribute::Intrinsic(intrinsic) = attribute else { return None };
    match intrinsic {
        I::Status => Some(&["error", "ok", "unset"]),
        I::Kind => Some(&["client", "consumer", "internal", "producer", "server", "unspecified"]),
        I::Duration
        | I::TraceDuration
        | I::EventTimeSinceStart
        | I::ChildCount
        | I::NestedSetLeft
        | I::NestedSetRight
        | I::NestedSetParent
        | I::Parent => Some(&[]),
        _ => None,
    }
}

fn project_values(attribute: &Attribute, projection: &mut Projection) {
    match attribute {
        Attribute::Intrinsic(Intrinsic::RootName) => {
            projection.fixed.extend([schema::PARENT_SPAN_ID, schema::NAME]);
        }
        Attribute::Intrinsic(Intrinsic::RootServiceName) => {
            projection.fixed.push(schema::PARENT_SPAN_ID);
            columnar::project_attribute(&service_name(), projection);
        }
        other => columnar::project_attribute(other, projection),
    }
}

fn service_name() -> Attribute {
    Attribute::Named { scope: Scope::Resource, name: "service.name".to_owned(), parent: false }
}

fn values_in(
    attribute: &Attribute,
    batch: &RecordBatch,
    rows: &[usize],
    found: &mut Collected<TagValue>,
) -> Result<(), ColumnError> {
    let root_of = match attribute {
        Attribute::Intrinsic(Intrinsic::RootName) => Some(Attribute::Intrinsic(Intrinsic::Name)),
        Attribute::Intrinsic(Intrinsic::RootServiceName) => Some(service_name()),
        _ => None,
    };
    let parents: Option<&FixedSizeBinaryArray> =
        root_of.is_some().then(|| column(batch, schema::PARENT_SPAN_ID)).transpose()?;
    let values = columnar::values(root_of.as_ref().unwrap_or(attribute), batch)?;
    let counts = |row: &&usize| parents.is_none_or(|parents| parents.is_null(**row));
    rows.iter().filter(counts).for_each(|row| add_value(&values[*row], found));
    Ok(())
}

fn add_value(value: &Operand<'_>, found: &mut Collected<TagValue>) {
    let (kind, text) = match value {
        Operand::Nil | Operand::Unbound => return,
        Operand::Array(elements) => return elements.iter().for_each(|element| add_value(element, found)),
        Operand::String(text) if text.is_empty() => return,
        Operand::String(text) => (TagValueKind::String, text.clone().into_owned()),
        Operand::Int(number) => (TagValueKind::Int, number.to_string()),
        Operand::Float(number) => (TagValueKind::Float, number.to_string()),
        Operand::Bool(truth) => (TagValueKind::Bool, truth.to_string()),
        Operand::Duration(nanos) => (TagValueKind::Duration, vivace_traceql::format_duration(*nanos)),
        Operand::Status(status) => (TagValueKind::Keyword, status.name().to_owned()),
        Operand::Kind(kind) => (TagValueKind::Keyword, kind.name().to_owned()),
    };
    let bytes = text.len();
    found.add(TagValue { kind, text }, bytes);
}

fn keyword(text: &str) -> TagValue {
    TagValue { kind: TagValueKind::Keyword, text: text.to_owned() }
}
