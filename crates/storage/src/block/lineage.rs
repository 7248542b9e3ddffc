//! What a block's writer knows of the trace it is at, and how its reader gets parents back.

use arrow::array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, Int8Array, RecordBatch,
    UInt32Array, UInt32Builder,
};
use arrow::compute::filter_record_batch;
use std::collections::HashMap;
use std::sync::Arc;
use vivace_model::schema;

use ahash::RandomState;

use super::BlockError;
use crate::ColumnError;
use crate::columns::column;
use crate::limits::REMEMBERED_SPANS;

/// A map with room for more spans is not used for another trace.
const ROOMY: usize = 1 << 12;
const ID_BYTES: usize = 8;

/// Follows traces through rows in the order of a block: of spans with equal id and kind in a trace it keeps the first
/// (`reference/tempo.md` 7.8), and it finds how many rows back each span's parent is.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    trace: Option<[u8; 16]>,
    /// Senders choose the ids, so they are hashed with a secret.
    spans: HashMap<[u8; ID_BYTES], Seen, RandomState>,
    rows: u32,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    row: u32,
    /// A bit for each kind the id came with.
    kinds: u16,
}

/// A batch, followed.
pub(super) struct Followed {
    /// The rows that stay.
    pub(super) spans: RecordBatch,
    /// How many rows back the parent is; null where there is none, or none is known.
    pub(super) parent_offsets: UInt32Array,
}

impl Lineage {
    pub(super) fn follow(&mut self, batch: &RecordBatch) -> Result<Followed, BlockError> {
        let traces: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
        let ids: &FixedSizeBinaryArray = column(batch, schema::SPAN_ID)?;
        let parents: &FixedSizeBinaryArray = column(batch, schema::PARENT_SPAN_ID)?;
        let kinds: &Int8Array = column(batch, schema::KIND)?;
        let mut offsets = UInt32Builder::with_capacity(batch.num_rows());
        let mut keep = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            self.enter(traces.value(row));
            let parent = parents.is_valid(row).then(|| id(parents.value(row)));
            let seen = parent.and_then(|parent| self.spans.get(&parent));
            let distance =
                seen.map(|seen| self.rows - seen.row).filter(|rows| *rows as usize <= REMEMBERED_SPANS);
            let is_new =
                self.spans.len() >= REMEMBERED_SPANS || self.is_new(id(ids.value(row)), kinds.value(row));
            keep.push(is_new);
            if is_new {
                offsets.append_option(distance);
                self.rows += 1;
            }
        }
        let parent_offsets = offsets.finish();
        let spans = if keep.contains(&false) {
            filter_record_batch(batch, &BooleanArray::from(keep))?
        } else {
            batch.clone()
        };
        Ok(Followed { spans, parent_offsets })
    }

    fn enter(&mut self, trace: &[u8]) {
        let trace = trace.try_into().ok();
        if self.trace != trace {
            self.trace = trace;
            // To empty a map takes as long as it is large, however little is in it: a giant trace leaves none behind.
            if self.spans.capacity() > ROOMY {
                self.spans = HashMap::default();
            }
            self.spans.clear();
        }
    }

    fn is_new(&mut self, id: [u8; ID_BYTES], kind: i8) -> bool {
        let bit = 1 << (kind & 0xf);
        let seen = self.spans.entry(id).or_insert(Seen { row: self.rows, kinds: 0 });
        let is_new = seen.kinds & bit == 0;
        seen.kinds |= bit;
        is_new
    }
}

fn id(bytes: &[u8]) -> [u8; ID_BYTES] {
    bytes.try_into().unwrap_or_default()
}

impl Followed {
    /// The parents that no distance leads to.
    pub(super) fn other_parents(&self) -> Result<ArrayRef, BlockError> {
        let parents: &FixedSizeBinaryArray = column(&self.spans, schema::PARENT_SPAN_ID)?;
        let mut rest = FixedSizeBinaryBuilder::with_capacity(self.spans.num_rows(), ID_BYTES as i32);
        for row in 0..self.spans.num_rows() {
            if parents.is_valid(row) && self.parent_offsets.is_null(row) {
                rest.append_value(parents.value(row))?;
            } else {
                rest.append_null();
            }
        }
        Ok(Arc::new(rest.finish()))
    }
}

/// Puts parents' ids in place of distances, in rows that come in the order of a block and begin with a trace.
#[derive(Debug, Default)]
pub(super) struct Parents {
    /// Ids of the spans before, as far back as a distance can reach.
    before: Vec<[u8; ID_BYTES]>,
}

impl Parents {
    /// A batch with the columns of span ids, parents and distances; the last goes.
    pub(super) fn resolve(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ColumnError> {
        let Some((at, _)) = batch.schema_ref().column_with_name(schema::PARENT_OFFSET) else {
            return Ok(batch.clone());
        };
        let ids: &FixedSizeBinaryArray = column(batch, schema::SPAN_ID)?;
        let offsets: &UInt32Array = column(batch, schema::PARENT_OFFSET)?;
        let explicit: &FixedSizeBinaryArray = column(batch, schema::PARENT_SPAN_ID)?;
        let first = self.before.len();
        self.before.extend((0..batch.num_rows()).map(|row| id(ids.value(row))));
        let mut parents = FixedSizeBinaryBuilder::with_capacity(batch.num_rows(), ID_BYTES as i32);
        for row in 0..batch.num_rows() {
            let back = offsets.is_valid(row).then(|| (first + row).checked_sub(offsets.value(row) as usize));
            let parent = match back {
                Some(at) => at.and_then(|at| self.before.get(at)).map(<[u8; ID_BYTES]>::as_slice),
                None => explicit.is_valid(row).then(|| explicit.value(row)),
            };
            match parent.map(|parent| parents.append_value(parent)) {
                Some(Ok(())) => {}
                Some(Err(_)) | None => parents.append_null(),
            }
        }
        if self.before.len() > 2 * REMEMBERED_SPANS {
            self.before.drain(..self.before.len() - REMEMBERED_SPANS);
        }
        let mut resolved = batch.clone();
        resolved.remove_column(at);
        replace(&resolved, schema::PARENT_SPAN_ID, Arc::new(parents.finish()))
    }
}

/// The batch with another array in place of one of its columns.
fn replace(batch: &RecordBatch, name: &str, array: ArrayRef) -> Result<RecordBatch, ColumnError> {
    let (at, _) = batch.schema_ref().column_with_name(name).ok_or_else(|| ColumnError::missing(name))?;
    let mut arrays = batch.columns().to_vec();
    arrays[at] = array;
    RecordBatch::try_new(batch.schema(), arrays).map_err(|_| ColumnError::missing(name))
}
