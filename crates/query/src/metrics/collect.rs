//! Reads the spans a metrics query is about. Traces whose spans lie in one piece are measured there, on columns where
//! each span can be decided on alone. Others are assembled.

use std::sync::Arc;

use tokio::task::JoinSet;
use vivace_model::{TimeRange, Trace, schema};
use vivace_storage::Projection;
use vivace_traceql::Attribute;

use super::compare::CompareTable;
use super::plan::{Function, MetricsPlan};
use super::sampling::weight;
use super::table::{Observation, Table};
use super::{columns, exemplars::Candidate};
use crate::eval::{Operand, rows};
use crate::look::Looker;
use crate::pipeline::select;
use crate::search::SearchContext;
use crate::walk::{Unit, Units, Wanted};
use crate::{MetricsResponse, MetricsWindow, Progress, QueryError, SearchMetrics};

/// What is known of the spans so far.
pub(super) enum Collected {
    Series(Table),
    Compare(CompareTable),
}

/// What the tasks of one query share.
pub(super) struct Job {
    pub(super) plan: MetricsPlan,
    pub(super) looker: Looker,
}

/// Runs the query over the whole source.
pub(super) async fn collect(
    context: &SearchContext<'_>,
    plan: MetricsPlan,
    totals: &mut SearchMetrics,
    progress: Progress<'_, MetricsResponse>,
) -> Result<(Collected, Arc<Job>), QueryError> {
    let job = Arc::new(Job::new(context, plan));
    let mut collected = Collected::new(&job)?;
    // Each operand of arithmetic reads all pieces.
    let pieces = u32::try_from(context.source.pieces().len()).unwrap_or(u32::MAX);
    totals.total_jobs = totals.total_jobs.saturating_add(pieces);
    let mut units = Units::new(&job.looker.source, &job.looker.wanted, context.budget).await?.in_bulk();
    let mut running = JoinSet::new();
    loop {
        while running.len() < context.parallelism
            && let Some(unit) = units.next().await?
        {
            running.spawn(measure(Arc::clone(&job), unit));
        }
        let Some(finished) = running.join_next().await else { break };
        let finished = finished.map_err(|error| QueryError::Execution(format!("a task failed: {error}")))?;
        let (of_unit, spans) = finished?;
        collected.merge(of_unit)?;
        totals.inspected_spans += spans;
        let metrics = *totals;
        progress(&|| MetricsResponse { metrics, ..MetricsResponse::default() });
    }
    totals.completed_jobs = totals.completed_jobs.saturating_add(pieces);
    drop(units);
    Ok((collected, job))
}

async fn measure(job: Arc<Job>, unit: Unit) -> Result<(Collected, u64), QueryError> {
    let mut collected = Collected::new(&job)?;
    let spans = match (unit, &mut collected) {
        (Unit::Run { piece, entries }, Collected::Series(table)) if job.is_columnar(piece).await? => {
            columns::measure(&job, piece, entries, table).await?
        }
        (Unit::Run { piece, entries }, _) => {
            let Some(looked) = job.looker.look(piece, entries).await? else { return Ok((collected, 0)) };
            let candidates = looked.candidates(&job.plan.search.condition);
            let entries: Vec<usize> = candidates.map(|at| looked.entries[at]).collect();
            let mut spans = looked.spans;
            job.looker.assemble(&looked, &entries, |trace| collected.add(&job, &trace, &mut spans)).await?;
            spans
        }
        (Unit::Spread(traces), _) => {
            let mut spans = 0;
            let mut each = |trace: Trace| collected.add(&job, &trace, &mut spans);
            job.looker.assemble_places(&traces, &mut each).await?;
            spans
        }
    };
    Ok((collected, spans))
}

impl Job {
    fn new(context: &SearchContext<'_>, plan: MetricsPlan) -> Self {
        let (MetricsWindow::Range { start, end, .. } | MetricsWindow::Instant { start, end }) = plan.window;
        let wanted = Wanted::by_plan(&plan.search, TimeRange { start, end });
        let mut assembled = match plan.function {
            Function::Compare(_) => Projection::everything(),
            _ => plan.search.projection(),
        };
        if plan.extrapolate {
            assembled.fixed.push(schema::TRACE_STATE);
        }
        let (source, budget) = (Arc::clone(&context.source), Arc::clone(context.budget));
        Self { plan, looker: Looker { source, budget, wanted, assembled } }
    }

    /// Whether the spans of a piece are measured one by one: none is there twice.
    async fn is_columnar(&self, piece: usize) -> Result<bool, QueryError> {
        let Some(piece) = self.looker.source.pieces().get(piece) else { return Ok(false) };
        let runs = self.looker.source.undamaged(piece.runs(&self.looker.budget).await)?;
        Ok(self.plan.is_local() && runs.is_some_and(vivace_storage::index::TraceRuns::distinct))
    }
}

impl Collected {
    fn new(job: &Job) -> Result<Self, QueryError> {
        Ok(match &job.plan.function {
            Function::Compare(_) => Self::Compare(CompareTable::new(&job.looker.budget)?),
            _ => Self::Series(Table::new(&job.plan, &job.looker.budget)?),
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

    /// Adds an assembled trace, and its spans to what was looked at.
    fn add(&mut self, job: &Job, trace: &Trace, spans: &mut u64) -> Result<bool, QueryError> {
        *spans += trace.spans().len() as u64;
        self.observe(job, trace)?;
        Ok(true)
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
