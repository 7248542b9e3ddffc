//! Looking at the traces of a unit: filters on columns first, then what is left, whole but only in the columns that
//! matter.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanBufferBuilder, FixedSizeBinaryArray, Int8Array};
use arrow::buffer::BooleanBuffer;
use futures::TryStreamExt;
use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};
use vivace_model::{Span, SpanId, Trace, TraceId, schema};
use vivace_storage::Projection;
use vivace_storage::columns::column;
use vivace_storage::index::{TraceIds, TraceRuns};

use crate::QueryError;
use crate::decode::{DECODED_FACTOR, assembled_rows, decode};
use crate::eval::{Filter, columnar, vector};
use crate::plan::Condition;
use crate::prune::Pruning;
use crate::source::Source;
use crate::spread::Place;
use crate::walk::{Wanted, alive};

/// How many rows of traces are decoded at once, but for a single trace that has more.
const DECODED_ROWS: usize = 4_096;

/// What the tasks of one walk share.
#[derive(Debug)]
pub(crate) struct Looker {
    pub(crate) source: Arc<Source>,
    pub(crate) budget: Arc<MemoryBudget>,
    pub(crate) wanted: Wanted,
    /// What is read of traces that are assembled.
    pub(crate) assembled: Projection,
}

/// Traces of one piece, and which of their rows the filters hold on.
#[derive(Debug)]
pub(crate) struct Looked<'a> {
    pub(crate) piece: usize,
    pub(crate) runs: &'a TraceRuns,
    /// Those looked at, by their place in the piece's table, ascending.
    pub(crate) entries: Vec<usize>,
    /// Where each one's rows begin among the rows looked at; the number of those at the end.
    pub(crate) offsets: Vec<usize>,
    /// For each filter the rows it holds on, among those looked at.
    pub(crate) matches: Vec<BooleanBuffer>,
    /// Spans read.
    pub(crate) spans: u64,
}

