//! The budget of a process that knows what it really takes: the part that may be reserved shrinks as far as memory is in
//! use that nobody reserved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::MemoryBudget;
use crate::ByteSize;

/// Of the memory limit, in tenths, that may be reserved at most.
const RESERVABLE: u64 = 7;
/// One part in so many of the limit is left free: memory is measured now and then, and grows in between.
const MARGIN: u64 = 12;
/// A peak of memory that nobody reserved is remembered; with each measurement one part in so many of it is forgotten.
const FORGOTTEN: u64 = 512;

#[derive(Debug)]
pub(super) struct Process {
    memory_limit: AtomicU64,
    resident: AtomicU64,
    /// The most that was lately in use without a reservation.
    beside: AtomicU64,
}

/// How much of the memory limit is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// There is room.
    None,
    /// Hardly any is left: what the allocator keeps should go back to the system.
    High,
}

impl MemoryBudget {
    /// The budget of a process that may take `memory_limit`.
    pub fn of_process(memory_limit: ByteSize) -> Arc<Self> {
        let process = Process {
            memory_limit: AtomicU64::new(memory_limit.bytes()),
            resident: AtomicU64::new(0),
            beside: AtomicU64::new(0),
        };
        let limit = ByteSize::from_bytes(process.reservable());
        Arc::new(Self::of(limit, None, Some(process)))
    }

    /// The limit of the whole process; of a budget that follows no process, its own.
    pub fn memory_limit(&self) -> ByteSize {
        let limit = |process: &Process| ByteSize::from_bytes(process.memory_limit.load(Ordering::Relaxed));
        self.process.as_ref().map_or(self.limit(), limit)
    }

    /// Follows a limit that has changed. What is reserved stays; nothing more is granted until it fits again.
    pub fn set_memory_limit(&self, memory_limit: ByteSize) {
        let Some(process) = &self.process else { return };
        process.memory_limit.store(memory_limit.bytes(), Ordering::Relaxed);
        self.limit.store(process.reservable(), Ordering::Relaxed);
    }

    /// The process's resident memory as it was last seen.
    pub fn resident(&self) -> ByteSize {
        let resident = self.process.as_ref().map(|process| process.resident.load(Ordering::Relaxed));
        ByteSize::from_bytes(resident.unwrap_or_default())
    }

    /// The most memory that was lately in use without a reservation.
    pub fn unreserved(&self) -> ByteSize {
        let beside = self.process.as_ref().map(|process| process.beside.load(Ordering::Relaxed));
        ByteSize::from_bytes(beside.unwrap_or_default())
    }

    /// Notes what the process takes now: to be told often. What is in use beside reservations cannot be reserved; when
    /// the limit is near, caches are given up, and then the largest query.
    pub fn see_resident(&self, resident: ByteSize) -> Pressure {
        let Some(process) = &self.process else { return Pressure::None };
        let resident = resident.bytes();
        process.resident.store(resident, Ordering::Relaxed);
        let now = resident.saturating_sub(self.reserved().bytes());
        let before = process.beside.load(Ordering::Relaxed);
        let remembered = before - before.saturating_sub(now).div_ceil(FORGOTTEN);
        process.beside.store(now.max(remembered), Ordering::Relaxed);
        self.limit.store(process.reservable(), Ordering::Relaxed);
        let left = process.memory_limit.load(Ordering::Relaxed).saturating_sub(resident);
        let margin = process.memory_limit.load(Ordering::Relaxed) / MARGIN;
        if left >= margin {
            return Pressure::None;
        }
        self.relieve(0, margin);
        if left < margin / 2 {
            self.revoke_largest(margin / 2, true);
        }
        Pressure::High
    }
}

impl Process {
    fn reservable(&self) -> u64 {
        let limit = self.memory_limit.load(Ordering::Relaxed);
        let free = limit - limit / MARGIN;
        (limit / 10 * RESERVABLE).min(free.saturating_sub(self.beside.load(Ordering::Relaxed)))
    }
}
