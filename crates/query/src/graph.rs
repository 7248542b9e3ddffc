//! The service graph: who calls whom (`reference/tempo.md` 5.2).

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use tokio::task::JoinSet;
use vivace_base::{Holder, UnixNanos};
use vivace_model::{TimeRange, TraceId};
use vivace_storage::index::{Call, CallColumns, CallReader, CallSpan, calls, sort_spans};

use crate::QueryError;
use crate::look::{Looker, joined};
use crate::plan::Condition;
use crate::search::SearchContext;
use crate::spread::Place;
use crate::walk::{Unit, Units, Wanted};

mod answer;
mod tally;

pub use answer::{Latency, ServiceEdge, ServiceGraph, ServiceNode};
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

/// What the tasks of one query share.
struct Job {
    looker: Looker,
    range: TimeRange,
}

/// The calls of all traces.
pub(crate) async fn service_graph(
    context: &SearchContext<'_>,
    request: &ServiceGraphRequest,
) -> Result<ServiceGraph, QueryError> {
    let job = Arc::new(Job::new(context, request.range));
    let mut all = Tally::new(context.budget)?;
    let mut units = Units::new(&job.looker.source, &job.looker.wanted, context.budget).await?.in_bulk();
    let mut running = JoinSet::new();
    loop {
        while running.len() < context.parallelism
            && let Some(unit) = units.next().await?
        {
            let job = Arc::clone(&job);
            running.spawn(async move { job.look_at(unit).await });
        }
        let Some(finished) = running.join_next().await else { break };
        let found = finished.map_err(|error| QueryError::Execution(format!("a task failed: {error}")))??;
        all.merge(found)?;
    }
    drop(units);
    let mut graph = all.into_graph();
    graph.partial = graph.partial.or_else(|| context.source.partial());
    Ok(graph)
}

impl Job {
    fn new(context: &SearchContext<'_>, range: TimeRange) -> Self {
        let wanted = Wanted {
            filters: Vec::new(),
            condition: Condition::Any,
            range,
            duration: 0..=u64::MAX,
            in_pieces: false,
        };
        let (source, budget) = (Arc::clone(&context.source), Arc::clone(context.budget));
        Self { looker: Looker { source, budget, wanted, assembled: CallColumns::projection() }, range }
    }

    async fn look_at(&self, unit: Unit) -> Result<Tally, QueryError> {
        let mut tally = Tally::new(&self.looker.budget)?;
        match unit {
            Unit::Run { piece, entries } => {
                let looker = &self.looker;
                let Some((runs, entries)) = looker.alive(piece, entries).await? else { return Ok(tally) };
                let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
                let mut reader =
                    if runs.distinct() { CallReader::default() } else { CallReader::of_repeated() };
                let mut batches =
                    looker.source.read(piece, Some(&rows), &looker.assembled, &looker.budget).await?;
                while let Some(batch) = batches.try_next().await? {
                    let bytes = batch.get_array_memory_size() as u64;
                    let _reserved = looker.budget.reserve(Holder::Query, bytes)?;
                    let (names, counts) = tally.parts();
                    reader.add(&batch, names, |call| counts.add(call, &self.range))?;
                    tally.account()?;
                }
                let (names, counts) = tally.parts();
                reader.finish(names, |call| counts.add(call, &self.range));
            }
            Unit::Spread(traces) => self.look_at_spread(&traces, &mut tally).await?,
        }
        tally.account()?;
        Ok(tally)
    }

    /// Traces that have spans in several pieces, each assembled.
    async fn look_at_spread(&self, traces: &[Vec<Place>], tally: &mut Tally) -> Result<(), QueryError> {
        let looker = &self.looker;
        let mut by_piece: HashMap<usize, Vec<usize>> = HashMap::new();
        for place in traces.iter().flatten() {
            by_piece.entry(place.piece).or_default().push(place.entry);
        }
        let mut spans: HashMap<TraceId, Vec<CallSpan>> = HashMap::new();
        let mut reserved = looker.budget.reserve(Holder::Query, 0)?;
        for (piece, mut entries) in by_piece {
            let runs = looker.source.pieces()[piece].runs(&looker.budget).await;
            let Some(runs) = looker.source.undamaged(runs)? else { continue };
            entries.sort_unstable();
            entries.dedup();
            let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
            let mut batches =
                looker.source.read(piece, Some(&rows), &looker.assembled, &looker.budget).await?;
            while let Some(batch) = batches.try_next().await? {
                let bytes = batch.get_array_memory_size() as u64;
                let _batch = looker.budget.reserve(Holder::Query, bytes)?;
                let held = batch.num_rows() * 2 * size_of::<CallSpan>();
                reserved.resize(reserved.bytes() + held as u64)?;
                let columns = CallColumns::new(&batch)?;
                for row in 0..columns.len() {
                    let span = columns.span(row, tally.parts().0);
                    spans.entry(columns.trace(row)).or_default().push(span);
                }
            }
        }
        let (names, counts) = tally.parts();
        for mut spans in spans.into_values() {
            sort_spans(&mut spans);
            calls(&spans, names, |call: Call| counts.add(call, &self.range));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
