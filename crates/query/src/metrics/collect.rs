//! Reads what a metrics query is about. Where each span can be decided on alone, pieces are measured one by one: from
//! their summaries if those know enough, else on columns; spans that another piece has too are left out. Otherwise traces
//! are assembled.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use tokio::task::JoinSet;
use vivace_model::{TimeRange, Trace, Value, schema};
use vivace_storage::Projection;
use vivace_traceql::Attribute;

use super::columns::{self, take_away};
use super::compare::CompareTable;
use super::exemplars::{Candidate, Labels};
use super::picks::pick;
use super::plan::{Function, MetricsPlan};
use super::sampling::weight;
use super::summaries::Summarised;
use super::table::{Observation, Table};
use super::tally;
use crate::eval::{Operand, rows};
use crate::look::Looker;
use crate::pipeline::select;
use crate::repeats::{Repeats, RepeatsOf};
use crate::search::SearchContext;
use crate::spread::Place;
use crate::walk::{Unit, Units, Wanted};
use crate::{MetricsResponse, MetricsWindow, Progress, QueryError, SearchMetrics};

/// How many traces that are assembled are read together.
const ASSEMBLED_AT_ONCE: usize = 64;

/// What is known of the spans so far.
pub(super) enum Collected {
    Series(Table),
    Compare(CompareTable),
}

/// What the tasks of one query share.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) plan: Arc<MetricsPlan>,
    pub(super) looker: Arc<Looker>,
    /// Only spans that start then.
    pub(super) within: RangeInclusive<u64>,
    /// [`None`] when traces are assembled where they must be.
    pub(super) repeats: Option<Arc<Repeats>>,
}

/// Runs the query over the whole source.
pub(super) async fn collect(
    context: &SearchContext<'_>,
    repeats: RepeatsOf<'_>,
    plan: &Arc<MetricsPlan>,
    totals: &mut SearchMetrics,
    progress: Progress<'_, MetricsResponse>,
) -> Result<Collected, QueryError> {
    let (MetricsWindow::Range { start, end, .. } | MetricsWindow::Instant { start, end }) = plan.window;
    let repeats = match in_pieces(context, plan).await? {
        true => {
            let range = TimeRange { start, end };
            Some(Arc::new(repeats.find(&context.source, &range, context.budget).await?))
        }
        false => None,
    };
    let job = Job::new(context, plan, start..=end, repeats);
    // Each operand of arithmetic reads all pieces.
    let pieces = u32::try_from(context.source.pieces().len()).unwrap_or(u32::MAX);
    totals.total_jobs = totals.total_jobs.saturating_add(pieces);
    let mut crew = Crew::new(context, &job, totals, progress)?;
    let Some(repeats) = job.repeats.clone() else {
        crew.walk(&job, |_| true).await?;
        return crew.finish(pieces).await;
    };
    let summarised = Summarised::find(&job).await?;
    for piece in summarised.pieces() {
        for portion in summarised.portions(piece) {
            crew.start(summarised.clone().add(job.clone(), (piece, portion))).await?;
        }
        if !repeats.of(piece).is_empty() {
            let job = Job { within: summarised.interior(), ..job.clone() };
            crew.start(take_away(job, piece)).await?;
        }
    }
    if tally::suffices(plan) && plan.exemplars > 0 {
        for piece in 0..context.source.pieces().len() {
            crew.start(pick(job.clone(), piece)).await?;
        }
    }
    crew.walk(&job, |piece| !summarised.has(piece)).await?;
    for edge in summarised.edges() {
        let job = Job::new(context, plan, edge, Some(Arc::clone(&repeats)));
        crew.walk(&job, |piece| summarised.has(piece)).await?;
    }
    crew.finish(pieces).await
}

