use arrow::array::{Int64Array, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use futures::TryStreamExt;
use vivace_base::Holder;
use vivace_model::{TimeRange, schema};
use vivace_storage::columns::column;
use vivace_storage::{ColumnError, Projection};

use super::Question;
use crate::QueryError;
use crate::eval::{Filter, columnar, vector};
use crate::search::SearchContext;
use crate::source::Piece;

/// Answers piece by piece, from the index where it will do and from the spans where not.
pub(super) struct Scan<'a> {
    context: &'a SearchContext<'a>,
    filter: Option<Filter>,
    range: TimeRange,
    projection: Projection,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        context: &'a SearchContext<'a>,
        question: &impl Question,
        filter: Option<Filter>,
        range: TimeRange,
    ) -> Self {
        let mut projection = Projection::default();
        projection.fixed.extend([schema::START, schema::DURATION]);
        question.project(&mut projection);
        filter.iter().for_each(|filter| columnar::project(filter, &mut projection));
        Self { context, filter, range, projection }
    }

    /// Adds what a piece has; says how many bytes of blocks were read for it.
    pub(super) async fn piece(&self, question: &mut impl Question, at: usize) -> Result<u64, QueryError> {
        let Some(piece) = self.context.source.pieces().get(at) else { return Ok(0) };
        let block = match piece {
            Piece::Block(reader) => Some(reader),
            Piece::Live(_) => None,
        };
        if block.is_some_and(|reader| !reader.range().overlaps(&self.range)) {
            return Ok(0);
        }
        let indexed = question.indexed(piece, self.context).await?;
        let whole = block.is_some_and(|reader| self.covers(&reader.range()));
        if whole && self.filter.is_none() {
            indexed.certain.into_iter().try_for_each(|item| question.add(item))?;
        }
        let mut missing = indexed.possible;
        let mut batches = None;
        loop {
            if let Some(missing) = &mut missing {
                missing.retain(|item| !question.knows(item));
                if missing.is_empty() {
                    break;
                }
            }
            let batches = match &mut batches {
                Some(batches) => batches,
                None => {
                    let (source, budget) = (&self.context.source, self.context.budget);
                    batches.insert(source.read(at, None, &self.projection, budget).await?)
                }
            };
            let Some(batch) = batches.try_next().await? else { break };
            let memory = batch.get_array_memory_size() as u64;
            let _reserved = self.context.budget.reserve(Holder::Query, memory)?;
            question.add_rows(&batch, &self.rows(&batch)?)?;
        }
        Ok(block.filter(|_| batches.is_some()).map_or(0, |reader| reader.bytes()))
    }

    fn covers(&self, range: &TimeRange) -> bool {
        self.range.start <= range.start && range.end <= self.range.end
    }

    /// The rows that count.
    fn rows(&self, batch: &RecordBatch) -> Result<Vec<usize>, ColumnError> {
        let starts: &UInt64Array = column(batch, schema::START)?;
        let durations: &Int64Array = column(batch, schema::DURATION)?;
        let holds = self.filter.as_ref().map(|filter| vector::holds(filter, batch)).transpose()?;
        let counts = |row: &usize| {
            let start = starts.value(*row);
            let span = TimeRange { start, end: columnar::end(start, durations.value(*row)).max(start) };
            span.overlaps(&self.range) && holds.as_ref().is_none_or(|holds: &BooleanBuffer| holds.value(*row))
        };
        Ok((0..batch.num_rows()).filter(counts).collect())
    }
}
