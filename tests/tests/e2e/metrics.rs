//! `/metrics` of a server that works, against the page that lists them and against what dashboard and alerts use.

use std::collections::BTreeSet;
use std::time::Duration;

use vivace_e2e::exposition::{Exposition, mentioned};
use vivace_e2e::prometheus::{programs, promtool, repository};
use vivace_e2e::spans::{attribute, batch, scope, service, span, text};
use vivace_e2e::traffic::all_spans;
use vivace_e2e::{Client, Compression, Encoding, Server, ServerBuilder, Traffic, otlp};

use crate::{recent, ten_minutes_ago};

const SEED: u64 = 33;
const TRACES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(120);
/// Where the page lists what is not there.
const ABSENT: &str = "## Tempo's that are not there";

/// A server that has taken spans, cut blocks and answered queries, and has spans in no block.
pub(crate) async fn busy_server() -> Server {
    let builder = ServerBuilder::new().config("max_block_bytes", "64KiB");
    let limits = builder.data_dir().join("limits.yaml");
    std::fs::create_dir_all(builder.data_dir()).expect("the data directory can be made");
    std::fs::write(&limits, "overrides: { \"*\": { ingestion: { max_attribute_bytes: 1024 } } }\n")
        .expect("written");
    let builder = builder.config("per_tenant_override_config", &limits.display().to_string());
    let server = builder.start().await;
    let traces = Traffic::new(SEED, ten_minutes_ago()).traces(TRACES);
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        server.otlp().send_as(&otlp::request(all_spans(&traces)), encoding, Compression::None).await;
    }
    let wrong = span([7; 16], 0, None, "without an id", ten_minutes_ago());
    let mut long = span([7; 16], 7, None, "cut", ten_minutes_ago());
    long.attributes = vec![attribute("long", text(&"x".repeat(2000)))];
    let odd = otlp::request(vec![batch(service("odd"), scope("x", "1"), vec![wrong, long])]);
    let reply = server.otlp().export(&odd, Encoding::Protobuf, Compression::None).await;
    assert_eq!(reply.expect("the server answers").status, 200);
    let client = server.client();
    client.search("{ }", 5, 3, recent()).await;
    client.query_range("{ } | rate()", recent(), 60).await;
    client.trace(&traces[0].hex()).await.expect("the trace is found");
    client.get("/api/v2/search/tags").await.ok();
    client.get("/api/search?q=%7B").await.expect(400);
    let cutting = async {
        while !page(&client).await.contains("\ntempodb_blocklist_length{tenant=\"single-tenant\"} ") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, cutting).await.is_ok(), "no block for {PATIENCE:?}");
    server.otlp().send(traces[0].resource_spans.clone()).await;
    server
}

async fn page(client: &Client) -> String {
    client.get("/metrics").await.ok().text()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names in the first column of the tables of a page.
fn listed(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    rows.flat_map(mentioned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_metrics_is_what_a_server_says() {
    let server = busy_server().await;
    let said = Exposition::parse(&page(&server.client()).await);
    let documentation = read("docs/operations/metrics.md");
    let (present, absent) = documentation.split_once(ABSENT).expect("the page lists what is not there");
    let (present, absent) = (listed(present), listed(absent));
    let missing: Vec<_> = present.difference(said.names()).collect();
    assert!(missing.is_empty(), "docs/operations/metrics.md lists what a server does not say: {missing:#?}");
    let unlisted: Vec<_> = said.names().difference(&present).collect();
    assert!(unlisted.is_empty(), "docs/operations/metrics.md lacks {unlisted:#?}");
    let there: Vec<_> = absent.iter().filter(|name| said.has(name)).collect();
    assert!(there.is_empty(), "docs/operations/metrics.md says that these are not there: {there:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alerts_use_metrics_that_exist() {
    let server = busy_server().await;
    let said = Exposition::parse(&page(&server.client()).await);
    for path in ["deploy/grafana/vivace.json", "deploy/prometheus/vivace.rules.yaml"] {
        let used = mentioned(&read(path));
        assert!(used.len() > 10, "{path} uses only {used:?}");
        let unknown: Vec<_> = used.iter().filter(|name| !said.has(name)).collect();
        assert!(unknown.is_empty(), "{path} uses metrics that a server does not have: {unknown:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_no_fault() {
    let Some(programs) = programs() else { return };
    let server = busy_server().await;
    let scrape = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(scrape.path(), page(&server.client()).await).expect("it can be written");
    let rules = repository("deploy/prometheus/vivace.rules.yaml");
    let tests = repository("deploy/prometheus/vivace.test.yaml");
    let (rules, tests) = (rules.display().to_string(), tests.display().to_string());
    let checks: [&[&str]; 3] =
        [&["check", "metrics"], &["check", "rules", &rules], &["test", "rules", &tests]];
    for arguments in checks {
        let output = promtool(&programs, arguments, scrape.path());
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}
