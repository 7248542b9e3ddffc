//! Which traces have spans in several pieces, so that they must be assembled from all of them.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use vivace_base::{BlockId, Holder, MemoryBudget, Reservation, SPANS};
use vivace_model::Tenants;
use vivace_storage::index::{TraceHash, TraceIds};

use crate::QueryError;
use crate::source::{Damage, Piece};

/// What is remembered of so many sets of tenants.
const REMEMBERED: usize = 64;
/// What a place takes: by its key, by its number, and in the set of its piece.
const PLACE_BYTES: u64 = 160;

/// Traces that are in several pieces by the hash of their id, and where.
#[derive(Debug, Default, Clone)]
pub(crate) struct Spread {
    places: Arc<FxHashMap<TraceHash, Vec<Place>>>,
    /// For as long as it is remembered or used.
    _reserved: Option<Arc<Reservation>>,
    /// By piece, the places in it.
    by_piece: Arc<Vec<FxHashSet<usize>>>,
    /// Once somebody asked.
    shared: Arc<OnceLock<Vec<SharedTraces>>>,
}

/// The traces that are in exactly these pieces.
#[derive(Debug)]
pub(crate) struct SharedTraces {
    /// Ascending.
    pub(crate) pieces: Vec<usize>,
    /// A number that other traces of the same pieces hardly have.
    pub(crate) fingerprint: u64,
    hashes: Vec<TraceHash>,
}

/// A trace's place: piece and entry in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) piece: usize,
    pub(crate) entry: usize,
}

impl Spread {
    /// Every such trace's places. Different traces may share a hash.
    pub(crate) fn traces(&self) -> impl Iterator<Item = &[Place]> {
        self.places.values().map(Vec::as_slice)
    }

    /// The same by the pieces that each is in.
    pub(crate) fn shared(&self) -> &[SharedTraces] {
        self.shared.get_or_init(|| shared(&self.places))
    }

    /// The places of such traces.
    pub(crate) fn places_of(&self, shared: &SharedTraces) -> Vec<&[Place]> {
        let places = shared.hashes.iter().filter_map(|hash| self.places.get(hash));
        places.map(Vec::as_slice).collect()
    }

    /// Whether the trace at this place has spans elsewhere.
    pub(crate) fn contains(&self, place: Place) -> bool {
        self.by_piece.get(place.piece).is_some_and(|entries| entries.contains(&place.entry))
    }
}

/// What tells pieces apart for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum PieceKey {
    Block(BlockId),
    Live(u64),
}

/// Remembers which traces are spread, since most pieces are the same from one query to the next.
#[derive(Debug, Default)]
pub(crate) struct SpreadCache(Mutex<HashMap<Tenants, Known>>);

#[derive(Debug, Clone, Default)]
struct Known {
    pieces: Vec<PieceKey>,
    places: Arc<FxHashMap<TraceHash, Vec<(PieceKey, usize)>>>,
    resolved: Spread,
}

