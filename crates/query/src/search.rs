//! Search: a walk over the traces, newest first, that ends when no trace to come can be among the newest that match.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation, SPANS, UnixNanos};
use vivace_model::{TimeRange, TraceId};
use vivace_storage::Projection;
use vivace_traceql::{MetricsSource, Query};

use crate::hits;
use crate::look::{Looked, Looker};
use crate::pipeline::evaluate;
use crate::plan::SearchPlan;
use crate::slots::Work;
use crate::source::Source;
use crate::spread::Place;
use crate::walk::{Unit, Units, Wanted};
use crate::{Held, Progress, QueryError, SearchMetrics, SearchRequest, SearchResponse, TraceMatch};

/// What a query may use.
pub(crate) struct SearchContext<'a> {
    pub(crate) budget: &'a Arc<MemoryBudget>,
    pub(crate) source: Arc<Source>,
    /// On how many threads the query runs.
    pub(crate) parallelism: usize,
    /// Where it gets a core for each unit.
    pub(crate) work: Arc<Work>,
}

/// What the tasks of one search share.
struct Job {
    looker: Looker,
    plan: SearchPlan,
    limit: usize,
    spans_per_span_set: usize,
}

/// What came of a unit.
#[derive(Default)]
struct Found {
    traces: Vec<TraceMatch>,
    inspected_traces: u32,
    inspected_spans: u64,
}

/// Runs a search, filling `response` as it goes, so that what is known is there when time runs out.
#[tracing::instrument(target = SPANS, level = "trace", name = "walk", skip_all)]
pub(crate) async fn search(
    context: &SearchContext<'_>,
    request: &SearchRequest,
    response: &mut SearchResponse,
    progress: Progress<'_, SearchResponse>,
) -> Result<(), QueryError> {
    let plan = search_plan(&request.query)?;
    let job = Arc::new(Job::new(context, request, plan));
    response.metrics = SearchMetrics {
        total_blocks: context.source.block_count,
        total_block_bytes: context.source.block_bytes,
        inspected_bytes: context.source.block_bytes,
        total_jobs: u32::try_from(context.source.pieces().len()).unwrap_or(u32::MAX),
        ..SearchMetrics::default()
    };
    let reserved = Some(context.budget.reserve(Holder::Query, 0)?);
    let mut newest = Newest { limit: request.limit, traces: BTreeMap::new(), memory: 0, reserved, response };
    let mut units = Units::new(&job.looker.source, &job.looker.wanted, context.budget).await?;
    let mut running = JoinSet::new();
    loop {
        while running.len() < context.parallelism
            && units.newest().is_some_and(|start| newest.may_take(start))
            && let Some(unit) = units.next().await?
        {
            let (job, work) = (Arc::clone(&job), Arc::clone(&context.work));
            running.spawn(work.run(async move { job.run(unit).await }));
        }
        let Some(finished) = running.join_next().await else { break };
        let found = finished.map_err(|error| QueryError::Execution(format!("a task failed: {error}")))??;
        newest.add(found)?;
        // Traces to come may be newer than some of these, but none is wrong.
        progress(&|| newest.so_far());
    }
    newest.response.metrics.completed_jobs = newest.response.metrics.total_jobs;
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

/// The newest traces found so far. They are in the response once this is dropped, in time or not.
struct Newest<'r> {
    limit: usize,
    traces: BTreeMap<(Reverse<UnixNanos>, TraceId), Arc<TraceMatch>>,
    /// Bytes of them.
    memory: u64,
    /// Until the response has it.
    reserved: Option<Reservation>,
    response: &'r mut SearchResponse,
}

impl Drop for Newest<'_> {
    fn drop(&mut self) {
        self.response.traces = std::mem::take(&mut self.traces).into_values().collect();
        self.response.held = Held::new(self.reserved.take());
    }
}

impl Newest<'_> {
    fn so_far(&self) -> SearchResponse {
        SearchResponse { traces: self.traces.values().map(Arc::clone).collect(), ..self.response.clone() }
    }

    fn add(&mut self, found: Found) -> Result<(), MemoryRefused> {
        self.response.metrics.inspected_traces += found.inspected_traces;
        self.response.metrics.inspected_spans += found.inspected_spans;
        for trace in found.traces {
            self.memory += trace.memory();
            let replaced = self.traces.insert((Reverse(trace.start), trace.trace_id), Arc::new(trace));
            self.forget(replaced);
        }
        while self.traces.len() > self.limit {
            let last = self.traces.pop_last().map(|(_, trace)| trace);
            self.forget(last);
        }
        let memory = self.memory;
        self.reserved.as_mut().map_or(Ok(()), |reserved| reserved.resize(memory))
    }

    fn forget(&mut self, trace: Option<Arc<TraceMatch>>) {
        self.memory -= trace.map_or(0, |trace| trace.memory());
    }

    /// Whether a trace that starts then may be among them.
    fn may_take(&self, start: UnixNanos) -> bool {
        let last = self.traces.last_key_value().map(|((Reverse(start), _), _)| *start);
        self.traces.len() < self.limit || last.is_some_and(|last| start >= last)
    }
}

impl Found {
    fn add(&mut self, other: Self) {
        self.traces.extend(other.traces);
        self.inspected_traces += other.inspected_traces;
        self.inspected_spans += other.inspected_spans;
    }
}

