//! The service graph: who calls whom (`reference/tempo.md` 5.2). Pieces are counted one by one, from the edges that their
//! indexes have or from their spans; what traces with spans in several pieces are counted wrong by is put right.

use std::ops::RangeInclusive;
use std::sync::Arc;

use futures::TryStreamExt;
use rustc_hash::FxHashMap;
use tokio::task::JoinSet;
use vivace_base::UnixNanos;
use vivace_model::TimeRange;
use vivace_storage::block::Kept;
use vivace_storage::index::{CallColumns, CallReader, EDGE_MINUTES, EdgeChunk};

use crate::QueryError;
use crate::look::{Looker, joined};
use crate::plan::Condition;
use crate::search::SearchContext;
use crate::walk::{Unit, Units, Wanted};

mod answer;
mod corrections;
mod tally;

pub use answer::{Latency, ServiceEdge, ServiceGraph, ServiceNode};
pub(crate) use corrections::{CorrectionsCache, CorrectionsOf};
use tally::Tally;

/// Calls count by the minute they begin in.
const MINUTE: u64 = 60_000_000_000;

/// What a service graph is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceGraphRequest {
    range: TimeRange,
}

impl ServiceGraphRequest {
    /// The calls that began in the minutes from that of `start` to that before `end`, all of them whole.
    pub fn new(start: UnixNanos, end: UnixNanos) -> Self {
        let first = start - start % MINUTE;
        let behind = end.div_ceil(MINUTE).saturating_mul(MINUTE).max(first.saturating_add(MINUTE));
        Self { range: TimeRange { start: first, end: behind - 1 } }
    }

    /// The first and the last nanosecond that count.
    pub fn range(&self) -> TimeRange {
        self.range
    }
}

/// Unix minutes, both inclusive.
type Minutes = RangeInclusive<u64>;

/// What the tasks of one query share.
#[derive(Clone)]
struct Job {
    looker: Arc<Looker>,
    minutes: Minutes,
}

/// The calls of all traces.
pub(crate) async fn service_graph(
    context: &SearchContext<'_>,
    corrections: CorrectionsOf<'_>,
    request: &ServiceGraphRequest,
) -> Result<ServiceGraph, QueryError> {
    let minutes = request.range.start / MINUTE..=request.range.end / MINUTE;
    let summarised = Arc::new(Summarised::find(context, &minutes).await?);
    let mut crew = Crew { context, all: Tally::new(context.budget)?, running: JoinSet::new() };
    for piece in summarised.chosen.keys() {
        crew.start(add_edges(Job::new(context, minutes.clone()), Arc::clone(&summarised), *piece)).await?;
    }
    crew.walk(&Job::new(context, minutes.clone()), |piece| !summarised.chosen.contains_key(&piece)).await?;
    for edge in summarised.edges(&minutes) {
        crew.walk(&Job::new(context, edge), |piece| summarised.chosen.contains_key(&piece)).await?;
    }
    let mut all = crew.finish().await?;
    corrections.apply(context, &request.range, &minutes, &mut all).await?;
    let mut graph = all.into_graph();
    graph.partial = graph.partial.or_else(|| context.source.partial());
    Ok(graph)
}

/// Which pieces are counted from their indexes, and the minutes that are.
struct Summarised {
    /// Multiples of [`EDGE_MINUTES`] from and to; [`None`] when there are none between.
    interior: Option<Minutes>,
    chosen: FxHashMap<usize, Vec<Arc<Kept<EdgeChunk>>>>,
}

impl Summarised {
    async fn find(context: &SearchContext<'_>, minutes: &Minutes) -> Result<Self, QueryError> {
        let first = minutes.start().next_multiple_of(EDGE_MINUTES);
        let behind = (minutes.end() + 1) / EDGE_MINUTES * EDGE_MINUTES;
        let mut found = Self { interior: None, chosen: FxHashMap::default() };
        if first >= behind {
            return Ok(found);
        }
        found.interior = Some(first..=behind - 1);
        let cells = first / EDGE_MINUTES..=(behind - 1) / EDGE_MINUTES;
        for (piece, at) in context.source.pieces().iter().enumerate() {
            let range = at.range();
            let Some(reader) = at.block() else { continue };
            if range.start / MINUTE >= behind || range.end / MINUTE < first {
                continue;
            }
            let Some(edges) = reader.edges(context.budget).await? else { continue };
            let mut chunks = Some(Vec::new());
            for chunk in edges.chunks(*cells.start(), *cells.end()) {
                match (&mut chunks, reader.edge_chunk(chunk, context.budget).await?) {
                    (Some(chunks), Some(chunk)) => chunks.push(chunk),
                    (chunks, _) => *chunks = None,
                }
            }
            found.chosen.extend(chunks.map(|chunks| (piece, chunks)));
        }
        Ok(found)
    }

