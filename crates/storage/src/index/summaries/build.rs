use std::collections::HashMap;

use ahash::RandomState;
use arrow::array::{Array, Int8Array, Int64Array, RecordBatch, UInt64Array};
use bytes::BufMut;
use rustc_hash::FxHashMap;
use vivace_model::schema::{self, AttributeScope};
use vivace_model::{SpanKind, StatusCode};

use super::{ChunkOf, Dimensions, KIND, NO_SERVICE, SummaryGroup};
use crate::columns::{AttributeValues, TextColumn, ValueRef, column, text_column};
use crate::index::buckets::slot;
use crate::index::format::{SectionBytes, pack, put_reference, to_u32};
use crate::varint::put_varint;
use crate::{BlockError, ColumnError, limits};

/// Nanoseconds of the shortest cells.
const UNIT: u64 = UNIT_SECONDS as u64 * 1_000_000_000;
const UNIT_SECONDS: u32 = 5;
const MINUTE: u32 = 60;
/// The rows of a chunk begin within so many units.
const REACH: u32 = 1 << 27;
/// How many services, names and groups are told apart.
const MAX_SERVICES: usize = 4_096;
const MAX_NAMES: usize = 16_384;
const MAX_GROUPS: usize = 1 << 14;
/// Bytes of names and services.
const MAX_TEXT_BYTES: usize = 256 << 10;
const MAX_CHUNKS: usize = 4_096;
/// A table of this size is kept, however few spans there are.
const SMALL_TABLE: usize = 16 << 10;

/// A table there may be, and what it may take per 1,000 spans.
struct Plan {
    dimensions: Dimensions,
    seconds: u32,
    bytes_per_1000: usize,
}

const fn by(dimensions: &[Dimensions]) -> Dimensions {
    let (mut all, mut at) = (Dimensions::NONE, 0);
    while at < dimensions.len() {
        all = all.and(dimensions[at]);
        at += 1;
    }
    all
}

use Dimensions as D;

const PLANS: [Plan; 3] = [
    Plan { dimensions: by(&[D::SERVICE, D::NAME, D::KIND, D::STATUS]), seconds: MINUTE, bytes_per_1000: 200 },
    Plan { dimensions: by(&[D::SERVICE, D::KIND, D::STATUS]), seconds: UNIT_SECONDS, bytes_per_1000: 200 },
    Plan {
        dimensions: by(&[D::SERVICE, D::KIND, D::STATUS, D::DURATION]),
        seconds: MINUTE,
        bytes_per_1000: 1000,
    },
];

/// Collects summaries inside [`limits::SUMMARY_MEMORY`]: rows until there are enough for a chunk, then what is made
/// of them. What would be too much is left out, a table at a time.
#[derive(Debug, Default)]
pub(in crate::index) struct SummariesBuilder {
    services: Texts,
    names: Texts,
    groups: HashMap<SummaryGroup, u32, RandomState>,
    by_number: Vec<SummaryGroup>,
    rows: Vec<Row>,
    count: usize,
    tables: Vec<Option<Table>>,
    /// Names are too many.
    without_names: bool,
    /// There is no section.
    overflown: bool,
}

/// A span.
#[derive(Debug, Clone, Copy)]
struct Row {
    group: u32,
    unit: u32,
    slot: u16,
}

#[derive(Debug, Default)]
struct Table {
    chunks: Vec<ChunkOf>,
    bytes: Vec<u8>,
}

/// Texts with a type each, numbered as they come.
#[derive(Debug, Default)]
struct Texts {
    numbers: HashMap<Box<[u8]>, u32, RandomState>,
    bytes: usize,
    key: Vec<u8>,
}

