use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{FixedSizeBinaryArray, Int8Array, RecordBatch, UInt64Array};
use futures::TryStreamExt;
use vivace_base::{Holder, MemoryBudget, Reservation, UnixNanos};
use vivace_model::{Span, SpanId, SpanKind, TraceId, schema};
use vivace_storage::block::SpanStream;
use vivace_storage::columns::column;
use vivace_storage::index::TraceHash;
use vivace_storage::{ColumnError, Projection};

use super::identities::{Identities, Noted};
use super::weight::Weights;
use super::{PORTION_BYTES, PORTION_SPANS, Portion};
use crate::QueryError;
use crate::decode::{DECODED_FACTOR, decode};
use crate::look::joined;
use crate::source::Source;

/// Rows of a piece that are decoded at once.
const DECODED_ROWS: usize = 1_024;
/// The same for all pieces that are open at once together, as long as each has a few.
const DECODED_TOGETHER: usize = 8_192;
const FEWEST_DECODED: usize = 64;

/// The spans of one trace, from all pieces, in the order of the trace.
pub(super) struct Merge {
    source: Arc<Source>,
    budget: Arc<MemoryBudget>,
    id: TraceId,
    /// Those whose turn has not come, the first to come last.
    waiting: Vec<Part>,
    open: Vec<Open>,
    identities: Identities,
    /// Rows of a piece that are decoded at once.
    batch_rows: usize,
    /// For identities, pages, a portion and what is written of it.
    fixed: u64,
    reserved: Reservation,
}

/// A piece's rows of the trace.
struct Part {
    piece: usize,
    rows: Vec<Range<usize>>,
    /// When the first and the last of its spans start.
    starts: (UnixNanos, UnixNanos),
    /// Its spans, where the trace is so small that they were read at once.
    held: Option<VecDeque<Span>>,
}

/// A piece that is being read.
struct Open {
    /// Decoded, in order; empty only at its end.
    spans: VecDeque<Span>,
    bytes: u64,
    rest: Option<SpanStream>,
}

impl Merge {
    /// Finds the trace's rows and how they go together. A trace of one portion is read at once, of a larger one only what
    /// its order needs.
    pub(super) async fn new(
        source: &Arc<Source>,
        budget: &Arc<MemoryBudget>,
        id: TraceId,
    ) -> Result<Self, QueryError> {
        let mut merge = Self {
            source: Arc::clone(source),
            budget: Arc::clone(budget),
            id,
            waiting: find(source, budget, id).await?,
            open: Vec::new(),
            identities: Identities::default(),
            batch_rows: DECODED_ROWS,
            fixed: 0,
            reserved: budget.reserve(Holder::Query, 0)?,
        };
        let count: usize = merge.waiting.iter().map(Part::len).sum();
        let noted = if count <= PORTION_SPANS { merge.hold().await? } else { None };
        let noted = match noted {
            Some(noted) => noted,
            None => merge.note().await?,
        };
        merge.waiting.retain(|part| part.starts.0 <= part.starts.1);
        merge.waiting.sort_unstable_by_key(|part| std::cmp::Reverse(part.starts.0));
        merge.identities = Identities::new(noted);
        merge.settle()?;
        Ok(merge)
    }

    pub(super) fn partial(&self) -> Option<String> {
        self.source.partial()
    }

    /// Reads all spans, unless they take more than a portion.
    async fn hold(&mut self) -> Result<Option<Vec<Noted>>, QueryError> {
        let (mut noted, mut bytes) = (Vec::new(), 0);
        for at in 0..self.waiting.len() {
            let part = &self.waiting[at];
            let mut open = self.source.trickle(part.piece, &part.rows, self.batch_rows)?;
            let mut held = VecDeque::with_capacity(part.len());
            while let Some(batch) = open.try_next().await? {
                self.reserved.resize(bytes + batch.get_array_memory_size() as u64 * DECODED_FACTOR)?;
                let spans = of_trace(&batch, self.id)?;
                bytes += weigh(&spans);
                if bytes > PORTION_BYTES {
                    self.waiting.iter_mut().for_each(|part| part.held = None);
                    return Ok(None);
                }
                noted.extend(spans.iter().map(Noted::of));
                held.extend(spans);
            }
            let part = &mut self.waiting[at];
            held.iter().for_each(|span| part.note(span.start));
            part.held = Some(held);
        }
        self.fixed = bytes;
        Ok(Some(noted))
    }

