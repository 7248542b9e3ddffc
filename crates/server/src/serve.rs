//! The life of a server: bind, start the engine, serve, stop without losing anything.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vivace_base::{Clock, MemoryBudget, SystemClock};
use vivace_ingest::IngestError;

use crate::api;
use crate::backend::Backend;
use crate::config::{Config, ConfigError};
use crate::engine::{EngineError, start_engine};
use crate::limits::TenantLimits;
use crate::otlp;
use crate::state::{App, AppState};

mod listener;
mod memory;

use memory::MemoryWatch;

/// How long requests may take to finish once the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// The addresses a server really listens on.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
}

/// Why a server does not start or does not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot listen on {address} ({key}): {reason}; stop what uses it or set --{key}")]
    Bind { key: &'static str, address: String, reason: std::io::Error },
    #[error("cannot write the addresses to {}: {reason}", .path.display())]
    AddressesFile { path: PathBuf, reason: std::io::Error },
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    #[error("cannot start the thread that watches memory: {0}")]
    MemoryWatch(std::io::Error),
    #[error(transparent)]
    Limits(#[from] ConfigError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot flush before stopping: {0}; acknowledged spans stay in the write-ahead log")]
    Flush(IngestError),
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    addresses: Addresses,
    app: App,
    stop: CancellationToken,
    listeners: JoinSet<()>,
    _memory: MemoryWatch,
}

impl Server {
    /// Binds the four ports, starts the engine, and serves.
    ///
    /// # Errors
    /// [`ServeError`] when a port is taken or the engine does not start.
    pub(crate) async fn start(config: Config) -> Result<Self, ServeError> {
        let budget = MemoryBudget::of_process(config.memory_limit);
        let memory = MemoryWatch::start(&budget, config.memory_limit).map_err(ServeError::MemoryWatch)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let limits = TenantLimits::load(&config)?;
        let app = AppState::new(config, Arc::clone(&limits), Arc::clone(&budget), Arc::clone(&clock));
        let stop = CancellationToken::new();
        let mut listeners = JoinSet::new();
        let config = &app.config;
        let http = bind("http-listen", &config.http_listen).await?;
        let grpc = bind("grpc-listen", &config.grpc_listen).await?;
        let otlp_grpc = bind("otlp-grpc-listen", &config.otlp_grpc_listen).await?;
        let otlp_http = bind("otlp-http-listen", &config.otlp_http_listen).await?;
        let addresses =
            Addresses { http: http.1, grpc: grpc.1, otlp_grpc: otlp_grpc.1, otlp_http: otlp_http.1 };
        let services = [
            (http.0, api::router(&app)),
            (grpc.0, api::grpc_router(&app)),
            (otlp_grpc.0, otlp::grpc_router(&app)),
            (otlp_http.0, otlp::http_router(&app)),
        ];
        for (socket, router) in services {
            listeners.spawn(listener::serve(socket, router, stop.clone()));
        }
        listeners.spawn(Arc::clone(&limits).watch(config.per_tenant_override_period, stop.clone()));
        let engine = start_engine(config, &limits, &budget, &clock, &app.metrics.store).await?;
        app.ready(Arc::new(engine));
        Ok(Self { addresses, app, stop, listeners, _memory: memory })
    }

    /// The addresses it listens on.
    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What the adapters talk to; [`None`] until the server is ready.
    pub(crate) fn backend(&self) -> Option<&Arc<dyn Backend>> {
        self.app.backend()
    }

    /// Finishes requests in flight, flushes, and closes.
    ///
    /// # Errors
    /// [`ServeError::Flush`] when the last spans could not be made a block; they are in the write-ahead log.
    pub(crate) async fn stop(mut self) -> Result<(), ServeError> {
        self.app.stopping();
        self.stop.cancel();
        let finished = async { while self.listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, finished).await.is_err() {
            warn!("requests still running after {GRACE:?} are cut off");
            self.listeners.shutdown().await;
        }
        match self.app.backend() {
            Some(backend) => backend.shutdown().await.map_err(ServeError::Flush),
            None => Ok(()),
        }
    }
}

async fn bind(key: &'static str, address: &str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |reason| ServeError::Bind { key, address: address.to_owned(), reason };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Serves until SIGTERM or SIGINT; a second signal ends the process at once.
///
/// # Errors
/// [`ServeError`].
pub(crate) async fn run(config: Config, addresses_file: Option<&Path>) -> Result<(), ServeError> {
    let mut signals = Signals::listen()?;
    let starting = Server::start(config);
    let server = tokio::select! {
        server = starting => server?,
        () = signals.next() => return Ok(()),
    };
    let addresses = server.addresses();
    info!(address = %addresses.http, "query API over HTTP");
    info!(address = %addresses.grpc, "query API over gRPC");
    info!(address = %addresses.otlp_grpc, "OTLP over gRPC");
    info!(address = %addresses.otlp_http, "OTLP over HTTP");
    if let Some(path) = addresses_file {
        write_addresses(path, &addresses)?;
    }
    signals.next().await;
    info!("stopping; a second signal stops at once");
    tokio::select! {
        stopped = server.stop() => stopped,
        () = signals.next() => {
            warn!("stopped at once; acknowledged spans stay in the write-ahead log");
            Ok(())
        }
    }
}

/// Written beside and renamed, so that a reader never sees half of it.
fn write_addresses(path: &Path, addresses: &Addresses) -> Result<(), ServeError> {
    let json = serde_json::json!(addresses).to_string();
    let partial = path.with_extension("partial");
    let written = std::fs::write(&partial, json).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|reason| ServeError::AddressesFile { path: path.to_owned(), reason })
}

/// What ends the process.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, ServeError> {
        let terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
        Ok(Self { terminate, interrupt })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests;
