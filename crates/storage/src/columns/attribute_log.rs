use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use vivace_model::schema::{AttributeColumn, AttributeScope, ValueType};

use super::encode::AttributesBuilder;
use super::order::{AttributeOrder, OrderBuilder};
use super::texts::{Keys, NONE, Texts, dictionary};
use super::{ValueRef, rows_for_column};
use crate::limits;

/// Attributes as they come, a few bytes each. Which of them get a column is decided when all are there.
#[derive(Debug)]
pub(super) struct AttributeLog {
    keys: Keys,
    /// For each key, the column of each value type.
    by_key: Vec<[u32; VALUE_TYPES]>,
    columns: Vec<LogColumn>,
    /// The first of the columns in the order attributes are sent in.
    first: u32,
    /// Texts of each column, which is their tag.
    texts: Texts,
    numbers: Vec<u64>,
    entries: Vec<Entry>,
    ends: Vec<u32>,
}

const VALUE_TYPES: usize = 6;

#[derive(Debug)]
struct LogColumn {
    key: u32,
    value_type: ValueType,
    /// The column that follows in the order attributes are sent in.
    next: u32,
    last_text: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    column: u32,
    /// A text's code, a number's position, a truth; nothing.
    value: u32,
}

/// One scope's attributes as columns.
pub(super) struct Attributes {
    pub(super) own: Vec<(AttributeColumn, ArrayRef)>,
    pub(super) list: ListArray,
    /// [`None`] when every row's attributes are in the order of the columns and the list.
    pub(super) order: Option<ArrayRef>,
}

impl Default for AttributeLog {
    fn default() -> Self {
        Self {
            keys: Keys::default(),
            by_key: Vec::new(),
            columns: Vec::new(),
            first: NONE,
            texts: Texts::default(),
            numbers: Vec::new(),
            entries: Vec::new(),
            ends: Vec::new(),
        }
    }
}

impl AttributeLog {
    /// Adds an attribute to the current row, unless the row has its key.
    pub(super) fn push(&mut self, key: &str, value: ValueRef<'_>) {
        let Some(key) = self.keys.code(key) else { return };
        let column = self.column(key, value.value_type());
        let value = match value {
            ValueRef::Empty => 0,
            ValueRef::Bool(truth) => u32::from(truth),
            ValueRef::Int(number) => self.number(number.cast_unsigned()),
            ValueRef::Float(number) => self.number(number.to_bits()),
            ValueRef::String(text) | ValueRef::Json(text) => self.text(column, text),
        };
        self.entries.push(Entry { column, value });
    }

    /// Ends the current row and gives its number.
    pub(super) fn end_row(&mut self) -> u32 {
        self.keys.end_row();
        self.ends.push(self.entries.len() as u32);
        self.ends.len() as u32 - 1
    }

    fn number(&mut self, bits: u64) -> u32 {
        self.numbers.push(bits);
        self.numbers.len() as u32 - 1
    }

    fn text(&mut self, column: u32, text: &str) -> u32 {
        let last = self.columns[column as usize].last_text;
        if last != NONE && self.texts.get(last as usize) == text.as_bytes() {
            return last;
        }
        let code = self.texts.code(column, text.as_bytes());
        self.columns[column as usize].last_text = code;
        code
    }

    fn column(&mut self, key: u32, value_type: ValueType) -> u32 {
        if key as usize >= self.by_key.len() {
            self.by_key.resize(key as usize + 1, [NONE; VALUE_TYPES]);
        }
        let known = self.by_key[key as usize][value_type as usize];
        if known != NONE {
            return known;
        }
        let column = self.columns.len() as u32;
        self.by_key[key as usize][value_type as usize] = column;
        let row_start = self.ends.last().map_or(0, |end| *end as usize);
        let before = self.entries.get(row_start..).and_then(|row| row.last()).map(|entry| entry.column);
        let next = match before {
            Some(before) => std::mem::replace(&mut self.columns[before as usize].next, column),
            None => std::mem::replace(&mut self.first, column),
        };
        self.columns.push(LogColumn { key, value_type, next, last_text: NONE });
        column
    }

