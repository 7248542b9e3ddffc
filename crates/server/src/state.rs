//! What every request handler shares.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use vivace_base::{Clock, MemoryBudget};

use crate::backend::{Backend, Observed};
use crate::config::Config;
use crate::limits::{RateLimiter, TenantLimits};
use crate::metrics::Metrics;
use crate::profiling::Profiler;

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
    /// What each tenant may use.
    pub(crate) limits: Arc<TenantLimits>,
    /// How fast tenants may send.
    pub(crate) rates: RateLimiter,
    /// Takes profiles.
    pub(crate) profiler: Profiler,
    /// What is counted.
    pub(crate) metrics: Metrics,
    backend: OnceLock<Arc<dyn Backend>>,
    phase: watch::Sender<Phase>,
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
    pub(crate) fn new(
        config: Config,
        limits: Arc<TenantLimits>,
        budget: Arc<MemoryBudget>,
        clock: Arc<dyn Clock>,
    ) -> App {
        let (metrics, rates) = (Metrics::default(), RateLimiter::default());
        let (backend, phase) = (OnceLock::new(), watch::Sender::new(Phase::Starting));
        let profiler = Profiler::default();
        Arc::new(Self { config, budget, clock, limits, rates, profiler, metrics, backend, phase })
    }

    /// Hands over the backend; from now on requests are served.
    pub(crate) fn ready(&self, backend: Arc<dyn Backend>) {
        let observed = Observed::new(backend, self.metrics.queries.clone(), Arc::clone(&self.clock));
        // Only the first backend counts; there is no second.
        let _ = self.backend.set(Arc::new(observed));
        self.phase.send_replace(Phase::Ready);
    }

    /// Announces the end in `/ready` and to who watches.
    pub(crate) fn stopping(&self) {
        self.phase.send_replace(Phase::Stopping);
    }

    /// Where in its life the process is.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// The phase from now on.
    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The backend; [`None`] while it is starting.
    pub(crate) fn backend(&self) -> Option<&Arc<dyn Backend>> {
        self.backend.get()
    }
}
