use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use vivace_model::schema::{AttributeColumn, block_schema};

use super::BlockError;
use super::conform::conform;
use super::layout::{column_order, row_order};
use crate::columns::{AttributeOrder, gather_batches, rows_for_column};
use crate::limits;

/// Makes one batch of several, in the order of a block's rows. Cheap when each is in that order already, and laid out with
/// the same `order`.
///
/// # Errors
/// [`BlockError::Build`] when a batch is not one of spans.
pub fn join_batches(batches: &[RecordBatch], order: &AttributeOrder) -> Result<RecordBatch, BlockError> {
    let columns = shared_columns(batches, order);
    let schema = Arc::new(block_schema(&columns));
    let batches: Vec<_> =
        batches.iter().map(|batch| conform(batch, &columns, &schema)).collect::<Result<_, _>>()?;
    Ok(gather_batches(&batches, &row_order(&batches)?)?)
}

/// The own columns of the batches, but for those that few rows have. Half of what makes a column is enough to keep it, or
/// columns would come and go.
fn shared_columns(batches: &[RecordBatch], order: &AttributeOrder) -> Vec<AttributeColumn> {
    let mut counts: HashMap<AttributeColumn, usize> = HashMap::new();
    for batch in batches {
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            if let Some(column) = AttributeColumn::from_column_name(field.name()) {
                *counts.entry(column).or_default() += array.len() - array.null_count();
            }
        }
    }
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let enough = rows_for_column(rows, 2 * limits::ROWS_PER_HEAD_COLUMN_VALUE);
    let mut columns = column_order(batches);
    columns.retain(|column| counts.get(column).is_some_and(|count| *count >= enough));
    columns.truncate(limits::MAX_ATTRIBUTE_COLUMNS);
    order.arrange(&mut columns, |column| column);
    columns
}
