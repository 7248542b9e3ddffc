use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use vivace_base::{MemoryBudget, MemoryRefused};
use vivace_model::schema::{self, AttributeColumn, AttributeScope};
use vivace_storage::Projection;
use vivace_storage::columns::{AttributeList, EventColumns, LinkColumns, list_column};
use vivace_storage::index::IndexScope;

use super::collected::Collected;
use super::indexed::Indexed;
use super::{Question, usable};
use crate::search::SearchContext;
use crate::source::Piece;
use crate::{Progress, QueryError, TagNames, TagNamesRequest, TagScope};

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

/// Which attributes are there?
pub(super) struct Names<'a> {
    wanted: Option<TagScope>,
    found: BTreeMap<TagScope, Collected<String>>,
    progress: Progress<'a, TagNames>,
}

impl<'a> Names<'a> {
    /// Knows the intrinsics from the start.
    pub(super) fn new(
        request: &TagNamesRequest,
        budget: &Arc<MemoryBudget>,
        progress: Progress<'a, TagNames>,
    ) -> Result<Self, MemoryRefused> {
        use TagScope as S;
        let all = [S::Resource, S::Span, S::Event, S::Link, S::Instrumentation, S::Intrinsic];
        let wanted = all.into_iter().filter(|scope| request.scope.is_none_or(|only| only == *scope));
        let found = wanted
            .map(|scope| Ok((scope, Collected::new(request.limit, budget)?)))
            .collect::<Result<_, MemoryRefused>>()?;
        let mut names = Self { wanted: request.scope, found, progress };
        INTRINSICS.iter().try_for_each(|name| names.add_name(S::Intrinsic, name))?;
        Ok(names)
    }

    pub(super) fn depend_on_spans(&self) -> bool {
        self.wanted != Some(TagScope::Intrinsic)
    }

    pub(super) fn answer(&self, inspected_bytes: u64) -> TagNames {
        answer(&self.found, inspected_bytes)
    }

    fn add_name(&mut self, scope: TagScope, name: &str) -> Result<(), MemoryRefused> {
        self.found.get_mut(&scope).map_or(Ok(()), |names| names.add(name.to_owned()))
    }

    fn add_keys(
        &mut self,
        scope: TagScope,
        list: &AttributeList<'_>,
        rows: impl Iterator<Item = usize>,
    ) -> Result<(), MemoryRefused> {
        let mut seen = vec![false; list.keys().len()];
        for entry in rows.flat_map(|row| list.entries(row)) {
            seen[list.key_code(entry)] = true;
        }
        let codes = (0..seen.len()).filter(|code| seen[*code]);
        codes.into_iter().try_for_each(|code| self.add_name(scope, list.keys().value(code)))
    }
}

fn answer(found: &BTreeMap<TagScope, Collected<String>>, inspected_bytes: u64) -> TagNames {
    let scopes = found.iter().map(|(scope, names)| (*scope, names.to_vec()));
    TagNames {
        scopes: scopes.filter(|(_, names)| !names.is_empty()).collect(),
        inspected_bytes,
        partial: found.values().find_map(Collected::partial),
    }
}

