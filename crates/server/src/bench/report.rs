//! What came out, as JSON and as tables.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use comfy_table::CellAlignment;
use serde::Serialize;
use vivace_base::{ByteSize, UnixNanos};

use super::args::Protocol;
use super::error::BenchError;
use super::generator::Profile;
use super::measure::{Latency, Level};
use super::process;
use crate::query_cli::{Terminal, lines, utc_text};

/// Everything about a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    /// `git describe` where the benchmark was run, if that is a repository.
    pub(super) commit: Option<String>,
    pub(super) command: Vec<String>,
    /// UTC.
    pub(super) date: String,
    pub(super) machine: Machine,
    pub(super) profile: Profile,
    pub(super) seed: u64,
    /// When the first and the last trace start, in unix seconds.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The server that was measured, if it was not our own.
    pub(super) target: Option<String>,
    pub(super) memory_limit_bytes: Option<u64>,
    pub(super) load: Option<LoadReport>,
    /// From starting the process until it was ready, with nothing cached.
    pub(super) cold_start_ms: Option<f64>,
    /// Whether cold means that the kernel's page cache was dropped, and if not, why.
    pub(super) page_cache: Option<String>,
    /// The most memory the server used while it answered warm queries.
    pub(super) query_peak_rss_bytes: Option<u64>,
    pub(super) queries: Vec<QueryReport>,
}

/// Where it ran.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cpus: usize,
    cpu_model: Option<String>,
    memory_bytes: Option<u64>,
    kernel: Option<String>,
}

/// What loading took.
#[derive(Debug, Serialize)]
pub(super) struct LoadReport {
    pub(super) protocol: Protocol,
    pub(super) clients: u16,
    pub(super) rate_limit: Option<f64>,
    pub(super) spans: u64,
    pub(super) rejected_spans: u64,
    pub(super) otlp_bytes: u64,
    pub(super) seconds: f64,
    pub(super) spans_per_second: f64,
    pub(super) pushed_back: u64,
    pub(super) waited_seconds: f64,
    /// Of this program, which makes and sends the spans.
    pub(super) client_cpu_seconds: Option<f64>,
    pub(super) server_cpu_seconds_loading: Option<f64>,
    /// Until the server had nothing left to do.
    pub(super) server_cpu_seconds: Option<f64>,
    pub(super) spans_per_cpu_second: Option<f64>,
    pub(super) settled: bool,
    pub(super) settle_seconds: f64,
    pub(super) peak_rss_bytes: Option<u64>,
    pub(super) object_bytes: Option<u64>,
    pub(super) wal_bytes: Option<u64>,
    pub(super) data_dir_bytes: Option<u64>,
    pub(super) otlp_bytes_per_span: f64,
    pub(super) object_bytes_per_span: Option<f64>,
}

/// What one query took.
#[derive(Debug, Serialize)]
pub(super) struct QueryReport {
    pub(super) name: String,
    /// The path and the query of the first of its requests.
    pub(super) path: String,
    pub(super) q: Option<String>,
    /// Requests made at once.
    pub(super) together: usize,
    pub(super) goal_ms: Option<f64>,
    pub(super) rows: Option<u64>,
    pub(super) bytes: u64,
    pub(super) partial: Option<String>,
    pub(super) cold_ms: Option<f64>,
    pub(super) failures: Vec<String>,
    pub(super) levels: Vec<Level>,
}

/// What the design wants: at least so many spans a CPU second, at most so much memory, so many bytes a span.
const GOALS: [f64; 3] = [60_000.0, 256.0, 35.0];
const MIB: f64 = 1_048_576.0;

impl Machine {
    pub(super) fn detect() -> Self {
        Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_model: process::cpu_model(),
            memory_bytes: process::machine_memory(),
            kernel: process::kernel(),
        }
    }
}

