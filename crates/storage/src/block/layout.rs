use std::collections::HashMap;

use arrow::array::{Array, FixedSizeBinaryArray, Int8Array, Int64Array, RecordBatch, UInt64Array};
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType};

use crate::columns::{AttributeList, column, list_column};
use crate::{ColumnError, limits};

/// Which attributes get a column of their own: those that at least one row in a hundred has, the densest first if
/// there are too many.
///
/// # Errors
/// [`ColumnError`] when the batch is not of the span schema.
pub fn choose_columns(batch: &RecordBatch) -> Result<Vec<AttributeColumn>, ColumnError> {
    let enough = batch.num_rows().div_ceil(limits::ROWS_PER_COLUMN_VALUE).max(1);
    let mut counted = Vec::new();
    for scope in AttributeScope::ALL {
        let list = list_column(batch, scope.list_column())?;
        let frequent = count(&list).into_iter().filter(|(_, rows)| *rows >= enough);
        counted.extend(frequent.map(|((key, value_type), rows)| {
            (rows, AttributeColumn { scope, key: key.to_owned(), value_type })
        }));
    }
    counted.sort_by(|(a_rows, a), (b_rows, b)| b_rows.cmp(a_rows).then_with(|| a.cmp(b)));
    counted.truncate(limits::MAX_ATTRIBUTE_COLUMNS);
    let mut columns: Vec<_> = counted.into_iter().map(|(_, column)| column).collect();
    columns.sort();
    Ok(columns)
}

fn count<'a>(list: &AttributeList<'a>) -> HashMap<(&'a str, ValueType), usize> {
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

/// The order of rows in a block: traces by their start, each trace's spans together and by their start.
///
/// # Errors
/// [`ColumnError`] when the batch is not of the span schema.
pub(super) fn row_order(batch: &RecordBatch) -> Result<RowOrder, ColumnError> {
    let trace_ids: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
    let span_ids: &FixedSizeBinaryArray = column(batch, schema::SPAN_ID)?;
    let starts: &UInt64Array = column(batch, schema::START)?;
    let kinds: &Int8Array = column(batch, schema::KIND)?;
    let durations: &Int64Array = column(batch, schema::DURATION)?;
    let mut trace_starts: HashMap<&[u8], u64> = HashMap::new();
    for row in 0..batch.num_rows() {
        let first = trace_starts.entry(trace_ids.value(row)).or_insert(u64::MAX);
        *first = starts.value(row).min(*first);
    }
    let row_count = u32::try_from(trace_ids.len()).expect("a block is bounded far below 2^32 rows");
    let mut keyed: Vec<_> = (0..row_count)
        .map(|row| {
            let at = row as usize;
            let trace_id = trace_ids.value(at);
            let span = (starts.value(at), span_ids.value(at), kinds.value(at), durations.value(at));
            (trace_starts[trace_id], trace_id, span, row)
        })
        .collect();
    keyed.sort_unstable();
    Ok(RowOrder { rows: keyed.into_iter().map(|key| key.3).collect(), traces: trace_starts.len() as u64 })
}

pub(super) struct RowOrder {
    pub(super) rows: Vec<u32>,
    pub(super) traces: u64,
}
