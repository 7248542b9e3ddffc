use std::any::type_name;
use std::borrow::Cow;
use std::ops::Range;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Float64Array, Int8Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{Int8Type, Int32Type, UInt32Type, UInt64Type};
use vivace_model::Value;
use vivace_model::schema::{AttributeColumn, AttributeScope, ValueType};

use super::{ColumnError, TextColumn, text_column};

/// A value where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Present without a value.
    Empty,
    /// Text.
    String(&'a str),
    /// Truth.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Floating point number.
    Float(f64),
    /// Bytes, array or map as OTLP JSON text.
    Json(&'a str),
}

impl<'a> ValueRef<'a> {
    /// The value, copied out. JSON text that is not OTLP's is [`Value::Empty`].
    pub fn to_value(self) -> Value {
        match self {
            Self::Empty => Value::Empty,
            Self::String(text) => Value::String(text.to_owned()),
            Self::Bool(truth) => Value::Bool(truth),
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
            Self::Json(text) => Value::from_json(text).unwrap_or(Value::Empty),
        }
    }

    /// From type code and text, as in an entry of an attribute list; what is no value of its type is
    /// [`ValueRef::Empty`].
    pub fn read(value_type: i8, text: &'a str) -> Self {
        match ValueType::from_code(value_type) {
            Some(ValueType::String) => ValueRef::String(text),
            Some(ValueType::Bool) => ValueRef::Bool(text == "true"),
            Some(ValueType::Int) => text.parse().map_or(ValueRef::Empty, ValueRef::Int),
            Some(ValueType::Float) => text.parse().map_or(ValueRef::Empty, ValueRef::Float),
            Some(ValueType::Json) => ValueRef::Json(text),
            Some(ValueType::Empty) | None => ValueRef::Empty,
        }
    }

    /// Its type.
    pub fn value_type(self) -> ValueType {
        match self {
            Self::Empty => ValueType::Empty,
            Self::String(_) => ValueType::String,
            Self::Bool(_) => ValueType::Bool,
            Self::Int(_) => ValueType::Int,
            Self::Float(_) => ValueType::Float,
            Self::Json(_) => ValueType::Json,
        }
    }

    /// The type and text that an attribute list has for it; [`ValueRef::read`] takes them back.
    pub fn written(self) -> (ValueType, Cow<'a, str>) {
        match self {
            Self::Empty => (ValueType::Empty, Cow::Borrowed("")),
            Self::String(text) => (ValueType::String, Cow::Borrowed(text)),
            Self::Bool(truth) => (ValueType::Bool, Cow::Borrowed(if truth { "true" } else { "false" })),
            Self::Int(number) => (ValueType::Int, Cow::Owned(number.to_string())),
            Self::Float(number) => (ValueType::Float, Cow::Owned(format!("{number:?}"))),
            Self::Json(text) => (ValueType::Json, Cow::Borrowed(text)),
        }
    }
}

/// The column called `name`, as an array of type `A`.
///
/// # Errors
/// [`ColumnError`] when it is missing or of another type.
pub fn column<'a, A: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A, ColumnError> {
    let array = batch.column_by_name(name).ok_or_else(|| problem(name, "is missing"))?;
    array.as_any().downcast_ref().ok_or_else(|| {
        tracing::debug!(column = name, found = %array.data_type(), wanted = type_name::<A>(), "column type");
        problem(name, "has the wrong type")
    })
}

/// The attribute list column called `name`.
///
/// # Errors
/// [`ColumnError`] when it is missing or of another type.
pub fn list_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<AttributeList<'a>, ColumnError> {
    AttributeList::new(column(batch, name)?).ok_or_else(|| problem(name, "has the wrong type"))
}

pub(super) fn problem(column: &str, problem: &'static str) -> ColumnError {
    ColumnError { column: column.to_owned(), problem }
}

/// A list column's items are found by row through this.
fn rows(list: &ListArray, row: usize) -> Range<usize> {
    let offsets = list.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

/// One attribute list per row.
#[derive(Debug, Clone, Copy)]
pub struct AttributeList<'a> {
    list: &'a ListArray,
    codes: &'a Int32Array,
    keys: &'a StringArray,
    types: &'a Int8Array,
    values: TextColumn<'a>,
}

impl<'a> AttributeList<'a> {
    /// Looks into a list column; [`None`] if it is not one of attributes.
    pub fn new(list: &'a ListArray) -> Option<Self> {
        let items = list.values().as_struct_opt()?;
        let keys = items.column_by_name("key")?.as_dictionary_opt::<Int32Type>()?;
        Some(Self {
            list,
            codes: keys.keys(),
            keys: keys.values().as_string_opt()?,
            types: items.column_by_name("type")?.as_primitive_opt::<Int8Type>()?,
            values: TextColumn::new(items.column_by_name("value")?.as_ref())?,
        })
    }

