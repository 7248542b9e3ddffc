//! The server in a memory control group: the kernel kills it if it takes more than it was given.
//!
//! What runs by default is small enough for a debug build. `VIVACE_MEMORY_SPANS` and `VIVACE_MEMORY_ROUNDS` make it the
//! long run that docs/operations/memory.md tells of.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use vivace_base::{Clock, SystemClock};
use vivace_e2e::kiali;
use vivace_e2e::server::binary;
use vivace_e2e::spans::SECOND;
use vivace_e2e::{MemoryCgroup, Reply, Server, ServerBuilder};

use crate::now;

mod hostile;
mod soak;

const MIB: u64 = 1 << 20;
/// What Kiali asks for at once when its user clicks on a node of the graph of the benchmark's mesh.
const CLICK: [&str; 11] = [
    "cart.shop",
    "catalog.shop",
    "search.shop",
    "reviews.shop",
    "storefront.shop",
    "checkout.payments",
    "payment.payments",
    "fraud.payments",
    "accounts.identity",
    "login.identity",
    "profiles.identity",
];

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => default,
    }
}

/// A server that may take so much, all of it its own to use.
struct Confined {
    server: Server,
    group: Option<Arc<MemoryCgroup>>,
    limit: u64,
}

impl Confined {
    async fn start(mib: u64) -> Option<Self> {
        Self::start_as(mib, ServerBuilder::new()).await
    }

    async fn start_as(mib: u64, builder: ServerBuilder) -> Option<Self> {
        let limit = mib * MIB;
        let group = Arc::new(MemoryCgroup::or_skip(limit)?);
        let builder = builder.in_cgroup(&group);
        let server = builder.flag("--memory-limit").flag(&format!("{mib}MiB")).start().await;
        Some(Self { server, group: Some(group), limit })
    }

    /// Sends it the benchmark's mesh; the last span is a minute old.
    fn load(&self, spans: u64) {
        let status = self.feed(&["--spans", &spans.to_string()]).wait().expect("the load ends");
        assert!(status.success(), "loading failed: {status}");
    }

    fn feed(&self, arguments: &[&str]) -> Child {
        let addresses = self.server.addresses();
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VIVACE_")) {
            command.env_remove(name);
        }
        command.args(["bench", "--no-queries", "--settle", "1s", "--output", "json"]);
        command.arg(format!("--target=http://{}", addresses.http));
        command.arg(format!("--target-otlp=http://{}", addresses.otlp_http)).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the vivace binary can be started")
    }

    /// Kiali's query over the last six hours.
    async fn kiali(&self, service: &str) -> Reply {
        self.kiali_over(service, 6).await
    }

    async fn kiali_over(&self, service: &str, hours: u64) -> Reply {
        let end = now() / SECOND;
        let (start, end) = ((end - hours * 3600).to_string(), end.to_string());
        let query = kiali::query(service);
        let parameters =
            [("q", query.as_str()), ("limit", "100"), ("spss", "10"), ("start", &start), ("end", &end)];
        self.server.client().get_with("/api/search", &parameters, &[]).await
    }

    /// It lives, was never killed, and never had more than it was given.
    fn assert_within(&mut self) {
        let kills = self.group.as_ref().map_or(0, |group| group.kills());
        assert_eq!(kills, 0, "the kernel killed it");
        assert!(self.server.is_running(), "it ended");
        let peak = self.server.peak_memory();
        println!("peak {} of {} MiB", peak / MIB, self.limit / MIB);
        assert!(peak <= self.limit, "{peak} of {} bytes", self.limit);
    }
}

/// Whole, and with traces in it.
fn assert_complete(reply: Reply) {
    let reply = reply.ok();
    let partial = reply.headers.iter().find(|(name, _)| name == "x-vivace-partial");
    assert!(partial.is_none(), "{partial:?}");
    assert!(!kiali::search(&reply.json()).is_empty(), "{}", reply.text());
}