/// `git describe` of the directory we are in.
pub(super) fn commit() -> Option<String> {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// `2026-01-31 12:00:00`, in UTC.
pub(super) fn date(now: UnixNanos) -> String {
    utc_text(now).split('.').next().unwrap_or_default().to_owned()
}

impl Report {
    /// As JSON, for programs.
    pub(super) fn json(&self) -> String {
        // a struct of numbers and texts always becomes JSON
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Writes the JSON into a file of its own below `dir`.
    pub(super) fn save(&self, dir: &Path) -> Result<PathBuf, BenchError> {
        let date: String = self.date.chars().filter(char::is_ascii_digit).collect();
        let profile = format!("{:?}", self.profile).to_lowercase();
        let path = dir.join(format!("{date}-{profile}.json"));
        let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, self.json()));
        written.map_err(|reason| BenchError::File { action: "write", path: path.clone(), reason })?;
        Ok(path)
    }

    /// As tables, for humans.
    pub(super) fn table(&self, terminal: &Terminal) -> String {
        let mut text = self.heading();
        if let Some(load) = &self.load {
            text += &load.table(terminal);
        }
        if let Some(cold_start) = self.cold_start_ms {
            let cache = self.page_cache.as_deref().unwrap_or_default();
            let _ = writeln!(text, "Cold start: ready after {} ms. Page cache: {cache}.", ms(cold_start));
        }
        if let Some(peak) = self.query_peak_rss_bytes {
            let _ = writeln!(text, "Peak memory of warm queries: {:.0} MiB.", peak as f64 / MIB);
        }
        if !self.queries.is_empty() {
            text += "\nMilliseconds; * is a goal that is reached, ! one that is missed.\n\n";
            text += &self.query_table(terminal);
        }
        for query in &self.queries {
            for failure in &query.failures {
                let _ = writeln!(text, "FAILED  {}: {failure}", query.name);
            }
            if let Some(reason) = &query.partial {
                let _ = writeln!(text, "partial {}: {reason}", query.name);
            }
        }
        text
    }

    fn heading(&self) -> String {
        let Machine { cpus, cpu_model, memory_bytes, kernel } = &self.machine;
        let limit = self.memory_limit_bytes.map(ByteSize::from_bytes);
        let subject = match (&self.target, limit) {
            (Some(target), _) => format!("server {target}"),
            (None, Some(limit)) => format!("own server, memory limit {limit}"),
            (None, None) => "own server".to_owned(),
        };
        let profile = format!("{:?}", self.profile).to_lowercase();
        format!(
            "vivace {} ({}), {}: profile {profile}, seed {}, --end {}; {subject}\n{cpus} cpus ({}), {:.0} GiB, Linux {}\n\n",
            self.version,
            self.commit.as_deref().unwrap_or("commit unknown"),
            self.date,
            self.seed,
            self.end,
            cpu_model.as_deref().unwrap_or("unknown"),
            memory_bytes.unwrap_or_default() as f64 / MIB / 1024.0,
            kernel.as_deref().unwrap_or("unknown"),
        )
    }

    fn query_table(&self, terminal: &Terminal) -> String {
        let levels: Vec<usize> = self
            .queries
            .iter()
            .max_by_key(|query| query.levels.len())
            .map(|query| query.levels.iter().map(|level| level.clients).collect())
            .unwrap_or_default();
        let mut header: Vec<String> = ["Query", "Goal", "", "Cold"].map(str::to_owned).into();
        for clients in &levels {
            header.extend([format!("p50 @{clients}"), "p95".to_owned(), "p99".to_owned()]);
        }
        header.extend(["CPU", "Rows", "KiB", "Failed"].map(str::to_owned));
        let names: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut table = terminal.table(&names);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for query in &self.queries {
            table.add_row(query.row(&levels));
            if query.together > 1 {
                table.add_row(query.whole_row(&levels));
            }
        }
        lines(&table)
    }
}

impl QueryReport {
    /// Whether the design's figure is reached: the median of one client, or the 99th percentile of a storm.
    fn reached(&self) -> Option<bool> {
        let latency = self.levels.iter().find(|level| level.clients == 1)?.latency?;
        let figure = if self.together > 1 { latency.p99 } else { latency.p50 };
        Some(self.failures.is_empty() && figure <= self.goal_ms?)
    }