    /// The key dictionary; may name a key twice, and keys that no row has.
    pub fn keys(&self) -> &'a StringArray {
        self.keys
    }

    /// The keys that some row has.
    pub fn used_keys(&self) -> impl Iterator<Item = &'a str> {
        let mut used = vec![false; self.keys.len()];
        (0..self.len()).flat_map(|row| self.entries(row)).for_each(|entry| used[self.key_code(entry)] = true);
        let keys = self.keys;
        (0..keys.len()).filter(move |code| used[*code]).map(|code| keys.value(code))
    }

    /// Whether any row may have the key.
    pub fn may_have(&self, key: &str) -> bool {
        self.keys.iter().any(|candidate| candidate == Some(key))
    }

    /// Positions of the entries of a row, for [`AttributeList::key_code`] and [`AttributeList::value`].
    pub fn entries(&self, row: usize) -> Range<usize> {
        rows(self.list, row)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The position of an entry's key in [`AttributeList::keys`].
    pub fn key_code(&self, entry: usize) -> usize {
        self.codes.value(entry) as usize
    }

    /// An entry's key.
    pub fn key(&self, entry: usize) -> &'a str {
        self.keys.value(self.key_code(entry))
    }

    /// An entry's type code and text, as written.
    pub fn raw(&self, entry: usize) -> (i8, Option<&'a str>) {
        (self.types.value(entry), self.values.get(entry))
    }

    /// An entry's value.
    pub fn value(&self, entry: usize) -> ValueRef<'a> {
        match self.raw(entry) {
            (value_type, Some(text)) => ValueRef::read(value_type, text),
            (_, None) => ValueRef::Empty,
        }
    }

    /// For each key of the dictionary the types it has, as a bit of each type's code.
    pub(crate) fn types(&self) -> Vec<u8> {
        let mut types = vec![0; self.keys.len()];
        for entry in (0..self.len()).flat_map(|row| self.entries(row)) {
            types[self.key_code(entry)] |= 1_u8.checked_shl(self.types.value(entry) as u32).unwrap_or(0);
        }
        types
    }

    /// Whether two rows have the same entries in the same order.
    pub(crate) fn same(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.entries(a), self.entries(b));
        let same = |(a, b)| self.key(a) == self.key(b) && self.raw(a) == self.raw(b);
        a.len() == b.len() && a.zip(b).all(same)
    }

    /// Calls `visit` with row and value of every entry that has the key.
    pub fn for_each(&self, key: &str, mut visit: impl FnMut(usize, ValueRef<'a>)) {
        let wanted: Vec<bool> = self.keys.iter().map(|candidate| candidate == Some(key)).collect();
        if !wanted.contains(&true) {
            return;
        }
        for row in 0..self.len() {
            let found = self.entries(row).find(|entry| wanted[self.key_code(*entry)]);
            if let Some(entry) = found {
                visit(row, self.value(entry));
            }
        }
    }
}

/// One attribute's value in every row of a batch, gathered from its own columns and the list.
#[derive(Debug, Clone)]
pub struct AttributeValues<'a>(pub Vec<Option<ValueRef<'a>>>);

impl<'a> AttributeValues<'a> {
    /// Gathers the values. Columns the batch lacks count as absent.
    ///
    /// # Errors
    /// [`ColumnError`] when a column has the wrong type.
    pub fn gather(batch: &'a RecordBatch, scope: AttributeScope, key: &str) -> Result<Self, ColumnError> {
        let mut values = vec![None; batch.num_rows()];
        Self::for_each(batch, scope, key, |row, value| values[row] = Some(value))?;
        Ok(Self(values))
    }