impl Job {
    fn new(context: &SearchContext<'_>, request: &SearchRequest, plan: SearchPlan) -> Self {
        let duration = request.min_duration.unwrap_or(0)..=request.max_duration.unwrap_or(u64::MAX);
        let wanted = Wanted { duration, ..Wanted::by_plan(&plan, request.range) };
        let looker = Looker {
            source: Arc::clone(&context.source),
            budget: Arc::clone(context.budget),
            wanted,
            assembled: plan.projection(),
        };
        Self { looker, plan, limit: request.limit, spans_per_span_set: request.spans_per_span_set }
    }

    async fn run(&self, unit: Unit) -> Result<Found, QueryError> {
        let mut found = Found::default();
        match unit {
            Unit::Run { piece, entries } => {
                let Some(looked) = self.looker.look(piece, entries).await? else { return Ok(found) };
                found.inspected_traces = u32::try_from(looked.entries.len()).unwrap_or(u32::MAX);
                found.inspected_spans = looked.spans;
                let (newest, others): (Vec<usize>, Vec<usize>) =
                    looked.candidates(&self.plan.condition).partition(|at| {
                        hits::suffice(&self.plan) && looked.runs.is_distinct(looked.entries[*at])
                    });
                found.traces = self.results(&looked, &newest).await?;
                let place = |at: usize| vec![Place { piece, entry: looked.entries[at] }];
                let others = self.decide_apart(others.into_iter().map(place).collect(), &mut found).await?;
                let entries: Vec<usize> = others.iter().flatten().map(|place| place.entry).collect();
                let mut assembled = Found::default();
                self.looker
                    .assemble(&looked, &entries, |trace| Ok(self.decide(&trace, &mut assembled)))
                    .await?;
                found.add(assembled);
            }
            Unit::Spread(traces) => {
                let traces = self.decide_apart(traces, &mut found).await?;
                // Which of those that start together is first is known by their ids only.
                let mut each = |trace| {
                    self.decide(&trace, &mut found);
                    Ok(true)
                };
                self.looker.assemble_places(&traces, &mut each).await?;
            }
        }
        Ok(found)
    }

    /// The results of the first of these traces that match, as many as are wanted. One that does not fit into memory is
    /// left out.
    async fn results(&self, looked: &Looked<'_>, traces: &[usize]) -> Result<Vec<TraceMatch>, QueryError> {
        let read = async |traces: &[usize]| {
            let limits = (self.limit, self.spans_per_span_set);
            hits::results(&self.looker, &self.plan, looked, traces.iter().copied(), limits).await
        };
        match read(traces).await {
            Err(QueryError::NoMemory(_)) => {}
            read => return read,
        }
        let mut results = Vec::new();
        for at in traces {
            match read(std::slice::from_ref(at)).await {
                Err(QueryError::NoMemory(refused)) => {
                    let place = Place { piece: looked.piece, entry: looked.entries[*at] };
                    self.looker.leave_out(&[place], refused).await?;
                }
                read => results.extend(read?),
            }
            if results.len() >= self.limit {
                break;
            }
        }
        Ok(results)
    }

    /// Decides on the large ones among traces with spans in several pieces, or perhaps twice in one, without assembling them, where that can be done; the others.
    async fn decide_apart(
        &self,
        traces: Vec<Vec<Place>>,
        found: &mut Found,
    ) -> Result<Vec<Vec<Place>>, QueryError> {
        let mut others = Vec::with_capacity(traces.len());
        for places in traces {
            if !hits::suffice(&self.plan) || !self.looker.is_apart(&places).await? {
                others.push(places);
                continue;
            }
            match hits::spread_result(&self.looker, &self.plan, &places, self.spans_per_span_set).await {
                Err(QueryError::NoMemory(refused)) => self.looker.leave_out(&places, refused).await?,
                result => found.traces.extend(result?),
            }
        }
        Ok(others)
    }

    /// Adds a trace if it matches; whether more are wanted.
    fn decide(&self, trace: &vivace_model::Trace, found: &mut Found) -> bool {
        found.inspected_spans += trace.spans().len() as u64;
        if self.looker.wanted.lasts(&trace.range()) {
            found.traces.extend(evaluate(&self.plan, trace, self.spans_per_span_set));
        }
        found.traces.len() < self.limit
    }
}

/// The traces that may have spans that a plan selects, each assembled out of the wanted columns; in no order.
pub(crate) async fn every_trace(
    context: &SearchContext<'_>,
    plan: &SearchPlan,
    range: TimeRange,
    assembled: Projection,
    mut each: impl FnMut(vivace_model::Trace) -> Result<bool, QueryError>,
) -> Result<(), QueryError> {
    let wanted = Wanted::by_plan(plan, range);
    let (source, budget) = (Arc::clone(&context.source), Arc::clone(context.budget));
    let looker = Looker { source, budget, wanted, assembled };
    let mut units = Units::new(&looker.source, &looker.wanted, context.budget).await?;
    while let Some(unit) = units.next().await? {
        let _slot = context.work.slot().await;
        match unit {
            Unit::Run { piece, entries } => {
                let Some(looked) = looker.look(piece, entries).await? else { continue };
                let entries: Vec<usize> =
                    looked.candidates(&plan.condition).map(|at| looked.entries[at]).collect();
                looker.assemble(&looked, &entries, &mut each).await?;
            }
            Unit::Spread(traces) => {
                looker.assemble_places(&traces, &mut each).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
