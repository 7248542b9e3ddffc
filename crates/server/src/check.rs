//! `vivace check`: is what is stored whole?

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use vivace_base::{ByteSize, MemoryBudget, SystemClock, SystemFiles, SystemRandomness};
use vivace_storage::check::{CheckContext, CheckError, CheckOptions, Finding, Report, Severity, check};
use vivace_storage::object::default_url;
use vivace_storage::{CompactionOptions, StoreError, open_store};

use crate::query_cli::count;

/// What checking may take; blocks are read a little at a time.
const MEMORY: ByteSize = ByteSize::from_mib(512);

/// Damage was found, repaired or not.
const DAMAGED: u8 = 1;
/// It could not be checked, as for a wrong command line.
const UNCHECKED: u8 = 2;

/// Verifies a data directory or bucket: catalogs against objects, all checksums, spans against indexes, the write-ahead log.
///
/// Changes nothing without --repair; a server may run beside it.
///
/// Exit status: 0 nothing is damaged, 1 damage was found, repaired or not, 2 it could not be checked.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The server's data directory; without write-ahead log in it only the objects are checked
    #[arg(long, env = "VIVACE_DATA_DIR", default_value = "./vivace-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where the server keeps blocks; by default the directory `objects` in the data directory
    #[arg(long, env = "VIVACE_STORAGE_URL", value_name = "URL")]
    storage_url: Option<String>,
    /// Makes lost indexes anew, deletes what no catalog names, moves what cannot be read to `quarantine/`; no server may run
    /// with this data directory
    #[arg(long)]
    repair: bool,
    /// How to show what was found
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there is no directory {}; set --data-dir or --storage-url", .0.display())]
    NoDirectory(PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}; what was found until then is not told")]
    Check(#[from] CheckError),
}

/// Runs the command.
pub(crate) async fn run(args: CheckArgs) -> ExitCode {
    match report(&args).await {
        Ok(report) => show(&report, args.output),
        Err(failure) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "vivace check: {failure}");
            ExitCode::from(UNCHECKED)
        }
    }
}

async fn report(args: &CheckArgs) -> Result<Report, Failure> {
    let url = match args.storage_url.as_deref() {
        Some(url) if url != "auto" => url.to_owned(),
        _ => default_url(&args.data_dir)?,
    };
    // Opening a local store would make it.
    if let Some(dir) = local_dir(&url).filter(|dir| !dir.is_dir()) {
        return Err(Failure::NoDirectory(dir));
    }
    let wal_dir = args.data_dir.join("wal");
    let options = CheckOptions {
        wal_dir: wal_dir.is_dir().then_some(wal_dir),
        repair: args.repair,
        orphan_age: CompactionOptions::default().orphan_age,
    };
    let context = CheckContext {
        store: open_store(&url)?,
        files: Arc::new(SystemFiles),
        budget: MemoryBudget::new(MEMORY),
        clock: Arc::new(SystemClock::default()),
        randomness: Arc::new(SystemRandomness),
    };
    let shown = io::stderr().is_terminal();
    let mut progress = |what: &str, at: usize, of: usize| {
        if shown {
            let _ = write!(io::stderr(), "\r\x1b[K{what} {at} of {of}");
        }
    };
    let report = check(&options, &context, &mut progress).await;
    if shown {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    Ok(report?)
}

fn local_dir(url: &str) -> Option<PathBuf> {
    url::Url::parse(url).ok().filter(|url| url.scheme() == "file")?.to_file_path().ok()
}

fn show(report: &Report, output: Output) -> ExitCode {
    let text = match output {
        Output::Table => table(report),
        Output::Json => serde_json::to_string_pretty(report).map(|json| json + "\n").unwrap_or_default(),
    };
    if io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::from(UNCHECKED);
    }
    if report.damaged { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS }
}

fn table(report: &Report) -> String {
    let mut lines: Vec<String> = report.findings.iter().map(told).collect();
    if report.findings_left_out > 0 {
        lines.push(format!("and {} more\n", report.findings_left_out));
    }
    let counts = &report.counts;
    lines.push(format!(
        "checked: {}, {}, {}, {}\n",
        count(counts.tenants, "tenant"),
        count(counts.blocks, "block"),
        count(counts.spans, "span"),
        ByteSize::from_bytes(counts.bytes),
    ));
    lines.push(format!(
        "write-ahead log: {}, {}, {} of them in no block yet\n",
        count(counts.log_segments, "segment"),
        count(counts.log_records, "record"),
        counts.log_records_uncovered,
    ));
    if counts.repeated_spans > 0 {
        lines.push(format!(
            "in several blocks, and shown once: about {}\n",
            count(counts.repeated_spans, "span")
        ));
    }
    let damage = report.findings.iter().filter(|finding| finding.severity == Severity::Damage).count();
    let open = report.findings.iter().filter(|finding| is_open(finding)).count();
    lines.push(match (report.damaged, open) {
        (false, _) => "nothing is damaged\n".to_owned(),
        (true, 0) => format!("DAMAGED: {}, dealt with\n", count(damage as u64, "place")),
        (true, _) => format!("DAMAGED: {}\n", count(damage as u64, "place")),
    });
    lines.concat()
}

fn is_open(finding: &Finding) -> bool {
    finding.severity == Severity::Damage && finding.done.is_none()
}

fn told(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Note => "note",
        Severity::Damage => "DAMAGE",
    };
    let mut text = format!("{severity}: {}\n  {}\n", finding.place, finding.problem);
    for (what, value) in [("lost", &finding.lost), ("done", &finding.done)] {
        if let Some(value) = value {
            text += &format!("  {what}: {value}\n");
        }
    }
    text
}
