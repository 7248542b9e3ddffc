use std::collections::HashMap;

use arrow::array::{Array, FixedSizeBinaryArray, RecordBatch};
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType};

use super::distinct::distinct_texts;
use super::format::assemble;
use super::intrinsics;
use super::summaries::SummariesBuilder;
use super::tags::{Field, IndexScope, encode};
use super::traces::TracesBuilder;
use super::zones::ZonesBuilder;
use crate::columns::{
    AttributeList, AttributeValues, EventColumns, LinkColumns, TextColumn, ValueRef, column, list_column,
    text_column,
};
use crate::{BlockError, ColumnError, limits};

/// What a key and a value take in memory beside their text.
const FIELD_BYTES: usize = 192;
const VALUE_BYTES: usize = 64;

/// Collects what an index says about a block's spans, inside [`limits::INDEX_MEMORY`]: keys with many values lose
/// their list, the largest first.
#[derive(Debug)]
pub struct IndexBuilder {
    fields: Vec<Distinct>,
    by_name: HashMap<(IndexScope, Box<str>), usize>,
    bytes: usize,
    limit: usize,
    /// The keys alone are too many.
    overflown: bool,
    traces: TracesBuilder,
    zones: ZonesBuilder,
    summaries: SummariesBuilder,
}

/// The distinct values of a key, by text, each with a bit per type it comes with; [`None`] when there are too many.
#[derive(Debug, Default)]
struct Distinct {
    values: Option<HashMap<Box<str>, u8>>,
    text_bytes: usize,
}

impl Distinct {
    fn memory(&self) -> usize {
        self.text_bytes + self.values.as_ref().map_or(0, |values| values.len() * VALUE_BYTES)
    }

    fn give_up(&mut self) -> usize {
        let freed = self.memory();
        *self = Self::default();
        freed
    }
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self::with_limit(limits::INDEX_MEMORY)
    }
}

impl IndexBuilder {
    pub(super) fn with_limit(limit: usize) -> Self {
        Self {
            fields: Vec::new(),
            by_name: HashMap::new(),
            bytes: 0,
            limit,
            overflown: false,
            traces: TracesBuilder::default(),
            zones: ZonesBuilder::default(),
            summaries: SummariesBuilder::default(),
        }
    }

