//! Who computes: as many units of work at a time as there are cores, those of queries that have worked the least first. So a
//! query that scans for long does not hold up one that is done in milliseconds.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{AbortHandle, abortable};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::QueryError;

/// A query that has worked for longer leaves a core to others, as long as there are any.
const LONG: Duration = Duration::from_millis(250);

/// The cores.
#[derive(Debug)]
pub(crate) struct Slots {
    cores: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Queries that may want to compute.
    queries: usize,
    busy: usize,
    /// Of them those of queries that have worked for long.
    long: usize,
    waiting: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    spent: Duration,
    slot: oneshot::Sender<Slot>,
    work: Arc<Work>,
}

/// What one query has worked.
#[derive(Debug)]
pub(crate) struct Work {
    slots: Arc<Slots>,
    nanos: AtomicU64,
}

/// The right to compute, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    work: Arc<Work>,
    since: Instant,
    is_long: bool,
}

impl Slots {
    pub(crate) fn new(cores: usize) -> Arc<Self> {
        Arc::new(Self { cores: cores.max(1), state: Mutex::default() })
    }

    /// A query begins.
    pub(crate) fn work(self: &Arc<Self>) -> Arc<Work> {
        self.lock().queries += 1;
        Arc::new(Work { slots: Arc::clone(self), nanos: AtomicU64::new(0) })
    }

    /// Gives free cores to those who wait, who have worked the least first.
    fn hand_out(&self) {
        loop {
            let (slot, waiter) = {
                let mut state = self.lock();
                let runnable = |waiter: &&Waiter| state.may_run(self.cores, waiter.spent);
                let next = state.waiting.iter().filter(runnable).map(|waiter| waiter.spent).min();
                let Some(at) =
                    next.and_then(|next| state.waiting.iter().position(|waiter| waiter.spent == next))
                else {
                    return;
                };
                let waiter = state.waiting.remove(at);
                (state.take(&waiter.work, waiter.spent), waiter.slot)
            };
            // Who has gone away meanwhile gives it back.
            drop(waiter.send(slot));
        }
    }

    /// Takes those off the list who have gone away.
    fn forget_the_gone(&self) -> Vec<Waiter> {
        self.lock().waiting.extract_if(.., |waiter| waiter.slot.is_closed()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_run(&self, cores: usize, spent: Duration) -> bool {
        let for_long = if self.queries > 1 { (cores - 1).max(1) } else { cores };
        self.busy < cores && (spent < LONG || self.long < for_long)
    }

    fn take(&mut self, work: &Arc<Work>, spent: Duration) -> Slot {
        let is_long = spent >= LONG;
        self.busy += 1;
        self.long += usize::from(is_long);
        Slot { work: Arc::clone(work), since: Instant::now(), is_long }
    }
}

impl Work {
    /// Runs a unit once there is a core, on a thread that it may keep busy: those that answer requests stay free. When the
    /// returned future is dropped, the unit ends where it next yields.
    pub(crate) async fn run<T: Send + 'static>(
        self: Arc<Self>,
        unit: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let slot = self.slot().await;
        let (unit, abort) = abortable(unit);
        let _abort = AbortOnDrop(abort);
        let runtime = Handle::current();
        let compute = move || {
            let _slot = slot;
            runtime.block_on(unit)
        };
        let failed = |error: &dyn Display| QueryError::Execution(format!("a task failed: {error}"));
        match tokio::task::spawn_blocking(compute).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(aborted)) => Err(failed(&aborted)),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Waits for a core.
    pub(crate) async fn slot(self: &Arc<Self>) -> Slot {
        let spent = Duration::from_nanos(self.nanos.load(Ordering::Relaxed));
        let waiting = {
            // Their work may end with them, which needs the lock: dropped behind it.
            let _gone = self.slots.forget_the_gone();
            let mut state = self.slots.lock();
            if state.may_run(self.slots.cores, spent) {
                return state.take(self, spent);
            }
            let (slot, waiting) = oneshot::channel();
            state.waiting.push(Waiter { spent, slot, work: Arc::clone(self) });
            waiting
        };
        match waiting.await {
            Ok(slot) => slot,
            // Cannot be: a waiter is only taken off the list to be given a slot, or when it has gone away.
            Err(_) => self.slots.lock().take(self, spent),
        }
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.slots.lock().queries -= 1;
        self.slots.hand_out();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.work.nanos.fetch_add(nanos, Ordering::Relaxed);
        {
            let mut state = self.work.slots.lock();
            state.busy -= 1;
            state.long -= usize::from(self.is_long);
        }
        self.work.slots.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_worked_the_least_goes_first() {
        let slots = Slots::new(1);
        let (busy, tired, fresh) = (slots.work(), slots.work(), slots.work());
        let first = tired.slot().await;
        tokio::time::advance(Duration::from_millis(5)).await;
        drop(first);
        let held = busy.slot().await;
        let mut tired_waits = Box::pin(tired.slot());
        let mut fresh_waits = Box::pin(fresh.slot());
        assert!((&mut tired_waits).now_or_never().is_none() && (&mut fresh_waits).now_or_never().is_none());
        drop(held);
        assert!((&mut tired_waits).now_or_never().is_none(), "it came first, but has worked more");
        drop((&mut fresh_waits).now_or_never().expect("its turn"));
        drop(tired_waits.now_or_never().expect("its turn"));
    }

    #[tokio::test(start_paused = true)]
    async fn long_work_leaves_a_core_to_others_while_there_are_any() {
        let slots = Slots::new(2);
        let long = slots.work();
        let first = long.slot().await;
        tokio::time::advance(LONG).await;
        drop(first);
        let alone = (long.slot().await, long.slot().await);
        drop(alone);
        let other = slots.work();
        let one = long.slot().await;
        let mut two = Box::pin(long.slot());
        assert!((&mut two).now_or_never().is_none(), "the other core is for the other query");
        drop(other.slot().now_or_never().expect("there is a core"));
        drop(other);
        drop(two.now_or_never().expect("it is alone again"));
        drop(one);
    }

    #[tokio::test]
    async fn who_gives_up_may_be_the_last_of_its_query() {
        let slots = Slots::new(1);
        let (one, other) = (slots.work(), slots.work());
        let held = one.slot().await;
        let mut gone = Box::pin(async move { other.slot().await });
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        let mut next = Box::pin(one.slot());
        assert!((&mut next).now_or_never().is_none());
        assert_eq!(slots.lock().queries, 1);
        drop(held);
        drop(next.now_or_never().expect("its turn"));
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_core_to_the_next() {
        let slots = Slots::new(1);
        let (one, other) = (slots.work(), slots.work());
        let held = one.slot().await;
        let mut gone = Box::pin(other.slot());
        assert!((&mut gone).now_or_never().is_none());
        let mut next = Box::pin(one.slot());
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        drop(held);
        drop(next.now_or_never().expect("its turn"));
    }
}
