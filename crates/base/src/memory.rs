use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::ByteSize;

mod process;
mod share;

use process::Process;
use share::Share;

pub use process::Pressure;
pub use share::ShareTerms;

/// Who holds a share of the memory budget; the labels of `vivace_memory_reserved_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Request bodies and what is decoded from them, until they are in the head.
    Decode,
    /// Spans that are queryable but not yet in a block.
    Head,
    /// Building and uploading a block.
    BlockBuild,
    /// Query operators and decoded spans.
    Query,
    /// What is known of open blocks: kept while there is room.
    Cache,
    /// Merging blocks.
    Compaction,
}

impl Holder {
    /// Every holder, in the order of their counters.
    pub const ALL: [Holder; 6] =
        [Holder::Decode, Holder::Head, Holder::BlockBuild, Holder::Query, Holder::Cache, Holder::Compaction];

    /// The metric label.
    pub fn name(self) -> &'static str {
        match self {
            Holder::Decode => "decode",
            Holder::Head => "head",
            Holder::BlockBuild => "block_build",
            Holder::Query => "query",
            Holder::Cache => "cache",
            Holder::Compaction => "compaction",
        }
    }
}

/// The process's one memory budget, or a query's share of it. Whatever grows with input reserves here before it
/// allocates; a refusal becomes back-pressure or a clear error, never an abort.
pub struct MemoryBudget {
    limit: AtomicU64,
    /// Of a budget that is a share of another.
    share: Option<Share>,
    /// Of a budget that follows what the process really takes.
    process: Option<Process>,
    reliefs: [OnceLock<Relief>; 2],
    /// The shares that queries have now; they are few.
    shares: Mutex<Vec<std::sync::Weak<MemoryBudget>>>,
    total: AtomicU64,
    by_holder: [AtomicU64; Holder::ALL.len()],
    refused: [AtomicU64; Holder::ALL.len()],
}

/// Gives memory back, about as many bytes as it is asked for, if it can.
pub type Relief = Box<dyn Fn(u64) + Send + Sync>;

/// The budget has no room for the reservation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no memory for {holder}: {requested} asked, {available} of {limit} free", holder = .holder.name())]
pub struct MemoryRefused {
    /// Who asked.
    pub holder: Holder,
    /// How much was asked.
    pub requested: ByteSize,
    /// How much was free at that moment.
    pub available: ByteSize,
    /// The whole budget.
    pub limit: ByteSize,
}

impl MemoryBudget {
    /// A budget of `limit`.
    pub fn new(limit: ByteSize) -> Arc<Self> {
        Arc::new(Self::of(limit, None, None))
    }

    fn of(limit: ByteSize, share: Option<Share>, process: Option<Process>) -> Self {
        Self {
            limit: AtomicU64::new(limit.bytes()),
            share,
            process,
            reliefs: Default::default(),
            shares: Mutex::default(),
            total: AtomicU64::new(0),
            by_holder: Default::default(),
            refused: Default::default(),
        }
    }

    /// Names who is asked for memory before a reservation is refused: whoever holds what can be had again. Only the
    /// first one named is.
    pub fn on_pressure(&self, relief: Relief) {
        let _ = self.reliefs[0].set(relief);
    }

    /// Names who is asked when that was not enough for a query that has waited: whoever does work that can wait. Gives
    /// back in its own time. Only the first one named is.
    pub fn on_shortage(&self, relief: Relief) {
        let _ = self.reliefs[1].set(relief);
    }

    /// Asks whoever does work that can wait to give its memory back.
    pub fn tell_shortage(&self, bytes: u64) {
        self.root().relieve(1, bytes);
    }

    /// Asks whoever does work that can wait, and the largest query, to give memory back for work that cannot.
    pub fn make_room(&self, bytes: u64) {
        self.tell_shortage(bytes);
        self.root().revoke_largest(0, true);
    }

    /// What may be reserved over all holders.
    pub fn limit(&self) -> ByteSize {
        ByteSize::from_bytes(self.limit.load(Ordering::Relaxed))
    }

    /// What is reserved now, over all holders.
    pub fn reserved(&self) -> ByteSize {
        ByteSize::from_bytes(self.total.load(Ordering::Relaxed))
    }

