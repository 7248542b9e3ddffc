//! Which attributes there are and what values they have. Where a block's index knows the answer no span is read; what
//! it does not know is read from the spans, and ends as soon as nothing new can come. The answer is the same either way.

mod collected;
mod indexed;
mod names;
mod scan;
mod traces;
mod values;

use vivace_base::{MemoryRefused, SPANS};
use vivace_model::TimeRange;
use vivace_storage::{IndexError, Projection};
use vivace_traceql::{Attribute, FieldExpr};

use arrow::array::RecordBatch;

use crate::eval::{Filter, Operand};
use crate::search::SearchContext;
use crate::source::Piece;
use crate::{Progress, QueryError, TagNames, TagNamesRequest, TagValues, TagValuesRequest};
use indexed::Indexed;
use names::Names;
use scan::Scan;
use values::Values;

/// What is asked, and what is known of the answer so far.
trait Question {
    /// One thing the answer lists.
    type Item: Ord;

    /// The columns to read.
    fn project(&self, projection: &mut Projection);

    /// What a piece's index or dictionaries say.
    async fn indexed(
        &mut self,
        piece: &Piece,
        context: &SearchContext<'_>,
    ) -> Result<Indexed<Self::Item>, QueryError>;

    /// Whether adding the item would change nothing.
    fn knows(&self, item: &Self::Item) -> bool;

    /// Adds an item.
    fn add(&mut self, item: Self::Item) -> Result<(), MemoryRefused>;

    /// Adds what these rows have.
    fn add_rows(&mut self, batch: &RecordBatch, rows: &[usize]) -> Result<(), QueryError>;

    /// The attribute whose values are asked for, if only the whole trace tells them.
    fn of_trace(&self) -> Option<&Attribute> {
        None
    }

    /// Adds the values of an attribute of [`Question::of_trace`].
    fn add_value(&mut self, _value: &Operand<'_>) -> Result<(), MemoryRefused> {
        Ok(())
    }

    /// Tells the listener.
    fn tell(&mut self, inspected_bytes: u64);
}

/// The names of attributes.
pub(crate) async fn names(
    context: &SearchContext<'_>,
    request: &TagNamesRequest,
    progress: Progress<'_, TagNames>,
) -> Result<TagNames, QueryError> {
    let mut names = Names::new(request, context.budget, progress)?;
    let mut inspected = 0;
    if names.depend_on_spans() {
        inspected = answer(context, &mut names, request.filter.as_ref(), request.range).await?;
    }
    let mut found = names.answer(inspected);
    found.partial = found.partial.or_else(|| context.source.partial());
    Ok(found)
}

/// The values of an attribute.
pub(crate) async fn values(
    context: &SearchContext<'_>,
    request: &TagValuesRequest,
    progress: Progress<'_, TagValues>,
) -> Result<TagValues, QueryError> {
    let mut values = Values::new(request, context.budget, progress)?;
    let mut inspected = 0;
    if !values.add_fixed()? {
        inspected = answer(context, &mut values, request.filter.as_ref(), request.range).await?;
    }
    let mut found = values.answer(inspected);
    found.partial = found.partial.or_else(|| context.source.partial());
    Ok(found)
}

/// Answers from the spans that overlap the range and match the filter; says how many bytes of blocks were read.
#[tracing::instrument(target = SPANS, level = "trace", name = "spans", skip_all)]
async fn answer(
    context: &SearchContext<'_>,
    question: &mut impl Question,
    filter: Option<&FieldExpr>,
    range: TimeRange,
) -> Result<u64, QueryError> {
    let compiled = filter.map(Filter::compile).transpose()?;
    if let (Some(expr), Some(filter)) = (filter, &compiled)
        && (filter.needs_trace() || question.of_trace().is_some())
    {
        traces::answer(context, question, expr, filter, range).await?;
        return Ok(context.source.block_bytes);
    }
    let scan = Scan::new(context, question, compiled, range);
    let mut inspected = 0;
    for piece in 0..context.source.pieces().len() {
        inspected += scan.piece(question, piece).await?;
        question.tell(inspected);
    }
    Ok(inspected)
}

/// A damaged index is no error: the spans are read instead.
fn usable<T>(read: Result<T, IndexError>) -> Result<Option<T>, MemoryRefused> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(IndexError::NoMemory(refused)) => Err(refused),
        Err(error) => {
            tracing::warn!(%error, "tags are read from spans");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