    /// The minutes before and behind.
    fn edges(&self, minutes: &Minutes) -> Vec<Minutes> {
        let Some(interior) = self.interior.as_ref().filter(|_| !self.chosen.is_empty()) else {
            return Vec::new();
        };
        let before = interior.start().checked_sub(1).map(|last| *minutes.start()..=last);
        let behind = interior.end() + 1..=*minutes.end();
        before.into_iter().chain([behind]).filter(|edge| !edge.is_empty()).collect()
    }
}

/// What the index of a piece says.
async fn add_edges(job: Job, summarised: Arc<Summarised>, piece: usize) -> Result<Tally, QueryError> {
    let mut tally = Tally::new(&job.looker.budget)?;
    let reader = job.looker.source.pieces().get(piece).and_then(|piece| piece.block());
    let (Some(reader), Some(interior)) = (reader, &summarised.interior) else { return Ok(tally) };
    let Some(edges) = reader.edges(&job.looker.budget).await? else { return Ok(tally) };
    let cells = interior.start() / EDGE_MINUTES..=interior.end() / EDGE_MINUTES;
    let (names, counts) = tally.parts();
    let numbers: Vec<Option<u32>> = edges.names().iter().map(|name| names.number(name)).collect();
    for chunk in summarised.chosen.get(&piece).into_iter().flatten() {
        chunk.for_each(|cell| {
            if cells.contains(&cell.cell) {
                counts.add_cell(&cell, &numbers);
            }
        });
    }
    tally.account()?;
    Ok(tally)
}

/// Tasks under way, and what came of those that are done.
struct Crew<'c, 's> {
    context: &'c SearchContext<'s>,
    all: Tally,
    running: JoinSet<Result<Tally, QueryError>>,
}

impl Crew<'_, '_> {
    /// Starts a task once there is room.
    async fn start(
        &mut self,
        task: impl Future<Output = Result<Tally, QueryError>> + Send + 'static,
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
        let found = finished.map_err(|error| QueryError::Execution(format!("a task failed: {error}")))??;
        self.all.merge(found)?;
        Ok(true)
    }

    /// Counts the calls of some pieces.
    async fn walk(&mut self, job: &Job, keep: impl Fn(usize) -> bool) -> Result<(), QueryError> {
        let looker = Arc::clone(&job.looker);
        let units = Units::new(&looker.source, &looker.wanted, self.context.budget).await?;
        let mut units = units.in_bulk().of_pieces(keep);
        while let Some(unit) = units.next().await? {
            self.start(job.clone().look_at(unit)).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Tally, QueryError> {
        while self.take().await? {}
        Ok(self.all)
    }
}

impl Job {
    fn new(context: &SearchContext<'_>, minutes: Minutes) -> Self {
        let end = (minutes.end() + 1).saturating_mul(MINUTE) - 1;
        let wanted = Wanted {
            filters: Vec::new(),
            condition: Condition::Any,
            range: TimeRange { start: minutes.start() * MINUTE, end },
            duration: 0..=u64::MAX,
            in_pieces: true,
        };
        let (source, budget) = (Arc::clone(&context.source), Arc::clone(context.budget));
        let looker = Arc::new(Looker { source, budget, wanted, assembled: CallColumns::projection() });
        Self { looker, minutes }
    }

    async fn look_at(self, unit: Unit) -> Result<Tally, QueryError> {
        let looker = &self.looker;
        let mut tally = Tally::new(&looker.budget)?;
        let Unit::Run { piece, entries } = unit else { return Ok(tally) };
        let Some((runs, entries)) = looker.alive(piece, entries).await? else { return Ok(tally) };
        let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
        let mut reader = CallReader::default();
        if !runs.distinct() {
            reader.may_repeat();
        }
        let mut batches = looker.source.read(piece, Some(&rows), &looker.assembled, &looker.budget).await?;
        while let Some(batch) = batches.try_next().await? {
            let (names, counts) = tally.parts();
            reader.add(&batch, names, |call| counts.add(&call.counted(), 1, &self.minutes))?;
            tally.account()?;
        }
        let (names, counts) = tally.parts();
        reader.finish(names, |call| counts.add(&call.counted(), 1, &self.minutes));
        tally.account()?;
        Ok(tally)
    }
}

#[cfg(test)]
mod tests;
