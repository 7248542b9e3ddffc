//! What every request handler shares.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use vivace_base::{Clock, MemoryBudget};

use crate::backend::Backend;
use crate::config::Config;
use crate::metrics::Metrics;

/// Cheap to clone.
pub(crate) type App = Arc<AppState>;

/// See [`App`].
#[derive(Debug)]
pub(crate) struct AppState {
    /// The resolved configuration.
    pub(crate) config: Config,
    /// The process's memory.
    pub(crate) budget: Arc<MemoryBudget>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// What is counted.
    pub(crate) metrics: Metrics,
    backend: OnceLock<Arc<dyn Backend>>,
    phase: AtomicU8,
}

/// Where in its life the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Replaying the write-ahead log.
    Starting,
    /// Serving.
    Ready,
    /// Finishing requests and flushing.
    Stopping,
}

impl AppState {
    /// State of a process that is starting.
    pub(crate) fn new(config: Config, budget: Arc<MemoryBudget>, clock: Arc<dyn Clock>) -> App {
        let metrics = Metrics::default();
        let (backend, phase) = (OnceLock::new(), AtomicU8::new(Phase::Starting as u8));
        Arc::new(Self { config, budget, clock, metrics, backend, phase })
    }

    /// Hands over the backend; from now on requests are served.
    pub(crate) fn ready(&self, backend: Arc<dyn Backend>) {
        // Only the first backend counts; there is no second.
        let _ = self.backend.set(backend);
        self.phase.store(Phase::Ready as u8, Ordering::Release);
    }

    /// Announces the end in `/ready`.
    pub(crate) fn stopping(&self) {
        self.phase.store(Phase::Stopping as u8, Ordering::Release);
    }

    /// Where in its life the process is.
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Stopping,
        }
    }

    /// The backend; [`None`] while it is starting.
    pub(crate) fn backend(&self) -> Option<&Arc<dyn Backend>> {
        self.backend.get()
    }
}
