use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use url::Url;
use vivace_base::{ByteSize, UnixNanos};

use super::error::BenchError;
use super::generator::Profile;
use crate::query_cli::{QueryError, parse_duration, parse_time};

/// Loads a deterministic mesh into a server, asks it questions, and reports what both took.
///
/// Starts a server of its own: this program's `serve`, on free ports, with a data directory that is deleted at the end.
/// Then: load at full speed; wait until the server has nothing left to do; every query once after a restart with
/// nothing cached (cold); every query again and again, by one client and by several at once (warm).
///
/// With --target the same against any server that speaks Tempo's API and OTLP; then there are no cold figures, and
/// what the server used is known only with --target-pid.
///
/// The same profile, seed and number of spans give the same spans; their times end at --end. Queries reach back from
/// there: a run with --no-load needs the --end of the run that loaded, which its report tells.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The data set
    #[arg(long, value_enum, default_value_t = Profile::Mesh)]
    pub(super) profile: Profile,
    /// About so many spans instead of the profile's own number; at the same rate, so over a shorter or longer time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub(super) spans: Option<u64>,
    /// The same seed gives the same spans
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    /// When the last trace starts: RFC 3339, unix seconds, or now-2h [default: now-1m]
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    #[command(flatten)]
    pub(super) load: LoadArgs,
    #[command(flatten)]
    pub(super) subject: SubjectArgs,
    #[command(flatten)]
    pub(super) queries: QueriesArgs,
    /// How to show the report
    #[arg(long, short, value_enum, default_value_t = Output::Table, help_heading = "Report")]
    pub(super) output: Output,
    /// Also write the report as JSON into a new file in DIR
    #[arg(long, value_name = "DIR", help_heading = "Report")]
    pub(super) save: Option<PathBuf>,
}

/// How spans are sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArgs {
    /// Spans a second [default: as fast as the server takes them]
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    pub(super) rate: Option<f64>,
    /// Clients that send at the same time, 1 to 256
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) load_clients: u16,
    /// The transport of OTLP
    #[arg(long, value_enum, default_value_t = Protocol::Http)]
    pub(super) protocol: Protocol,
    /// Only ask: the data is there already
    #[arg(long, requires = "end")]
    pub(super) no_load: bool,
    /// Longest wait for the server's work in the background after loading
    #[arg(long, default_value = "180s", value_name = "DURATION", value_parser = parse)]
    pub(super) settle: Duration,
    /// Only make the spans, on one core, send them nowhere, and tell how fast that was
    #[arg(long)]
    pub(super) generate_only: bool,
}

/// What is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct SubjectArgs {
    /// Data directory of the server, which is kept; must be empty unless --no-load [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Memory limit of the server
    #[arg(long, default_value = "256MiB", value_name = "SIZE")]
    pub(super) memory_limit: ByteSize,
    /// Measure the server with this query API instead of one of our own
    #[arg(long, value_name = "URL", conflicts_with_all = ["data_dir", "memory_limit", "server_args"])]
    pub(super) target: Option<Url>,
    /// Where that server takes OTLP, over the transport of --protocol
    #[arg(long, value_name = "URL", requires = "target")]
    pub(super) target_otlp: Option<Url>,
    /// That server's process, if it runs on this machine
    #[arg(long, value_name = "PID", requires = "target")]
    pub(super) target_pid: Option<u32>,
    /// More arguments of `vivace serve`, after `--`
    #[arg(last = true, value_name = "SERVE-ARGUMENT")]
    pub(super) server_args: Vec<String>,
}

/// What is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Queries")]
pub(super) struct QueriesArgs {
    /// Clients that ask at the same time, a list: 1,16
    #[arg(long, default_value = "1,16", value_name = "N,…", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) clients: Vec<u16>,
    /// Warm calls of each query; with several clients at least two for each
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) repeat: u32,
    /// No new call of a query is made after this long
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = parse)]
    pub(super) query_budget: Duration,
    /// Only queries whose name contains TEXT; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(super) only: Vec<String>,
    /// No cold calls: they need a restart of the server for each query
    #[arg(long)]
    pub(super) no_cold: bool,
    /// Leave the kernel's page cache alone, which is dropped for every process on the machine: files are not cold then
    #[arg(long)]
    pub(super) keep_page_cache: bool,
    /// Only load
    #[arg(long)]
    pub(super) no_queries: bool,
}

/// A transport of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Protocol {
    Http,
    Grpc,
}

/// The shape of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

const SECOND: u64 = 1_000_000_000;

impl BenchArgs {
    /// When the last trace starts, on a whole second.
    pub(super) fn end(&self, now: UnixNanos) -> Result<UnixNanos, BenchError> {
        let end = parse_time(self.end.as_deref().unwrap_or("now-1m"), now)?;
        Ok(end - end % SECOND)
    }

    /// # Errors
    /// [`BenchError::Usage`] for flags that do not go together.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        let wrong = |text: &str| Err(BenchError::Usage(text.to_owned()));
        let SubjectArgs { target, target_otlp, data_dir, .. } = &self.subject;
        if self.load.no_load && target.is_none() && data_dir.is_none() {
            return wrong("--no-load needs the --data-dir that holds the data, or a --target");
        }
        if target.is_some() && target_otlp.is_none() && !self.load.no_load {
            return wrong("--target needs --target-otlp to load, or --no-load");
        }
        let has_data = data_dir.as_ref().and_then(|dir| std::fs::read_dir(dir).ok()?.next()).is_some();
        if has_data && !self.load.no_load {
            return wrong("the --data-dir is not empty: name another, or ask it with --no-load and --end");
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error: QueryError| error.to_string())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.1..=1e9).contains(rate));
    rate.ok_or_else(|| "the rate is a number of spans a second".to_owned())
}
