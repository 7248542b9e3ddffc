use std::collections::{HashMap, HashSet};

use arrow::array::RecordBatch;
use vivace_model::schema::AttributeColumn;

use crate::block::count_attributes;
use crate::{BlockReader, ColumnError, limits};

/// How many rows have each attribute, to choose the columns of the output.
#[derive(Debug, Default)]
pub(super) struct Densities {
    counted: HashMap<AttributeColumn, u64>,
    /// Those that have a column in an input.
    had: HashSet<AttributeColumn>,
    rows: u64,
}

impl Densities {
    /// Adds what stands in an input's own columns; the input's footer knows.
    pub(super) fn add_input(&mut self, input: &BlockReader) {
        for (column, rows) in input.attribute_columns() {
            self.had.insert(column.clone());
            *self.counted.entry(column).or_default() += rows;
        }
    }

    /// Adds what stands in the lists of some rows.
    pub(super) fn add_lists(&mut self, batch: &RecordBatch) -> Result<(), ColumnError> {
        self.rows += batch.num_rows() as u64;
        for (column, rows) in count_attributes(batch)? {
            *self.counted.entry(column).or_default() += rows as u64;
        }
        if self.counted.len() > limits::COMPACTION_COUNTED_ATTRIBUTES {
            self.forget_rare();
        }
        Ok(())
    }

    /// A count that is lost so is at most a quarter of what makes a column.
    fn forget_rare(&mut self) {
        let enough = self.rows / (4 * limits::ROWS_PER_COLUMN_VALUE as u64);
        let had = &self.had;
        self.counted.retain(|column, rows| *rows > enough || had.contains(column));
    }

    /// The attributes that get a column. One that had a column keeps it down to half of what makes one, so that
    /// columns do not come and go.
    pub(super) fn choose(self) -> Vec<AttributeColumn> {
        let enough = self.rows.div_ceil(limits::ROWS_PER_COLUMN_VALUE as u64).max(1);
        let is_dense = |column: &AttributeColumn, rows: u64| {
            rows >= enough || (self.had.contains(column) && rows * 2 >= enough)
        };
        let mut dense: Vec<_> =
            self.counted.iter().filter(|(column, rows)| is_dense(column, **rows)).collect();
        dense.sort_by(|(a, a_rows), (b, b_rows)| b_rows.cmp(a_rows).then_with(|| a.cmp(b)));
        dense.truncate(limits::MAX_ATTRIBUTE_COLUMNS);
        let mut columns: Vec<_> = dense.into_iter().map(|(column, _)| column.clone()).collect();
        columns.sort();
        columns
    }
}

#[cfg(test)]
mod tests;
