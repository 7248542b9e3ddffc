//! The server that is measured, when it is ours: a child process on free ports.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use url::Url;
use vivace_base::Clock;

use super::error::BenchError;
use crate::query_cli::Client;

/// A server over 50 million spans should be ready in two seconds; a log of gigabytes takes its time to replay.
const START_TIMEOUT: Duration = Duration::from_secs(300);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);
const ANY_PORT: &str = "127.0.0.1:0";
const LOG_LINES_SHOWN: usize = 20;

/// How the server is started, again and again on the same data.
#[derive(Debug)]
pub(super) struct Launcher {
    pub(super) data_dir: PathBuf,
    pub(super) memory_limit: String,
    /// More arguments of `vivace serve`.
    pub(super) more: Vec<String>,
    /// Where its log and its addresses are put.
    pub(super) dir: PathBuf,
}

/// A running server, killed when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    addresses: Addresses,
    log: PathBuf,
    /// From being spawned until it was ready.
    pub(super) start_time: Duration,
}

#[derive(Debug, Deserialize)]
struct Addresses {
    http: String,
    otlp_grpc: String,
    otlp_http: String,
}

impl Launcher {
    /// Starts the server and waits until it is ready.
    pub(super) async fn start(&self, clock: &dyn Clock) -> Result<Server, BenchError> {
        let addresses_file = self.dir.join("addresses.json");
        let log = self.dir.join("server.log");
        // of the server before
        let _ = std::fs::remove_file(&addresses_file);
        let started = clock.monotonic();
        let mut child = self.spawn(&addresses_file, &log)?;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(BenchError::ServerEnded { status, during: "starting", log: tail(&log) });
            }
            if let Some(addresses) = read_addresses(&addresses_file) {
                let addresses = addresses?;
                let client = Client::new(url(&addresses.http)?, None, &[])?;
                if client.get(&["ready"], &[]).await.is_ok() {
                    let start_time = clock.monotonic() - started;
                    return Ok(Server { child, addresses, log, start_time });
                }
            }
            if clock.monotonic() - started > START_TIMEOUT {
                // nothing more can be done about a child that cannot be killed
                let _ = child.kill().and_then(|()| child.wait());
                return Err(BenchError::NotReady { seconds: START_TIMEOUT.as_secs(), log: tail(&log) });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn spawn(&self, addresses_file: &Path, log: &Path) -> Result<Child, BenchError> {
        let file = |reason| BenchError::File { action: "write", path: log.to_owned(), reason };
        let output = File::options().create(true).append(true).open(log).map_err(file)?;
        let errors = output.try_clone().map_err(file)?;
        let program = std::env::current_exe()
            .map_err(|reason| BenchError::Spawn { program: "vivace".into(), reason })?;
        let mut command = Command::new(&program);
        command.arg("serve").arg("--data-dir").arg(&self.data_dir);
        command.args(["--memory-limit", &self.memory_limit]);
        // What happens within ten minutes of a load happens within the run.
        command.args(["--compaction-settle", "2s", "--compacted-block-retention", "30s"]);
        // What the server can take is measured, not what it is told to.
        command.args(["--ingestion-rate-limit-bytes", "1TB", "--ingestion-burst-size-bytes", "1TB"]);
        for listener in ["--http-listen", "--grpc-listen", "--otlp-grpc-listen", "--otlp-http-listen"] {
            command.args([listener, ANY_PORT]);
        }
        command.arg("--addresses-file").arg(addresses_file).args(&self.more);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        command.spawn().map_err(|reason| BenchError::Spawn { program, reason })
    }
}

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The query API.
    pub(super) fn query_url(&self) -> Result<Url, BenchError> {
        url(&self.addresses.http)
    }

    /// Where spans are sent.
    pub(super) fn otlp_url(&self, grpc: bool) -> Result<Url, BenchError> {
        url(if grpc { &self.addresses.otlp_grpc } else { &self.addresses.otlp_http })
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// An error if it ended.
    pub(super) fn check(&mut self, during: &'static str) -> Result<(), BenchError> {
        match self.ended() {
            None => Ok(()),
            Some(status) => Err(BenchError::ServerEnded { status, during, log: tail(&self.log) }),
        }
    }

    /// Stops it in order; kills it when that takes too long.
    pub(super) async fn stop(mut self, clock: &dyn Clock) {
        let _ = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        let asked = clock.monotonic();
        while self.ended().is_none() && clock.monotonic() - asked < STOP_TIMEOUT {
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // fails when it has ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_addresses(file: &Path) -> Option<Result<Addresses, BenchError>> {
    let text = std::fs::read_to_string(file).ok()?;
    let wrong = |reason: serde_json::Error| BenchError::File {
        action: "read",
        path: file.to_owned(),
        reason: reason.into(),
    };
    Some(serde_json::from_str(&text).map_err(wrong))
}

fn url(address: &str) -> Result<Url, BenchError> {
    let text = format!("http://{address}");
    text.parse().map_err(|_| BenchError::Usage(format!("{text} is not an address")))
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
