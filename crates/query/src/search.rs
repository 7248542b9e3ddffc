//! Search in two phases. DataFusion narrows all spans down to the traces that may match, newest first; those are then
//! fetched whole, a few at a time, and decided on by the pipeline until the limit is reached.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{FixedSizeBinaryArray, RecordBatch, UInt32Array};
use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::functions_aggregate::expr_fn::{bool_or, max, min, sum};
use datafusion::logical_expr::{Expr, cast, col, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt;
use vivace_base::MemoryBudget;
use vivace_model::TraceId;
use vivace_storage::columns::column;
use vivace_traceql::{MetricsSource, Query};

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
    /// On how many threads the query runs.
    pub(crate) parallelism: usize,
}

/// Runs a search, filling `response` as it goes, so that what is known is there when time runs out.
pub(crate) async fn search(
    context: &SearchContext<'_>,
    request: &SearchRequest,
    response: &mut SearchResponse,
    progress: Progress<'_, SearchResponse>,
) -> Result<(), QueryError> {
    let plan = search_plan(&request.query)?;
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

/// A query with metrics finds the spans its pipeline selects; arithmetic has none of its own (`reference/tempo.md` 2.3).
fn search_plan(query: &Query) -> Result<SearchPlan, QueryError> {
    if query.metrics.as_ref().is_some_and(|metrics| matches!(metrics.source, MetricsSource::Math(_))) {
        let reason = "math expressions not supported in a search: ask for metrics instead";
        return Err(QueryError::Invalid(reason.to_owned()));
    }
    SearchPlan::compile(query)
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

/// Each trace that meets the plan's condition with the first and last piece it is in; only those in several when
/// `every` other trace is to be looked at anyway. For [`id_and_pieces`].
pub(crate) async fn trace_pieces(
    context: &SearchContext<'_>,
    plan: &SearchPlan,
    every: bool,
) -> Result<SendableRecordBatchStream, QueryError> {
    let table = SpanTable::new(Arc::clone(&context.source), Arc::new(plan.filters.clone()));
    let session = SessionContext::new_with_state(context.session.clone());
    let spans = session.read_table(Arc::new(table))?;
    let mut wanted = condition(&plan.condition);
    if every {
        wanted = wanted.and(col(FIRST_PIECE).not_eq(col(LAST_PIECE)));
    }
    let traces = spans.aggregate(vec![col(columns::TRACE_ID)], trace_facts(plan))?.filter(wanted)?;
    let shown = [columns::TRACE_ID, FIRST_PIECE, LAST_PIECE];
    Ok(traces.select_columns(&shown)?.execute_stream().await?)
}

/// Trace id, first and last piece of each row.
pub(crate) fn id_and_pieces(
    batch: &RecordBatch,
) -> Result<impl Iterator<Item = (TraceId, usize, usize)> + '_, QueryError> {
    let ids: &FixedSizeBinaryArray = column(batch, columns::TRACE_ID)?;
    let first: &UInt32Array = column(batch, FIRST_PIECE)?;
    let last: &UInt32Array = column(batch, LAST_PIECE)?;
    Ok((0..batch.num_rows()).map(|row| {
        let id = TraceId(ids.value(row).try_into().unwrap_or_default());
        (id, first.value(row) as usize, last.value(row) as usize)
    }))
}

/// Candidates in portions that are fetched at once, each with the pieces it has spans in.
pub(crate) fn portions(candidates: &RecordBatch) -> Result<Vec<(Vec<TraceId>, PieceRange)>, QueryError> {
    let rows: Vec<(TraceId, usize, usize)> = id_and_pieces(candidates)?.collect();
    let portion = |rows: &[(TraceId, usize, usize)]| {
        let pieces = PieceRange {
            first: rows.iter().map(|(_, first, _)| *first).min().unwrap_or(0),
            last: rows.iter().map(|(.., last)| *last).max().unwrap_or(0),
        };
        (rows.iter().map(|(id, ..)| *id).collect(), pieces)
    };
    Ok(rows.chunks(FETCHED_AT_ONCE).map(portion).collect())
}

/// What is computed of each trace: first start, last end, pieces, and what the condition asks for.
fn trace_facts(plan: &SearchPlan) -> Vec<Expr> {
    let mut facts = vec![
        min(col(columns::START)).alias(columns::START),
        max(col(columns::END)).alias(columns::END),
        min(col(columns::PIECE)).alias(FIRST_PIECE),
        max(col(columns::PIECE)).alias(LAST_PIECE),
    ];
    for filter in 0..plan.filters.len() {
        let name = match_column(filter);
        facts.push(bool_or(col(name.as_str())).alias(name));
    }
    facts.extend(counted(&plan.condition).into_iter().map(count_matches));
    facts
}

fn newest_traces(
    spans: DataFrame,
    request: &SearchRequest,
    plan: &SearchPlan,
) -> Result<DataFrame, DataFusionError> {
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
    spans.aggregate(vec![col(columns::TRACE_ID)], trace_facts(plan))?.filter(wanted)?.sort(newest_first)
}

/// The filters whose matches are counted.
fn counted(condition: &Condition) -> BTreeSet<usize> {
    match condition {
        Condition::Any | Condition::Matched(_) => BTreeSet::new(),
        Condition::MatchedOften { filter, .. } => BTreeSet::from([*filter]),
        Condition::And(left, right) | Condition::Or(left, right) => &counted(left) | &counted(right),
    }
}

fn count_matches(filter: usize) -> Expr {
    let matched = col(match_column(filter)).is_true();
    sum(cast(matched, DataType::Int64)).alias(count_column(filter))
}

fn count_column(filter: usize) -> String {
    format!("count_{filter}")
}

fn condition(condition: &Condition) -> Expr {
    match condition {
        Condition::Any => lit(true),
        Condition::Matched(filter) => col(match_column(*filter)),
        Condition::MatchedOften { filter, at_least } => col(count_column(*filter)).gt_eq(lit(*at_least)),
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
    for (wanted, pieces) in portions(candidates)? {
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
