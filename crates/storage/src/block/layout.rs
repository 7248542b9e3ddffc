use std::collections::HashMap;

use arrow::array::{Array, FixedSizeBinaryArray, Int8Array, Int64Array, RecordBatch, UInt64Array};
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType};

use crate::columns::{AttributeList, column, list_column};
use crate::{ColumnError, limits};

/// Which attributes get a column of their own: those that at least one row in a hundred has, the densest first if
/// there are too many.
///
/// # Errors
/// [`ColumnError`] when a batch is not of the span schema.
pub fn choose_columns(batches: &[RecordBatch]) -> Result<Vec<AttributeColumn>, ColumnError> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let enough = rows.div_ceil(limits::ROWS_PER_COLUMN_VALUE).max(1);
    let mut counted: HashMap<AttributeColumn, usize> = HashMap::new();
    for batch in batches {
        for (column, rows) in count_attributes(batch)? {
            *counted.entry(column).or_default() += rows;
        }
    }
    let mut frequent: Vec<_> = counted.into_iter().filter(|(_, rows)| *rows >= enough).collect();
    frequent.sort_by(|(a, a_rows), (b, b_rows)| b_rows.cmp(a_rows).then_with(|| a.cmp(b)));
    frequent.truncate(limits::MAX_ATTRIBUTE_COLUMNS);
    let mut columns: Vec<_> = frequent.into_iter().map(|(column, _)| column).collect();
    columns.sort();
    Ok(columns)
}

/// In how many rows each attribute that may have a column is.
pub(crate) fn count_attributes(batch: &RecordBatch) -> Result<Vec<(AttributeColumn, usize)>, ColumnError> {
    let schema = batch.schema();
    let own = schema.fields().iter().zip(batch.columns()).filter_map(|(field, array)| {
        Some((AttributeColumn::from_column_name(field.name())?, array.len() - array.null_count()))
    });
    let mut counted: Vec<_> = own.collect();
    for scope in AttributeScope::ALL {
        let listed = count_listed(&list_column(batch, scope.list_column())?);
        counted.extend(listed.into_iter().map(|((key, value_type), rows)| {
            (AttributeColumn { scope, key: key.to_owned(), value_type }, rows)
        }));
    }
    Ok(counted)
}

fn count_listed<'a>(list: &AttributeList<'a>) -> HashMap<(&'a str, ValueType), usize> {
    let mut by_code: HashMap<(usize, i8), usize> = HashMap::new();
    for row in 0..list.len() {
        for entry in list.entries(row) {
            *by_code.entry((list.key_code(entry), list.raw(entry).0)).or_default() += 1;
        }
    }
    let mut by_key = HashMap::new();
    for ((code, type_code), rows) in by_code {
        let value_type = ValueType::from_code(type_code).filter(|t| t.column_suffix().is_some());
        if let Some(value_type) = value_type {
            *by_key.entry((list.keys().value(code), value_type)).or_default() += rows;
        }
    }
    by_key
}

/// The order of rows in a block, as batch and row: traces by their start, each trace's spans together and by their
/// start.
///
/// # Errors
/// [`ColumnError`] when a batch is not of the span schema.
pub(crate) fn row_order(batches: &[RecordBatch]) -> Result<Vec<(usize, usize)>, ColumnError> {
    let keys: Vec<_> = batches.iter().map(RowKeys::new).collect::<Result<_, _>>()?;
    let rows = || {
        keys.iter().enumerate().flat_map(|(batch, keys)| (0..keys.starts.len()).map(move |row| (batch, row)))
    };
    let mut trace_starts: HashMap<&[u8], u64> = HashMap::new();
    for (batch, row) in rows() {
        let first = trace_starts.entry(keys[batch].trace_ids.value(row)).or_insert(u64::MAX);
        *first = keys[batch].starts.value(row).min(*first);
    }
    let mut keyed: Vec<_> = rows()
        .map(|(batch, row)| {
            let trace_id = keys[batch].trace_ids.value(row);
            (trace_starts[trace_id], trace_id, keys[batch].of_span(row), (batch, row))
        })
        .collect();
    keyed.sort_unstable();
    Ok(keyed.into_iter().map(|key| key.3).collect())
}

/// The columns that order rows.
pub(crate) struct RowKeys<'a> {
    trace_ids: &'a FixedSizeBinaryArray,
    span_ids: &'a FixedSizeBinaryArray,
    starts: &'a UInt64Array,
    kinds: &'a Int8Array,
    durations: &'a Int64Array,
}

impl<'a> RowKeys<'a> {
    pub(crate) fn new(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        Ok(Self {
            trace_ids: column(batch, schema::TRACE_ID)?,
            span_ids: column(batch, schema::SPAN_ID)?,
            starts: column(batch, schema::START)?,
            kinds: column(batch, schema::KIND)?,
            durations: column(batch, schema::DURATION)?,
        })
    }

    /// Orders the spans of one trace.
    pub(crate) fn of_span(&self, row: usize) -> (u64, &'a [u8], i8, i64) {
        (self.starts.value(row), self.span_ids.value(row), self.kinds.value(row), self.durations.value(row))
    }
}