/// The sum of a metric's values, whatever their labels.
async fn figure(confined: &Confined, name: &str) -> u64 {
    let page = confined.server.client().get("/metrics").await.ok().text();
    let of_name = |line: &&str| line.split([' ', '{']).next() == Some(name);
    let values = page.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum::<f64>() as u64
}

async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    let outcome = work.await;
    (clock.monotonic() - begun, outcome)
}

/// The middle and the slowest of these, for people to read.
fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!("{what}: {} answers, p50 {:?}, p99 {:?}", times.len(), at(50), at(99));
}

/// What killed Tempo in 2 GiB: clicks in Kiali's graph, eleven queries at once each, while spans come in.
async fn clicks(mib: u64, spans: u64, rounds: u64, rate: &str) {
    let Some(mut confined) = Confined::start(mib).await else { return };
    confined.load(spans);
    let mut live = confined.feed(&["--spans", "100000000", "--seed", "2", "--rate", rate]);
    let mut times = Vec::new();
    for _ in 0..rounds {
        for (time, reply) in join_all(CLICK.iter().map(|service| timed(confined.kiali(service)))).await {
            times.push(time);
            assert_complete(reply);
        }
    }
    live.kill().expect("a child process can be killed");
    live.wait().expect("a killed process ends");
    print_times("Kiali's query", times);
    confined.assert_within();
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_in_kiali_are_answered_in_256_mib() {
    let spans = number("VIVACE_MEMORY_SPANS", 150_000);
    clicks(256, spans, number("VIVACE_MEMORY_ROUNDS", 20), "5000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_in_128_mib_over_little_data() {
    clicks(128, 20_000, number("VIVACE_MEMORY_ROUNDS", 20), "1000").await;
}

/// Who goes away is not worked for any longer: neither while the query waits nor while it scans.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_client() {
    let server = ServerBuilder::new().config("max_concurrent_queries", "2").start().await;
    let confined = Confined { server, group: None, limit: u64::MAX };
    confined.load(60_000);
    let (end, running) = (now() / SECOND, "vivace_queries_running");
    let (start, end) = ((end - 6 * 3600).to_string(), end.to_string());
    let parameters = |number: usize| {
        let top = format!("{{ }} | compare({{ status = error }}, {})", 100 + number);
        vec![("q", top), ("start", start.clone()), ("end", end.clone()), ("step", "5".to_owned())]
    };
    // Each is another question, so that none waits for the answer to another.
    let asked: Vec<_> = (0..6)
        .map(|number| {
            let url = format!("http://{}/api/metrics/query_range", confined.server.addresses().http);
            let request = reqwest::Client::new().get(url).query(&parameters(number));
            tokio::spawn(async move { request.send().await.map(|reply| reply.status()) })
        })
        .collect();
    while figure(&confined, running).await < 2
        || figure(&confined, "tempo_query_frontend_queue_length").await < 4
    {
        assert!(asked.iter().all(|task| !task.is_finished()), "answered before it could be seen");
    }
    asked.iter().for_each(tokio::task::JoinHandle::abort);
    let reserved = async || figure(&confined, "vivace_memory_reserved_bytes").await;
    while figure(&confined, running).await > 0
        || figure(&confined, "tempo_query_frontend_queue_length").await > 0
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("reserved at the end: {} bytes", reserved().await);
}

/// The control group's limit is followed, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_changes_is_followed() {
    let Some(group) = MemoryCgroup::or_skip(512 * MIB).map(Arc::new) else { return };
    let server = ServerBuilder::new().in_cgroup(&group).start().await;
    let limit = async || {
        let page = server.client().get("/metrics").await.ok().text();
        let line = page.lines().find_map(|line| line.strip_prefix("vivace_memory_limit_bytes "));
        line.and_then(|number| number.parse::<f64>().ok()).expect("a number") as u64
    };
    assert_eq!(limit().await, 512 * MIB / 5 * 4);
    group.limit(400 * MIB);
    while limit().await != 400 * MIB / 5 * 4 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
