//! The real Prometheus, scraping a server under test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::Client;
use crate::s3::free_port;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// A free port may be taken by somebody else before Prometheus gets it.
const PORT_TRIES: usize = 5;

/// The folder of `prometheus` and `promtool`, or the reason of a skip printed. With `VIVACE_REQUIRE_PROMETHEUS=1`
/// wanting them fails the test.
pub fn programs() -> Option<PathBuf> {
    let installed = || {
        let dir = PathBuf::from(std::env::var_os("HOME")?).join(".cache/vivace/prometheus/usr/bin");
        dir.join("prometheus").exists().then_some(dir)
    };
    let found = std::env::var_os("VIVACE_PROMETHEUS").map(PathBuf::from).or_else(installed);
    if found.is_none() {
        let required = std::env::var("VIVACE_REQUIRE_PROMETHEUS").is_ok_and(|value| value == "1");
        assert!(!required, "no Prometheus although VIVACE_REQUIRE_PROMETHEUS=1");
        eprintln!("SKIPPED: no Prometheus is installed; ./test.sh installs it");
    }
    found
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Runs `promtool` and returns how it ended.
pub fn promtool(programs: &Path, arguments: &[&str], input: &Path) -> Output {
    let input = std::fs::File::open(input).expect("the input can be read");
    let mut command = Command::new(programs.join("promtool"));
    command.args(arguments).stdin(input).output().expect("promtool can be run")
}

/// A running Prometheus, stopped when dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    client: Client,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target` every second as job `vivace`, with the rules of this repository.
    pub async fn start(programs: &Path, target: &str) -> Self {
        for _ in 0..PORT_TRIES {
            if let Some(started) = Self::try_start(programs, target).await {
                return started;
            }
        }
        panic!("Prometheus does not start");
    }

    async fn try_start(programs: &Path, target: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let rules = repository("deploy/prometheus/vivace.rules.yaml");
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{rules}]\n\
             scrape_configs: [{{ job_name: vivace, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n",
            rules = serde_json::json!(rules.canonicalize().expect("the rules are there")),
        );
        let config_file = dir.path().join("prometheus.yaml");
        std::fs::write(&config_file, config).expect("the configuration can be written");
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new(programs.join("prometheus"))
            .arg(format!("--config.file={}", config_file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Prometheus can be started");
        let mut started = Self { child, client: Client::new(&address), _dir: dir };
        started.listens(&address).await.then_some(started)
    }

    async fn listens(&mut self, address: &str) -> bool {
        let waiting = async {
            loop {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return false;
                }
                if tokio::net::TcpStream::connect(address).await.is_ok()
                    && self.client.get("/-/ready").await.status == 200
                {
                    return true;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(START_TIMEOUT, waiting).await.unwrap_or(false)
    }

    /// What its API answers at `/api/v1/…`.
    pub async fn api(&self, path: &str) -> Value {
        let answer = self.client.get(&format!("/api/v1/{path}")).await.ok().json();
        assert_eq!(answer["status"], "success", "{answer}");
        answer["data"].clone()
    }

    /// The samples an expression has now.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let reply = self.client.get_with("/api/v1/query", &[("query", expression)], &[]).await;
        assert_eq!(reply.status, 200, "{expression}: {}", reply.text());
        reply.json()["data"]["result"].as_array().expect("an instant vector").clone()
    }

    /// Waits until an expression has samples.
    pub async fn until(&self, expression: &str) -> Vec<Value> {
        let waiting = async {
            loop {
                let samples = self.query(expression).await;
                if !samples.is_empty() {
                    return samples;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let reached = tokio::time::timeout(START_TIMEOUT, waiting).await;
        reached.unwrap_or_else(|_| panic!("{expression} has no sample for {START_TIMEOUT:?}"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
