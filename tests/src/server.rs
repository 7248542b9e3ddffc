//! The server under test: a child process on free ports.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Client, MemoryCgroup, Otlp};

/// A debug build on a busy machine replays its log well within this.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);
const ANY_PORT: &str = "127.0.0.1:0";
const LOG_LINES_SHOWN: usize = 120;

/// Where a running server listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The query API over HTTP.
    pub http: String,
    /// The query API over gRPC.
    pub grpc: String,
    /// OTLP over gRPC.
    pub otlp_grpc: String,
    /// OTLP over HTTP.
    pub otlp_http: String,
}

/// How a server is started; starting it twice starts it on the same data.
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    dir: Arc<TempDir>,
    flags: Vec<String>,
    config: Vec<String>,
    http_listen: String,
    otlp_grpc_listen: String,
    environment: Vec<(String, String)>,
    cgroup: Option<Arc<MemoryCgroup>>,
    data_dir: Option<PathBuf>,
}

/// A running server, killed when dropped. Its log is printed when the test fails.
#[derive(Debug)]
pub struct Server {
    builder: ServerBuilder,
    child: Child,
    addresses: Addresses,
}

/// How a server ended that was not meant to start.
#[derive(Debug)]
pub struct Exit {
    /// How the process ended.
    pub status: ExitStatus,
    /// All it logged and said.
    pub output: String,
}

impl ServerBuilder {
    /// A server with an empty data directory and default configuration.
    pub fn new() -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a temporary directory can be made"));
        let any = || ANY_PORT.to_owned();
        Self {
            dir,
            flags: Vec::new(),
            config: Vec::new(),
            http_listen: any(),
            otlp_grpc_listen: any(),
            environment: Vec::new(),
            cgroup: None,
            data_dir: None,
        }
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.dir.path().join("data"))
    }

    /// Keeps the data there.
    pub fn on_data_dir(mut self, folder: &Path) -> Self {
        self.data_dir = Some(folder.to_owned());
        self
    }

    /// Adds a command-line argument.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Sets a key in the config file.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push(format!("{key}: {value}\n"));
        self
    }

    /// Listens here for queries over HTTP.
    pub fn listen_http(mut self, address: &str) -> Self {
        self.http_listen = address.to_owned();
        self
    }

    /// Listens here for spans over gRPC.
    pub fn listen_otlp_grpc(mut self, address: &str) -> Self {
        self.otlp_grpc_listen = address.to_owned();
        self
    }

    /// Sets an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it in a control group from its first instruction.
    pub fn in_cgroup(mut self, group: &Arc<MemoryCgroup>) -> Self {
        self.cgroup = Some(Arc::clone(group));
        self
    }

    /// Cuts blocks all the time, so that small tests reach every stage of a span's life.
    pub fn tiny_blocks(self) -> Self {
        self.config("max_block_bytes", "64KiB").config("max_block_age", "200ms")
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(self) -> Server {
        let addresses_file = self.dir.path().join("addresses.json");
        let _ = std::fs::remove_file(&addresses_file);
        let mut child = self.spawn(&addresses_file);
        let started = tokio::time::timeout(START_TIMEOUT, ready(&mut child, &addresses_file)).await;
        let problem = match started {
            Ok(Ok(addresses)) => return Server { builder: self, child, addresses },
            Ok(Err(status)) => format!("it ended: {status}"),
            Err(_) => format!("not ready within {START_TIMEOUT:?}"),
        };
        let _ = child.kill();
        let _ = child.wait();
        panic!("the server did not start: {problem}\n{}", tail(&self.log()));
    }

    /// Starts the server and waits until it gives up.
    pub async fn start_refused(self) -> Exit {
        let mut child = self.spawn(&self.dir.path().join("addresses-refused.json"));
        let Some(status) = ended(&mut child, START_TIMEOUT).await else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server runs although it should not\n{}", tail(&self.log()));
        };
        Exit { status, output: self.log() }
    }

    fn spawn(&self, addresses_file: &Path) -> Child {
        let config_file = self.dir.path().join("config.yaml");
        std::fs::write(&config_file, self.config.concat()).expect("the config file can be written");
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).expect("the log opens");
        let mut command = match &self.cgroup {
            None => Command::new(binary()),
            Some(group) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.procs()).arg(binary());
                shell
            }
        };
        for (name, _) in std::env::vars() {
            if ["VIVACE_", "AWS_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.arg("serve").arg("--data-dir").arg(self.data_dir()).arg("--config").arg(config_file);
        command.args(["--http-listen", &self.http_listen]);
        command.args(["--otlp-grpc-listen", &self.otlp_grpc_listen]);
        for listener in ["--grpc-listen", "--otlp-http-listen"] {
            command.args([listener, ANY_PORT]);
        }
        command.arg("--addresses-file").arg(addresses_file).args(&self.flags);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file handle can be copied")).stderr(log);
        command.spawn().expect("the vivace binary can be started")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// All that servers started from here logged.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A server with an empty data directory and default configuration, started.
    pub async fn start() -> Self {
        ServerBuilder::new().start().await
    }

    /// How it was started.
    pub fn builder(&self) -> &ServerBuilder {
        &self.builder
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Asks its query API.
    pub fn client(&self) -> Client {
        Client::new(&self.addresses.http)
    }

    /// Sends it spans.
    pub fn otlp(&self) -> Otlp {
        Otlp::new(&self.addresses)
    }

    /// The most memory it has had so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a running process has a status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kib << 10
    }

    /// How many files and connections it has open.
    pub fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).expect("a running process has files").count()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child process can be asked").is_none()
    }

    /// `kill -9`, at once.
    pub fn kill(mut self) -> ServerBuilder {
        self.child.kill().expect("a child process can be killed");
        self.child.wait().expect("a killed process ends");
        self.builder.clone()
    }

    /// SIGTERM, then waits for the end.
    pub async fn terminate(mut self) -> (ExitStatus, ServerBuilder) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill can be run").success(), "the server could not be told to stop");
        let status = ended(&mut self.child, STOP_TIMEOUT).await;
        let status = status.unwrap_or_else(|| panic!("the server ignored SIGTERM for {STOP_TIMEOUT:?}"));
        (status, self.builder.clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- server log ---\n{}", tail(&self.builder.log()));
        }
    }
}