    /// Adds spans in the order of a block's rows.
    ///
    /// # Errors
    /// [`BlockError::Build`] when the batch is not of the span schema.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), BlockError> {
        self.summaries.add(batch)?;
        let mut at = 0;
        while at < batch.num_rows() {
            let rows = self.zones.room().min(batch.num_rows() - at);
            self.add_rows(&batch.slice(at, rows))?;
            at += rows;
        }
        Ok(())
    }

    /// Notes that spans may be in the block twice.
    pub fn may_repeat(&mut self) {
        self.traces.may_repeat();
    }

    fn add_rows(&mut self, batch: &RecordBatch) -> Result<(), ColumnError> {
        self.traces.add(batch)?;
        self.zones.add(batch)?;
        for field in batch.schema().fields() {
            if let Some(own) = AttributeColumn::from_column_name(field.name()) {
                self.add_column(batch, &own)?;
            }
        }
        for scope in AttributeScope::ALL {
            self.add_list(scope.into(), &list_column(batch, scope.list_column())?, 0..batch.num_rows());
        }
        let events = EventColumns::new(batch, schema::EVENTS)?;
        let event_rows = || (0..batch.num_rows()).flat_map(|row| events.of_row(row));
        self.add_list(IndexScope::Event, &events.attributes, event_rows());
        self.add_texts(intrinsics::EVENT_NAME, event_rows().map(|event| Some(events.name.value(event))));
        let links = LinkColumns::new(batch, schema::LINKS)?;
        let link_rows = (0..batch.num_rows()).flat_map(|row| links.of_row(row));
        self.add_list(IndexScope::Link, &links.attributes, link_rows);
        self.add_intrinsics(batch)
    }

    /// The index object.
    ///
    /// # Errors
    /// [`BlockError::Build`], a defect of ours.
    pub fn finish(mut self) -> Result<Vec<u8>, BlockError> {
        let mut sections = std::mem::take(&mut self.traces).sections()?;
        sections.push(std::mem::take(&mut self.zones).section()?);
        sections.extend(std::mem::take(&mut self.summaries).section()?);
        if self.overflown {
            return assemble(sections);
        }
        let field = |((scope, key), at): ((IndexScope, Box<str>), usize)| {
            let values = self.fields.get_mut(at).and_then(|distinct| distinct.values.take());
            Field { scope, key, values: values.map(sorted) }
        };
        let fields = std::mem::take(&mut self.by_name).into_iter().map(field).collect();
        sections.insert(0, encode(fields)?);
        assemble(sections)
    }

    fn add_intrinsics(&mut self, batch: &RecordBatch) -> Result<(), ColumnError> {
        let texts: [(&str, TextColumn<'_>); 4] = [
            (intrinsics::NAME, text_column(batch, schema::NAME)?),
            (intrinsics::STATUS_MESSAGE, text_column(batch, schema::STATUS_MESSAGE)?),
            (intrinsics::SCOPE_NAME, text_column(batch, schema::SCOPE_NAME)?),
            (intrinsics::SCOPE_VERSION, text_column(batch, schema::SCOPE_VERSION)?),
        ];
        for (key, texts) in texts {
            self.add_texts(key, distinct_texts(texts).map(Some));
        }
        let parents: &FixedSizeBinaryArray = column(batch, schema::PARENT_SPAN_ID)?;
        let roots: Vec<usize> = (0..batch.num_rows()).filter(|row| parents.is_null(*row)).collect();
        let names = texts[0].1;
        self.add_texts(intrinsics::ROOT_NAME, roots.iter().map(|row| names.get(*row)));
        let services = AttributeValues::gather(batch, AttributeScope::Resource, "service.name")?.0;
        let service = |row: &usize| match services[*row] {
            Some(ValueRef::String(text)) => Some(text),
            _ => None,
        };
        self.add_texts(intrinsics::ROOT_SERVICE_NAME, roots.iter().map(service));
        Ok(())
    }

    fn add_texts<'a>(&mut self, key: &str, texts: impl Iterator<Item = Option<&'a str>>) {
        let Some(field) = self.field(IndexScope::Intrinsic, key) else { return };
        texts.flatten().for_each(|text| self.add_value(field, ValueType::String as i8, text));
    }

    fn add_list(&mut self, scope: IndexScope, list: &AttributeList<'_>, rows: impl Iterator<Item = usize>) {
        let mut fields: Vec<Option<usize>> = vec![None; list.keys().len()];
        for entry in rows.flat_map(|row| list.entries(row)) {
            let code = list.key_code(entry);
            let known = fields.get(code).copied().flatten();
            let Some(field) = known.or_else(|| self.field(scope, list.key(entry))) else { return };
            if let Some(slot) = fields.get_mut(code) {
                *slot = Some(field);
            }
            let (code, text) = list.raw(entry);
            self.add_value(field, code, text.unwrap_or_default());
        }
    }

    fn add_column(&mut self, batch: &RecordBatch, own: &AttributeColumn) -> Result<(), ColumnError> {
        if own.value_type == ValueType::String {
            let mut texts = distinct_texts(text_column(batch, &own.column_name())?).peekable();
            if texts.peek().is_some()
                && let Some(field) = self.field(own.scope.into(), &own.key)
            {
                texts.for_each(|text| self.add_value(field, ValueType::String as i8, text));
            }
            return Ok(());
        }
        let values = AttributeValues::of_column(batch, own)?.0;
        let mut present = values.into_iter().flatten().peekable();
        if present.peek().is_none() {
            return Ok(());
        }
        let Some(field) = self.field(own.scope.into(), &own.key) else { return Ok(()) };
        present.for_each(|value| {
            let (code, text) = value.written();
            self.add_value(field, code as i8, &text);
        });
        Ok(())
    }

    /// The place of a key; [`None`] once there are too many.
    fn field(&mut self, scope: IndexScope, key: &str) -> Option<usize> {
        if self.overflown {
            return None;
        }
        let name = (scope, Box::from(key));
        if let Some(known) = self.by_name.get(&name) {
            return Some(*known);
        }
        self.fields.push(Distinct { values: Some(HashMap::new()), text_bytes: 0 });
        self.by_name.insert(name, self.fields.len() - 1);
        self.take(key.len() + FIELD_BYTES);
        (!self.overflown).then(|| self.fields.len() - 1)
    }

    fn add_value(&mut self, field: usize, code: i8, text: &str) {
        let Some(distinct) = self.fields.get_mut(field) else { return };
        let Some(values) = &mut distinct.values else { return };
        let bit = 1 << ValueType::from_code(code).unwrap_or(ValueType::Empty) as u8;
        if let Some(types) = values.get_mut(text) {
            *types |= bit;
            return;
        }
        let full = values.len() == limits::MAX_INDEXED_VALUES
            || distinct.text_bytes + text.len() > limits::MAX_INDEXED_VALUE_BYTES;
        if full {
            self.bytes -= distinct.give_up();
            return;
        }
        values.insert(Box::from(text), bit);
        distinct.text_bytes += text.len();
        self.take(text.len() + VALUE_BYTES);
    }

    /// Accounts for memory; past the limit the longest lists go, and once there are none, everything.
    fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        while self.bytes > self.limit {
            let largest = self.fields.iter_mut().max_by_key(|distinct| distinct.memory());
            match largest.map_or(0, Distinct::give_up) {
                0 => {
                    (self.overflown, self.bytes) = (true, 0);
                    self.fields.clear();
                    self.by_name.clear();
                    return;
                }
                freed => self.bytes -= freed,
            }
        }
    }
}

fn sorted(values: HashMap<Box<str>, u8>) -> Vec<(u8, Box<str>)> {
    let mut sorted: Vec<_> = values
        .into_iter()
        .flat_map(|(text, types)| {
            let set = (0..u8::BITS as u8).filter(move |code| types & (1 << code) != 0);
            set.map(move |code| (code, text.clone()))
        })
        .collect();
    sorted.sort();
    sorted
}
