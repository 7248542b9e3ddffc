//! S3 for tests: a real server from a package, and a stand-in for stores that cannot put if absent.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::ServerBuilder;

const BUCKET: &str = "vivace-test";
const ACCESS_KEY: &str = "test-access-key";
const SECRET_KEY: &str = "test-secret-key";
const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// A free port may be taken by somebody else before the server gets it.
const PORT_TRIES: usize = 5;
const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 1 << 20;

/// A running S3-compatible server with one empty bucket, stopped when dropped.
#[derive(Debug)]
pub struct S3 {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl S3 {
    /// Starts the server, or says why the test is skipped. With `VIVACE_REQUIRE_S3=1` a missing server fails the test.
    pub async fn start() -> Option<Self> {
        let Some(program) = program() else {
            let required = std::env::var("VIVACE_REQUIRE_S3").is_ok_and(|value| value == "1");
            assert!(!required, "no S3 server (versitygw) although VIVACE_REQUIRE_S3=1");
            eprintln!("SKIPPED: no S3 server (versitygw) is installed; ./test.sh installs it");
            return None;
        };
        for _ in 0..PORT_TRIES {
            if let Some(server) = Self::try_start(&program).await {
                return Some(server);
            }
        }
        panic!("the S3 server {} does not start", program.display());
    }

    async fn try_start(program: &PathBuf) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::create_dir_all(dir.path().join("data").join(BUCKET)).expect("a bucket is a directory");
        let port = free_port();
        let child = Command::new(program)
            .args(["--quiet", "--port", &format!("127.0.0.1:{port}"), "posix"])
            .arg(dir.path().join("data"))
            .env("ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("ROOT_SECRET_KEY", SECRET_KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the S3 server can be started");
        let mut server = Self { child, port, _dir: dir };
        server.listens().await.then_some(server)
    }

    async fn listens(&mut self) -> bool {
        let port = self.port;
        let waiting = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return false;
                }
                tokio::time::sleep(POLL).await;
            }
            true
        };
        tokio::time::timeout(START_TIMEOUT, waiting).await.unwrap_or(false)
    }

    /// A store of its own for each `prefix`.
    pub fn store(&self, prefix: &str) -> object_store::aws::AmazonS3 {
        object_store::aws::AmazonS3Builder::new()
            .with_url(url(prefix))
            .with_endpoint(endpoint(self.port))
            .with_allow_http(true)
            .with_access_key_id(ACCESS_KEY)
            .with_secret_access_key(SECRET_KEY)
            .with_region("us-east-1")
            .build()
            .expect("the settings of a store are complete")
    }

    /// Makes `server` store its blocks here.
    pub fn configure(&self, server: ServerBuilder, prefix: &str) -> ServerBuilder {
        configure(server, self.port, prefix)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The URL of a prefix in the bucket.
pub fn url(prefix: &str) -> String {
    format!("s3://{BUCKET}/{prefix}")
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn configure(server: ServerBuilder, port: u16, prefix: &str) -> ServerBuilder {
    server
        .flag("--storage-url")
        .flag(&url(prefix))
        .environment("AWS_ENDPOINT", &endpoint(port))
        .environment("AWS_ALLOW_HTTP", "true")
        .environment("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .environment("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .environment("AWS_REGION", "us-east-1")
}

fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("VIVACE_S3_SERVER") {
        return Some(path.into());
    }
    let installed = PathBuf::from(std::env::var_os("HOME")?).join(".cache/vivace/bin/versitygw");
    installed.exists().then_some(installed)
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("a bound port has an address").port()
}

/// What a store answers that has no conditional writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditional {
    /// It writes as if there were no condition.
    Ignored,
    /// It does not take the request.
    Refused,
}

/// Just enough of S3 to be asked: one object after the other is written, read and deleted, without conditions.
#[derive(Debug)]
pub struct ForgetfulS3 {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl ForgetfulS3 {
    /// Starts it.
    pub async fn start(conditional: Conditional) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let port = listener.local_addr().expect("a bound port has an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&requests);
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // One request per connection, one connection at a time: a probe asks no faster.
                let _ = answer(stream, conditional, &seen).await;
            }
        });
        Self { port, requests, _tasks: tasks }
    }

    /// Makes `server` store its blocks here.
    pub fn configure(&self, server: ServerBuilder) -> ServerBuilder {
        configure(server, self.port, "lacking")
    }

    /// The method and path of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("nothing panics while it holds the lock").clone()
    }
}

async fn answer(
    mut stream: TcpStream,
    conditional: Conditional,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let head = read_head(&mut stream).await?;
    let line = head.lines().next().unwrap_or_default();
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let condition = head.contains("if-none-match");
    let reply = match line.split(' ').next().unwrap_or_default() {
        "PUT" if condition && conditional == Conditional::Refused => "400 Bad Request",
        "PUT" | "POST" => "200 OK\r\nETag: \"0123456789abcdef0123456789abcdef\"",
        "DELETE" => "204 No Content",
        _ => "404 Not Found",
    };
    seen.lock().expect("nothing panics while it holds the lock").push(line);
    stream
        .write_all(format!("HTTP/1.1 {reply}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    stream.shutdown().await
}

/// Reads a whole request and returns its head in lower case but for the first line.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") && bytes.len() < MAX_HEAD {
        bytes.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (line, fields) = text.split_once("\r\n").unwrap_or_default();
    let fields = fields.to_lowercase();
    let length = fields.lines().find_map(|field| field.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0).min(MAX_BODY)];
    stream.read_exact(&mut body).await?;
    Ok(format!("{line}\r\n{fields}"))
}