async fn ready(child: &mut Child, addresses_file: &Path) -> Result<Addresses, ExitStatus> {
    let addresses = loop {
        if let Some(status) = child.try_wait().expect("a child process can be asked") {
            return Err(status);
        }
        if let Ok(text) = std::fs::read_to_string(addresses_file) {
            break parse(&text);
        }
        tokio::time::sleep(POLL).await;
    };
    let client = Client::new(&addresses.http);
    while client.get("/ready").await.status != 200 {
        tokio::time::sleep(POLL).await;
    }
    Ok(addresses)
}

fn parse(text: &str) -> Addresses {
    let json: serde_json::Value = serde_json::from_str(text).expect("the addresses file is JSON");
    let address = |name: &str| {
        json[name].as_str().unwrap_or_else(|| panic!("no `{name}` in the addresses {text}")).to_owned()
    };
    Addresses {
        http: address("http"),
        grpc: address("grpc"),
        otlp_grpc: address("otlp_grpc"),
        otlp_http: address("otlp_http"),
    }
}

async fn ended(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let waiting = async {
        loop {
            if let Some(status) = child.try_wait().expect("a child process can be asked") {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(limit, waiting).await.ok()
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

/// The binary in `VIVACE_BIN`, else a fresh build beside this test's own binary.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("VIVACE_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("this program has a path");
    let profile_dir =
        test.ancestors().nth(2).expect("tests are built two levels below their profile's directory");
    let target_dir = profile_dir.parent().expect("a profile's directory is inside the target directory");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "vivace-server", "--bin", "vivace", "--target-dir"])
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo can be run");
    assert!(status.success(), "the vivace binary could not be built");
    profile_dir.join("vivace")
}
