//! What a query reads: the live head and the blocks of a tenant, as one list of pieces.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::{StreamExt, stream};
use vivace_base::{ErrorKind, Holder, MemoryBudget, MemoryRefused, Reservation};
use vivace_model::{TimeRange, TraceId};
use vivace_storage::block::{SortedSpans, SpanStream};
use vivace_storage::index::{LISTED_KEYS, TraceIds, TraceRuns, ValueHash};
use vivace_storage::{BlockError, BlockReader, Projection};

use crate::QueryError;
use crate::spread::Spread;

/// How many damaged pieces and traces left out are named in an answer.
const NAMED_DAMAGE: usize = 4;

/// Everything a query may look at, fixed when it begins.
#[derive(Debug)]
pub(crate) struct Source {
    pieces: Vec<Piece>,
    pub(crate) spread: Spread,
    damage: Damage,
    left_out: Mutex<Vec<TooLarge>>,
    pub(crate) block_count: u32,
    pub(crate) block_bytes: u64,
}

/// A trace that did not fit into memory, and what was missing.
type TooLarge = (TraceId, MemoryRefused);

/// A part of a tenant's spans, in the order of a block. A trace may have spans in several.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Live(SortedSpans),
    Block(BlockReader),
}

impl Piece {
    pub(crate) fn block(&self) -> Option<&BlockReader> {
        match self {
            Self::Block(reader) => Some(reader),
            Self::Live(_) => None,
        }
    }

    /// From the first start to the last end.
    pub(crate) fn range(&self) -> TimeRange {
        match self {
            Self::Block(reader) => reader.range(),
            Self::Live(spans) => spans.range(),
        }
    }

    pub(crate) async fn ids(&self, budget: &Arc<MemoryBudget>) -> Result<&TraceIds, BlockError> {
        match self {
            Self::Live(spans) => Ok(spans.ids()),
            Self::Block(reader) => reader.trace_ids(budget).await,
        }
    }

    pub(crate) async fn runs(&self, budget: &Arc<MemoryBudget>) -> Result<&TraceRuns, BlockError> {
        match self {
            Self::Live(spans) => Ok(spans.runs()),
            Self::Block(reader) => reader.trace_runs(budget).await,
        }
    }

