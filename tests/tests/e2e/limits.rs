//! Each tenant is held to its limits, which change while the server runs.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tonic::Code;
use vivace_e2e::spans::{MILLISECOND, SECOND, attribute, batch, hex_id, scope, service, span, text};
use vivace_e2e::{Client, Compression, Encoding, Reply, Server, ServerBuilder, otlp};

use crate::ten_minutes_ago;

const PATIENCE: Duration = Duration::from_secs(60);
const TRACES: u64 = 6;
const SPANS: u64 = 4;
const TENANTS: [&str; 3] = ["red", "blue", "green"];
const LONG: &str = "a text of 26 bytes, not 16";

/// A server with an overrides file that it reads ten times a second.
struct World {
    server: Server,
    file: PathBuf,
    start: u64,
}

impl World {
    async fn start(overrides: &str) -> Self {
        let builder = ServerBuilder::new().flag("--multitenancy").tiny_blocks();
        let file = builder.data_dir().with_file_name("overrides.yaml");
        std::fs::write(&file, overrides).expect("the overrides file can be written");
        let builder = builder.config("per_tenant_override_config", &file.display().to_string());
        let server = builder.config("per_tenant_override_period", "100ms").start().await;
        Self { server, file, start: ten_minutes_ago() }
    }

    fn client(&self, tenant: &str) -> Client {
        self.server.client().tenant(tenant)
    }

    fn traces(&self) -> otlp::ExportRequest {
        let spans = (0..TRACES * SPANS).map(|id| {
            let parent = (id % SPANS > 0).then_some(id);
            let start = self.start + id * MILLISECOND;
            let mut span = span([1 + (id / SPANS) as u8; 16], id + 1, parent, "call", start);
            span.attributes = vec![attribute("text", text(LONG)), attribute("id", text(&format!("id-{id}")))];
            span
        });
        otlp::request(vec![batch(service("shop"), scope("test", "1"), spans.collect())])
    }

    async fn export(&self, tenant: &str) -> Reply {
        let otlp = self.server.otlp().tenant(tenant);
        otlp.export(&self.traces(), Encoding::Json, Compression::None).await.expect("an answer")
    }

    /// Writes the file anew and waits until what `tenant` is shown has this in it.
    async fn change(&self, overrides: &str, tenant: &str, shown: &str) {
        std::fs::write(&self.file, overrides).expect("the overrides file can be written");
        self.until(&format!("/status/overrides/{tenant}"), shown).await;
    }

