//! Which rows are of spans that another piece has too, so that pieces can be counted one by one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{FixedSizeBinaryArray, Int8Array, Int64Array, UInt64Array};
use futures::TryStreamExt;
use rustc_hash::FxHashMap;
use vivace_base::{Holder, MemoryBudget, Reservation};
use vivace_model::{SpanId, SpanKind, Tenants, TimeRange, TraceId, schema};
use vivace_storage::Projection;
use vivace_storage::columns::column;

use crate::QueryError;
use crate::look::joined;
use crate::source::Source;
use crate::spread::{PieceKey, SharedTraces, key};

/// What is remembered of so many sets of tenants.
const REMEMBERED: usize = 64;
/// How many traces are looked at together.
const TRACES_AT_ONCE: usize = 1_024;
/// What a span takes while it is compared, and a row that is remembered.
const SPAN_BYTES: u64 = 160;
const ROW_BYTES: u64 = 16;

/// By piece the rows, ascending, of spans whose first copy, by start and end, is in another piece.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Vec<Vec<usize>>);

impl Repeats {
    /// The rows of a piece that do not count.
    pub(crate) fn of(&self, piece: usize) -> &[usize] {
        self.0.get(piece).map_or(&[], Vec::as_slice)
    }
}

/// Remembers repeated rows by the set of pieces that share traces: those of most sets are the same from one query to
/// the next.
#[derive(Debug, Default)]
pub(crate) struct RepeatsCache(Mutex<HashMap<Tenants, Known>>);

type Known = Arc<FxHashMap<Vec<PieceKey>, Arc<Shared>>>;

/// Where the repeated rows of some tenants are remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RepeatsOf<'a> {
    pub(crate) cache: &'a RepeatsCache,
    pub(crate) tenants: &'a Tenants,
}

impl RepeatsOf<'_> {
    /// The repeated rows of a source of these tenants, those of pieces from other times perhaps left out.
    pub(crate) async fn find(
        self,
        source: &Arc<Source>,
        range: &TimeRange,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Repeats, QueryError> {
        self.cache.find(self.tenants, source, range, budget).await
    }
}

/// What is known of the traces that exactly some pieces share.
#[derive(Debug)]
struct Shared {
    /// Tells these traces from others of the same pieces.
    fingerprint: u64,
    /// By piece, ascending.
    rows: Vec<Vec<usize>>,
    _reserved: Reservation,
}

impl RepeatsCache {
    async fn find(
        &self,
        tenants: &Tenants,
        source: &Arc<Source>,
        range: &TimeRange,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Repeats, QueryError> {
        let before = self.lock().get(tenants).cloned().unwrap_or_default();
        let mut repeats = Repeats(vec![Vec::new(); source.pieces().len()]);
        let mut known = FxHashMap::default();
        for traces in source.spread.shared() {
            let pieces = &traces.pieces;
            let keys: Vec<PieceKey> = pieces.iter().map(|piece| key(&source.pieces()[*piece])).collect();
            let same = before.get(&keys).filter(|shared| shared.fingerprint == traces.fingerprint);
            let shared = match same {
                Some(shared) => Arc::clone(shared),
                None if !overlap(source, pieces, range) => continue,
                None => Arc::new(compare(source, traces, budget).await?),
            };
            pieces.iter().zip(&shared.rows).for_each(|(piece, rows)| repeats.0[*piece].extend(rows));
            known.insert(keys, shared);
        }
        repeats.0.iter_mut().for_each(|rows| rows.sort_unstable());
        let mut cache = self.lock();
        if cache.len() >= REMEMBERED && !cache.contains_key(tenants) {
            cache.clear();
        }
        cache.insert(tenants.clone(), Arc::new(known));
        Ok(repeats)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Tenants, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether any of the pieces has spans then.
pub(crate) fn overlap(source: &Source, pieces: &[usize], range: &TimeRange) -> bool {
    pieces.iter().any(|piece| source.pieces()[*piece].range().overlaps(range))
}

/// What orders the copies of a span: the first is kept, as [`vivace_model::Trace`] does.
type Copy = (u64, u64, usize, usize);

async fn compare(
    source: &Arc<Source>,
    shared: &SharedTraces,
    budget: &Arc<MemoryBudget>,
) -> Result<Shared, QueryError> {
    let fixed = vec![schema::TRACE_ID, schema::SPAN_ID, schema::KIND, schema::START, schema::DURATION];
    let projection = Projection { fixed, ..Projection::default() };
    let pieces = &shared.pieces;
    let mut rows = vec![Vec::new(); pieces.len()];
    let mut reserved = budget.reserve(Holder::Cache, 0)?;
    for traces in source.spread.places_of(shared).chunks(TRACES_AT_ONCE) {
        let mut memory = budget.reserve(Holder::Query, 0)?;
        let mut copies: HashMap<(TraceId, SpanId, SpanKind), Vec<Copy>> = HashMap::new();
        for (at, piece) in pieces.iter().enumerate() {
            let runs = source.undamaged(source.pieces()[*piece].runs(budget).await)?;
            let Some(runs) = runs else { continue };
            let of_piece = traces.iter().flat_map(|places| *places).filter(|place| place.piece == *piece);
            let mut entries: Vec<usize> = of_piece.map(|place| place.entry).collect();
            entries.sort_unstable();
            entries.dedup();
            let ranges = joined(entries.iter().map(|entry| runs.rows(*entry)));
            let mut numbers = ranges.iter().cloned().flatten();
            let mut batches = source.read(*piece, Some(&ranges), &projection, budget).await?;
            while let Some(batch) = batches.try_next().await? {
                memory.resize(memory.bytes() + batch.num_rows() as u64 * SPAN_BYTES)?;
                let ids: &FixedSizeBinaryArray = column(&batch, schema::TRACE_ID)?;
                let spans: &FixedSizeBinaryArray = column(&batch, schema::SPAN_ID)?;
                let kinds: &Int8Array = column(&batch, schema::KIND)?;
                let starts: &UInt64Array = column(&batch, schema::START)?;
                let durations: &Int64Array = column(&batch, schema::DURATION)?;
                for (row, number) in (0..batch.num_rows()).zip(&mut numbers) {
                    let trace = TraceId(ids.value(row).try_into().unwrap_or_default());
                    let span = SpanId(spans.value(row).try_into().unwrap_or_default());
                    let kind = SpanKind::from_otlp(kinds.value(row).into());
                    let start = starts.value(row);
                    let end = start.wrapping_add(durations.value(row).cast_unsigned());
                    copies.entry((trace, span, kind)).or_default().push((start, end, at, number));
                }
            }
        }
        for mut copies in copies.into_values().filter(|copies| copies.len() > 1) {
            copies.sort_unstable();
            copies[1..].iter().for_each(|(_, _, at, row)| rows[*at].push(*row));
        }
    }
    rows.iter_mut().for_each(|rows| rows.sort_unstable());
    let kept = rows.iter().map(Vec::len).sum::<usize>() as u64 * ROW_BYTES;
    reserved.resize(kept)?;
    Ok(Shared { fingerprint: shared.fingerprint, rows, _reserved: reserved })
}