impl Question for Names<'_> {
    type Item = (TagScope, String);

    fn project(&self, projection: &mut Projection) {
        let wants = |scope| self.found.contains_key(&scope);
        if AttributeScope::ALL.into_iter().any(|scope| wants(scope.into())) {
            projection.everything = true;
        }
        if wants(TagScope::Event) {
            projection.fixed.push(schema::EVENTS);
        }
        if wants(TagScope::Link) {
            projection.fixed.push(schema::LINKS);
        }
    }

    async fn indexed(
        &mut self,
        piece: &Piece,
        context: &SearchContext<'_>,
    ) -> Result<Indexed<Self::Item>, QueryError> {
        let budget = context.budget;
        let unknown = Indexed::unknown(budget)?;
        let mut indexed = Indexed::bounded(budget)?;
        let mut note = |scope: TagScope, key: &str| {
            let wanted = self.found.contains_key(&scope);
            if wanted { indexed.note((scope, key.to_owned()), key.len(), true) } else { Ok(()) }
        };
        match piece {
            Piece::Live(spans) => dictionaries(spans.spans(), &mut note)?,
            Piece::Block(reader) => {
                let Some(index) = reader.index(budget).await? else { return Ok(unknown) };
                let Some(Some(tags)) = usable(index.tags(budget).await)? else { return Ok(unknown) };
                for (scope, key) in tags.keys() {
                    if let Some(scope) = tag_scope(scope) {
                        note(scope, key)?;
                    }
                }
            }
        }
        Ok(indexed)
    }

    fn knows(&self, (scope, name): &Self::Item) -> bool {
        self.found.get(scope).is_none_or(|names| names.knows(name))
    }

    fn add(&mut self, (scope, name): Self::Item) -> Result<(), MemoryRefused> {
        self.add_name(scope, &name)
    }

    fn add_rows(&mut self, batch: &RecordBatch, rows: &[usize]) -> Result<(), QueryError> {
        for (at, field) in batch.schema().fields().iter().enumerate() {
            if let Some(own) = AttributeColumn::from_column_name(field.name())
                && rows.iter().any(|row| batch.column(at).is_valid(*row))
            {
                self.add_name(own.scope.into(), &own.key)?;
            }
        }
        for scope in AttributeScope::ALL {
            if self.found.contains_key(&scope.into()) {
                let list = list_column(batch, scope.list_column())?;
                self.add_keys(scope.into(), &list, rows.iter().copied())?;
            }
        }
        if self.found.contains_key(&TagScope::Event) {
            let events = EventColumns::new(batch, schema::EVENTS)?;
            let rows = rows.iter().flat_map(|row| events.of_row(*row));
            self.add_keys(TagScope::Event, &events.attributes, rows)?;
        }
        if self.found.contains_key(&TagScope::Link) {
            let links = LinkColumns::new(batch, schema::LINKS)?;
            let rows = rows.iter().flat_map(|row| links.of_row(*row));
            self.add_keys(TagScope::Link, &links.attributes, rows)?;
        }
        Ok(())
    }

    fn tell(&mut self, inspected_bytes: u64) {
        let found = &self.found;
        (self.progress)(&|| answer(found, inspected_bytes));
    }
}

/// The keys that the spans of the head may have: a dictionary may name one that no row has, a column be empty.
fn dictionaries(
    batch: &RecordBatch,
    note: &mut impl FnMut(TagScope, &str) -> Result<(), MemoryRefused>,
) -> Result<(), QueryError> {
    for field in batch.schema().fields() {
        if let Some(own) = AttributeColumn::from_column_name(field.name()) {
            note(own.scope.into(), &own.key)?;
        }
    }
    for scope in AttributeScope::ALL {
        let keys = list_column(batch, scope.list_column())?.keys();
        keys.iter().flatten().try_for_each(|key| note(scope.into(), key))?;
    }
    let events = EventColumns::new(batch, schema::EVENTS)?;
    events.attributes.keys().iter().flatten().try_for_each(|key| note(TagScope::Event, key))?;
    let links = LinkColumns::new(batch, schema::LINKS)?;
    links.attributes.keys().iter().flatten().try_for_each(|key| note(TagScope::Link, key))?;
    Ok(())
}

fn tag_scope(scope: IndexScope) -> Option<TagScope> {
    match scope {
        IndexScope::Intrinsic => None,
        IndexScope::Resource => Some(TagScope::Resource),
        IndexScope::Span => Some(TagScope::Span),
        IndexScope::Instrumentation => Some(TagScope::Instrumentation),
        IndexScope::Event => Some(TagScope::Event),
        IndexScope::Link => Some(TagScope::Link),
    }
}

impl From<AttributeScope> for TagScope {
    fn from(scope: AttributeScope) -> Self {
        match scope {
            AttributeScope::Span => Self::Span,
            AttributeScope::Resource => Self::Resource,
            AttributeScope::Instrumentation => Self::Instrumentation,
        }
    }
}
