//! The benchmark runs and its report has its shape. What it measures is no matter of tests.

use std::process::{Command, Output};

use serde_json::Value;
use vivace_e2e::Server;
use vivace_e2e::server::binary;

/// Queries that find something however few spans there are; of the others some do not.
const FIND_SOMETHING: [&str; 8] = [
    "Kiali, 6 h, 100 traces",
    "Kiali, 10 min",
    "trace by id",
    "one request id",
    "rate by service",
    "p50, p99 by service",
    "one click: 11 Kiali",
    "trace by id, v2",
];

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VIVACE_")) {
        command.env_remove(name);
    }
    command.args(["bench", "--profile", "small", "--spans", "6000", "--output", "json"]).args(arguments);
    command.output().expect("the vivace binary can be started")
}

fn report(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", output.status);
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

fn number(report: &Value, pointer: &str) -> f64 {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no number {pointer} in {report:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_benchmark_of_an_own_server_is_complete() {
    let saved = tempfile::tempdir().expect("a temporary directory can be made");
    let dir = saved.path().to_str().expect("the path is UTF-8");
    // other tests' files stay in the page cache
    let mut arguments = vec!["--save", dir, "--repeat", "2", "--clients", "1,2", "--keep-page-cache"];
    arguments.extend(["--", "--max-block-age", "500ms"]);
    let report = report(&bench(&arguments));
    let load = &report["load"];
    let spans = number(load, "/spans");
    assert!((5_000.0..7_000.0).contains(&spans), "{load:#}");
    assert_eq!(load["settled"], true, "{load:#}");
    assert_eq!(number(load, "/rejected_spans"), 0.0);
    for figure in
        ["/server_cpu_seconds", "/spans_per_cpu_second", "/peak_rss_bytes", "/object_bytes_per_span"]
    {
        assert!(number(load, figure) > 0.0, "{figure} in {load:#}");
    }
    for figure in ["/cold_start_ms", "/query_peak_rss_bytes", "/machine/cpus", "/machine/memory_bytes"] {
        assert!(number(&report, figure) > 0.0, "{figure}");
    }
    assert_eq!(report["page_cache"], "kept (--keep-page-cache)");
    assert!(report["date"].is_string());
    let queries = report["queries"].as_array().expect("queries are a list");
    assert!(queries.len() >= 40, "{} queries", queries.len());
    queries.iter().for_each(check_query);
    let found = queries.iter().filter(|query| number(query, "/rows") > 0.0);
    let found: Vec<&str> = found.map(|query| query["name"].as_str().unwrap_or_default()).collect();
    assert!(found.len() >= 30, "only {found:?}");
    assert!(FIND_SOMETHING.iter().all(|name| found.contains(name)), "only {found:?}");
    let files: Vec<_> = std::fs::read_dir(dir).expect("the directory is there").collect();
    assert_eq!(files.len(), 1, "one file was saved");
}

fn check_query(query: &Value) {
    let name = query["name"].as_str().expect("a query has a name");
    assert_eq!(query["failures"].as_array().map(Vec::len), Some(0), "{query:#}");
    assert_eq!(query["partial"], Value::Null, "{query:#}");
    assert!(number(query, "/cold_ms") > 0.0 && number(query, "/bytes") > 0.0, "{query:#}");
    let together = query["together"].as_u64().expect("a number of requests");
    let levels = query["levels"].as_array().expect("levels are a list");
    assert_eq!(levels.len(), if together > 1 { 1 } else { 2 }, "{name}");
    for level in levels {
        assert_eq!(number(level, "/failures"), 0.0, "{level:#}");
        assert!(number(level, "/calls") >= 2.0, "{level:#}");
        assert!(number(level, "/latency/p50") <= number(level, "/latency/p99"), "{level:#}");
        assert_eq!(level["whole"].is_object(), together > 1, "{level:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_measured_over_grpc() {
    let server = Server::start().await;
    let target = format!("http://{}", server.addresses().http);
    let otlp = format!("http://{}", server.addresses().otlp_grpc);
    let arguments = ["--target", &target, "--target-otlp", &otlp, "--protocol", "grpc", "--settle", "1s"];
    let more = ["--repeat", "2", "--clients", "1", "--only", "by id", "--only", "Kiali, 6 h"];
    let report = report(&bench(&[&arguments[..], &more[..]].concat()));
    assert!(number(&report, "/load/spans") > 5_000.0);
    assert_eq!(report["cold_start_ms"], Value::Null);
    assert_eq!(report["load"]["server_cpu_seconds"], Value::Null);
    let queries = report["queries"].as_array().expect("queries are a list");
    assert!(queries.len() >= 3, "{} queries", queries.len());
    for query in queries {
        assert!(number(query, "/rows") > 0.0, "{query:#}");
        assert_eq!(query["failures"].as_array().map(Vec::len), Some(0), "{query:#}");
        assert_eq!(query["cold_ms"], Value::Null);
    }
}

#[test]
fn flags_that_do_not_go_together_are_refused() {
    for arguments in [&["--no-load"][..], &["--no-load", "--end", "now"], &["--target", "http://127.0.0.1:1"]]
    {
        let output = bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty());
    }
}