    /// What may still be reserved, if nobody gives way.
    pub fn available(&self) -> ByteSize {
        ByteSize::from_bytes(self.limit().bytes().saturating_sub(self.reserved().bytes()))
    }

    /// What one holder has reserved now.
    pub fn reserved_by(&self, holder: Holder) -> ByteSize {
        ByteSize::from_bytes(self.by_holder[holder as usize].load(Ordering::Relaxed))
    }

    /// How many reservations of one holder have been refused.
    pub fn refused(&self, holder: Holder) -> u64 {
        self.refused[holder as usize].load(Ordering::Relaxed)
    }

    /// Takes `bytes` for `holder` until the reservation is dropped. Of a share only queries take; what others reserve
    /// through it comes from the whole.
    ///
    /// # Errors
    /// [`MemoryRefused`] when the budget has no room.
    pub fn reserve(self: &Arc<Self>, holder: Holder, bytes: u64) -> Result<Reservation, MemoryRefused> {
        let budget = match &self.share {
            Some(share) if holder != Holder::Query => share.whole(),
            _ => self,
        };
        budget.take(holder, bytes)?;
        Ok(Reservation { budget: Arc::clone(budget), holder, bytes })
    }

    /// Takes `bytes` even where there is no room: for work that gives memory back. Others are refused until it fits.
    pub fn insist(self: &Arc<Self>, holder: Holder, bytes: u64) -> Reservation {
        if self.count(holder, bytes).is_err() {
            self.relieve(0, bytes);
            self.total.fetch_add(bytes, Ordering::Relaxed);
            self.by_holder[holder as usize].fetch_add(bytes, Ordering::Relaxed);
        }
        Reservation { budget: Arc::clone(self), holder, bytes }
    }

    fn root(&self) -> &Self {
        self.share.as_ref().map_or(self, |share| share.whole())
    }

    fn take(&self, holder: Holder, bytes: u64) -> Result<(), MemoryRefused> {
        let taken = match &self.share {
            Some(share) => self.take_of_share(share, bytes),
            None => self.take_or_relieve(holder, bytes),
        };
        if taken.is_err() {
            self.refused[holder as usize].fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Caches give way first, to newer entries of their own too.
    fn take_or_relieve(&self, holder: Holder, bytes: u64) -> Result<(), MemoryRefused> {
        match self.count(holder, bytes) {
            Err(_) if bytes <= self.limit().bytes() => {
                self.relieve(0, bytes);
                self.count(holder, bytes)
            }
            outcome => outcome,
        }
    }

    fn relieve(&self, at: usize, bytes: u64) {
        if let Some(relief) = self.reliefs[at].get() {
            relief(bytes);
        }
    }

    fn count(&self, holder: Holder, bytes: u64) -> Result<(), MemoryRefused> {
        let limit = self.limit().bytes();
        let fits = |total: u64| total.checked_add(bytes).filter(|sum| bytes == 0 || *sum <= limit);
        self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|total| {
            MemoryRefused {
                holder,
                requested: ByteSize::from_bytes(bytes),
                available: ByteSize::from_bytes(limit.saturating_sub(total)),
                limit: self.limit(),
            }
        })?;
        self.by_holder[holder as usize].fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, holder: Holder, bytes: u64) {
        if let Some(share) = &self.share {
            return self.give_back_to_share(share, bytes);
        }
        self.total.fetch_sub(bytes, Ordering::Relaxed);
        self.by_holder[holder as usize].fetch_sub(bytes, Ordering::Relaxed);
    }

    fn lock_shares(&self) -> MutexGuard<'_, Vec<std::sync::Weak<MemoryBudget>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share of the budget, given back on drop.
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    holder: Holder,
    bytes: u64,
}

impl Reservation {
    /// The size of the share.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Grows the share to `bytes`, or shrinks it.
    ///
    /// # Errors
    /// [`MemoryRefused`] when it would grow past the budget; the share is then unchanged.
    pub fn resize(&mut self, bytes: u64) -> Result<(), MemoryRefused> {
        if bytes > self.bytes {
            self.budget.take(self.holder, bytes - self.bytes)?;
        } else {
            self.budget.give_back(self.holder, self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryBudget({} of {})", self.reserved(), self.limit())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.holder, self.bytes);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({}: {})", self.holder.name(), ByteSize::from_bytes(self.bytes))
    }
}

#[cfg(test)]
mod tests;
