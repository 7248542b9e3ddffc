use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, FixedSizeBinaryArray, RecordBatch};
use vivace_base::{MemoryBudget, MemoryRefused};
use vivace_model::schema::{self, AttributeScope};
use vivace_storage::Projection;
use vivace_storage::columns::{AttributeValues, ValueRef, column};
use vivace_storage::index::{IndexScope, IndexedValues, Tags, intrinsics};
use vivace_traceql::{Attribute, Intrinsic, Scope};

use super::collected::Collected;
use super::indexed::Indexed;
use super::{Question, usable};
use crate::eval::{Operand, columnar, trace_level};
use crate::search::SearchContext;
use crate::source::Piece;
use crate::{Progress, QueryError, TagValue, TagValueKind, TagValues, TagValuesRequest};

const SERVICE_NAME: &str = "service.name";

/// Which values does an attribute have?
pub(super) struct Values<'a> {
    attribute: &'a Attribute,
    found: Collected<TagValue>,
    progress: Progress<'a, TagValues>,
}

impl<'a> Values<'a> {
    pub(super) fn new(
        request: &'a TagValuesRequest,
        budget: &Arc<MemoryBudget>,
        progress: Progress<'a, TagValues>,
    ) -> Result<Self, MemoryRefused> {
        let found = Collected::new(request.limit, budget)?;
        Ok(Self { attribute: &request.attribute, found, progress })
    }

    /// Adds values that are the same whatever the data; false when the attribute is not of that kind.
    pub(super) fn add_fixed(&mut self) -> Result<bool, MemoryRefused> {
        let Some(fixed) = fixed_values(self.attribute) else { return Ok(false) };
        let keyword = |text: &&str| TagValue { kind: TagValueKind::Keyword, text: (*text).to_owned() };
        fixed.iter().map(keyword).try_for_each(|value| self.found.add(value))?;
        Ok(true)
    }

    pub(super) fn answer(&self, inspected_bytes: u64) -> TagValues {
        answer(&self.found, inspected_bytes)
    }
}

fn answer(found: &Collected<TagValue>, inspected_bytes: u64) -> TagValues {
    TagValues { values: found.to_vec(), inspected_bytes, partial: found.partial() }
}

impl Question for Values<'_> {
    type Item = TagValue;

    fn project(&self, projection: &mut Projection) {
        match self.attribute {
            Attribute::Intrinsic(Intrinsic::RootName) => {
                projection.fixed.extend([schema::PARENT_SPAN_ID, schema::NAME]);
            }
            Attribute::Intrinsic(Intrinsic::RootServiceName) => {
                projection.fixed.push(schema::PARENT_SPAN_ID);
                projection.attribute(AttributeScope::Resource, SERVICE_NAME);
            }
            other => columnar::project_attribute(other, projection),
        }
    }

    async fn indexed(
        &mut self,
        piece: &Piece,
        context: &SearchContext<'_>,
    ) -> Result<Indexed<TagValue>, QueryError> {
        let budget = context.budget;
        let unknown = Indexed::unknown(budget)?;
        let Piece::Block(reader) = piece else { return Ok(unknown) };
        let places = places(self.attribute);
        if places.is_empty() {
            return Ok(unknown);
        }
        let Some(index) = reader.index(budget).await? else { return Ok(unknown) };
        let Some(Some(tags)) = usable(index.tags(budget).await)? else { return Ok(unknown) };
        Ok(usable_places(&tags, &places, budget).await?.unwrap_or(unknown))
    }

    fn knows(&self, value: &TagValue) -> bool {
        self.found.knows(value)
    }

    fn add(&mut self, value: TagValue) -> Result<(), MemoryRefused> {
        self.found.add(value)
    }

    fn add_rows(&mut self, batch: &RecordBatch, rows: &[usize]) -> Result<(), QueryError> {
        match self.attribute {
            Attribute::Intrinsic(Intrinsic::RootName) => {
                let name = Attribute::Intrinsic(Intrinsic::Name);
                self.add_each(&name, batch, &roots(batch, rows)?)
            }
            Attribute::Intrinsic(Intrinsic::RootServiceName) => {
                let services = AttributeValues::gather(batch, AttributeScope::Resource, SERVICE_NAME)?.0;
                for row in roots(batch, rows)? {
                    if let Some(ValueRef::String(service)) = services[row] {
                        self.add_value(&Operand::text(service))?;
                    }
                }
                Ok(())
            }
            attribute => self.add_each(attribute, batch, rows),
        }
    }

    fn of_trace(&self) -> Option<&Attribute> {
        Some(self.attribute).filter(|attribute| trace_level(attribute))
    }

    fn add_value(&mut self, value: &Operand<'_>) -> Result<(), MemoryRefused> {
        each_tag_value(value, &mut |value| self.found.add(value))
    }

    fn tell(&mut self, inspected_bytes: u64) {
        let found = &self.found;
        (self.progress)(&|| answer(found, inspected_bytes));
    }
}