    async fn until(&self, path: &str, shown: &str) {
        let waiting = async {
            while !self.server.client().get(path).await.ok().text().contains(shown) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(reached.is_ok(), "{path} does not show {shown} for {PATIENCE:?}");
    }

    async fn metric(&self, line: &str) {
        let page = self.server.client().get("/metrics").await.ok().text();
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }

    fn range(&self) -> [(&'static str, String); 2] {
        let seconds = self.start / SECOND;
        [("start", (seconds - 60).to_string()), ("end", (seconds + 60).to_string())]
    }

    async fn ask(&self, tenant: &str, path: &str, parameters: &[(&str, &str)]) -> Reply {
        let range = self.range();
        let range = range.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<_> = parameters.iter().copied().chain(range).collect();
        self.client(tenant).get_with(path, &all, &[]).await
    }

    async fn found(&self, tenant: &str) -> usize {
        let found = self.ask(tenant, "/api/search", &[("q", "{ }")]).await.ok().json();
        found["traces"].as_array().map_or(0, Vec::len)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_sends_is_cut_and_refused_by_its_limits() {
    let world = World::start("overrides: {red: {ingestion: {max_attribute_bytes: 16}}}").await;
    for tenant in TENANTS {
        let told = world.export(tenant).await.ok().json()["partialSuccess"].clone();
        if tenant == "red" {
            let message = told["errorMessage"].as_str().expect("a warning");
            assert!(
                message.starts_with("attribute \"text\": 26 bytes cut to max_attribute_bytes, 16"),
                "{told}"
            );
            assert_eq!(told["rejectedSpans"], "0");
        } else {
            assert_eq!(told, serde_json::json!({}), "{tenant}");
        }
    }
    let count = TRACES * SPANS;
    world
        .metric(&format!(
            "tempo_distributor_attributes_truncated_total{{tenant=\"red\",scope=\"span\"}} {count}"
        ))
        .await;
    let World { server, file, start } = world;
    // What was cut is the same after a crash, though nothing is to be cut any more.
    std::fs::write(&file, "").expect("the overrides file can be written");
    let world = World { server: server.kill().start().await, file, start };
    for (tenant, value) in [("red", "a text of 26 byt"), ("blue", LONG)] {
        let values = world.client(tenant).json("/api/v2/search/tag/span.text/values", &[]).await;
        assert_eq!(values["tagValues"][0]["value"], value, "{tenant}");
    }

    let overrides = "overrides:
  red: {ingestion: {rate_limit_bytes: 1, burst_size_bytes: 5000}}
  blue: {ingestion: {rate_limit_bytes: 1, burst_size_bytes: 10, retry_info_enabled: false}}";
    world.change(overrides, "blue", "burst_size_bytes: \"10B\"  # of the tenant").await;
    assert_eq!(world.export("red").await.status, 200, "a burst passes");
    let refused = world.export("red").await.expect(429);
    assert_eq!(refused.header("retry-after"), "5");
    let message = refused.json()["message"].as_str().expect("a message").to_owned();
    assert!(
        message.starts_with("RATE_LIMITED: ingestion rate limit (1 bytes/s, burst: 5000 bytes)"),
        "{message}"
    );
    let refused = world.export("blue").await.expect(429);
    assert_eq!(refused.header("retry-after"), "");
    let status = world.server.otlp().tenant("red").export_grpc(world.traces(), Compression::None).await;
    let status = status.expect_err("over gRPC too");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().starts_with("RATE_LIMITED: ") && !status.details().is_empty(), "{status:?}");
    let status = world.server.otlp().tenant("blue").export_grpc(world.traces(), Compression::None).await;
    assert!(status.expect_err("too large").message().starts_with("RATE_LIMITED: batch size ("));
    world
        .metric(&format!(
            "tempo_discarded_spans_total{{reason=\"rate_limited\",tenant=\"red\"}} {}",
            2 * count
        ))
        .await;
    assert_eq!(world.export("green").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_asks_is_held_to_its_limits() {
    let world = World::start("").await;
    for tenant in TENANTS {
        world.export(tenant).await.ok();
        assert_eq!(world.found(tenant).await, TRACES as usize);
    }
    let overrides = "overrides:
  red:
    read: {max_result_limit: 5, max_search_duration: 100s, max_spans_per_trace: 3, max_response_series: 2}
  blue:
    read: {max_metrics_duration: 100s, default_result_limit: 1, max_spans_per_span_set: 2, max_bytes_scanned: 1}";
    world.change(overrides, "red", "max_result_limit: 5  # of the tenant").await;
    assert_eq!((world.found("blue").await, world.found("green").await), (1, TRACES as usize));

    let rate = "{ } | rate() by (span.id)";
    let by_range = ("step", "60");
    for (tenant, path, parameters, told) in [
        (
            "red",
            "/api/search",
            [("q", "{ }"), ("limit", "6")],
            "limit 6 exceeds max limit 5: ask for less, or raise",
        ),
        ("red", "/api/search", [("q", "{ }"), ("limit", "1")], "exceeds 100s, it is 2m"),
        ("blue", "/api/search", [("q", "{ }"), ("spss", "3")], "spss 3 exceeds max spans per span set 2"),
        ("blue", "/api/metrics/query_range", [("q", rate), by_range], "allowed duration of 100s, it is 2m"),
        ("blue|red", "/api/search", [("q", "{ }"), ("limit", "6")], "max limit 5"),
        ("green|blue", "/api/metrics/query_range", [("q", rate), by_range], "duration of 100s"),
    ] {
        let refused = world.ask(tenant, path, &parameters).await.expect(400);
        assert!(refused.text().contains(told), "{tenant} {path}: {}", refused.text());
        world.ask("green", path, &parameters).await.ok();
    }

    let series = |answer: &Value| answer["series"].as_array().map_or(0, Vec::len);
    let measured = world.ask("red", "/api/metrics/query_range", &[("q", rate), by_range]).await.ok();
    assert_eq!((series(&measured.json()), &measured.json()["status"]), (2, &Value::from("PARTIAL")));
    assert!(measured.header("x-vivace-partial").starts_with("Response exceeds maximum series limit of 2"));
    let measured = world.ask("green", "/api/metrics/query_range", &[("q", rate), by_range]).await.ok();
    assert_eq!(series(&measured.json()), (TRACES * SPANS) as usize);

    let id = hex_id([1; 16]);
    let part = world.client("red").get(&format!("/api/v2/traces/{id}")).await.ok();
    assert!(part.header("x-vivace-partial").starts_with("Trace exceeds maximum size of 3 spans"));
    assert_eq!((count_of(&part.json()["trace"]), &part.json()["status"]), (3, &Value::from("PARTIAL")));
    let refused = world.client("red").get(&format!("/api/traces/{id}")).await.expect(422);
    assert!(refused.text().starts_with("trace exceeds max size (3 spans)"), "{}", refused.text());
    let whole = world.client("green").get(&format!("/api/v2/traces/{id}")).await.ok().json();
    assert_eq!((count_of(&whole["trace"]), &whole["status"]), (SPANS as usize, &Value::Null));
}

fn count_of(trace: &Value) -> usize {
    let resources = trace["resourceSpans"].as_array().expect("spans").iter();
    let scopes = resources.flat_map(|resource| resource["scopeSpans"].as_array().expect("spans"));
    scopes.map(|scope| scope["spans"].as_array().map_or(0, Vec::len)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_reads_and_how_long_it_takes_is_bounded() {
    let world = World::start("overrides: {red: {read: {max_bytes_scanned: 1}}}").await;
    for tenant in TENANTS {
        world.export(tenant).await.ok();
    }
    let asked = [("q", "{ span.id != \"id-3\" }")];
    let told = "the query reads more than the 1B of blocks that `max_bytes_scanned` allows";
    // As soon as the spans are in blocks.
    let waiting = async {
        loop {
            let found = world.ask("red", "/api/search", &asked).await.ok();
            if found.header("x-vivace-partial").starts_with(told) {
                break;
            }
            assert_eq!(found.header("x-vivace-partial"), "");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(reached.is_ok(), "everything is read for {PATIENCE:?}");
    let measured = [("q", "{ span.id != \"id-3\" } | rate() by (span.id)"), ("step", "60")];
    let refused = world.ask("red", "/api/metrics/query_range", &measured).await.expect(422);
    assert!(refused.text().contains(told) && refused.text().contains("`read.max_bytes_scanned`"));
    let refused = world.ask("red|green", "/api/metrics/query_range", &measured).await.expect(422);
    assert!(refused.text().contains(told), "{}", refused.text());
    for tenant in ["blue", "green"] {
        let found = world.ask(tenant, "/api/search", &asked).await.ok();
        assert_eq!((found.header("x-vivace-partial"), world.found(tenant).await), ("", TRACES as usize));
        world.ask(tenant, "/api/metrics/query_range", &measured).await.ok();
    }
    // A trace by id has limits of its own.
    let whole = world.client("red").get(&format!("/api/v2/traces/{}", hex_id([1; 16]))).await.ok();
    assert_eq!(count_of(&whole.json()["trace"]), SPANS as usize);
}

/// Ten thousand series of a value each are not made in a millisecond.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long_is_given_up() {
    let world = World::start("overrides: {red: {read: {query_deadline: 1ms}}}").await;
    let spans = (0..10_000_u64).map(|id| {
        let mut span = span([9; 16], id + 1, None, "call", world.start + id);
        span.attributes = vec![attribute("id", text(&format!("id-{id}")))];
        span
    });
    let export = otlp::request(vec![batch(service("shop"), scope("test", "1"), spans.collect())]);
    for tenant in TENANTS {
        let otlp = world.server.otlp().tenant(tenant);
        otlp.send_as(&export, Encoding::Protobuf, Compression::None).await;
    }
    let measured = [("q", "{ } | quantile_over_time(duration, .5) by (span.id)"), ("step", "60")];
    for tenant in ["red", "red|blue"] {
        let refused = world.ask(tenant, "/api/metrics/query_range", &measured).await.expect(504);
        assert!(refused.text().contains("the 1ms of its deadline, `query_deadline`"), "{}", refused.text());
    }
    world.ask("blue", "/api/metrics/query_range", &measured).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_old_blocks_go_and_others_stay() {
    let world = World::start("").await;
    for tenant in TENANTS {
        world.export(tenant).await.ok();
    }
    world
        .change("overrides: {red: {compaction: {block_retention: 1s}}}", "red", "block_retention: \"1s\"")
        .await;
    let waiting = async {
        while world.found("red").await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let gone = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(gone.is_ok(), "spans are kept for {PATIENCE:?}");
    assert_eq!((world.found("blue").await, world.found("green").await), (TRACES as usize, TRACES as usize));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing_and_keeps_a_server_from_starting() {
    let world = World::start("overrides: {red: {read: {max_result_limit: 5}}}").await;
    world.metric("tempo_runtime_config_last_reload_successful 1").await;
    world.metric("tempo_limits_overrides{limit_name=\"max_result_limit\",user=\"red\"} 5.0").await;
    let broken = "overrides: {red: {read: {max_resultlimit: 6}}}";
    std::fs::write(&world.file, broken).expect("the overrides file can be written");
    world.until("/metrics", "tempo_runtime_config_last_reload_successful 0").await;
    world.ask("red", "/api/search", &[("limit", "6")]).await.expect(400);
    let log = world.server.builder().log();
    let told = "unknown key `overrides.red.read.max_resultlimit`; did you mean `read.max_result_limit`?";
    assert!(log.contains(told), "{log}");
    let exit = world.server.kill().start_refused().await;
    assert!(!exit.status.success() && exit.output.matches(told).count() > log.matches(told).count());
}