    fn row(&self, levels: &[usize]) -> Vec<String> {
        let mark = match self.reached() {
            Some(true) => "*",
            Some(false) => "!",
            None => "",
        };
        let goal = self.goal_ms.map(|goal| format!("{goal:.0}")).unwrap_or_default();
        let mut row =
            vec![self.name.clone(), goal, mark.to_owned(), self.cold_ms.map(ms).unwrap_or_default()];
        row.extend(self.latencies(levels, |level| level.latency));
        let cpu = self.levels.first().and_then(|level| level.server_cpu_ms_per_call);
        let failed: u64 = self.levels.iter().map(|level| level.failures).sum();
        row.push(cpu.map(ms).unwrap_or_default());
        row.push(self.rows.map(|rows| rows.to_string()).unwrap_or_default());
        row.push(format!("{:.1}", self.bytes as f64 / 1024.0));
        row.push(if failed > 0 || !self.failures.is_empty() {
            failed.max(1).to_string()
        } else {
            String::new()
        });
        row
    }

    fn whole_row(&self, levels: &[usize]) -> Vec<String> {
        let mut row = vec![format!("  until all {} are done", self.together)];
        row.extend([String::new(), String::new(), String::new()]);
        row.extend(self.latencies(levels, |level| level.whole));
        row
    }

    fn latencies(&self, levels: &[usize], of: impl Fn(&Level) -> Option<Latency>) -> Vec<String> {
        let cells = |clients: &usize| {
            let level = self.levels.iter().find(|level| level.clients == *clients);
            match level.and_then(&of) {
                Some(Latency { p50, p95, p99, .. }) => [ms(p50), ms(p95), ms(p99)],
                None => [const { String::new() }; 3],
            }
        };
        levels.iter().flat_map(cells).collect()
    }
}

impl LoadReport {
    fn table(&self, terminal: &Terminal) -> String {
        let mut table = terminal.table(&["Load", "", "Goal"]);
        let mut row = |name: &str, value: String, goal: &str| {
            table.add_row([name.to_owned(), value, goal.to_owned()]);
        };
        let per_span = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / self.spans.max(1) as f64);
        let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "not known".to_owned());
        let bytes = |bytes: Option<f64>| or_unknown(bytes.map(|bytes| format!("{bytes:.1} B/span")));
        let mib =
            |bytes: Option<u64>| or_unknown(bytes.map(|bytes| format!("{:.0} MiB", bytes as f64 / MIB)));
        let seconds = |seconds: Option<f64>| or_unknown(seconds.map(|seconds| format!("{seconds:.1} s")));
        let [rate_goal, memory_goal, bytes_goal] = GOALS;
        row("spans", format!("{} as OTLP {:.1} B/span", self.spans, self.otlp_bytes_per_span), "");
        if self.rejected_spans > 0 {
            row("REJECTED spans", self.rejected_spans.to_string(), "0");
        }
        row("time", format!("{:.1} s, {:.0} spans/s", self.seconds, self.spans_per_second), "");
        row("pushed back", format!("{} times, {:.1} s", self.pushed_back, self.waited_seconds), "");
        row("client CPU", seconds(self.client_cpu_seconds), "");
        row("server CPU while loading", seconds(self.server_cpu_seconds_loading), "");
        let rest = if self.settled { "at rest" } else { "NOT at rest" };
        row(
            "server CPU, all work",
            format!("{}, {rest} after {:.0} s more", seconds(self.server_cpu_seconds), self.settle_seconds),
            "",
        );
        row(
            "spans per server CPU second",
            or_unknown(self.spans_per_cpu_second.map(|rate| format!("{rate:.0}"))),
            &format!(">= {rate_goal:.0}"),
        );
        row("peak memory", mib(self.peak_rss_bytes), &format!("<= {memory_goal:.0} MiB"));
        row("blocks on disk", bytes(per_span(self.object_bytes)), &format!("<= {bytes_goal:.0} B/span"));
        row("write-ahead log on disk", mib(self.wal_bytes), "");
        lines(&table)
    }
}

/// Three digits or more.
fn ms(millis: f64) -> String {
    match millis {
        0.0..10.0 => format!("{millis:.2}"),
        10.0..100.0 => format!("{millis:.1}"),
        _ => format!("{millis:.0}"),
    }
}
