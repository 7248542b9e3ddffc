//! What a query reads: the live head and the blocks of a tenant, as one list of pieces.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{BooleanArray, FixedSizeBinaryArray, RecordBatch};
use arrow::compute::filter_record_batch;
use futures::{StreamExt, stream};
use vivace_base::ErrorKind;
use vivace_model::{TraceId, schema};
use vivace_storage::block::{SpanStream, TraceFilter};
use vivace_storage::columns::column;
use vivace_storage::{BlockError, BlockReader, Projection};

/// How many damaged pieces are named in an answer.
const NAMED_DAMAGE: usize = 4;

/// Everything a query may look at, fixed when it begins.
#[derive(Debug)]
pub(crate) struct Source {
    pieces: Vec<Piece>,
    damage: Damage,
    pub(crate) block_count: u32,
    pub(crate) block_bytes: u64,
}

/// A part of a tenant's spans. A trace may have spans in several.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Live(RecordBatch),
    Block(BlockReader),
}

/// What could not be read. It costs its own data, reported, not the query.
#[derive(Debug, Default)]
pub(crate) struct Damage(Mutex<Vec<String>>);

impl Source {
    pub(crate) fn new(pieces: Vec<Piece>, damage: Damage, block_count: u32, block_bytes: u64) -> Self {
        Self { pieces, damage, block_count, block_bytes }
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Why the answer is partial, if pieces turned out damaged.
    pub(crate) fn partial(&self) -> Option<String> {
        self.damage.message()
    }

    /// Streams a piece. Damage ends the stream early and is noted; what may work later is an error.
    pub(crate) fn read(
        self: &Arc<Self>,
        piece: usize,
        projection: &Projection,
        traces: Option<TraceFilter>,
    ) -> Result<SpanStream, BlockError> {
        let Some(piece) = self.pieces.get(piece) else { return Ok(stream::empty().boxed()) };
        let opened = match piece {
            Piece::Live(spans) => Ok(live_stream(spans, projection, traces)),
            Piece::Block(reader) => reader.read(projection, traces),
        };
        let source = Arc::clone(self);
        match opened {
            Ok(stream) => {
                let keep = move |result: Result<RecordBatch, BlockError>| match result {
                    Err(error) if source.damage.note(&error) => None,
                    other => Some(other),
                };
                Ok(stream
                    .map(keep)
                    .take_while(|kept| std::future::ready(kept.is_some()))
                    .filter_map(std::future::ready)
                    .boxed())
            }
            Err(error) if source.damage.note(&error) => Ok(stream::empty().boxed()),
            Err(error) => Err(error),
        }
    }
}

fn live_stream(spans: &RecordBatch, projection: &Projection, traces: Option<TraceFilter>) -> SpanStream {
    let read = || {
        let of_traces = match traces {
            Some(traces) => filter_record_batch(spans, &wanted(spans, &traces)?)?,
            None => spans.clone(),
        };
        Ok(of_traces.project(&projection.indices(&of_traces.schema()))?)
    };
    stream::iter([read()]).boxed()
}

fn wanted(spans: &RecordBatch, traces: &TraceFilter) -> Result<BooleanArray, BlockError> {
    let ids: &FixedSizeBinaryArray = column(spans, schema::TRACE_ID)?;
    let is_wanted = |id: Option<&[u8]>| {
        let id = id.and_then(|bytes| bytes.try_into().ok());
        id.is_some_and(|id| traces.contains(&TraceId(id)))
    };
    Ok(ids.iter().map(|id| Some(is_wanted(id))).collect())
}

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
