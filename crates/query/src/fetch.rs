//! Fetching whole traces by id.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use vivace_base::{Holder, MemoryBudget, Reservation};
use vivace_model::{Span, Trace, TraceId};
use vivace_storage::Projection;
use vivace_storage::columns::SpanDecoder;

use crate::QueryError;
use crate::source::Source;

/// A span in memory takes about this many times what it takes as columns.
pub(crate) const DECODED_FACTOR: u64 = 3;

/// The pieces in which to look, both inclusive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PieceRange {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl PieceRange {
    pub(crate) const ALL: PieceRange = PieceRange { first: 0, last: usize::MAX };
}

/// Spans in memory, by trace, and the reservation for them.
#[derive(Debug)]
pub(crate) struct Fetched {
    spans: HashMap<TraceId, Vec<Span>>,
    _reserved: Reservation,
}

impl Fetched {
    /// A trace, assembled.
    pub(crate) fn take(&mut self, id: TraceId) -> Option<Trace> {
        Trace::assemble(self.spans.remove(&id)?)
    }
}

/// Reads every span of the wanted traces, whatever pieces they are in.
pub(crate) async fn fetch(
    source: &Arc<Source>,
    budget: &Arc<MemoryBudget>,
    wanted: &[TraceId],
    pieces: PieceRange,
) -> Result<Fetched, QueryError> {
    let traces = Arc::new(wanted.iter().copied().collect());
    let mut spans: HashMap<TraceId, Vec<Span>> = HashMap::with_capacity(wanted.len());
    let mut reserved = budget.reserve(Holder::Query, 0)?;
    let last = pieces.last.min(source.pieces().len().saturating_sub(1));
    for piece in pieces.first..=last {
        let mut batches = source.read(piece, &Projection::everything(), Some(Arc::clone(&traces)))?;
        while let Some(batch) = batches.try_next().await? {
            let needed = batch.get_array_memory_size() as u64 * DECODED_FACTOR;
            reserved.resize(reserved.bytes() + needed)?;
            let mut decoder = SpanDecoder::new(&batch)?;
            for row in 0..batch.num_rows() {
                let span = decoder.span(row);
                spans.entry(span.trace_id).or_default().push(span);
            }
        }
    }
    Ok(Fetched { spans, _reserved: reserved })
}
