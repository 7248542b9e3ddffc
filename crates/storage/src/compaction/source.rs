use std::ops::Range;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use vivace_base::BlockId;

use super::CompactionError;
use crate::block::SpanStream;
use crate::{BlockError, BlockReader, Projection, limits};

/// Some rows of an input, read one batch after the other.
pub(super) struct Source {
    block: BlockId,
    path: String,
    stream: SpanStream,
    /// Rows that were not taken yet.
    left: usize,
}

impl Source {
    pub(super) fn open(input: &BlockReader, rows: &[Range<usize>]) -> Result<Self, CompactionError> {
        let stream = input.read_rows_in(rows, &Projection::everything(), limits::COMPACTION_READ_ROWS);
        let stream = stream.map_err(CompactionError::input(input.id()))?;
        let left = rows.iter().map(Range::len).sum();
        Ok(Self { block: input.id(), path: input.path().to_string(), stream, left })
    }

    /// The next rows; [`None`] at the end, which is no sooner than the input promised.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, CompactionError> {
        let batch = self.stream.try_next().await.map_err(CompactionError::input(self.block))?;
        self.left = self.left.saturating_sub(batch.as_ref().map_or(0, RecordBatch::num_rows));
        if batch.is_none() && self.left > 0 {
            return Err(self.ends_early());
        }
        Ok(batch)
    }

    pub(super) fn ends_early(&self) -> CompactionError {
        let reason = "it has fewer rows than its footer says".to_owned();
        CompactionError::input(self.block)(BlockError::Corrupt { path: self.path.clone(), reason })
    }
}
