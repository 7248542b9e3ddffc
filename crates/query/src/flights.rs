//! Identical questions that are asked while one of them is being answered share its answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use crate::QueryError;

/// Answers under way, by question.
#[derive(Debug)]
pub(crate) struct Flights<T> {
    under_way: Mutex<HashMap<String, Flight<T>>>,
    shared: AtomicU64,
}

type Outcome<T> = Result<T, Arc<QueryError>>;
/// Has nothing before it is answered.
type Published<T> = watch::Receiver<Option<Arc<Outcome<T>>>>;

#[derive(Debug)]
struct Flight<T> {
    outcome: Published<T>,
    view: View,
}

/// What an answer under way is about, once it has begun: which spans there were.
type View = Arc<OnceLock<Vec<u64>>>;

/// What becomes of who asks.
pub(crate) enum Joined<'a, T> {
    /// Somebody else's answer.
    Answered(Result<T, QueryError>),
    /// Nobody works on it: the one who asks is to.
    Lead(Lead<'a, T>),
}

/// Works on an answer that others may wait for; when it is dropped, one of them does.
pub(crate) struct Lead<'a, T> {
    flights: &'a Flights<T>,
    question: String,
    publish: watch::Sender<Option<Arc<Outcome<T>>>>,
    view: View,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { under_way: Mutex::default(), shared: AtomicU64::new(0) }
    }
}

impl<T: Clone> Flights<T> {
    /// Waits for the answer to the same question if that is under way and about the same spans, as far as it has begun:
    /// those there are `now`.
    pub(crate) async fn join(&self, question: String, now: impl Fn() -> Vec<u64>) -> Joined<'_, T> {
        loop {
            let mut outcome = match self.join_or_lead(&question, &now) {
                Ok(outcome) => outcome,
                Err(lead) => return Joined::Lead(lead),
            };
            // An error says that who worked on it has gone away.
            let published =
                outcome.wait_for(Option::is_some).await.ok().and_then(|published| published.clone());
            if let Some(published) = published {
                self.shared.fetch_add(1, Ordering::Relaxed);
                return Joined::Answered(taken(published));
            }
        }
    }

    /// How many questions were answered by the answer to another.
    pub(crate) fn shared(&self) -> u64 {
        self.shared.load(Ordering::Relaxed)
    }

    fn join_or_lead(&self, question: &str, now: &impl Fn() -> Vec<u64>) -> Result<Published<T>, Lead<'_, T>> {
        let mut under_way = self.lock();
        if let Some(flight) = under_way.get(question)
            && flight.view.get().is_none_or(|seen| *seen == now())
        {
            return Ok(flight.outcome.clone());
        }
        let (publish, outcome) = watch::channel(None);
        let view = View::default();
        under_way.insert(question.to_owned(), Flight { outcome, view: Arc::clone(&view) });
        Err(Lead { flights: self, question: question.to_owned(), publish, view })
    }
}

impl<T> Flights<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Flight<T>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Lead<'_, T> {
    /// Notes what the answer is about, once, before anything is looked at.
    pub(crate) fn looks_at(&self, now: impl FnOnce() -> Vec<u64>) {
        self.view.get_or_init(now);
    }

    /// Gives the answer to all who wait for it. Who asks from now on does not join.
    pub(crate) fn land(self, outcome: Result<T, QueryError>) -> Result<T, QueryError> {
        let outcome = Arc::new(outcome.map_err(Arc::new));
        self.leave();
        self.publish.send_replace(Some(Arc::clone(&outcome)));
        drop(self);
        taken(outcome)
    }
}

impl<T> Lead<'_, T> {
    fn leave(&self) {
        let mut under_way = self.flights.lock();
        // A newer one may have taken its place.
        if under_way.get(&self.question).is_some_and(|flight| Arc::ptr_eq(&flight.view, &self.view)) {
            under_way.remove(&self.question);
        }
    }
}

impl<T> Drop for Lead<'_, T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The answer, copied only if others have it too.
fn taken<T: Clone>(outcome: Arc<Outcome<T>>) -> Result<T, QueryError> {
    let outcome = match Arc::try_unwrap(outcome) {
        Ok(outcome) => outcome,
        Err(shared) => shared.as_ref().clone(),
    };
    outcome.map_err(|error| match Arc::try_unwrap(error) {
        Ok(error) => error,
        Err(shared) => QueryError::Shared(shared),
    })
}

#[cfg(test)]
mod tests;
