use rustc_hash::FxHashSet;

/// Counts what comes twice in bounded memory: once there is too much, of a random half only, then of a quarter, and so on.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    seen: FxHashSet<u64>,
    /// Only hashes whose lowest bits, so many, are zero are looked at.
    bits: u32,
    repeated: u64,
}

impl Repeats {
    /// Hashes in memory at most.
    pub(super) const KEPT: usize = 1 << 20;
    /// What they take: a table that has just doubled.
    pub(super) const MEMORY: u64 = 2 * Self::KEPT as u64 * 9;

    pub(super) fn add(&mut self, hash: u64) {
        if hash.trailing_zeros() < self.bits {
            return;
        }
        if !self.seen.insert(hash) {
            self.repeated += 1 << self.bits;
        }
        if self.seen.len() > Self::KEPT {
            self.bits += 1;
            let bits = self.bits;
            self.seen.retain(|hash| hash.trailing_zeros() >= bits);
        }
    }

    /// How many came again, about.
    pub(super) fn count(&self) -> u64 {
        self.repeated
    }
}
