//! `vivace bench`: makes load, asks questions, and reports what both cost.

mod args;
mod error;
mod generator;
mod load;
mod measure;
mod process;
mod queries;
mod report;
mod send;
mod server;
mod settle;
mod subject;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use vivace_base::{Clock, SystemClock};

pub(crate) use args::BenchArgs;
use args::Output;
use error::BenchError;
use generator::{Generator, Workspace};
use load::Load;
use measure::{Measure, Round};
use queries::Query;
use report::{LoadReport, Machine, QueryReport, Report};
use subject::Subject;

use crate::query_cli::Terminal;
use crate::serve::Signals;

const SECOND: u64 = 1_000_000_000;

/// Runs the benchmark; a signal stops it, and the server with it.
pub(crate) async fn run(args: BenchArgs) -> ExitCode {
    let outcome = match Signals::listen() {
        Ok(mut signals) => tokio::select! {
            outcome = bench(&args) => outcome,
            () = signals.next() => Err(BenchError::Stopped),
        },
        Err(error) => Err(BenchError::Signals(error.to_string())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vivace: bench: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn bench(args: &BenchArgs) -> Result<(), BenchError> {
    args.check()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let end = args.end(clock.now())?;
    let generator = Arc::new(Generator::new(args.profile, args.seed, args.spans, end));
    if args.load.generate_only {
        return say(&generate(&generator, &*clock));
    }
    let mut bench = Bench { subject: Subject::new(&args.subject, &*clock).await?, args, clock, generator };
    let report = bench.report().await?;
    if let Some(dir) = &args.save {
        eprintln!("saved {}", report.save(dir)?.display());
    }
    match args.output {
        Output::Table => say(&report.table(&Terminal::detect(false))),
        Output::Json => say(&report.json()),
    }
}

fn say(text: &str) -> Result<(), BenchError> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(BenchError::Output)
}

/// Makes all spans and tells how long that took.
fn generate(generator: &Generator, clock: &dyn Clock) -> String {
    let mut workspace = Workspace::default();
    let (mut spans, mut bytes) = (0, 0);
    let started = clock.monotonic();
    for number in 0..generator.batches() {
        let batch = generator.batch(number, &mut workspace);
        spans += batch.spans;
        bytes += batch.bytes.len();
    }
    let took = (clock.monotonic() - started).as_secs_f64().max(1e-9);
    format!(
        "{spans} spans, {:.1} B/span as OTLP, in {} batches; {took:.2} s: {:.0} spans/s, {:.0} MB/s on one core\n",
        bytes as f64 / spans.max(1) as f64,
        generator.batches(),
        spans as f64 / took,
        bytes as f64 / took / 1e6
    )
}

/// A run.
struct Bench<'a> {
    args: &'a BenchArgs,
    clock: Arc<dyn Clock>,
    generator: Arc<Generator>,
    subject: Subject,
}

impl Bench<'_> {
    async fn report(&mut self) -> Result<Report, BenchError> {
        let args = self.args;
        let own = args.subject.target.is_none();
        let mut report = Report {
            version: env!("CARGO_PKG_VERSION"),
            commit: report::commit(),
            command: std::env::args().collect(),
            date: report::date(self.clock.now()),
            machine: Machine::detect(),
            profile: args.profile,
            seed: args.seed,
            start: self.generator.start() / SECOND,
            end: self.generator.end().div_ceil(SECOND),
            target: args.subject.target.as_ref().map(ToString::to_string),
            memory_limit_bytes: own.then(|| args.subject.memory_limit.bytes()),
            load: None,
            cold_start_ms: None,
            page_cache: None,
            query_peak_rss_bytes: None,
            queries: Vec::new(),
        };
        if !args.load.no_load {
            report.load = Some(self.load().await?);
        }
        if !args.queries.no_queries {
            self.ask(&mut report).await?;
        }
        Ok(report)
    }

    async fn load(&mut self) -> Result<LoadReport, BenchError> {
        let args = &self.args.load;
        let load = Load {
            generator: Arc::clone(&self.generator),
            sender: self.subject.sender(args.protocol)?,
            clients: usize::from(args.load_clients),
            rate: args.rate,
            clock: Arc::clone(&self.clock),
        };
        let server_cpu = |subject: &Subject| subject.pid().and_then(process::cpu_time);
        let own_cpu = || process::cpu_time(std::process::id());
        let (own_before, server_before) = (own_cpu(), server_cpu(&self.subject));
        let since = |now: Option<Duration>, then: Option<Duration>| {
            now.zip(then).map(|(now, then)| now.saturating_sub(then).as_secs_f64())
        };
        let started = self.clock.monotonic();
        let loaded = load.run().await;
        // a server that ended says more than the clients it left
        self.subject.check("loading")?;
        let counters = loaded?;
        let seconds = (self.clock.monotonic() - started).as_secs_f64();
        let client_cpu_seconds = since(own_cpu(), own_before);
        let loading = since(server_cpu(&self.subject), server_before);
        eprintln!("loaded; waiting for the server's work in the background");
        let settled = settle::settle(&mut self.subject, args.settle, &*self.clock).await?;
        let server_cpu_seconds = since(server_cpu(&self.subject), server_before);
        let spans = counters.spans.load(Relaxed);
        let otlp_bytes = counters.bytes.load(Relaxed);
        let disk = self.subject.disk_use();
        Ok(LoadReport {
            protocol: args.protocol,
            clients: args.load_clients,
            rate_limit: args.rate,
            spans,
            rejected_spans: counters.rejected.load(Relaxed),
            otlp_bytes,
            seconds,
            spans_per_second: spans as f64 / seconds,
            pushed_back: counters.pushed_back.load(Relaxed),
            waited_seconds: counters.waited.load(Relaxed) as f64 / 1e6,
            client_cpu_seconds,
            server_cpu_seconds_loading: loading,
            server_cpu_seconds,
            spans_per_cpu_second: server_cpu_seconds.map(|cpu| spans as f64 / cpu.max(1e-3)),
            settled,
            settle_seconds: (self.clock.monotonic() - started).as_secs_f64() - seconds,
            peak_rss_bytes: self.subject.pid().and_then(process::peak_memory),
            object_bytes: disk.map(|[objects, ..]| objects),
            wal_bytes: disk.map(|[_, wal, _]| wal),
            data_dir_bytes: disk.map(|[.., all]| all),
            otlp_bytes_per_span: otlp_bytes as f64 / spans.max(1) as f64,
            object_bytes_per_span: disk.map(|[objects, ..]| objects as f64 / spans.max(1) as f64),
        })
    }

    /// Cold calls, then warm ones.
    async fn ask(&mut self, report: &mut Report) -> Result<(), BenchError> {
        let only = &self.args.queries.only;
        let wanted = |query: &Query| only.is_empty() || only.iter().any(|text| query.name.contains(text));
        let queries: Vec<Query> = queries::mix(&self.generator).into_iter().filter(wanted).collect();
        if queries.is_empty() {
            return Err(BenchError::Usage(format!("no query's name contains {}", only.join(" or "))));
        }
        report.queries = queries.iter().map(query_report).collect();
        if let Some((took, dropped)) =
            self.subject.restart_cold(self.args.queries.keep_page_cache, &*self.clock).await?
        {
            report.cold_start_ms = Some(took.as_secs_f64() * 1e3);
            report.page_cache = Some(match dropped {
                Ok(()) => "dropped before each cold call".to_owned(),
                Err(why) => format!("kept ({why})"),
            });
        }
        let can_be_cold = report.cold_start_ms.is_some() && !self.args.queries.no_cold;
        if can_be_cold {
            for (query, result) in queries.iter().zip(&mut report.queries) {
                self.cold(query, result).await?;
            }
            self.subject.restart(&*self.clock).await?;
        }
        for (query, result) in queries.iter().zip(&mut report.queries) {
            self.warm(query, result).await?;
        }
        report.query_peak_rss_bytes = self.subject.pid().and_then(process::peak_memory);
        Ok(())
    }

    async fn cold(&mut self, query: &Query, result: &mut QueryReport) -> Result<(), BenchError> {
        eprintln!("cold: {}", query.name);
        self.subject.restart_cold(self.args.queries.keep_page_cache, &*self.clock).await?;
        let client = self.subject.client()?;
        let round = self.measure(&client).round(query, 0, true).await;
        result.note(&round, "cold");
        result.cold_ms = Some(round.took.as_secs_f64() * 1e3).filter(|_| result.failures.is_empty());
        self.revive(result).await
    }

    async fn warm(&mut self, query: &Query, result: &mut QueryReport) -> Result<(), BenchError> {
        eprintln!("warm: {}", query.name);
        let client = self.subject.client()?;
        let round = self.measure(&client).round(query, 0, true).await;
        result.note(&round, "warming up");
        for clients in &self.args.queries.clients {
            if query.together && *clients > 1 {
                continue;
            }
            let client = self.subject.client()?;
            let level = self.measure(&client).level(query, usize::from(*clients)).await;
            let failure = level.first_failure.clone();
            result.failures.extend(failure.map(|failure| format!("{clients} clients: {failure}")));
            result.levels.push(level);
            self.revive(result).await?;
        }
        Ok(())
    }

    /// Starts the server again if a query ended it, which is that query's failure.
    async fn revive(&mut self, result: &mut QueryReport) -> Result<(), BenchError> {
        let Err(ended) = self.subject.check("answering") else { return Ok(()) };
        result.failures.push(ended.to_string());
        self.subject.restart(&*self.clock).await.map(drop)
    }

    fn measure<'b>(&'b self, client: &'b crate::query_cli::Client) -> Measure<'b> {
        let args = &self.args.queries;
        Measure {
            client,
            clock: &*self.clock,
            pid: self.subject.pid(),
            repeat: args.repeat as usize,
            budget: args.query_budget,
        }
    }
}

fn query_report(query: &Query) -> QueryReport {
    let first = query.requests.first();
    let q = first.and_then(|request| request.params.iter().find(|(name, _)| *name == "q"));
    QueryReport {
        name: query.name.clone(),
        path: first.map(|request| format!("/{}", request.path.join("/"))).unwrap_or_default(),
        q: q.map(|(_, text)| text.clone()),
        together: if query.together { query.requests.len() } else { 1 },
        goal_ms: query.goal,
        rows: None,
        bytes: 0,
        partial: None,
        cold_ms: None,
        failures: Vec::new(),
        levels: Vec::new(),
    }
}

impl QueryReport {
    /// Keeps what is the same for all calls: rows, bytes and marks of the answers.
    fn note(&mut self, round: &Round, when: &str) {
        self.bytes = round.answers.iter().map(|answer| answer.bytes).sum();
        self.rows = round.answers.iter().map(|answer| answer.rows).sum();
        self.partial = round.answers.iter().find_map(|answer| answer.partial.clone());
        let failure = round.answers.iter().find_map(|answer| answer.failure.as_ref());
        self.failures.extend(failure.map(|failure| format!("{when}: {failure}")));
    }
}