impl Values<'_> {
    fn add_each(
        &mut self,
        attribute: &Attribute,
        batch: &RecordBatch,
        rows: &[usize],
    ) -> Result<(), QueryError> {
        let mut seen = HashSet::new();
        let mut outcome = Ok(());
        columnar::each_value(attribute, batch, rows, |value| {
            if outcome.is_ok() && !repeats(&value, &mut seen) {
                outcome = self.add_value(&value);
            }
        })?;
        Ok(outcome?)
    }
}

/// Whether a text has been seen in this batch: most rows repeat what others have.
fn repeats<'a>(value: &Operand<'a>, seen: &mut HashSet<Cow<'a, str>>) -> bool {
    let Operand::String(text) = value else { return false };
    seen.contains(text.as_ref()) || !seen.insert(text.clone())
}

/// Rows of spans without a parent.
fn roots(batch: &RecordBatch, rows: &[usize]) -> Result<Vec<usize>, QueryError> {
    let parents: &FixedSizeBinaryArray = column(batch, schema::PARENT_SPAN_ID)?;
    Ok(rows.iter().copied().filter(|row| parents.is_null(*row)).collect())
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

/// Under which keys an index has the attribute's values, those first that hide the others on the same span. Empty for
/// what is not indexed: ids.
fn places(attribute: &Attribute) -> Vec<(IndexScope, &str)> {
    use IndexScope as S;
    use Intrinsic as I;
    let intrinsic = |key| vec![(S::Intrinsic, key)];
    match attribute {
        Attribute::Named { scope, name, .. } => {
            let scopes: &[S] = match scope {
                Scope::None => &[S::Span, S::Resource, S::Event, S::Link, S::Instrumentation],
                Scope::Span => &[S::Span],
                Scope::Resource => &[S::Resource],
                Scope::Event => &[S::Event],
                Scope::Link => &[S::Link],
                Scope::Instrumentation => &[S::Instrumentation],
            };
            scopes.iter().map(|scope| (*scope, name.as_str())).collect()
        }
        Attribute::Intrinsic(I::Name) => intrinsic(intrinsics::NAME),
        Attribute::Intrinsic(I::StatusMessage) => intrinsic(intrinsics::STATUS_MESSAGE),
        Attribute::Intrinsic(I::RootName) => intrinsic(intrinsics::ROOT_NAME),
        Attribute::Intrinsic(I::RootServiceName) => intrinsic(intrinsics::ROOT_SERVICE_NAME),
        Attribute::Intrinsic(I::EventName) => intrinsic(intrinsics::EVENT_NAME),
        Attribute::Intrinsic(I::InstrumentationName) => intrinsic(intrinsics::SCOPE_NAME),
        Attribute::Intrinsic(I::InstrumentationVersion) => intrinsic(intrinsics::SCOPE_VERSION),
        Attribute::Intrinsic(_) => Vec::new(),
    }
}

/// The values under all places; those of the first place that has any are not hidden by others. [`None`] when they are
/// not listed.
async fn usable_places(
    tags: &Tags<'_>,
    places: &[(IndexScope, &str)],
    budget: &Arc<MemoryBudget>,
) -> Result<Option<Indexed<TagValue>>, QueryError> {
    let mut indexed = Indexed::bounded(budget)?;
    let mut first = true;
    for (scope, key) in places {
        let list = match usable(tags.values(*scope, key, budget).await)? {
            None | Some(IndexedValues::Many) => return Ok(None),
            Some(IndexedValues::Absent) => continue,
            Some(IndexedValues::Listed(list)) => list,
        };
        for value in list.iter() {
            each_tag_value(&Operand::of_ref(value), &mut |value| {
                let bytes = value.text.len();
                indexed.note(value, bytes, first)
            })?;
        }
        first = false;
    }
    Ok(Some(indexed))
}

/// What a value is listed as: nothing if it is nil or empty, an array as its elements.
fn each_tag_value(
    value: &Operand<'_>,
    visit: &mut impl FnMut(TagValue) -> Result<(), MemoryRefused>,
) -> Result<(), MemoryRefused> {
    let (kind, text) = match value {
        Operand::Nil | Operand::Unbound => return Ok(()),
        Operand::Array(elements) => return elements.iter().try_for_each(|each| each_tag_value(each, visit)),
        Operand::String(text) if text.is_empty() => return Ok(()),
        Operand::String(text) => (TagValueKind::String, text.clone().into_owned()),
        Operand::Int(number) => (TagValueKind::Int, number.to_string()),
        Operand::Float(number) => (TagValueKind::Float, number.to_string()),
        Operand::Bool(truth) => (TagValueKind::Bool, truth.to_string()),
        Operand::Duration(nanos) => (TagValueKind::Duration, vivace_traceql::format_duration(*nanos)),
        Operand::Status(status) => (TagValueKind::Keyword, status.name().to_owned()),
        Operand::Kind(kind) => (TagValueKind::Keyword, kind.name().to_owned()),
    };
    visit(TagValue { kind, text })
}

impl AsRef<str> for TagValue {
    fn as_ref(&self) -> &str {
        &self.text
    }
}
