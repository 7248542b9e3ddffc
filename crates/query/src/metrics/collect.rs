//! Reads the spans a metrics query is about. Traces whose spans lie in one piece are measured there, piece by piece, on
//! columns where each span can be decided on alone. Traces that are spread over pieces are fetched and assembled.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;
use tokio::task::JoinSet;
use vivace_base::{Holder, MemoryBudget};
use vivace_model::{Span, Trace, TraceId};
use vivace_storage::Projection;
use vivace_storage::columns::SpanDecoder;
use vivace_traceql::Attribute;

use super::compare::CompareTable;
use super::plan::{Function, MetricsPlan};
use super::sampling::weight;
use super::table::{Observation, Table};
use super::{columns, exemplars::Candidate};
use crate::eval::{Operand, rows};
use crate::fetch::{DECODED_FACTOR, PieceRange, fetch};
use crate::pipeline::select;
use crate::search::{SearchContext, trace_pieces};
use crate::source::{Piece, Source};
use crate::{MetricsResponse, Progress, QueryError, SearchMetrics};

/// How many spread traces are assembled at once.
const ASSEMBLED_AT_ONCE: usize = 128;

/// What is known of the spans so far.
pub(super) enum Collected {
    Series(Table),
    Compare(CompareTable),
}

/// What the tasks of one query share.
pub(super) struct Job {
    pub(super) plan: MetricsPlan,
    pub(super) source: Arc<Source>,
    pub(super) budget: Arc<MemoryBudget>,
    traces: Traces,
}

/// Which traces are measured how.
#[derive(Default)]
struct Traces {
    /// In several pieces.
    spread: HashSet<TraceId>,
    /// In one piece, and may match; [`None`] for all others.
    single: Option<Arc<HashSet<TraceId>>>,
}

/// Runs the query over the whole source.
pub(super) async fn collect(
    context: &SearchContext<'_>,
    plan: MetricsPlan,
    totals: &mut SearchMetrics,
    progress: Progress<'_, MetricsResponse>,
) -> Result<(Collected, Arc<Job>), QueryError> {
    let mut memory = context.budget.reserve(Holder::Query, 0)?;
    let traces = classify(context, &plan, &mut memory).await?;
    let (source, budget) = (Arc::clone(&context.source), Arc::clone(context.budget));
    let job = Arc::new(Job { plan, source, budget, traces });
    let mut collected = Collected::new(&job)?;
    let pieces = context.source.pieces().len();
    // Each operand of arithmetic reads all pieces.
    totals.total_jobs = totals.total_jobs.saturating_add(u32::try_from(pieces).unwrap_or(u32::MAX));
    let mut running = JoinSet::new();
    let mut next = 0..pieces;
    loop {
        while running.len() < context.parallelism
            && let Some(piece) = next.next()
        {
            running.spawn(measure_piece(Arc::clone(&job), piece));
        }
        let Some(finished) = running.join_next().await else { break };
        let finished = finished.map_err(|error| QueryError::Execution(format!("a task failed: {error}")))?;
        let (of_piece, spans) = finished?;
        collected.merge(of_piece)?;
        totals.completed_jobs += 1;
        totals.inspected_spans += spans;
        let metrics = *totals;
        progress(&|| MetricsResponse { metrics, ..MetricsResponse::default() });
    }
    measure_spread(&job, &mut collected, totals).await?;
    drop(memory);
    Ok((collected, job))
}

/// Finds the traces that are in several pieces, and, where traces must be assembled, those that may match at all.
async fn classify(
    context: &SearchContext<'_>,
    plan: &MetricsPlan,
    memory: &mut vivace_base::Reservation,
) -> Result<Traces, QueryError> {
    /// An id in a set, with what the set keeps free.
    const BYTES_PER_ID: u64 = 40;
    let every = plan.is_local() || plan.search.condition == crate::plan::Condition::Any;
    let mut single = HashSet::new();
    let mut spread = HashSet::new();
    if every && context.source.pieces().len() < 2 {
        return Ok(Traces::default());
    }
    let mut rows = trace_pieces(context, &plan.search, every).await?;
    while let Some(batch) = rows.try_next().await? {
        memory.resize(memory.bytes() + batch.num_rows() as u64 * BYTES_PER_ID)?;
        for (id, first, last) in crate::search::id_and_pieces(&batch)? {
            let set = if first == last { &mut single } else { &mut spread };
            set.insert(id);
        }
    }
    Ok(Traces { spread, single: (!every).then(|| Arc::new(single)) })
}

async fn measure_piece(job: Arc<Job>, piece: usize) -> Result<(Collected, u64), QueryError> {
    let mut collected = Collected::new(&job)?;
    let spans = match &mut collected {
        Collected::Series(table) if job.plan.is_local() => {
            columns::measure(&job, piece, &job.traces.spread, table).await?
        }
        _ => measure_traces(&job, piece, &mut collected).await?,
    };
    Ok((collected, spans))
}

