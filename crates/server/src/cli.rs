//! The command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::api;
use crate::bench::{self, BenchArgs};
use crate::check::{self, CheckArgs};
use crate::config::{self, Config, ConfigArgs};
use crate::demo::{self, DemoArgs};
use crate::limits::TenantLimits;
use crate::query_cli::{self, QueryArgs};
use crate::self_tracing::SelfTracing;
use crate::{logging, serve};

/// A distributed-tracing backend that speaks Grafana Tempo's API.
#[derive(Debug, Parser)]
#[command(name = "vivace", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server.
    Serve(ServeArgs),
    Demo(DemoArgs),
    Query(Box<QueryArgs>),
    Bench(Box<BenchArgs>),
    Check(CheckArgs),
    /// Prints docs/configuration.md.
    #[command(hide = true)]
    ConfigDocs,
    /// Prints docs/api.md.
    #[command(hide = true)]
    ApiDocs,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Prints the configuration that results from file, environment and flags, and exits
    #[arg(long)]
    check_config: bool,
    /// Writes the addresses really listened on to FILE, as JSON, once the server is ready
    #[arg(long, value_name = "FILE")]
    addresses_file: Option<PathBuf>,
}

/// The command failed; the message says why.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong, as for clap.
const USAGE: u8 = 2;

/// Runs what the command line asks for.
pub(crate) fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Query(args) => block_on(query_cli::run(*args)),
        Command::Bench(args) => block_on(bench::run(*args)),
        Command::Check(args) => block_on(check::run(args)),
        Command::ConfigDocs => print(&config::markdown()),
        Command::ApiDocs => print(&api::markdown()),
    }
}

fn serve(args: &ServeArgs) -> ExitCode {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &error),
    };
    if args.check_config {
        if let Err(error) = TenantLimits::load(&config) {
            return fail(USAGE, &error);
        }
        return print(&config.to_yaml());
    }
    block_on(async {
        let spans = match SelfTracing::of(&config) {
            Ok(spans) => spans,
            Err(error) => return fail(USAGE, &format!("self_tracing_endpoint: {error}")),
        };
        let tracer = spans.as_ref().map(SelfTracing::tracer);
        if let Err(error) = logging::start(&config.log_level, config.log_format, tracer) {
            return fail(USAGE, &format!("log_level: {error}"));
        }
        let served = serve::run(config, args.addresses_file.as_deref()).await;
        if let Some(spans) = spans {
            spans.stop().await;
        }
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILED, &error),
        }
    })
}

fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => fail(FAILED, &format!("cannot start the runtime: {error}")),
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "vivace: {error}");
    ExitCode::from(code)
}
