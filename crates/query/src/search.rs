//! Search in two phases. DataFusion narrows all spans down to the traces that may match, newest first; those are then
//! fetched whole, a few at a time, and decided on by the pipeline until the limit is reached.

use std::sync::Arc;

use arrow::array::{FixedSizeBinaryArray, RecordBatch, UInt32Array};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::functions_aggregate::expr_fn::{bool_or, max, min};
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt;
use vivace_base::MemoryBudget;
use vivace_model::TraceId;
use vivace_storage::columns::column;

use crate::fetch::{PieceRange, fetch};
use crate::pipeline::evaluate;
use crate::plan::{Condition, SearchPlan};
use crate::scan::{SpanTable, columns, match_column};
use crate::source::Source;
use crate::{Progress, QueryError, SearchMetrics, SearchRequest, SearchResponse};

/// How many traces are fetched at once.
const FETCHED_AT_ONCE: usize = 128;
const FIRST_PIECE: &str = "first_piece";
const LAST_PIECE: &str = "last_piece";

/// What a search may use.
pub(crate) struct SearchContext<'a> {
    pub(crate) session: &'a SessionState,
    pub(crate) budget: &'a Arc<MemoryBudget>,
    pub(crate) source: Arc<Source>,
}

/// Runs a search, filling `response` as it goes, so that what is known is there when time runs out.
pub(crate) async fn search(
    context: &SearchContext<'_>,
    request: &SearchRequest,
    response: &mut SearchResponse,
    progress: Progress<'_, SearchResponse>,
) -> Result<(), QueryError> {
    let plan = SearchPlan::compile(&request.query)?;
    response.metrics = SearchMetrics {
        total_blocks: context.source.block_count,
        total_block_bytes: context.source.block_bytes,
        inspected_bytes: context.source.block_bytes,
        total_jobs: u32::try_from(context.source.pieces().len()).unwrap_or(u32::MAX),
        ..SearchMetrics::default()
    };
    let mut candidates = candidates(context, request, &plan).await?;
    while response.traces.len() < request.limit {
        let Some(batch) = candidates.next().await else { break };
        let batch = batch.map_err(QueryError::from)?;
        response.metrics.completed_jobs = response.metrics.total_jobs;
        decide(context, request, &plan, &batch, response, progress).await?;
    }
    response.metrics.completed_jobs = response.metrics.total_jobs;
    Ok(())
}

/// The traces that may match, newest first.
pub(crate) async fn candidates(
    context: &SearchContext<'_>,
    request: &SearchRequest,
    plan: &SearchPlan,
) -> Result<SendableRecordBatchStream, QueryError> {
    let table = SpanTable::new(Arc::clone(&context.source), Arc::new(plan.filters.clone()));
    let session = SessionContext::new_with_state(context.session.clone());
    let spans = session.read_table(Arc::new(table))?;
    let limit = plan.exact.then_some(request.limit);
    Ok(newest_traces(spans, request, plan)?.limit(0, limit)?.execute_stream().await?)
}

fn newest_traces(
    spans: DataFrame,
    request: &SearchRequest,
    plan: &SearchPlan,
) -> Result<DataFrame, DataFusionError> {
    let mut facts = vec![
        min(col(columns::START)).alias(columns::START),
        max(col(columns::END)).alias(columns::END),
        min(col(columns::PIECE)).alias(FIRST_PIECE),
        max(col(columns::PIECE)).alias(LAST_PIECE),
    ];
    facts.extend((0..plan.filters.len()).map(|filter| {
        let name = match_column(filter);
        bool_or(col(name.as_str())).alias(name)
    }));
    let duration = || col(columns::END) - col(columns::START);
    let mut wanted = condition(&plan.condition)
        .and(col(columns::END).gt_eq(lit(request.range.start)))
        .and(col(columns::START).lt_eq(lit(request.range.end)));
    if let Some(shortest) = request.min_duration {
        wanted = wanted.and(duration().gt_eq(lit(shortest)));
    }
    if let Some(longest) = request.max_duration {
        wanted = wanted.and(duration().lt_eq(lit(longest)));
    }
    let newest_first = vec![col(columns::START).sort(false, false), col(columns::TRACE_ID).sort(true, false)];
    spans.aggregate(vec![col(columns::TRACE_ID)], facts)?.filter(wanted)?.sort(newest_first)
}

fn condition(condition: &Condition) -> Expr {
    match condition {
        Condition::Matched(filter) => col(match_column(*filter)),
        Condition::And(left, right) => self::condition(left).and(self::condition(right)),
        Condition::Or(left, right) => self::condition(left).or(self::condition(right)),
    }
}

/// Fetches a batch's traces and adds those that match, until the limit.
async fn decide(
    context: &SearchContext<'_>,
    request: &SearchRequest,
    plan: &SearchPlan,
    candidates: &RecordBatch,
    response: &mut SearchResponse,
    progress: Progress<'_, SearchResponse>,
) -> Result<(), QueryError> {
    for (wanted, pieces) in chunks(candidates)? {
        let mut fetched = fetch(&context.source, context.budget, &wanted, pieces).await?;
        for id in wanted {
            let Some(trace) = fetched.take(id) else { continue };
            response.metrics.inspected_traces += 1;
            response.metrics.inspected_spans += trace.spans().len() as u64;
            response.traces.extend(evaluate(plan, &trace, request.spans_per_span_set));
            if response.traces.len() == request.limit {
                return Ok(());
            }
        }
        progress(&|| response.clone());
    }
    Ok(())
}

/// Candidates in portions that are fetched at once, and the pieces they have spans in.
pub(crate) fn chunks(candidates: &RecordBatch) -> Result<Vec<(Vec<TraceId>, PieceRange)>, QueryError> {
    let ids: &FixedSizeBinaryArray = column(candidates, columns::TRACE_ID)?;
    let first: &UInt32Array = column(candidates, FIRST_PIECE)?;
    let last: &UInt32Array = column(candidates, LAST_PIECE)?;
    let rows: Vec<usize> = (0..candidates.num_rows()).collect();
    let portion = |rows: &[usize]| {
        let id = |row: &usize| TraceId(ids.value(*row).try_into().unwrap_or_default());
        let pieces = PieceRange {
            first: rows.iter().map(|row| first.value(*row)).min().unwrap_or(0) as usize,
            last: rows.iter().map(|row| last.value(*row)).max().unwrap_or(0) as usize,
        };
        (rows.iter().map(id).collect(), pieces)
    };
    Ok(rows.chunks(FETCHED_AT_ONCE).map(portion).collect())
}