/// Assembles the traces of a piece one after the other.
async fn measure_traces(job: &Job, piece: usize, into: &mut Collected) -> Result<u64, QueryError> {
    let wanted = job.traces.single.clone();
    if wanted.as_ref().is_some_and(|wanted| wanted.is_empty()) {
        return Ok(0);
    }
    let together = matches!(job.source.pieces().get(piece), Some(Piece::Block(_)));
    let mut batches = job.source.read(piece, &Projection::everything(), wanted)?;
    let mut reserved = job.budget.reserve(Holder::Query, 0)?;
    let mut open: HashMap<TraceId, Vec<Span>> = HashMap::new();
    let (mut spans, mut held) = (0, 0);
    while let Some(batch) = batches.try_next().await? {
        let needed = batch.get_array_memory_size() as u64 * DECODED_FACTOR;
        reserved.resize(held + needed)?;
        let mut decoder = SpanDecoder::new(&batch)?;
        for row in 0..batch.num_rows() {
            let span = decoder.span(row);
            // In a block a trace's spans stand together: with a new trace the one before is complete.
            if together && !open.contains_key(&span.trace_id) {
                measure_open(job, &mut open, into)?;
                held = 0;
            }
            open.entry(span.trace_id).or_default().push(span);
        }
        spans += batch.num_rows() as u64;
        held += needed;
    }
    measure_open(job, &mut open, into)?;
    Ok(spans)
}

fn measure_open(
    job: &Job,
    open: &mut HashMap<TraceId, Vec<Span>>,
    into: &mut Collected,
) -> Result<(), QueryError> {
    for (id, spans) in open.drain() {
        if !job.traces.spread.contains(&id)
            && let Some(trace) = Trace::assemble(spans)
        {
            into.observe(job, &trace)?;
        }
    }
    Ok(())
}

async fn measure_spread(
    job: &Arc<Job>,
    into: &mut Collected,
    totals: &mut SearchMetrics,
) -> Result<(), QueryError> {
    let ids: Vec<TraceId> = job.traces.spread.iter().copied().collect();
    for wanted in ids.chunks(ASSEMBLED_AT_ONCE) {
        let mut fetched = fetch(&job.source, &job.budget, wanted, PieceRange::ALL).await?;
        for id in wanted {
            let Some(trace) = fetched.take(*id) else { continue };
            totals.inspected_spans += trace.spans().len() as u64;
            into.observe(job, &trace)?;
        }
    }
    Ok(())
}

impl Collected {
    fn new(job: &Job) -> Result<Self, QueryError> {
        Ok(match &job.plan.function {
            Function::Compare(_) => Self::Compare(CompareTable::new(&job.budget)?),
            _ => Self::Series(Table::new(&job.plan, &job.budget)?),
        })
    }

    fn merge(&mut self, other: Self) -> Result<(), QueryError> {
        match (self, other) {
            (Self::Series(ours), Self::Series(theirs)) => ours.merge(theirs)?,
            (Self::Compare(ours), Self::Compare(theirs)) => ours.merge(theirs)?,
            _ => debug_assert!(false, "a query collects one kind"),
        }
        Ok(())
    }

    /// Adds the spans of an assembled trace that the pipeline selects; one in several span sets once.
    fn observe(&mut self, job: &Job, trace: &Trace) -> Result<(), QueryError> {
        let plan = &job.plan;
        let mut selected = vec![false; trace.spans().len()];
        let sets = select(&plan.search, trace);
        sets.iter().flat_map(|set| &set.spans).for_each(|at| selected[*at] = true);
        for (at, span) in trace.spans().iter().enumerate().filter(|(at, _)| selected[*at]) {
            let Some(step) = plan.window.step_of(span.start) else { continue };
            let weight = if plan.extrapolate { weight(&span.trace_state) } else { 1.0 };
            match (&mut *self, &plan.function) {
                (Self::Compare(table), Function::Compare(compare)) => {
                    table.observe(compare, trace, at, step, weight)?;
                }
                (Self::Series(table), _) => {
                    table.observe(plan, observation(plan, trace, at, weight, step))?
                }
                _ => debug_assert!(false, "a query collects one kind"),
            }
        }
        Ok(())
    }
}

fn observation<'a>(
    plan: &MetricsPlan,
    trace: &'a Trace,
    at: usize,
    weight: f64,
    step: u32,
) -> Observation<'a> {
    let span = &trace.spans()[at];
    let value = |attribute: &Attribute| rows::value(attribute, trace, at);
    let group = |sources: &[Attribute]| {
        sources.iter().map(value).find(|value| !value.is_nil()).unwrap_or(Operand::Nil)
    };
    Observation {
        span: Candidate {
            trace_id: span.trace_id,
            span_id: span.span_id,
            kind: span.kind,
            start: span.start,
            step,
            value: 0.0,
        },
        step,
        weight,
        groups: plan.by.iter().map(|grouping| group(&grouping.sources)).collect(),
        measured: plan.function.measured().map_or(Operand::Nil, |measured| value(&measured.attribute)),
    }
}