impl SpreadCache {
    /// Which traces of these pieces are spread. Only pieces that were not there before are looked at.
    #[tracing::instrument(target = SPANS, level = "trace", name = "spread", skip_all)]
    pub(crate) async fn find(
        &self,
        tenants: &Tenants,
        pieces: &[Piece],
        damage: &Damage,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Spread, QueryError> {
        let keys: Vec<PieceKey> = pieces.iter().map(key).collect();
        let known = self.lock().get(tenants).cloned().unwrap_or_default();
        if known.pieces == keys {
            return Ok(known.resolved);
        }
        let places = Arc::new(update(&known, &keys, pieces, damage, budget).await?);
        let count: usize = places.values().map(Vec::len).sum();
        let reserved = budget.reserve(Holder::Cache, count as u64 * PLACE_BYTES)?;
        let resolved = Spread { _reserved: Some(Arc::new(reserved)), ..resolve(&places, &keys) };
        let mut cache = self.lock();
        if cache.len() >= REMEMBERED && !cache.contains_key(tenants) {
            cache.clear();
        }
        cache.insert(tenants.clone(), Known { pieces: keys, places, resolved: resolved.clone() });
        Ok(resolved)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Tenants, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tells this piece from others.
pub(crate) fn key(piece: &Piece) -> PieceKey {
    match piece {
        Piece::Block(reader) => PieceKey::Block(reader.id()),
        Piece::Live(spans) => PieceKey::Live(spans.number()),
    }
}

/// The places of spread traces: those known whose pieces are still there, and those of new pieces.
async fn update(
    known: &Known,
    keys: &[PieceKey],
    pieces: &[Piece],
    damage: &Damage,
    budget: &Arc<MemoryBudget>,
) -> Result<FxHashMap<TraceHash, Vec<(PieceKey, usize)>>, QueryError> {
    let there: FxHashSet<PieceKey> = keys.iter().copied().collect();
    let before: FxHashSet<PieceKey> = known.pieces.iter().copied().collect();
    let mut places = FxHashMap::default();
    for (hash, at) in known.places.iter() {
        let at: Vec<_> = at.iter().filter(|(key, _)| there.contains(key)).copied().collect();
        // Alone again: unless a new piece has it too, it is not spread any more.
        if at.len() > 1 {
            places.insert(*hash, at);
        }
    }
    let mut ids = Vec::with_capacity(pieces.len());
    for piece in pieces {
        ids.push(match piece.ids(budget).await {
            Ok(ids) => Some(ids),
            Err(error) if damage.note(&error) => None,
            Err(error) => return Err(error.into()),
        });
    }
    let tables = || keys.iter().zip(&ids).filter_map(|(key, ids)| Some((*key, (*ids)?)));
    for (new, new_ids) in tables().filter(|(key, _)| !before.contains(key)) {
        for (other, other_ids) in tables().filter(|(key, _)| *key != new) {
            for hash in common(new_ids, other_ids) {
                let at: &mut Vec<(PieceKey, usize)> = places.entry(hash).or_default();
                let here = new_ids.find(hash).map(|entry| (new, entry));
                let there = other_ids.find(hash).map(|entry| (other, entry));
                for place in here.chain(there) {
                    if !at.contains(&place) {
                        at.push(place);
                    }
                }
            }
        }
    }
    Ok(places)
}

fn shared(places: &FxHashMap<TraceHash, Vec<Place>>) -> Vec<SharedTraces> {
    let mut by_pieces: FxHashMap<Vec<usize>, Vec<(usize, TraceHash)>> = FxHashMap::default();
    for (hash, places) in places {
        let mut pieces: Vec<usize> = places.iter().map(|place| place.piece).collect();
        pieces.sort_unstable();
        pieces.dedup();
        let first = places.iter().filter(|place| place.piece == pieces[0]).map(|place| place.entry).min();
        by_pieces.entry(pieces).or_default().push((first.unwrap_or_default(), *hash));
    }
    let of_trace = |hash: &TraceHash| {
        let mut entries: Vec<usize> = places[hash].iter().map(|place| place.entry).collect();
        entries.sort_unstable();
        let mut hasher = FxHasher::default();
        entries.hash(&mut hasher);
        hasher.finish()
    };
    let shared = by_pieces.into_iter().map(|(pieces, mut traces)| {
        // In the order of the first piece, so that what is read together stands together.
        traces.sort_unstable();
        let hashes: Vec<TraceHash> = traces.into_iter().map(|(_, hash)| hash).collect();
        let fingerprint = hashes.iter().map(of_trace).fold(hashes.len() as u64, u64::wrapping_add);
        SharedTraces { pieces, fingerprint, hashes }
    });
    shared.collect()
}

/// The hashes that both have; they come sorted.
fn common(left: &TraceIds, right: &TraceIds) -> Vec<TraceHash> {
    let mut right = right.iter().map(|(hash, _)| hash).peekable();
    let mut found = Vec::new();
    for (hash, _) in left.iter() {
        while right.next_if(|other| *other < hash).is_some() {}
        if right.peek() == Some(&hash) {
            found.push(hash);
        }
    }
    found
}

fn resolve(places: &FxHashMap<TraceHash, Vec<(PieceKey, usize)>>, keys: &[PieceKey]) -> Spread {
    let numbers: FxHashMap<PieceKey, usize> = keys.iter().enumerate().map(|(at, key)| (*key, at)).collect();
    let mut by_piece = vec![FxHashSet::default(); keys.len()];
    let mut resolved = FxHashMap::default();
    for (hash, at) in places {
        let at: Vec<Place> = at
            .iter()
            .filter_map(|(key, entry)| Some(Place { piece: *numbers.get(key)?, entry: *entry }))
            .collect();
        at.iter().for_each(|place| {
            by_piece[place.piece].insert(place.entry);
        });
        resolved.insert(*hash, at);
    }
    Spread {
        places: Arc::new(resolved),
        by_piece: Arc::new(by_piece),
        shared: Arc::default(),
        _reserved: None,
    }
}

#[cfg(test)]
mod tests;
