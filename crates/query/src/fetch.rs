//! Fetching whole traces by id.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, FieldRef, Schema};
use futures::TryStreamExt;
use vivace_base::{Holder, MemoryBudget, Reservation};
use vivace_model::schema::span_schema;
use vivace_model::{Span, Trace, TraceId};
use vivace_storage::columns::SpanDecoder;
use vivace_storage::index::TraceHash;
use vivace_storage::{ColumnError, Projection};

use crate::QueryError;
use crate::look::joined;
use crate::source::Source;

/// A span's texts and attributes in memory take about this many times what they take as columns.
pub(crate) const DECODED_FACTOR: u64 = 3;
/// What a trace knows of each span beside the span itself, and what assembling it takes.
pub(crate) const ASSEMBLED_BYTES: u64 = 320;

/// About what a batch takes when its rows are spans of assembled traces.
pub(crate) fn assembled_bytes(batch: &RecordBatch) -> u64 {
    batch.get_array_memory_size() as u64 * DECODED_FACTOR + assembled_rows(batch.num_rows())
}

/// What of that does not depend on what is in the spans.
pub(crate) fn assembled_rows(rows: usize) -> u64 {
    rows as u64 * (size_of::<Span>() as u64 + ASSEMBLED_BYTES)
}

/// Spans in memory, by trace, and the reservation for them.
#[derive(Debug)]
pub(crate) struct Fetched {
    spans: HashMap<TraceId, Vec<Span>>,
    _reserved: Reservation,
}

impl Fetched {
    /// A trace, assembled.
    pub(crate) fn take(&mut self, id: TraceId) -> Option<Trace> {
        Trace::assemble(self.spans.remove(&id)?)
    }
}

/// Reads the wanted columns of the spans of these traces that are kept, whatever pieces they are in.
pub(crate) async fn fetch(
    source: &Arc<Source>,
    budget: &Arc<MemoryBudget>,
    wanted: &[TraceId],
    projection: &Projection,
    is_kept: impl Fn(&Span) -> bool,
) -> Result<Fetched, QueryError> {
    let mut spans: HashMap<TraceId, Vec<Span>> = wanted.iter().map(|id| (*id, Vec::new())).collect();
    let mut reserved = budget.reserve(Holder::Query, 0)?;
    for (at, piece) in source.pieces().iter().enumerate() {
        let Some(ids) = source.undamaged(piece.ids(budget).await)? else { continue };
        let mut entries: Vec<usize> = wanted.iter().flat_map(|id| ids.find(TraceHash::of(id))).collect();
        if entries.is_empty() {
            continue;
        }
        entries.sort_unstable();
        entries.dedup();
        let Some(runs) = source.undamaged(piece.runs(budget).await)? else { continue };
        let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
        let mut batches = source.read(at, Some(&rows), projection, budget).await?;
        while let Some(batch) = batches.try_next().await? {
            let (before, needed) = (reserved.bytes(), assembled_bytes(&batch));
            reserved.resize(before + needed)?;
            let mut kept = 0;
            for span in decode(&batch)?.into_iter().filter(&is_kept) {
                // Another trace may share the hash.
                if let Some(of_trace) = spans.get_mut(&span.trace_id) {
                    of_trace.push(span);
                    kept += 1;
                }
            }
            reserved.resize(before + needed * kept / (batch.num_rows() as u64).max(1))?;
        }
    }
    Ok(Fetched { spans, _reserved: reserved })
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