    /// Reads ids, kinds and starts.
    async fn note(&mut self) -> Result<Vec<Noted>, QueryError> {
        let count: usize = self.waiting.iter().map(Part::len).sum();
        self.reserved.resize(count as u64 * Noted::WORKING_BYTES)?;
        let mut noted = Vec::with_capacity(count);
        let fixed = vec![schema::TRACE_ID, schema::SPAN_ID, schema::KIND, schema::START];
        let projection = Projection { fixed, ..Projection::default() };
        for part in &mut self.waiting {
            let mut batches =
                self.source.read(part.piece, Some(&part.rows), &projection, &self.budget).await?;
            while let Some(batch) = batches.try_next().await? {
                let _reserved = self.budget.reserve(Holder::Query, batch.get_array_memory_size() as u64)?;
                note_rows(&batch, self.id, |id, kind, start| {
                    part.note(start);
                    noted.push(Noted::new(id, kind, start));
                })?;
            }
        }
        Ok(noted)
    }

    /// Reserves what reading takes from here on, as far as that is known, so that nothing is refused later.
    fn settle(&mut self) -> Result<(), QueryError> {
        let holds = |part: &Part| part.held.is_some();
        self.fixed += self.identities.memory();
        if !self.waiting.iter().all(holds) {
            let together = self.most_open(|_| 1).max(1) as usize;
            self.batch_rows = (DECODED_TOGETHER / together).clamp(FEWEST_DECODED, DECODED_ROWS);
            let pieces = self.source.pieces();
            let rows = self.batch_rows;
            self.fixed += self.most_open(|part| pieces[part.piece].trickle_memory(part.len(), rows));
            self.fixed += 2 * PORTION_BYTES;
        }
        Ok(self.reserved.resize(self.fixed)?)
    }

    /// The most that all pieces which are open at once come to.
    fn most_open(&self, each: impl Fn(&Part) -> u64) -> u64 {
        let open_at = |at: UnixNanos| {
            let is_open = |part: &&Part| part.starts.0 <= at && at <= part.starts.1;
            self.waiting.iter().filter(is_open).map(&each).sum()
        };
        self.waiting.iter().map(|part| open_at(part.starts.0)).max().unwrap_or_default()
    }

    /// The next spans; [`None`] at the end.
    pub(super) async fn portion(&mut self) -> Result<Option<Vec<Span>>, QueryError> {
        let mut portion = Portion::default();
        while !portion.is_full()
            && let Some(mut span) = self.next().await?
        {
            if self.identities.is_first(&span) {
                self.identities.separate(&mut span);
                portion.push(span);
            }
        }
        let spans = portion.finish().map(|mut spans| {
            // Server spans have other ids than those they were ordered by.
            spans.sort_by_key(key);
            spans
        });
        Ok(spans)
    }

    async fn next(&mut self) -> Result<Option<Span>, QueryError> {
        loop {
            let first =
                self.open.iter().enumerate().filter_map(|(at, open)| Some((key(open.spans.front()?), at)));
            let first = first.min();
            let start = first.map(|((start, ..), _)| start);
            if let Some(part) = self.waiting.pop_if(|part| start.is_none_or(|start| part.starts.0 <= start)) {
                let open = self.open(part)?;
                self.open.push(open);
                let last = self.open.len() - 1;
                self.refill(last).await?;
                continue;
            }
            let Some((_, at)) = first else { return Ok(None) };
            let span = self.open[at].spans.pop_front();
            if self.open[at].spans.is_empty() {
                self.refill(at).await?;
            }
            return Ok(span);
        }
    }

