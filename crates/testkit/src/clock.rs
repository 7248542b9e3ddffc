use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vivace_base::{Clock, UnixNanos};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    origin: UnixNanos,
    elapsed: AtomicU64,
}

impl ManualClock {
    /// Shows `now` until it is moved.
    pub fn new(now: UnixNanos) -> Self {
        Self { origin: now, elapsed: AtomicU64::new(0) }
    }

    /// Moves both wall-clock and monotonic time forward.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixNanos {
        self.origin + self.elapsed.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.elapsed.load(Ordering::SeqCst))
    }
}
