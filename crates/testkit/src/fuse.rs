use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Fault;

/// Counts what a process asks of its disk and its object store, and ends it at a chosen call: as that one fails, and all
/// that come after it.
#[derive(Debug, Default)]
pub struct Fuse(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    calls: u64,
    crash: Option<Crash>,
}

#[derive(Debug, Clone, Copy)]
enum Crash {
    /// After so many calls, the next of which fails like this.
    After(u64, Fault),
    Came,
}

impl Fuse {
    /// After so many more calls the process is dead: the next call fails like this, and what it still tries, nothing
    /// works.
    pub fn blow_after(&self, calls: u64, last: Fault) {
        self.lock().crash = Some(Crash::After(calls, last));
    }

    /// The process is dead from now on.
    pub fn blow(&self) {
        self.lock().crash = Some(Crash::Came);
    }

    /// Whether the process is dead.
    pub fn has_blown(&self) -> bool {
        matches!(self.lock().crash, Some(Crash::Came))
    }

    /// Another process begins.
    pub fn replace(&self) {
        *self.lock() = State::default();
    }

    /// Nothing ends the process any more.
    pub(crate) fn disarm(&self) {
        self.lock().crash = None;
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// A call comes; how it fails, if the process ends with it or has ended.
    pub(crate) fn next(&self) -> Option<Fault> {
        let mut state = self.lock();
        state.calls += 1;
        match &mut state.crash {
            Some(Crash::After(0, last)) => {
                let last = *last;
                state.crash = Some(Crash::Came);
                Some(last)
            }
            Some(Crash::After(left, _)) => {
                *left -= 1;
                None
            }
            Some(Crash::Came) => Some(Fault::BeforeEffect),
            None => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
