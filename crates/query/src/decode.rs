//! From columns to spans in memory.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, FieldRef, Schema};
use vivace_model::Span;
use vivace_model::schema::span_schema;
use vivace_storage::ColumnError;
use vivace_storage::columns::SpanDecoder;

/// A span's texts and attributes in memory take about this many times what they take as columns.
pub(crate) const DECODED_FACTOR: u64 = 3;
/// What a trace knows of each span beside the span itself, and what assembling it takes.
pub(crate) const ASSEMBLED_BYTES: u64 = 320;

/// What spans of assembled traces take, whatever is in them.
pub(crate) fn assembled_rows(rows: usize) -> u64 {
    rows as u64 * (size_of::<Span>() as u64 + ASSEMBLED_BYTES)
}

/// The spans of a batch; what columns it lacks is empty.
pub(crate) fn decode(batch: &RecordBatch) -> Result<Vec<Span>, ColumnError> {
    let whole = complete(batch)?;
    let mut decoder = SpanDecoder::new(&whole)?;
    Ok((0..whole.num_rows()).map(|row| decoder.span(row)).collect())
}

fn complete(batch: &RecordBatch) -> Result<RecordBatch, ColumnError> {
    let mut fields: Vec<FieldRef> = batch.schema().fields().iter().cloned().collect();
    let mut arrays = batch.columns().to_vec();
    for field in span_schema().fields() {
        if batch.column_by_name(field.name()).is_none() {
            fields.push(Arc::new(Field::new(field.name(), field.data_type().clone(), true)));
            arrays.push(new_null_array(field.data_type(), batch.num_rows()));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|_| ColumnError::missing("spans"))
}