    fn open(&self, part: Part) -> Result<Open, QueryError> {
        let rest = match part.held {
            Some(_) => None,
            None => Some(self.source.trickle(part.piece, &part.rows, self.batch_rows)?),
        };
        Ok(Open { spans: part.held.unwrap_or_default(), bytes: 0, rest })
    }

    /// Decodes what comes next of an open piece that has nothing decoded; closes it at its end.
    async fn refill(&mut self, at: usize) -> Result<(), QueryError> {
        while self.open[at].spans.is_empty() {
            let open = &mut self.open[at];
            open.bytes = 0;
            let batch = match &mut open.rest {
                Some(rest) => rest.try_next().await?,
                None => None,
            };
            let Some(batch) = batch else {
                self.open.swap_remove(at);
                return Ok(());
            };
            let decoded: u64 = self.open.iter().map(|open| open.bytes).sum();
            let needed = self.fixed + decoded + batch.get_array_memory_size() as u64 * DECODED_FACTOR;
            if needed > self.reserved.bytes() {
                self.reserved.resize(needed)?;
            }
            let spans = of_trace(&batch, self.id)?;
            let open = &mut self.open[at];
            open.bytes = weigh(&spans);
            open.spans.extend(spans);
        }
        Ok(())
    }
}

impl Part {
    fn len(&self) -> usize {
        self.rows.iter().map(Range::len).sum()
    }

    fn note(&mut self, start: UnixNanos) {
        self.starts = (self.starts.0.min(start), self.starts.1.max(start));
    }
}

/// The order of spans in a trace ([`vivace_model::Trace::assemble`]).
fn key(span: &Span) -> (UnixNanos, SpanId, u8, UnixNanos) {
    (span.start, span.span_id, span.kind as u8, span.end)
}

fn weigh(spans: &[Span]) -> u64 {
    let mut weights = Weights::default();
    spans.iter().map(|span| weights.next(span)).sum()
}

/// The spans of a batch that are of the trace: another may share its hash.
fn of_trace(batch: &RecordBatch, id: TraceId) -> Result<Vec<Span>, ColumnError> {
    let mut spans = decode(batch)?;
    spans.retain(|span| span.trace_id == id);
    Ok(spans)
}

fn note_rows(
    batch: &RecordBatch,
    id: TraceId,
    mut note: impl FnMut(SpanId, SpanKind, UnixNanos),
) -> Result<(), ColumnError> {
    let trace_ids: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
    let span_ids: &FixedSizeBinaryArray = column(batch, schema::SPAN_ID)?;
    let kinds: &Int8Array = column(batch, schema::KIND)?;
    let starts: &UInt64Array = column(batch, schema::START)?;
    for row in (0..batch.num_rows()).filter(|row| trace_ids.value(*row) == id.0) {
        let span_id = SpanId(span_ids.value(row).try_into().unwrap_or_default());
        note(span_id, SpanKind::from_otlp(kinds.value(row).into()), starts.value(row));
    }
    Ok(())
}

/// Where the rows of a trace are. Their starts are not known yet.
async fn find(
    source: &Arc<Source>,
    budget: &Arc<MemoryBudget>,
    id: TraceId,
) -> Result<Vec<Part>, QueryError> {
    let mut parts = Vec::new();
    for (at, piece) in source.pieces().iter().enumerate() {
        let Some(ids) = source.undamaged(piece.ids(budget).await)? else { continue };
        let mut entries: Vec<usize> = ids.find(TraceHash::of(&id)).collect();
        if entries.is_empty() {
            continue;
        }
        entries.sort_unstable();
        let Some(runs) = source.undamaged(piece.runs(budget).await)? else { continue };
        let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
        parts.push(Part { piece: at, rows, starts: (UnixNanos::MAX, 0), held: None });
    }
    Ok(parts)
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").field("id", &self.id).finish_non_exhaustive()
    }
}
