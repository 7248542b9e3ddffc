//! What is wrong about counting pieces one by one: a trace with spans in several of them has calls that no piece knows,
//! and pieces take its parts for wholes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use rustc_hash::FxHashMap;
use vivace_base::{Holder, MemoryBudget, Reservation};
use vivace_model::{Tenants, TimeRange, TraceId};
use vivace_storage::index::{CallColumns, CallSpan, CountedCall, Names, calls, sort_spans};

use super::Minutes;
use super::tally::Tally;
use crate::QueryError;
use crate::look::joined;
use crate::repeats::overlap;
use crate::search::SearchContext;
use crate::source::Source;
use crate::spread::{PieceKey, Place, SharedTraces, key};

/// What is remembered of so many sets of tenants.
const REMEMBERED: usize = 64;
/// How many traces are looked at together.
const TRACES_AT_ONCE: usize = 256;
/// What a difference takes, a name, and a span while it is looked at.
const DIFFERENCE_BYTES: u64 = 96;
const NAME_BYTES: u64 = 192;
const SPAN_BYTES: u64 = 3 * size_of::<CallSpan>() as u64;

/// Remembers corrections by the set of pieces that share traces, as [`crate::repeats::RepeatsCache`] does.
#[derive(Debug, Default)]
pub(crate) struct CorrectionsCache(Mutex<HashMap<Tenants, Known>>);

type Known = Arc<FxHashMap<Vec<PieceKey>, Arc<Correction>>>;

/// Where the corrections of some tenants are remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CorrectionsOf<'a> {
    pub(crate) cache: &'a CorrectionsCache,
    pub(crate) tenants: &'a Tenants,
}

/// Of the traces that exactly some pieces share: the calls of the whole traces less those of their parts.
#[derive(Debug)]
struct Correction {
    fingerprint: u64,
    names: Names,
    differences: Vec<(CountedCall, i64)>,
    _reserved: Reservation,
}

impl CorrectionsOf<'_> {
    /// Puts right what was counted of these minutes.
    pub(super) async fn apply(
        self,
        context: &SearchContext<'_>,
        range: &TimeRange,
        minutes: &Minutes,
        tally: &mut Tally,
    ) -> Result<(), QueryError> {
        let before = self.lock().get(self.tenants).cloned().unwrap_or_default();
        let mut known = FxHashMap::default();
        let source = &context.source;
        for traces in source.spread.shared() {
            let pieces = &traces.pieces;
            let keys: Vec<PieceKey> = pieces.iter().map(|piece| key(&source.pieces()[*piece])).collect();
            let same = before.get(&keys).filter(|correction| correction.fingerprint == traces.fingerprint);
            let correction = match same {
                Some(correction) => Arc::clone(correction),
                None if !overlap(source, pieces, range) => continue,
                None => Arc::new(Correction::find(source, traces, context.budget).await?),
            };
            tally.correct(&correction.names, &correction.differences, minutes)?;
            known.insert(keys, correction);
        }
        let mut cache = self.lock();
        if cache.len() >= REMEMBERED && !cache.contains_key(self.tenants) {
            cache.clear();
        }
        cache.insert(self.tenants.clone(), Arc::new(known));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Tenants, Known>> {
        self.cache.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The spans of a trace, by piece.
type Parts = HashMap<TraceId, Vec<(usize, CallSpan)>>;

impl Correction {
    async fn find(
        source: &Arc<Source>,
        shared: &SharedTraces,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Self, QueryError> {
        let mut reserved = budget.reserve(Holder::Cache, 0)?;
        let mut names = Names::default();
        let mut differences: FxHashMap<CountedCall, i64> = FxHashMap::default();
        for traces in source.spread.places_of(shared).chunks(TRACES_AT_ONCE) {
            let (parts, _memory) = read(source, &shared.pieces, traces, &mut names, budget).await?;
            for parts in parts.into_values() {
                compare(parts, &names, &mut differences);
            }
            differences.retain(|_, count| *count != 0);
            let names = names.texts().len() as u64 * NAME_BYTES;
            reserved.resize(differences.len() as u64 * DIFFERENCE_BYTES + names)?;
        }
        let fingerprint = shared.fingerprint;
        Ok(Self { fingerprint, names, differences: differences.into_iter().collect(), _reserved: reserved })
    }
}

async fn read(
    source: &Arc<Source>,
    pieces: &[usize],
    traces: &[&[Place]],
    names: &mut Names,
    budget: &Arc<MemoryBudget>,
) -> Result<(Parts, Reservation), QueryError> {
    let projection = CallColumns::projection();
    let mut memory = budget.reserve(Holder::Query, 0)?;
    let mut parts = Parts::new();
    for piece in pieces {
        let runs = source.undamaged(source.pieces()[*piece].runs(budget).await)?;
        let Some(runs) = runs else { continue };
        let of_piece = traces.iter().flat_map(|places| *places).filter(|place| place.piece == *piece);
        let mut entries: Vec<usize> = of_piece.map(|place| place.entry).collect();
        entries.sort_unstable();
        entries.dedup();
        let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
        let mut batches = source.read(*piece, Some(&rows), &projection, budget).await?;
        while let Some(batch) = batches.try_next().await? {
            memory.resize(memory.bytes() + batch.num_rows() as u64 * SPAN_BYTES)?;
            let columns = CallColumns::new(&batch)?;
            for row in 0..columns.len() {
                let span = columns.span(row, names);
                parts.entry(columns.trace(row)).or_default().push((*piece, span));
            }
        }
    }
    Ok((parts, memory))
}

/// Adds the calls of a whole trace, takes those of its parts.
fn compare(parts: Vec<(usize, CallSpan)>, names: &Names, differences: &mut FxHashMap<CountedCall, i64>) {
    let mut count = |mut spans: Vec<CallSpan>, times: i64| {
        sort_spans(&mut spans);
        calls(&spans, names, |call| *differences.entry(call.counted()).or_default() += times);
    };
    // They come piece by piece.
    for part in parts.chunk_by(|a, b| a.0 == b.0) {
        count(part.iter().map(|(_, span)| *span).collect(), -1);
    }
    count(parts.into_iter().map(|(_, span)| span).collect(), 1);
}
