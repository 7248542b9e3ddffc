//! `vivace demo`: a server with a live bookinfo mesh feeding it, and Kiali's own query asked of it.

mod bookinfo;
mod envoy;
mod error;
mod feed;
mod generator;
mod mesh;
mod progress;
mod report;
mod request;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};
use vivace_base::{Clock, SystemClock, UnixNanos};

use crate::config::{Config, ConfigArgs};
use crate::logging;
use crate::query_cli::{Terminal, parse_duration};
use crate::serve::Server;

use error::DemoError;
use feed::Feeder;
use generator::{Generator, LONGEST_TRACE};
pub(crate) use report::kiali_query;
use report::{Report, say};

/// Serves a live, deterministic Istio bookinfo mesh, and asks Kiali's query of it.
///
/// First some minutes of history, then the mesh lives on until Ctrl-C. Unless --data-dir says otherwise, the data is in
/// a fresh temporary directory, which is deleted at the end. Logs only warnings unless --log-level says otherwise.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How far back the history reaches, at most 6h
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = parse_history)]
    history: Duration,
    /// Traces a second, 0.1 to 5000
    #[arg(long, default_value = "20", value_name = "N", value_parser = parse_rate)]
    rate: f64,
    /// The same seed gives the same mesh
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Stop after the report
    #[arg(long)]
    exit: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

const MAX_HISTORY: Duration = Duration::from_secs(6 * 3600);

fn parse_history(text: &str) -> Result<Duration, String> {
    let history = parse_duration(text).map_err(|error| error.to_string())?;
    let fits = (Duration::from_secs(1)..=MAX_HISTORY).contains(&history);
    fits.then_some(history).ok_or_else(|| "the history is 1s to 6h long".to_owned())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.1..=5000.0).contains(rate));
    rate.ok_or_else(|| "the rate is 0.1 to 5000 traces a second".to_owned())
}

/// Runs the demo until it is told to stop, or fails.
pub(crate) async fn run(args: DemoArgs) -> ExitCode {
    match demo(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vivace: demo: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn demo(mut args: DemoArgs) -> Result<(), DemoError> {
    let fresh = tempfile::Builder::new().prefix("vivace-demo-").tempdir().map_err(DemoError::DataDir)?;
    args.config.set_default("data_dir", &fresh.path().display().to_string());
    args.config.set_default("log_level", "warn");
    let config = Config::load(&args.config)?;
    logging::start(&config.log_level, config.log_format, None)
        .map_err(|error| DemoError::Log(error.to_string()))?;
    say(&greeting(&args, &config, &fresh))?;

    let mut signals = Signals::listen()?;
    let server = Server::start(config).await?;
    let outcome = tokio::select! {
        outcome = show(&args, &server) => outcome,
        () = signals.next() => say("\nStopping.\n"),
    };
    let stopped = tokio::select! {
        stopped = server.stop() => stopped.map_err(DemoError::from),
        () = signals.next() => Ok(()),
    };
    outcome.and(stopped)
}

fn greeting(args: &DemoArgs, config: &Config, fresh: &TempDir) -> String {
    let DemoArgs { rate, seed, .. } = args;
    let dir = config.data_dir.display();
    let kept = if config.data_dir == fresh.path() { "deleted at the end" } else { "kept" };
    format!(
        "Vivace demo: Istio's bookinfo mesh, {rate} traces a second, seed {seed}.\nData in {dir} ({kept}).\n\n"
    )
}

/// History, report, and then the live mesh, which ends only with an error or with `--exit`.
async fn show(args: &DemoArgs, server: &Server) -> Result<(), DemoError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let backend = server.backend().ok_or(DemoError::NotReady)?;
    let history = u64::try_from(args.history.as_nanos()).unwrap_or(u64::MAX);
    let origin: UnixNanos = clock.now().saturating_sub(LONGEST_TRACE).saturating_sub(history);
    let generator = Generator::new(args.seed, origin, args.rate);
    let mut feeder = Feeder::new(generator, Arc::clone(backend), Arc::clone(&clock));

    let terminal = Terminal::detect(false);
    feeder.history(history, &terminal).await?;
    let report = Report { addresses: server.addresses(), terminal, clock: &*clock, origin };
    report.print(feeder.reviewed()).await?;
    if args.exit {
        return Ok(());
    }
    say("\nThe mesh lives on; Ctrl-C stops.\n")?;
    feeder.live().await
}

/// What ends the demo.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, DemoError> {
        let listen = |kind| signal(kind).map_err(DemoError::Signals);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
