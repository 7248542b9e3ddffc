//! What turned out damaged since this process began: said once in the log, and counted for `/metrics`. Kept for the whole
//! process, as the log is: whoever finds damage has no more at hand than the object.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits;

static FOUND: Mutex<BTreeMap<String, Damaged>> = Mutex::new(BTreeMap::new());

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damaged {
    /// A snapshot of a catalog.
    Catalog,
    /// A block's file of spans.
    Block,
    /// A block's index.
    Index,
    /// A place in the write-ahead log.
    Log,
}

impl Damaged {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Catalog, Self::Block, Self::Index, Self::Log];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Block => "block",
            Self::Index => "index",
            Self::Log => "log_segment",
        }
    }
}

/// Notes damage of an object or a place in a file.
pub(crate) fn found(what: Damaged, place: &str, reason: &str) {
    let mut found = lock();
    if found.len() < limits::MAX_DAMAGED && found.insert(place.to_owned(), what).is_none() {
        drop(found);
        let what = what.name();
        tracing::error!(
            what,
            place,
            reason,
            "damaged; `vivace check` tells what is lost and can be repaired"
        );
    }
}

/// Forgets damage of objects that are gone.
pub(crate) fn forget(place: &str) {
    lock().remove(place);
}

/// How many pieces of each kind are known to be damaged.
pub fn damaged() -> [(Damaged, u64); 4] {
    let found = lock();
    Damaged::ALL.map(|what| (what, found.values().filter(|known| **known == what).count() as u64))
}

fn lock() -> MutexGuard<'static, BTreeMap<String, Damaged>> {
    FOUND.lock().unwrap_or_else(PoisonError::into_inner)
}
