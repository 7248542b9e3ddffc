//! Tags under a filter that only whole traces decide: those that may have a matching span are fetched, a few at a time.

use arrow::array::RecordBatch;
use vivace_base::Holder;
use vivace_model::{TimeRange, Trace};
use vivace_storage::Projection;
use vivace_storage::columns::SpanBatchBuilder;
use vivace_traceql::{BinaryOp, FieldExpr, Pipeline, Query, SpansetExpr, Stage, Static};

use super::Question;
use crate::QueryError;
use crate::eval::{Filter, rows, trace_level};
use crate::plan::SearchPlan;
use crate::search::{SearchContext, every_trace};

/// Adds what the spans have that overlap the range and match the filter, given as text and compiled.
pub(super) async fn answer(
    context: &SearchContext<'_>,
    question: &mut impl Question,
    expr: &FieldExpr,
    filter: &Filter,
    range: TimeRange,
) -> Result<(), QueryError> {
    let necessary = SpansetExpr::Filter(necessary(expr));
    let pipeline = Pipeline { stages: vec![Stage::Spanset(necessary)] };
    let query = Query { pipeline, metrics: None, hints: Vec::new() };
    let plan = SearchPlan::compile(&query)?;
    // Of the traces everything may be asked: names of tags are those of every list.
    every_trace(context, &plan, range, Projection::everything(), |trace| {
        add(context, question, filter, range, &trace)?;
        question.tell(context.source.block_bytes);
        Ok(true)
    })
    .await
}

fn add(
    context: &SearchContext<'_>,
    question: &mut impl Question,
    filter: &Filter,
    range: TimeRange,
    trace: &Trace,
) -> Result<(), QueryError> {
    let counts = |index: &usize| {
        let span = &trace.spans()[*index];
        let time = TimeRange { start: span.start, end: span.end.max(span.start) };
        time.overlaps(&range) && rows::holds(filter, trace, *index)
    };
    let mut matched = (0..trace.spans().len()).filter(counts);
    if let Some(attribute) = question.of_trace().cloned() {
        return match matched.next() {
            Some(any) => Ok(question.add_value(&rows::value(&attribute, trace, any))?),
            None => Ok(()),
        };
    }
    let mut columns = SpanBatchBuilder::default();
    matched.for_each(|index| columns.push(&trace.spans()[index]));
    let batch: RecordBatch = columns.finish();
    let _reserved = context.budget.reserve(Holder::Query, batch.get_array_memory_size() as u64)?;
    let rows: Vec<usize> = (0..batch.num_rows()).collect();
    question.add_rows(&batch, &rows)
}

/// What must hold on a span for `expr` to hold, and can be decided without its trace.
fn necessary(expr: &FieldExpr) -> FieldExpr {
    match expr {
        FieldExpr::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right } => {
            FieldExpr::Binary { op: *op, left: Box::new(necessary(left)), right: Box::new(necessary(right)) }
        }
        other if needs_trace(other) => FieldExpr::Literal(Static::Bool(true)),
        other => other.clone(),
    }
}

fn needs_trace(expr: &FieldExpr) -> bool {
    match expr {
        FieldExpr::Literal(_) => false,
        FieldExpr::Attribute(attribute) => trace_level(attribute),
        FieldExpr::Unary { expr, .. } => needs_trace(expr),
        FieldExpr::Binary { left, right, .. } => needs_trace(left) || needs_trace(right),
    }
}