impl Looker {
    /// Evaluates the filters on the traces of a unit.
    pub(crate) async fn look(
        &self,
        piece: usize,
        entries: Range<usize>,
    ) -> Result<Option<Looked<'_>>, QueryError> {
        let Some((runs, entries)) = self.alive(piece, entries).await? else { return Ok(None) };
        let mut offsets = vec![0];
        offsets.extend(entries.iter().scan(0, |sum, entry| {
            *sum += runs.rows(*entry).len();
            Some(*sum)
        }));
        let mut looked = Looked { piece, runs, entries, offsets, matches: Vec::new(), spans: 0 };
        self.evaluate(&mut looked).await?;
        Ok(Some(looked))
    }

    /// Evaluates the filters on what one piece has of a trace that may have more elsewhere.
    pub(crate) async fn look_at(&self, place: Place) -> Result<Option<Looked<'_>>, QueryError> {
        let Some(piece) = self.source.pieces().get(place.piece) else { return Ok(None) };
        let Some(runs) = self.source.undamaged(piece.runs(&self.budget).await)? else { return Ok(None) };
        let (entries, offsets) = (vec![place.entry], vec![0, runs.rows(place.entry).len()]);
        let mut looked = Looked { piece: place.piece, runs, entries, offsets, matches: Vec::new(), spans: 0 };
        self.evaluate(&mut looked).await?;
        Ok(Some(looked))
    }

    /// Whether a trace is large and none of its spans is there twice, so that what each piece has can be looked at alone.
    pub(crate) async fn is_apart(&self, places: &[Place]) -> Result<bool, QueryError> {
        let (mut tables, mut count) = (Vec::with_capacity(places.len()), 0);
        for place in places {
            let Some(piece) = self.source.pieces().get(place.piece) else { continue };
            let Some(runs) = self.source.undamaged(piece.runs(&self.budget).await)? else { continue };
            count += runs.rows(place.entry).len();
            tables.push((place.piece, runs.rows(place.entry)));
        }
        if count <= DECODED_ROWS {
            return Ok(false);
        }
        let reserved = self.budget.reserve(Holder::Query, (count * size_of::<(SpanId, i8)>()) as u64);
        let Ok(_reserved) = reserved else { return Ok(false) };
        let mut keys: Vec<(SpanId, i8)> = Vec::with_capacity(count);
        let mut trace: Option<Vec<u8>> = None;
        let fixed = vec![schema::TRACE_ID, schema::SPAN_ID, schema::KIND];
        let projection = Projection { fixed, ..Projection::default() };
        for (piece, rows) in tables {
            let mut batches = self.source.read(piece, Some(&[rows]), &projection, &self.budget).await?;
            while let Some(batch) = batches.try_next().await? {
                let traces: &FixedSizeBinaryArray = column(&batch, schema::TRACE_ID)?;
                let spans: &FixedSizeBinaryArray = column(&batch, schema::SPAN_ID)?;
                let kinds: &Int8Array = column(&batch, schema::KIND)?;
                for row in 0..batch.num_rows() {
                    // Another may share the hash.
                    if trace.get_or_insert_with(|| traces.value(row).to_vec()) != traces.value(row) {
                        return Ok(false);
                    }
                    let id = SpanId(spans.value(row).try_into().unwrap_or_default());
                    keys.push((id, kinds.value(row)));
                }
            }
        }
        keys.sort_unstable();
        Ok(keys.windows(2).all(|pair| pair[0] != pair[1]))
    }

    /// Which traces a piece has.
    pub(crate) async fn ids(&self, piece: usize) -> Result<Option<&TraceIds>, QueryError> {
        let Some(piece) = self.source.pieces().get(piece) else { return Ok(None) };
        Ok(self.source.undamaged(piece.ids(&self.budget).await)?)
    }

    /// The traces of a unit that are worth looking at, and the table they are places of.
    pub(crate) async fn alive(
        &self,
        at: usize,
        entries: Range<usize>,
    ) -> Result<Option<(&TraceRuns, Vec<usize>)>, QueryError> {
        let Some(piece) = self.source.pieces().get(at) else { return Ok(None) };
        let Some(runs) = self.source.undamaged(piece.runs(&self.budget).await)? else { return Ok(None) };
        let pruning = Pruning::of_piece(&self.wanted.filters, piece, &self.budget).await?;
        Ok(Some((runs, alive(&self.source, &self.wanted, runs, &pruning, (at, entries)))))
    }

    async fn evaluate(&self, looked: &mut Looked<'_>) -> Result<(), QueryError> {
        let filters = &self.wanted.filters;
        let rows = looked.offsets.last().copied().unwrap_or_default();
        let open = |filter: &Filter| if filter.needs_trace() { Some(true) } else { filter.constant() };
        let mut projection = Projection::default();
        let mut matches: Vec<BooleanBufferBuilder> = Vec::with_capacity(filters.len());
        for filter in filters {
            let mut bits = BooleanBufferBuilder::new(rows);
            match open(filter) {
                Some(truth) => bits.append_n(rows, truth),
                None => columnar::project(filter, &mut projection),
            }
            matches.push(bits);
        }
        let asked: Vec<usize> = (0..filters.len()).filter(|at| open(&filters[*at]).is_none()).collect();
        if !asked.is_empty() && rows > 0 {
            let ranges = looked.rows();
            let mut batches =
                self.source.read(looked.piece, Some(&ranges), &projection, &self.budget).await?;
            while let Some(batch) = batches.try_next().await? {
                for at in &asked {
                    matches[*at].append_buffer(&vector::holds(&filters[*at], &batch)?);
                }
                looked.spans += batch.num_rows() as u64;
            }
        }
        // Rows that could not be read match nothing.
        matches.iter_mut().for_each(|bits| bits.append_n(rows - bits.len().min(rows), false));
        looked.matches = matches.into_iter().map(|mut bits| bits.finish()).collect();
        Ok(())
    }

    /// Assembles traces of one piece out of the columns that matter, in the order given, and gives them to `each`, which
    /// says whether it wants more. Rows are decoded a few thousand at a time.
    pub(crate) async fn assemble(
        &self,
        looked: &Looked<'_>,
        entries: &[usize],
        mut each: impl FnMut(Trace) -> Result<bool, QueryError>,
    ) -> Result<(), QueryError> {
        let mut rest = entries;
        while !rest.is_empty() {
            let mut rows = 0;
            let fits = |entry: &&usize| {
                let before = rows;
                rows += looked.runs.rows(**entry).len();
                before == 0 || rows <= DECODED_ROWS
            };
            let (portion, others) = rest.split_at(rest.iter().take_while(fits).count());
            rest = others;
            // Decoding takes long without ever waiting for anything.
            tokio::task::yield_now().await;
            let place = |entry: &usize| vec![Place { piece: looked.piece, entry: *entry }];
            let places: Vec<_> = portion.iter().map(place).collect();
            if !self.assemble_places(&places, &mut each).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Assembles traces, each given by its places, in the order given; false once `each` wants no more. Traces that
    /// share a hash share places. A trace that does not fit into memory is left out, which the source notes.
    pub(crate) async fn assemble_places(
        &self,
        traces: &[Vec<Place>],
        each: &mut impl FnMut(Trace) -> Result<bool, QueryError>,
    ) -> Result<bool, QueryError> {
        match self.read_places(traces).await {
            Ok((spans, _reserved)) => return give(spans, traces.len(), each),
            Err(QueryError::NoMemory(_)) => {}
            Err(error) => return Err(error),
        }
        // One by one, so that a trace that does not fit costs no other.
        for places in traces {
            match self.read_places(std::slice::from_ref(places)).await {
                Ok((spans, _reserved)) => {
                    if !give(spans, 1, each)? {
                        return Ok(false);
                    }
                }
                Err(QueryError::NoMemory(refused)) => self.leave_out(places, refused).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Notes that a trace is not looked at, since it does not fit into memory; an error as long as more may be had.
    pub(crate) async fn leave_out(&self, places: &[Place], refused: MemoryRefused) -> Result<(), QueryError> {
        if !self.budget.is_last_resort() {
            return Err(refused.into());
        }
        let projection = Projection { fixed: vec![schema::TRACE_ID], ..Projection::default() };
        for Place { piece, entry } in places {
            let runs = self.source.pieces()[*piece].runs(&self.budget).await;
            let Some(runs) = self.source.undamaged(runs)? else { continue };
            let first = runs.rows(*entry).start;
            let mut batches = self
                .source
                .read(*piece, Some(std::slice::from_ref(&(first..first + 1))), &projection, &self.budget)
                .await?;
            let Some(batch) = batches.try_next().await? else { continue };
            let ids: &FixedSizeBinaryArray = column(&batch, schema::TRACE_ID)?;
            let id = TraceId(ids.value(0).try_into().unwrap_or_default());
            self.source.leave_out(id, refused);
            break;
        }
        Ok(())
    }

    /// Reads the wanted columns of all spans at these places, by the position of the places.
    async fn read_places(&self, traces: &[Vec<Place>]) -> Result<(Spans, Reservation), QueryError> {
        let mut by_piece: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
        for (at, places) in traces.iter().enumerate() {
            for place in places {
                by_piece.entry(place.piece).or_default().push((place.entry, at));
            }
        }
        let mut reserved = self.budget.reserve(Holder::Query, 0)?;
        let mut tables = Vec::with_capacity(by_piece.len());
        for (piece, mut entries) in by_piece {
            let runs = self.source.pieces()[piece].runs(&self.budget).await;
            let Some(runs) = self.source.undamaged(runs)? else { continue };
            entries.sort_unstable();
            let count: usize = entries.iter().map(|(entry, _)| runs.rows(*entry).len()).sum();
            reserved.resize(reserved.bytes() + assembled_rows(count))?;
            tables.push((piece, entries, runs));
        }
        let mut spans: Spans = HashMap::with_capacity(traces.len());
        for (piece, entries, runs) in tables {
            let rows = joined(entries.iter().map(|(entry, _)| runs.rows(*entry)));
            let mut batches = self.source.read(piece, Some(&rows), &self.assembled, &self.budget).await?;
            let mut owners =
                entries.iter().flat_map(|(entry, at)| std::iter::repeat_n(*at, runs.rows(*entry).len()));
            while let Some(batch) = batches.try_next().await? {
                let needed = batch.get_array_memory_size() as u64 * DECODED_FACTOR;
                reserved.resize(reserved.bytes() + needed)?;
                for (span, owner) in decode(&batch)?.into_iter().zip(&mut owners) {
                    spans.entry(owner).or_default().push(span);
                }
            }
        }
        Ok((spans, reserved))
    }
}

/// Spans by the position of the places they were read from.
type Spans = HashMap<usize, Vec<Span>>;

/// Assembles traces, in the order of their places; false once `each` wants no more.
fn give(
    mut spans: Spans,
    places: usize,
    each: &mut impl FnMut(Trace) -> Result<bool, QueryError>,
) -> Result<bool, QueryError> {
    for at in 0..places {
        let mut of_places = spans.remove(&at).unwrap_or_default();
        let mut ids: Vec<TraceId> = Vec::new();
        for span in &of_places {
            if !ids.contains(&span.trace_id) {
                ids.push(span.trace_id);
            }
        }
        for id in ids {
            let (this, others) = of_places.into_iter().partition(|span| span.trace_id == id);
            of_places = others;
            let Some(trace) = Trace::assemble(this) else { continue };
            if !each(trace)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

impl Looked<'_> {
    /// The rows looked at, as ranges that do not touch.
    fn rows(&self) -> Vec<Range<usize>> {
        joined(self.entries.iter().map(|entry| self.runs.rows(*entry)))
    }

    /// Those that meet the condition, by their position in [`Looked::entries`], the newest first; those that start
    /// together by id, as they stand.
    pub(crate) fn candidates(&self, condition: &Condition) -> impl Iterator<Item = usize> {
        let matched: Vec<Vec<u32>> = self.matches.iter().map(|bits| self.count(bits)).collect();
        let often = move |filter: usize, at: usize| matched.get(filter).map_or(0, |counts| counts[at]);
        let meets = |at: &usize| condition.is_met(&|filter, least| i64::from(often(filter, *at)) >= least);
        let mut found: Vec<usize> = (0..self.entries.len()).filter(meets).collect();
        found.sort_by_key(|at| Reverse(self.runs.range(self.entries[*at]).start));
        found.into_iter()
    }

    /// The rows of one trace among those looked at.
    pub(crate) fn rows_of(&self, at: usize) -> Range<usize> {
        self.offsets[at]..self.offsets[at + 1]
    }

    fn count(&self, bits: &BooleanBuffer) -> Vec<u32> {
        let mut counts = vec![0; self.entries.len()];
        let mut at = 0;
        for row in bits.set_indices() {
            while self.offsets[at + 1] <= row {
                at += 1;
            }
            counts[at] += 1;
        }
        counts
    }
}

/// Ranges in ascending order, neighbours joined.
pub(crate) fn joined(rows: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for rows in rows {
        match ranges.last_mut() {
            Some(last) if last.end == rows.start => last.end = rows.end,
            _ => ranges.push(rows),
        }
    }
    ranges
}