impl Texts {
    fn number(&mut self, code: u8, text: &str) -> u32 {
        self.key.clear();
        self.key.push(code);
        self.key.extend_from_slice(text.as_bytes());
        if let Some(known) = self.numbers.get(self.key.as_slice()) {
            return *known;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(self.key.as_slice().into(), number);
        self.bytes += self.key.len();
        number
    }

    /// Code and text in the order of the numbers.
    fn sorted(&self) -> Vec<(u8, &[u8])> {
        let mut sorted: Vec<(u32, &[u8])> =
            self.numbers.iter().map(|(key, number)| (*number, &**key)).collect();
        sorted.sort_unstable();
        sorted
            .into_iter()
            .filter_map(|(_, key)| key.split_first())
            .map(|(code, text)| (*code, text))
            .collect()
    }
}

impl SummariesBuilder {
    /// Adds rows in the order of a block.
    pub(in crate::index) fn add(&mut self, batch: &RecordBatch) -> Result<(), BlockError> {
        if self.overflown {
            return Ok(());
        }
        if self.tables.is_empty() {
            self.tables.extend(PLANS.iter().map(|_| Some(Table::default())));
        }
        let starts: &UInt64Array = column(batch, schema::START)?;
        let durations: &Int64Array = column(batch, schema::DURATION)?;
        let kinds: &Int8Array = column(batch, schema::KIND)?;
        let statuses: &Int8Array = column(batch, schema::STATUS)?;
        let services = self.services(batch)?;
        let names = self.names(text_column(batch, schema::NAME)?);
        let mut last: Option<(SummaryGroup, u32)> = None;
        for row in 0..batch.num_rows() {
            let start = starts.value(row);
            // Nothing is asked about the first nanosecond of 1970 but by spans.
            let Some(before) = start.checked_sub(1) else { continue };
            let group = SummaryGroup {
                service: services[row],
                name: names[row],
                kind: SpanKind::from_otlp(kinds.value(row).into()) as u8,
                status: StatusCode::from_otlp(statuses.value(row).into()) as u8,
            };
            let number = match last {
                Some((known, number)) if known == group => number,
                _ => self.group(group),
            };
            last = Some((group, number));
            let end = start.wrapping_add(durations.value(row).cast_unsigned());
            let nanos = i64::try_from(end.saturating_sub(start)).unwrap_or(i64::MAX);
            let unit = (before / UNIT) as u32;
            self.row(Row { group: number, unit, slot: slot(nanos) })?;
        }
        self.count += batch.num_rows();
        self.check_size();
        Ok(())
    }

