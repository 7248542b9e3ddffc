//! The queue in front of what runs: tenants in turn, within a tenant first come, first served.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use vivace_model::Tenants;

use crate::QueryError;

/// Who wants to run, and with what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) tenants: &'a Tenants,
    /// How many queries of these tenants may run at a time.
    pub(crate) most_of_tenants: usize,
    /// Bytes of memory it is thought to need at least.
    pub(crate) estimate: u64,
    /// Whether its answer is read as it is sent: what it may take it may take later too, when it cannot be begun anew.
    pub(crate) streams: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    max_running: usize,
    max_waiting: usize,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    running_by_tenants: HashMap<Tenants, usize>,
    waiting: usize,
    /// Never empty ones; whose turn is next stands first.
    queues: VecDeque<(Tenants, VecDeque<Waiter>)>,
    refused: u64,
}

#[derive(Debug)]
struct Waiter {
    place: oneshot::Sender<Place>,
    most_of_tenants: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueStats {
    pub(super) running: u64,
    pub(super) waiting: u64,
    pub(super) refused: u64,
}

/// A place among those that run, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    queue: Arc<Queue>,
    tenants: Tenants,
}

impl Queue {
    pub(super) fn new(max_running: usize, max_waiting: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), max_running: max_running.max(1), max_waiting })
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// [`QueryError::Busy`] when too many wait.
    pub(super) async fn enter(self: &Arc<Self>, claim: Claim<'_>) -> Result<Place, QueryError> {
        let waiting = {
            let mut state = self.lock();
            if state.waiting == 0 && state.may_begin(self.max_running, claim.tenants, claim.most_of_tenants) {
                state.begin(claim.tenants);
                return Ok(Place { queue: Arc::clone(self), tenants: claim.tenants.clone() });
            }
            state.wait(claim, self.max_waiting)?
        };
        // Others may have to wait for their own tenant only.
        self.admit();
        waiting.await.map_err(|_| QueryError::Busy)
    }

    pub(super) fn stats(&self) -> QueueStats {
        let state = self.lock();
        let (running, waiting) = (state.running as u64, state.waiting as u64);
        QueueStats { running, waiting, refused: state.refused }
    }

    /// Lets in whoever may run now.
    fn admit(self: &Arc<Self>) {
        loop {
            let Some((tenants, waiter)) = self.lock().next(self.max_running) else { return };
            // Who has gone away meanwhile gives the place back.
            drop(waiter.place.send(Place { queue: Arc::clone(self), tenants }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_begin(&self, max_running: usize, tenants: &Tenants, most_of_tenants: usize) -> bool {
        let of_tenants = self.running_by_tenants.get(tenants).copied().unwrap_or_default();
        self.running < max_running && of_tenants < most_of_tenants.max(1)
    }

    fn begin(&mut self, tenants: &Tenants) {
        self.running += 1;
        *self.running_by_tenants.entry(tenants.clone()).or_default() += 1;
    }

    fn end(&mut self, tenants: &Tenants) {
        self.running -= 1;
        if let Some(running) = self.running_by_tenants.get_mut(tenants) {
            *running -= 1;
            if *running == 0 {
                self.running_by_tenants.remove(tenants);
            }
        }
    }

    fn wait(&mut self, claim: Claim<'_>, max_waiting: usize) -> Result<oneshot::Receiver<Place>, QueryError> {
        if self.waiting >= max_waiting {
            self.forget_the_gone();
        }
        if self.waiting >= max_waiting {
            self.refused += 1;
            return Err(QueryError::Busy);
        }
        let (place, waiting) = oneshot::channel();
        let waiter = Waiter { place, most_of_tenants: claim.most_of_tenants };
        self.waiting += 1;
        match self.queues.iter_mut().find(|(tenants, _)| tenants == claim.tenants) {
            Some((_, queue)) => queue.push_back(waiter),
            None => self.queues.push_back((claim.tenants.clone(), VecDeque::from([waiter]))),
        }
        Ok(waiting)
    }

    /// The next one that may run, which then counts as running; its tenants' next turn is after all others'.
    fn next(&mut self, max_running: usize) -> Option<(Tenants, Waiter)> {
        self.forget_the_gone();
        let may_begin = |(tenants, queue): &(Tenants, VecDeque<Waiter>)| {
            queue.front().is_some_and(|first| self.may_begin(max_running, tenants, first.most_of_tenants))
        };
        let at = self.queues.iter().position(may_begin)?;
        let (tenants, mut queue) = self.queues.remove(at)?;
        let waiter = queue.pop_front()?;
        self.waiting -= 1;
        if !queue.is_empty() {
            self.queues.push_back((tenants.clone(), queue));
        }
        self.begin(&tenants);
        Some((tenants, waiter))
    }

    fn forget_the_gone(&mut self) {
        self.queues.iter_mut().for_each(|(_, queue)| queue.retain(|waiter| !waiter.place.is_closed()));
        self.queues.retain(|(_, queue)| !queue.is_empty());
        self.waiting = self.queues.iter().map(|(_, queue)| queue.len()).sum();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.lock().end(&self.tenants);
        self.queue.admit();
    }
}