/// Whether the spans of each piece can be measured one by one: none is in a piece twice.
async fn in_pieces(context: &SearchContext<'_>, plan: &MetricsPlan) -> Result<bool, QueryError> {
    if !plan.is_local() {
        return Ok(false);
    }
    for piece in context.source.pieces() {
        let runs = context.source.undamaged(piece.runs(context.budget).await)?;
        if runs.is_some_and(|runs| !runs.distinct()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tasks under way, and what came of those that are done.
struct Crew<'c, 's, 'p> {
    context: &'c SearchContext<'s>,
    collected: Collected,
    running: JoinSet<Result<(Collected, u64), QueryError>>,
    totals: &'c mut SearchMetrics,
    progress: Progress<'p, MetricsResponse>,
}

impl<'c, 's, 'p> Crew<'c, 's, 'p> {
    fn new(
        context: &'c SearchContext<'s>,
        job: &Job,
        totals: &'c mut SearchMetrics,
        progress: Progress<'p, MetricsResponse>,
    ) -> Result<Self, QueryError> {
        Ok(Self { context, collected: Collected::new(job)?, running: JoinSet::new(), totals, progress })
    }

    /// Starts a task once there is room.
    async fn start(
        &mut self,
        task: impl Future<Output = Result<(Collected, u64), QueryError>> + Send + 'static,
    ) -> Result<(), QueryError> {
        while self.running.len() >= self.context.parallelism {
            self.take().await?;
        }
        self.running.spawn(Arc::clone(&self.context.work).run(task));
        Ok(())
    }

    /// Adds what came of the next task that is done; false when there is none.
    async fn take(&mut self) -> Result<bool, QueryError> {
        let Some(finished) = self.running.join_next().await else { return Ok(false) };
        let finished = finished.map_err(|error| QueryError::Execution(format!("a task failed: {error}")))?;
        let (of_task, spans) = finished?;
        self.collected.merge(of_task)?;
        self.totals.inspected_spans += spans;
        let metrics = *self.totals;
        (self.progress)(&|| MetricsResponse { metrics, ..MetricsResponse::default() });
        Ok(true)
    }

    /// Measures the spans of some pieces.
    async fn walk(&mut self, job: &Job, keep: impl Fn(usize) -> bool) -> Result<(), QueryError> {
        let looker = Arc::clone(&job.looker);
        let units = Units::new(&looker.source, &looker.wanted, self.context.budget).await?;
        let mut units = units.in_bulk().of_pieces(keep);
        while let Some(unit) = units.next().await? {
            self.start(measure(job.clone(), unit)).await?;
        }
        Ok(())
    }

    async fn finish(mut self, pieces: u32) -> Result<Collected, QueryError> {
        while self.take().await? {}
        self.totals.completed_jobs = self.totals.completed_jobs.saturating_add(pieces);
        if let Collected::Series(table) = &mut self.collected {
            table.prune();
        }
        Ok(self.collected)
    }
}

async fn measure(job: Job, unit: Unit) -> Result<(Collected, u64), QueryError> {
    let mut collected = Collected::new(&job)?;
    let (others, mut spans) = match (unit, &mut collected) {
        (Unit::Run { piece, entries }, Collected::Series(table)) if job.repeats.is_some() => {
            (Vec::new(), columns::measure_rows(&job, piece, entries, table).await?)
        }
        (Unit::Run { piece, entries }, Collected::Series(table)) if job.plan.is_local() => {
            columns::measure(&job, piece, entries, table).await?
        }
        (Unit::Run { piece, entries }, collected) => {
            (Vec::new(), measure_assembled(&job, piece, entries, collected).await?)
        }
        (Unit::Spread(traces), _) => (traces, 0),
    };
    let others = measure_apart(&job, others, &mut collected, &mut spans).await?;
    let mut each = |trace: Trace| collected.add(&job, &trace, &mut spans);
    for others in others.chunks(ASSEMBLED_AT_ONCE) {
        job.looker.assemble_places(others, &mut each).await?;
    }
    Ok((collected, spans))
}

/// Measures assembled traces of one piece; how many spans were looked at.
async fn measure_assembled(
    job: &Job,
    piece: usize,
    entries: Range<usize>,
    collected: &mut Collected,
) -> Result<u64, QueryError> {
    let Some(looked) = job.looker.look(piece, entries).await? else { return Ok(0) };
    let candidates = looked.candidates(&job.plan.search.condition);
    let entries: Vec<usize> = candidates.map(|at| looked.entries[at]).collect();
    let mut spans = looked.spans;
    job.looker.assemble(&looked, &entries, |trace| collected.add(job, &trace, &mut spans)).await?;
    Ok(spans)
}

/// Measures the large ones among traces with spans in several pieces, or perhaps twice in one, piece by piece, where
/// that can be done; the others.
async fn measure_apart(
    job: &Job,
    traces: Vec<Vec<Place>>,
    collected: &mut Collected,
    spans: &mut u64,
) -> Result<Vec<Vec<Place>>, QueryError> {
    let Collected::Series(table) = collected else { return Ok(traces) };
    let mut others = Vec::with_capacity(traces.len());
    for places in traces {
        if !job.plan.is_local() || !job.looker.is_apart(&places).await? {
            others.push(places);
            continue;
        }
        for place in places {
            *spans += columns::measure_at(job, place, table).await?;
        }
    }
    Ok(others)
}

impl Job {
    fn new(
        context: &SearchContext<'_>,
        plan: &Arc<MetricsPlan>,
        within: RangeInclusive<u64>,
        repeats: Option<Arc<Repeats>>,
    ) -> Self {
        let range = TimeRange { start: *within.start(), end: *within.end() };
        let wanted = Wanted { in_pieces: repeats.is_some(), ..Wanted::by_plan(&plan.search, range) };
        let mut assembled = match plan.function {
            Function::Compare(_) => Projection::everything(),
            _ => plan.search.projection(),
        };
        if plan.extrapolate {
            assembled.fixed.push(schema::TRACE_STATE);
        }
        let (source, budget) = (Arc::clone(&context.source), Arc::clone(context.budget));
        let looker = Arc::new(Looker { source, budget, wanted, assembled });
        Self { plan: Arc::clone(plan), looker, within, repeats }
    }

    /// The rows of a piece that do not count.
    pub(super) fn repeated(&self, piece: usize) -> &[usize] {
        self.repeats.as_ref().map_or(&[], |repeats| repeats.of(piece))
    }
}

impl Collected {
    pub(super) fn new(job: &Job) -> Result<Self, QueryError> {
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
            let Some(step) = plan.step_of(span.start, &job.within) else { continue };
            let weight = if plan.extrapolate { weight(&span.trace_state) } else { 1.0 };
            match (&mut *self, &plan.function) {
                (Self::Compare(table), Function::Compare(compare)) => {
                    table.observe(compare, trace, at, step, weight)?;
                }
                (Self::Series(table), _) => observe(table, plan, (trace, at), weight, step)?,
                _ => debug_assert!(false, "a query collects one kind"),
            }
        }
        Ok(())
    }
}

fn observe(
    table: &mut Table,
    plan: &MetricsPlan,
    (trace, at): (&Trace, usize),
    weight: f64,
    step: u32,
) -> Result<(), QueryError> {
    let span = &trace.spans()[at];
    let value = |attribute: &Attribute| rows::value(attribute, trace, at);
    let group = |sources: &[Attribute]| {
        sources.iter().map(value).find(|value| !value.is_nil()).unwrap_or(Operand::Nil)
    };
    let label = |(key, attribute): &(String, Attribute)| -> Option<(String, Value)> {
        Some((key.clone(), value(attribute).to_output()?))
    };
    let labels = || -> Labels { plan.labels.iter().filter_map(label).collect() };
    let observation = Observation {
        span: Candidate {
            trace_id: span.trace_id,
            span_id: span.span_id,
            kind: span.kind,
            start: span.start,
            step,
            value: 0.0,
            labels: None,
        },
        step,
        weight,
        groups: plan.by.iter().map(|grouping| group(&grouping.sources)).collect(),
        measured: plan.function.measured().map_or(Operand::Nil, |measured| value(&measured.attribute)),
        labels: &labels,
    };
    Ok(table.observe(plan, observation)?)
}