    fn row(&mut self, row: Row) -> Result<(), BlockError> {
        let far = self.rows.first().is_some_and(|first| first.unit.abs_diff(row.unit) > REACH);
        if far || self.rows.len() == limits::SUMMARY_ROWS {
            self.end_chunk()?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Per row the number of its service.
    fn services(&mut self, batch: &RecordBatch) -> Result<Vec<u32>, ColumnError> {
        let values = AttributeValues::gather(batch, AttributeScope::Resource, "service.name")?.0;
        // Texts of a dictionary are the same bytes in memory.
        let mut known: FxHashMap<(usize, usize), u32> = FxHashMap::default();
        let mut number = |value| {
            let Some(value) = value else { return self.services.number(NO_SERVICE, "") };
            let ValueRef::String(text) = value else {
                let (code, text) = value.written();
                return self.services.number(code as u8, &text);
            };
            let place = (text.as_ptr() as usize, text.len());
            let code = schema::ValueType::String as u8;
            *known.entry(place).or_insert_with(|| self.services.number(code, text))
        };
        Ok(values.into_iter().map(&mut number).collect())
    }

    /// Per row the number of its name.
    fn names(&mut self, names: TextColumn<'_>) -> Vec<u32> {
        if self.without_names {
            return vec![0; names.len()];
        }
        match names {
            TextColumn::Plain(texts) => {
                texts.iter().map(|text| self.names.number(0, text.unwrap_or_default())).collect()
            }
            TextColumn::Coded { codes, texts } => {
                let mut known: Vec<Option<u32>> = vec![None; texts.len()];
                let mut number = |code: Option<i32>| match code {
                    None => self.names.number(0, ""),
                    Some(code) => *known[code as usize]
                        .get_or_insert_with(|| self.names.number(0, texts.value(code as usize))),
                };
                codes.iter().map(&mut number).collect()
            }
        }
    }

    fn group(&mut self, group: SummaryGroup) -> u32 {
        let by_number = &mut self.by_number;
        *self.groups.entry(group).or_insert_with(|| {
            by_number.push(group);
            (by_number.len() - 1) as u32
        })
    }

    /// Gives up names, then everything, when there is more than is told apart.
    fn check_size(&mut self) {
        let names = self.names.numbers.len() > MAX_NAMES || self.names.bytes > MAX_TEXT_BYTES;
        if !self.without_names && (names || self.by_number.len() > MAX_GROUPS / 2) {
            self.without_names = true;
            self.names = Texts::default();
            for (plan, table) in PLANS.iter().zip(&mut self.tables) {
                if plan.dimensions.has(Dimensions::NAME) {
                    *table = None;
                }
            }
        }
        let services = self.services.numbers.len() > MAX_SERVICES || self.services.bytes > MAX_TEXT_BYTES;
        let chunks = self.tables.iter().flatten().any(|table| table.chunks.len() > MAX_CHUNKS);
        if services || chunks || self.by_number.len() > MAX_GROUPS {
            *self = Self { overflown: true, ..Self::default() };
        }
        while self.tables.iter().flatten().map(|table| table.bytes.len()).sum::<usize>()
            > limits::SUMMARY_BYTES
        {
            let size = |table: &Option<Table>| table.as_ref().map_or(0, |table| table.bytes.len());
            if let Some(largest) = self.tables.iter_mut().max_by_key(|table| size(table)) {
                *largest = None;
            }
        }
    }

    pub(super) fn end_chunk(&mut self) -> Result<(), BlockError> {
        let rows = std::mem::take(&mut self.rows);
        for (plan, table) in PLANS.iter().zip(&mut self.tables) {
            if let Some(table) = table {
                table.add(plan, &rows, &self.by_number)?;
            }
        }
        self.rows = rows;
        self.rows.clear();
        Ok(())
    }

    /// The section; none when there is nothing to say.
    pub(in crate::index) fn section(mut self) -> Result<Option<SectionBytes>, BlockError> {
        if self.overflown || self.count == 0 {
            return Ok(None);
        }
        self.end_chunk()?;
        self.check_size();
        let allowed = |plan: &Plan| SMALL_TABLE.max(self.count.saturating_mul(plan.bytes_per_1000) / 1000);
        let tables: Vec<(&Plan, &Table)> = PLANS
            .iter()
            .zip(&self.tables)
            .filter_map(|(plan, table)| Some((plan, table.as_ref()?)))
            .filter(|(plan, table)| table.bytes.len() <= allowed(plan))
            .collect();
        let (mut root, mut rest) = (Vec::new(), Vec::new());
        let services = self.services.sorted();
        root.put_u32_le(to_u32(services.len())?);
        for (code, text) in services {
            root.put_u8(code);
            put_text(&mut root, text)?;
        }
        let names = self.names.sorted();
        root.put_u32_le(to_u32(names.len())?);
        names.into_iter().try_for_each(|(_, text)| put_text(&mut root, text))?;
        root.put_u32_le(to_u32(tables.len())?);
        for (plan, table) in tables {
            root.put_u8(plan.dimensions.0);
            root.put_u32_le(plan.seconds);
            root.put_u32_le(to_u32(table.chunks.len())?);
            for chunk in &table.chunks {
                root.put_u32_le(chunk.first);
                root.put_u32_le(chunk.last);
                root.put_u32_le(chunk.counts);
                let mut reference = chunk.reference;
                reference.offset += rest.len() as u64;
                put_reference(&mut root, reference);
            }
            rest.extend_from_slice(&table.bytes);
        }
        Ok(Some(SectionBytes { kind: KIND, root, rest }))
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) -> Result<(), BlockError> {
    out.put_u32_le(to_u32(text.len())?);
    out.put_slice(text);
    Ok(())
}

/// Bits of a row's key: group, cell from the first, slot.
const SLOT_BITS: u32 = 13;
const CELL_BITS: u32 = 28;

impl Table {
    /// Makes a chunk of rows.
    fn add(&mut self, plan: &Plan, rows: &[Row], groups: &[SummaryGroup]) -> Result<(), BlockError> {
        let units = plan.seconds / UNIT_SECONDS;
        let cells = || rows.iter().map(|row| row.unit / units);
        let (Some(first), Some(last)) = (cells().min(), cells().max()) else { return Ok(()) };
        let (merged, numbers) = merge(plan.dimensions, groups);
        let has_slots = plan.dimensions.has(Dimensions::DURATION);
        let key = |row: &Row| {
            let group = u64::from(numbers[row.group as usize]) << (CELL_BITS + SLOT_BITS);
            let cell = u64::from(row.unit / units - first) << SLOT_BITS;
            group | cell | if has_slots { row.slot.into() } else { 0 }
        };
        let mut keys: Vec<u64> = rows.iter().map(key).collect();
        keys.sort_unstable();
        let (chunk, counts) = encode(first, &keys, &merged, has_slots)?;
        let reference = pack(&chunk, self.bytes.len(), &mut self.bytes)?;
        self.chunks.push(ChunkOf { first, last, counts, reference });
        Ok(())
    }
}

/// The groups that a table tells apart, in order, and for each of all groups the number of the one it is part of.
fn merge(dimensions: Dimensions, groups: &[SummaryGroup]) -> (Vec<SummaryGroup>, Vec<u32>) {
    let told = |dimension, number| if dimensions.has(dimension) { number } else { 0 };
    let part = |group: &SummaryGroup| SummaryGroup {
        service: told(Dimensions::SERVICE, group.service),
        name: told(Dimensions::NAME, group.name),
        kind: told(Dimensions::KIND, group.kind.into()) as u8,
        status: told(Dimensions::STATUS, group.status.into()) as u8,
    };
    let mut merged: Vec<SummaryGroup> = groups.iter().map(part).collect();
    merged.sort_unstable();
    merged.dedup();
    let number = |group| merged.binary_search(&part(group)).unwrap_or_default() as u32;
    let numbers = groups.iter().map(number).collect();
    (merged, numbers)
}

/// A chunk out of its rows' keys, sorted, and how many counts it has.
fn encode(
    first: u32,
    keys: &[u64],
    groups: &[SummaryGroup],
    has_slots: bool,
) -> Result<(Vec<u8>, u32), BlockError> {
    let [mut of_groups, mut cells, mut slots, mut counts] = [const { Vec::new() }; 4];
    let (mut group_count, mut count) = (0, 0);
    let group_of = |key: &u64| key >> (CELL_BITS + SLOT_BITS);
    let cell_of = |key: &u64| (key >> SLOT_BITS) & ((1 << CELL_BITS) - 1);
    for of_group in keys.chunk_by(|a, b| group_of(a) == group_of(b)) {
        let group = groups.get(group_of(&of_group[0]) as usize).copied().unwrap_or_default();
        put_varint(&mut of_groups, group.service.into());
        put_varint(&mut of_groups, group.name.into());
        of_groups.put_slice(&[group.kind, group.status]);
        let of_cells = || of_group.chunk_by(|a, b| cell_of(a) == cell_of(b));
        put_varint(&mut of_groups, of_cells().count() as u64);
        group_count += 1;
        let mut before = 0;
        for of_cell in of_cells() {
            let cell = cell_of(&of_cell[0]);
            put_varint(&mut cells, cell - before);
            before = cell;
            if has_slots {
                count += put_slots(of_cell, [&mut cells, &mut slots, &mut counts]);
            } else {
                put_varint(&mut counts, of_cell.len() as u64);
                count += 1;
            }
        }
    }
    let mut chunk = Vec::with_capacity(24 + of_groups.len() + cells.len() + slots.len() + counts.len());
    chunk.put_u32_le(first);
    chunk.put_u32_le(group_count);
    for stream in [&of_groups, &cells, &slots, &counts] {
        chunk.put_u32_le(to_u32(stream.len())?);
    }
    [of_groups, cells, slots, counts].iter().for_each(|stream| chunk.put_slice(stream));
    Ok((chunk, count))
}

/// The slots of a cell's keys; how many there are.
fn put_slots(keys: &[u64], [cells, slots, counts]: [&mut Vec<u8>; 3]) -> u32 {
    let equal = || keys.chunk_by(|a, b| a == b);
    let count = equal().count();
    put_varint(cells, count as u64);
    let mut before = 0;
    for same in equal() {
        let slot = same[0] & ((1 << SLOT_BITS) - 1);
        put_varint(slots, slot - before);
        before = slot;
        put_varint(counts, same.len() as u64 - 1);
    }
    count as u32
}