    fn row(&self, row: u32) -> &[Entry] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.entries[start as usize..self.ends[row as usize] as usize]
    }

    /// The attributes of these rows of the log: frequent ones in columns of their own, the rest in the list.
    pub(super) fn finish(
        self,
        scope: AttributeScope,
        rows: &[u32],
        order: Option<&AttributeOrder>,
    ) -> Attributes {
        let frequent = self.frequent(scope, rows, order);
        let mut place = vec![NONE; self.columns.len()];
        frequent.iter().enumerate().for_each(|(at, (column, _))| place[*column as usize] = at as u32);
        let mut values = vec![vec![NONE; rows.len()]; frequent.len()];
        let mut rest = AttributesBuilder::default();
        let mut sent = OrderBuilder::default();
        for (row, logged) in rows.iter().enumerate() {
            for entry in self.row(*logged) {
                match place[entry.column as usize] {
                    NONE => {
                        sent.listed();
                        self.list(*entry, &mut rest);
                    }
                    at => {
                        sent.own(at);
                        values[at as usize][row] = entry.value;
                    }
                }
            }
            rest.end_row();
            sent.end_row();
        }
        let (local, mut texts) = self.dictionaries(&place, frequent.len());
        let own = frequent.into_iter().zip(values).enumerate().map(|(at, ((_, own), values))| {
            let array = self.array(own.value_type, &values, &local, &mut texts[at]);
            (own, array)
        });
        Attributes { own: own.collect(), list: rest.finish(), order: sent.finish() }
    }

    /// The columns that enough of these rows have, in the order attributes are sent in.
    fn frequent(
        &self,
        scope: AttributeScope,
        rows: &[u32],
        order: Option<&AttributeOrder>,
    ) -> Vec<(u32, AttributeColumn)> {
        let mut repeats = vec![0_u32; self.ends.len()];
        rows.iter().for_each(|row| repeats[*row as usize] += 1);
        let mut counts = vec![0_u32; self.columns.len()];
        for (row, repeats) in repeats.iter().enumerate() {
            self.row(row as u32).iter().for_each(|entry| counts[entry.column as usize] += repeats);
        }
        let enough = rows_for_column(rows.len(), limits::ROWS_PER_HEAD_COLUMN_VALUE) as u32;
        let mut frequent = Vec::new();
        let mut at = self.first;
        while at != NONE {
            let column = &self.columns[at as usize];
            if column.value_type.column_suffix().is_some() && counts[at as usize] >= enough {
                frequent.push(at);
            }
            at = column.next;
        }
        if frequent.len() > limits::MAX_ATTRIBUTE_COLUMNS {
            let mut by_count = frequent.clone();
            by_count.sort_by_key(|at| std::cmp::Reverse(counts[*at as usize]));
            let least = counts[by_count[limits::MAX_ATTRIBUTE_COLUMNS] as usize];
            frequent.retain(|at| counts[*at as usize] > least);
        }
        let named = |at: u32| {
            let LogColumn { key, value_type, .. } = self.columns[at as usize];
            (at, AttributeColumn { scope, key: self.keys.get(key as usize).to_owned(), value_type })
        };
        let mut frequent: Vec<_> = frequent.into_iter().map(named).collect();
        if let Some(order) = order {
            order.arrange(&mut frequent, |(_, column)| column);
        }
        frequent
    }

    fn list(&self, entry: Entry, rest: &mut AttributesBuilder) {
        let LogColumn { key, value_type, .. } = self.columns[entry.column as usize];
        let number = || self.numbers[entry.value as usize];
        let text = || std::str::from_utf8(self.texts.get(entry.value as usize)).unwrap_or_default();
        rest.attribute(
            self.keys.get(key as usize),
            match value_type {
                ValueType::Empty => ValueRef::Empty,
                ValueType::Bool => ValueRef::Bool(entry.value != 0),
                ValueType::Int => ValueRef::Int(number().cast_signed()),
                ValueType::Float => ValueRef::Float(f64::from_bits(number())),
                ValueType::String => ValueRef::String(text()),
                ValueType::Json => ValueRef::Json(text()),
            },
        );
    }

    /// For each text its position in its own column's dictionary, and those dictionaries.
    fn dictionaries(&self, place: &[u32], columns: usize) -> (Vec<u32>, Vec<Option<StringArray>>) {
        let place_of = |code: usize| place[self.texts.tag(code) as usize];
        let mut sizes = vec![(0_usize, 0_usize); columns];
        for code in 0..self.texts.len() {
            if let Some((count, bytes)) = sizes.get_mut(place_of(code) as usize) {
                *count += 1;
                *bytes += self.texts.get(code).len();
            }
        }
        let room = |(count, bytes): &(usize, usize)| {
            (Vec::<i32>::with_capacity(count + 1), Vec::<u8>::with_capacity(*bytes))
        };
        let mut parts: Vec<_> = sizes.iter().map(room).collect();
        parts.iter_mut().for_each(|(offsets, _)| offsets.push(0));
        let mut local = vec![0; self.texts.len()];
        for (code, local) in local.iter_mut().enumerate() {
            if let Some((offsets, bytes)) = parts.get_mut(place_of(code) as usize) {
                *local = offsets.len() as u32 - 1;
                bytes.extend_from_slice(self.texts.get(code));
                offsets.push(bytes.len() as i32);
            }
        }
        let array = |(offsets, bytes)| {
            let offsets = OffsetBuffer::new(ScalarBuffer::<i32>::from(offsets));
            Some(StringArray::new(offsets, Buffer::from_vec::<u8>(bytes), None))
        };
        (local, parts.into_iter().map(array).collect())
    }

    fn array(
        &self,
        value_type: ValueType,
        values: &[u32],
        local: &[u32],
        texts: &mut Option<StringArray>,
    ) -> ArrayRef {
        let nulls = || {
            let present = values.iter().map(|value| *value != NONE).collect::<BooleanBuffer>();
            Some(NullBuffer::new(present)).filter(|nulls| nulls.null_count() > 0)
        };
        let number = |value: &u32| self.numbers.get(*value as usize).copied().unwrap_or_default();
        match value_type {
            ValueType::Bool => {
                let truths = values.iter().map(|value| *value == 1).collect::<BooleanBuffer>();
                Arc::new(BooleanArray::new(truths, nulls()))
            }
            ValueType::Int => {
                let numbers: Vec<i64> = values.iter().map(|value| number(value).cast_signed()).collect();
                Arc::new(Int64Array::new(ScalarBuffer::from(numbers), nulls()))
            }
            ValueType::Float => {
                let numbers: Vec<f64> = values.iter().map(|value| f64::from_bits(number(value))).collect();
                Arc::new(Float64Array::new(ScalarBuffer::from(numbers), nulls()))
            }
            ValueType::String | ValueType::Json | ValueType::Empty => {
                let codes = values.iter().map(|value| local.get(*value as usize).copied().unwrap_or(NONE));
                let texts = texts.take().unwrap_or_else(|| StringArray::new_null(0));
                dictionary(codes, Arc::new(texts))
            }
        }
    }
}