    /// Calls `visit` with every row that has a value, column by column, and with the value.
    ///
    /// # Errors
    /// As [`AttributeValues::gather`].
    pub fn for_each(
        batch: &'a RecordBatch,
        scope: AttributeScope,
        key: &str,
        mut visit: impl FnMut(usize, ValueRef<'a>),
    ) -> Result<(), ColumnError> {
        for value_type in [ValueType::String, ValueType::Bool, ValueType::Int, ValueType::Float] {
            let name = AttributeColumn { scope, key: key.to_owned(), value_type }.column_name();
            if batch.column_by_name(&name).is_some() {
                visit_column(batch, &name, value_type, &mut visit)?;
            }
        }
        if batch.column_by_name(scope.list_column()).is_some() {
            list_column(batch, scope.list_column())?.for_each(key, visit);
        }
        Ok(())
    }

    /// The values that stand in one column.
    ///
    /// # Errors
    /// [`ColumnError`] when the column is missing or of the wrong type.
    pub fn of_column(batch: &'a RecordBatch, own: &AttributeColumn) -> Result<Self, ColumnError> {
        let mut values = vec![None; batch.num_rows()];
        visit_column(batch, &own.column_name(), own.value_type, |row, value| values[row] = Some(value))?;
        Ok(Self(values))
    }
}

fn visit_column<'a>(
    batch: &'a RecordBatch,
    name: &str,
    value_type: ValueType,
    mut visit: impl FnMut(usize, ValueRef<'a>),
) -> Result<(), ColumnError> {
    fn present<T>(column: impl Iterator<Item = Option<T>>) -> impl Iterator<Item = (usize, T)> {
        column.enumerate().filter_map(|(row, value)| Some((row, value?)))
    }
    match value_type {
        ValueType::String => {
            present(text_column(batch, name)?.iter())
                .for_each(|(row, text)| visit(row, ValueRef::String(text)));
        }
        ValueType::Bool => present(column::<BooleanArray>(batch, name)?.iter())
            .for_each(|(row, truth)| visit(row, ValueRef::Bool(truth))),
        ValueType::Int => present(column::<Int64Array>(batch, name)?.iter())
            .for_each(|(row, number)| visit(row, ValueRef::Int(number))),
        ValueType::Float => present(column::<Float64Array>(batch, name)?.iter())
            .for_each(|(row, number)| visit(row, ValueRef::Float(number))),
        ValueType::Empty | ValueType::Json => {}
    }
    Ok(())
}

/// Looks into the column called `name`, a list of structs, with `open`, which finds the fields or not.
fn struct_list<'a, T>(
    batch: &'a RecordBatch,
    name: &str,
    open: impl FnOnce(&'a ListArray, &'a StructArray) -> Option<T>,
) -> Result<T, ColumnError> {
    let list: &ListArray = column(batch, name)?;
    let opened = list.values().as_struct_opt().and_then(|items| open(list, items));
    opened.ok_or_else(|| problem(name, "has the wrong type"))
}

fn attributes_of(items: &StructArray) -> Option<AttributeList<'_>> {
    AttributeList::new(items.column_by_name("attributes")?.as_list_opt()?)
}

fn dropped_of(items: &StructArray) -> Option<&UInt32Array> {
    items.column_by_name("dropped_attributes_count")?.as_primitive_opt::<UInt32Type>()
}

/// The events of every row.
#[derive(Debug, Clone, Copy)]
pub struct EventColumns<'a> {
    list: &'a ListArray,
    /// Nanoseconds since the Unix epoch, one per event.
    pub time: &'a UInt64Array,
    /// One per event.
    pub name: &'a StringArray,
    /// One list per event.
    pub attributes: AttributeList<'a>,
    /// One per event.
    pub dropped: &'a UInt32Array,
}

impl<'a> EventColumns<'a> {
    /// Looks into the column called `name`.
    ///
    /// # Errors
    /// [`ColumnError`] when it is missing or of another type.
    pub fn new(batch: &'a RecordBatch, name: &str) -> Result<Self, ColumnError> {
        struct_list(batch, name, |list, items| {
            Some(Self {
                list,
                time: items.column_by_name("time_unix_nano")?.as_primitive_opt::<UInt64Type>()?,
                name: items.column_by_name("name")?.as_string_opt()?,
                attributes: attributes_of(items)?,
                dropped: dropped_of(items)?,
            })
        })
    }

    /// Positions of a row's events.
    pub fn of_row(&self, row: usize) -> Range<usize> {
        rows(self.list, row)
    }
}

/// The links of every row.
#[derive(Debug, Clone, Copy)]
pub struct LinkColumns<'a> {
    list: &'a ListArray,
    /// One per link, as sent.
    pub trace_id: &'a BinaryArray,
    /// One per link, as sent.
    pub span_id: &'a BinaryArray,
    /// One per link; null when empty.
    pub trace_state: &'a StringArray,
    /// One per link.
    pub flags: &'a UInt32Array,
    /// One list per link.
    pub attributes: AttributeList<'a>,
    /// One per link.
    pub dropped: &'a UInt32Array,
}

impl<'a> LinkColumns<'a> {
    /// Looks into the column called `name`.
    ///
    /// # Errors
    /// [`ColumnError`] when it is missing or of another type.
    pub fn new(batch: &'a RecordBatch, name: &str) -> Result<Self, ColumnError> {
        struct_list(batch, name, |list, items| {
            Some(Self {
                list,
                trace_id: items.column_by_name("trace_id")?.as_binary_opt()?,
                span_id: items.column_by_name("span_id")?.as_binary_opt()?,
                trace_state: items.column_by_name("trace_state")?.as_string_opt()?,
                flags: items.column_by_name("flags")?.as_primitive_opt::<UInt32Type>()?,
                attributes: attributes_of(items)?,
                dropped: dropped_of(items)?,
            })
        })
    }

    /// Positions of a row's links.
    pub fn of_row(&self, row: usize) -> Range<usize> {
        rows(self.list, row)
    }
}
