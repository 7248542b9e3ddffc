//! Who may run: a few queries at a time, tenants in turn, each with a share of the memory. A query that memory was refused
//! is begun anew when there may be more; one that needs more than its share runs with no other of its kind beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use vivace_base::{MemoryBudget, MemoryRefused, SPANS, ShareTerms};

use crate::QueryError;

mod queue;

pub(crate) use queue::Claim;
use queue::{Place, Queue};

/// A query may take one part in so many of the memory that may be reserved, at first.
const SHARE: u64 = 4;
/// And one in so many when it needs more than that, once no other such query runs.
const LARGE_SHARE: u64 = 2;
/// A query that needs at most one part in so many is small: it waits for memory among small ones only.
const SMALL: u64 = 16;
/// How many small queries are begun anew at a time.
const SMALL_AT_ONCE: usize = 4;
/// A query that waits for memory looks again after this time, whether or not another has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often a query is begun anew before it is refused for want of memory.
const TRIES: u32 = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Admission {
    budget: Arc<MemoryBudget>,
    queue: Arc<Queue>,
    /// Of queries that memory was refused, one is begun anew at a time, or some small ones.
    again: Semaphore,
    small_again: Semaphore,
    /// Of queries that need more than their share, one runs at a time.
    large: Semaphore,
    /// Told when a query has ended.
    ended: Notify,
    begun_anew: AtomicU64,
    refused: AtomicU64,
}

/// What becomes of queries, for `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionStats {
    /// Queries that run now.
    pub running: u64,
    /// Queries that wait now for their turn.
    pub waiting: u64,
    /// How often a query was begun anew once there was more memory.
    pub begun_anew: u64,
    /// Queries refused since too many were waiting.
    pub refused_busy: u64,
    /// Queries refused for want of memory.
    pub refused_memory: u64,
}

/// One query's way: it begins, and begins anew for as long as memory is refused and there may be more.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    admission: &'a Admission,
    claim: Claim<'a>,
    place: Option<Place>,
    again: Option<SemaphorePermit<'a>>,
    /// Whether that is a turn among small ones.
    is_small: bool,
    large: Option<SemaphorePermit<'a>>,
    share: Option<Arc<MemoryBudget>>,
    /// Why the attempt before failed.
    refused: Option<Refused>,
    /// How often it was begun anew.
    tried: u32,
    last: bool,
}

/// Memory was refused to a query.
#[derive(Debug)]
struct Refused {
    error: MemoryRefused,
    /// What it had and what it asked for.
    needed: u64,
    /// Others would have to give it more than its share.
    share_was_too_small: bool,
}

impl Admission {
    pub(crate) fn new(budget: Arc<MemoryBudget>, max_running: usize, max_waiting: usize) -> Self {
        Self {
            budget,
            queue: Queue::new(max_running, max_waiting),
            again: Semaphore::new(1),
            small_again: Semaphore::new(SMALL_AT_ONCE),
            large: Semaphore::new(1),
            ended: Notify::new(),
            begun_anew: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// A query that has yet to begin.
    pub(crate) fn turn<'a>(&'a self, claim: Claim<'a>) -> Turn<'a> {
        let (place, again, large, share, refused) = Default::default();
        let (is_small, tried, last) = (false, 0, false);
        Turn { admission: self, claim, place, again, is_small, large, share, refused, tried, last }
    }

    pub(crate) fn stats(&self) -> AdmissionStats {
        let queue = self.queue.stats();
        AdmissionStats {
            running: queue.running,
            waiting: queue.waiting,
            begun_anew: self.begun_anew.load(Ordering::Relaxed),
            refused_busy: queue.refused,
            refused_memory: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Waits until so many bytes are free, or for some time, longer with each try.
    async fn wait_for(&self, bytes: u64, tried: u32) {
        for _ in 0..4 * tried {
            if self.budget.available().bytes() >= bytes {
                return;
            }
            let _ = tokio::time::timeout(LOOK_AGAIN, self.ended.notified()).await;
        }
    }
}

impl Turn<'_> {
    /// Waits until the query may run: its memory from now on. Call [`Turn::end`] with what came of it.
    ///
    /// # Errors
    /// [`QueryError`] when too many wait, or there was no memory for long.
    #[tracing::instrument(target = SPANS, level = "trace", name = "admission", skip_all)]
    pub(crate) async fn begin(&mut self) -> Result<Arc<MemoryBudget>, QueryError> {
        loop {
            match self.refused.take() {
                None => self.place = Some(self.admission.queue.enter(self.claim).await?),
                Some(refused) if self.last => return Err(self.give_up(refused)),
                Some(refused) => self.begin_anew(refused).await?,
            }
            match self.take_share() {
                Ok(share) => return Ok(share),
                Err(refused) => self.refused = Some(refused),
            }
        }
    }

    /// What came of the query; [`None`] when it is to begin anew.
    pub(crate) fn end<T>(&mut self, outcome: Result<T, QueryError>) -> Option<Result<T, QueryError>> {
        let share = self.share.take();
        if let Some(share) = &share {
            share.end_share();
        }
        self.admission.ended.notify_waiters();
        let Err(QueryError::NoMemory(error)) = outcome else { return Some(outcome) };
        let refused = Refused {
            needed: share.as_ref().map_or(0, |share| share.most_used().bytes()) + error.requested.bytes(),
            share_was_too_small: share.is_some_and(|share| share.share_was_too_small()),
            error,
        };
        if self.last {
            return Some(Err(self.give_up(refused)));
        }
        self.refused = Some(refused);
        None
    }

    /// Waits among those that memory was refused: one at a time of those that others took it from, and one of those that
    /// need more than their share.
    async fn begin_anew(&mut self, refused: Refused) -> Result<(), QueryError> {
        let admission = self.admission;
        let turn = |permit: Result<_, _>| permit.map_err(|_| QueryError::Busy);
        self.place = None;
        self.tried += 1;
        if refused.share_was_too_small && self.large.is_none() {
            self.again = None;
            self.large = Some(turn(admission.large.acquire().await)?);
        } else if refused.share_was_too_small {
            // There is no larger share: what does not fit is left out.
            self.last = true;
        } else if self.large.is_none() {
            let is_small = refused.needed <= admission.budget.limit().bytes() / SMALL;
            if self.again.is_none() || self.is_small && !is_small {
                self.again = None;
                self.is_small = is_small;
                let turns = if is_small { &admission.small_again } else { &admission.again };
                self.again = Some(turn(turns.acquire().await)?);
            }
        }
        self.last |= self.tried >= TRIES;
        if self.tried > 1 {
            admission.budget.tell_shortage(refused.needed);
        }
        admission.wait_for(refused.needed, self.tried).await;
        admission.begun_anew.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn take_share(&mut self) -> Result<Arc<MemoryBudget>, Refused> {
        let part = match (self.claim.streams, &self.large) {
            (true, _) => 1,
            (false, Some(_)) => LARGE_SHARE,
            (false, None) => SHARE,
        };
        let most = self.admission.budget.limit().bytes() / part;
        let terms = ShareTerms { ahead: self.claim.estimate.min(most), most, last_resort: self.last };
        let share = self.admission.budget.share(terms).map_err(|error| {
            let needed = error.requested.bytes();
            Refused { error, needed, share_was_too_small: false }
        })?;
        self.share = Some(Arc::clone(&share));
        Ok(share)
    }

    fn give_up(&self, refused: Refused) -> QueryError {
        self.admission.refused.fetch_add(1, Ordering::Relaxed);
        refused.error.into()
    }
}

#[cfg(test)]
mod tests;