    /// Without the lists that have none of the keys that are looked for in them.
    async fn narrowed(
        &self,
        projection: &Projection,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Projection, MemoryRefused> {
        let mut narrowed = projection.clone();
        if !projection.listed.is_empty()
            && let Self::Block(reader) = self
            && let Some(keys) = reader.zones(LISTED_KEYS, budget).await?
        {
            narrowed.listed.retain(|(scope, key)| keys.may_have_anywhere(ValueHash::of_key(*scope, key)));
        }
        Ok(narrowed)
    }

    /// About how many bytes of memory reading so many whole spans takes, a batch of so many at a time.
    pub(crate) fn trickle_memory(&self, rows: usize, batch_rows: usize) -> u64 {
        match self {
            Self::Block(reader) => reader.trickle_memory(rows, batch_rows),
            Self::Live(_) => 0,
        }
    }

    /// As [`Piece::read`], a little at a time.
    fn trickle(
        &self,
        rows: &[Range<usize>],
        projection: &Projection,
        batch_rows: usize,
    ) -> Result<SpanStream, BlockError> {
        match self {
            Self::Block(reader) => reader.trickle_rows(rows, projection, batch_rows),
            Self::Live(spans) => Ok(live_trickle(spans.spans(), rows, projection, batch_rows)),
        }
    }

    /// Streams the wanted columns of all rows, or of some: ascending ranges, each beginning with a trace.
    fn read(
        &self,
        rows: Option<&[Range<usize>]>,
        projection: &Projection,
        budget: &Arc<MemoryBudget>,
    ) -> Result<SpanStream, BlockError> {
        match (self, rows) {
            (Self::Block(reader), None) => reader.read(projection),
            (Self::Block(reader), Some(rows)) => reader.read_rows(rows, projection, budget),
            (Self::Live(spans), rows) => Ok(live_stream(spans.spans(), rows, projection, budget)),
        }
    }
}

impl Source {
    pub(crate) fn new(
        pieces: Vec<Piece>,
        spread: Spread,
        damage: Damage,
        block_count: u32,
        block_bytes: u64,
    ) -> Self {
        Self { pieces, spread, damage, left_out: Mutex::default(), block_count, block_bytes }
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Why the answer is partial, if pieces turned out damaged or traces were left out.
    pub(crate) fn partial(&self) -> Option<String> {
        let too_large = |(trace, refused): TooLarge| QueryError::TooLargeTrace { trace, refused };
        let left_out = self.left_out().into_iter().map(|of| format!("left out: {}", too_large(of)));
        let reasons: Vec<String> = self.damage.message().into_iter().chain(left_out).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Notes that a trace is not looked at, since it does not fit into memory.
    pub(crate) fn leave_out(&self, trace: TraceId, refused: MemoryRefused) {
        tracing::warn!(%trace, %refused, "left out of an answer");
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if left_out.len() < NAMED_DAMAGE && left_out.iter().all(|(known, _)| *known != trace) {
            left_out.push((trace, refused));
        }
    }

    /// Traces that were not looked at; the first few of them.
    pub(crate) fn left_out(&self) -> Vec<TooLarge> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What came of reading a piece; [`None`] when it turned out damaged, which is noted.
    pub(crate) fn undamaged<T>(&self, read: Result<T, BlockError>) -> Result<Option<T>, BlockError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if self.damage.note(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Streams the wanted columns of a piece's rows, of all or of some: ascending ranges, each beginning with a trace.
    /// Damage ends the stream early and is noted; what may work later is an error.
    pub(crate) async fn read(
        self: &Arc<Self>,
        piece: usize,
        rows: Option<&[Range<usize>]>,
        projection: &Projection,
        budget: &Arc<MemoryBudget>,
    ) -> Result<SpanStream, BlockError> {
        let Some(piece) = self.pieces.get(piece) else { return Ok(stream::empty().boxed()) };
        let narrowed = piece.narrowed(projection, budget).await?;
        self.noting_damage(piece.read(rows, &narrowed, budget))
    }

    /// Streams all columns of some of a piece's rows a little at a time; as [`Source::read`].
    pub(crate) fn trickle(
        self: &Arc<Self>,
        piece: usize,
        rows: &[Range<usize>],
        batch_rows: usize,
    ) -> Result<SpanStream, BlockError> {
        let Some(piece) = self.pieces.get(piece) else { return Ok(stream::empty().boxed()) };
        self.noting_damage(piece.trickle(rows, &Projection::everything(), batch_rows))
    }

    fn noting_damage(
        self: &Arc<Self>,
        stream: Result<SpanStream, BlockError>,
    ) -> Result<SpanStream, BlockError> {
        let Some(stream) = self.undamaged(stream)? else { return Ok(stream::empty().boxed()) };
        let source = Arc::clone(self);
        let keep = move |batch| source.undamaged(batch).transpose();
        Ok(stream
            .map(keep)
            .take_while(|kept| std::future::ready(kept.is_some()))
            .filter_map(std::future::ready)
            .boxed())
    }
}

fn live_trickle(
    spans: &RecordBatch,
    rows: &[Range<usize>],
    projection: &Projection,
    batch_rows: usize,
) -> SpanStream {
    let wanted = match spans.project(&projection.indices(&spans.schema())) {
        Ok(wanted) => wanted,
        Err(error) => return stream::iter([Err(error.into())]).boxed(),
    };
    let batch_rows = batch_rows.max(1);
    let cut = |rows: &Range<usize>| {
        let end = rows.end;
        rows.clone().step_by(batch_rows).map(move |start| start..end.min(start + batch_rows))
    };
    let slices: Vec<Range<usize>> = rows.iter().flat_map(cut).collect();
    stream::iter(slices.into_iter().map(move |rows| Ok(wanted.slice(rows.start, rows.len())))).boxed()
}

fn live_stream(
    spans: &RecordBatch,
    rows: Option<&[Range<usize>]>,
    projection: &Projection,
    budget: &Arc<MemoryBudget>,
) -> SpanStream {
    let read = || -> Result<(RecordBatch, Option<Reservation>), BlockError> {
        let wanted = spans.project(&projection.indices(&spans.schema()))?;
        let Some(rows) = rows else { return Ok((wanted, None)) };
        if let [rows] = rows {
            return Ok((wanted.slice(rows.start, rows.len()), None));
        }
        // Several ranges are copied.
        let copied = rows.iter().map(Range::len).sum::<usize>() as u64;
        let bytes = wanted.get_array_memory_size() as u64 / (wanted.num_rows() as u64).max(1) * copied;
        let reserved = budget.reserve(Holder::Query, bytes)?;
        let picked: Vec<_> = rows.iter().map(|rows| wanted.slice(rows.start, rows.len())).collect();
        Ok((concat_batches(&wanted.schema(), &picked)?, Some(reserved)))
    };
    let (batch, reserved) = match read() {
        Ok((batch, reserved)) => (Ok(batch), reserved),
        Err(error) => (Err(error), None),
    };
    let end = stream::once(async move {
        // Until the batch has been dealt with.
        drop(reserved);
        None
    });
    stream::iter([Some(batch)]).chain(end).filter_map(std::future::ready).boxed()
}

/// What could not be read. It costs its own data, reported, not the query.
#[derive(Debug, Default)]
pub(crate) struct Damage(Mutex<Vec<String>>);

impl Damage {
    /// Notes damage; false when the error is of another kind.
    pub(crate) fn note(&self, error: &BlockError) -> bool {
        if error.kind() != ErrorKind::Corrupt {
            return false;
        }
        tracing::error!(%error, "skipped in an answer");
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NAMED_DAMAGE {
            notes.push(error.to_string());
        }
        true
    }

    fn message(&self) -> Option<String> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!notes.is_empty()).then(|| format!("some data could not be read: {}", notes.join("; ")))
    }
}
