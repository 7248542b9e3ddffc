use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::ByteSize;

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

/// The process's one memory budget. Whatever grows with input reserves here before it allocates; a refusal becomes
/// back-pressure or a clear error, never an abort.
pub struct MemoryBudget {
    limit: u64,
    pressure: OnceLock<Relief>,
    total: AtomicU64,
    by_holder: [AtomicU64; Holder::ALL.len()],
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
        let (limit, pressure) = (limit.bytes(), OnceLock::new());
        Arc::new(Self { limit, pressure, total: AtomicU64::new(0), by_holder: Default::default() })
    }

    /// Names who is asked for memory before a reservation is refused: whoever holds what can be had again. Only the
    /// first one named is.
    pub fn on_pressure(&self, relief: Relief) {
        let _ = self.pressure.set(relief);
    }

    /// The whole budget.
    pub fn limit(&self) -> ByteSize {
        ByteSize::from_bytes(self.limit)
    }

    /// What is reserved now, over all holders.
    pub fn reserved(&self) -> ByteSize {
        ByteSize::from_bytes(self.total.load(Ordering::Relaxed))
    }

    /// What one holder has reserved now.
    pub fn reserved_by(&self, holder: Holder) -> ByteSize {
        ByteSize::from_bytes(self.by_holder[holder as usize].load(Ordering::Relaxed))
    }

    /// Takes `bytes` for `holder` until the reservation is dropped.
    ///
    /// # Errors
    /// [`MemoryRefused`] when the budget has no room.
    pub fn reserve(self: &Arc<Self>, holder: Holder, bytes: u64) -> Result<Reservation, MemoryRefused> {
        self.take_or_relieve(holder, bytes)?;
        Ok(Reservation { budget: Arc::clone(self), holder, bytes })
    }

    /// Caches give way first, to newer entries of their own too.
    fn take_or_relieve(&self, holder: Holder, bytes: u64) -> Result<(), MemoryRefused> {
        match (self.take(holder, bytes), self.pressure.get()) {
            (Err(_), Some(relief)) if bytes <= self.limit => {
                relief(bytes);
                self.take(holder, bytes)
            }
            (outcome, _) => outcome,
        }
    }

    fn take(&self, holder: Holder, bytes: u64) -> Result<(), MemoryRefused> {
        let fits = |total: u64| total.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|total| {
            MemoryRefused {
                holder,
                requested: ByteSize::from_bytes(bytes),
                available: ByteSize::from_bytes(self.limit.saturating_sub(total)),
                limit: self.limit(),
            }
        })?;
        self.by_holder[holder as usize].fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, holder: Holder, bytes: u64) {
        self.total.fetch_sub(bytes, Ordering::Relaxed);
        self.by_holder[holder as usize].fetch_sub(bytes, Ordering::Relaxed);
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
            self.budget.take_or_relieve(self.holder, bytes - self.bytes)?;
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
