use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use vivace_model::schema::AttributeColumn;

use crate::block::{count_attributes, settle_columns};
use crate::columns::rows_for_column;
use crate::{BlockReader, ColumnError, limits};

/// How many rows have each attribute, to choose the columns of the output.
#[derive(Debug, Default)]
pub(super) struct Densities {
    counted: HashMap<AttributeColumn, usize>,
    /// Those that have a column in an input.
    had: HashSet<AttributeColumn>,
    rows: usize,
    /// The layouts of the inputs, as batches without rows.
    layouts: Vec<RecordBatch>,
}

impl Densities {
    /// Adds what stands in an input's own columns; the input's footer knows.
    pub(super) fn add_input(&mut self, input: &BlockReader) {
        self.layouts.push(RecordBatch::new_empty(Arc::new(input.schema().clone())));
        for (column, rows) in input.attribute_columns() {
            self.had.insert(column.clone());
            *self.counted.entry(column).or_default() += usize::try_from(rows).unwrap_or_default();
        }
    }

    /// Adds what stands in the lists of some rows.
    pub(super) fn add_lists(&mut self, batch: &RecordBatch) -> Result<(), ColumnError> {
        self.rows += batch.num_rows();
        for (column, rows) in count_attributes(batch)? {
            *self.counted.entry(column).or_default() += rows;
        }
        if self.counted.len() > limits::COMPACTION_COUNTED_ATTRIBUTES {
            self.forget_rare();
        }
        Ok(())
    }

    /// A count that is lost so is at most a quarter of what makes a column.
    fn forget_rare(&mut self) {
        let enough = self.rows / (4 * limits::ROWS_PER_COLUMN_VALUE);
        let had = &self.had;
        self.counted.retain(|column, rows| *rows > enough || had.contains(column));
    }

    /// The attributes that get a column. One that had a column keeps it down to half of what makes one, so that
    /// columns do not come and go.
    pub(super) fn choose(self) -> Vec<AttributeColumn> {
        let enough = rows_for_column(self.rows, limits::ROWS_PER_COLUMN_VALUE);
        let had = self.had;
        let is_dense = |(column, rows): &(AttributeColumn, usize)| {
            *rows >= enough || (had.contains(column) && rows * 2 >= enough)
        };
        settle_columns(self.counted.into_iter().filter(is_dense).collect(), &self.layouts)
    }
}

#[cfg(test)]
mod tests;
