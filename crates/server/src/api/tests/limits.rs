//! Limits of tenants: how they are shown, and how questions are held to them.

use super::*;

#[tokio::test]
async fn limits_of_tenants_are_shown_with_where_they_come_from() {
    let file = "overrides: {red: {read: {max_result_limit: 5}}, '*': {ingestion: {max_attribute_bytes: 77}}}";
    let (app, _, _dir) = with_overrides(FakeBackend::default(), file);
    let page = async |path: &str| ask_with(&app, path, &[]).await.text().to_owned();
    let red = page("/status/overrides/red").await;
    assert!(red.contains("<h1>Limits of tenant red</h1>"), "{red}");
    for line in [
        "  max_result_limit: 5  # of the tenant\n",
        "  max_attribute_bytes: \"77B\"  # of *\n",
        "  max_exemplars: 100  # default\n",
    ] {
        assert!(red.contains(line), "{line}\n{red}");
    }
    let list = page("/status/overrides").await;
    assert!(list.contains("<a href=\"overrides/red\">red</a>"), "{list}");
    assert!(list.contains("  max_result_limit: 262144  # default\n"), "{list}");
    let expected = "overrides:\n  \"*\":\n    ingestion:\n      max_attribute_bytes: \"77B\"\n  \"red\":\n    \
                    ingestion:\n      max_attribute_bytes: \"77B\"\n    read:\n      max_result_limit: 5\n";
    assert_eq!(page("/status/runtime_config?mode=diff").await, expected);
    let whole = page("/status/runtime_config").await;
    assert!(whole.starts_with("defaults:\n  compaction:\n    block_retention: \"336h\"\n"), "{whole}");
    for (path, status) in [
        ("/status/runtime_config?mode=x", StatusCode::BAD_REQUEST),
        ("/status/overrides/%3Cb%3E", StatusCode::BAD_REQUEST),
        ("/api/overrides", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(ask_with(&app, path, &[]).await.status, status, "{path}");
    }
    let metrics = page("/metrics").await;
    for line in [
        "tempo_limits_defaults{limit_name=\"ingestion_rate_limit_bytes\"} 30000000",
        "tempo_limits_defaults{limit_name=\"max_bytes_per_trace\"} 0",
        "tempo_limits_defaults{limit_name=\"block_retention\"} 1209600000000000",
        "tempo_limits_overrides{limit_name=\"max_result_limit\",user=\"red\"} 5",
        "tempo_limits_overrides{limit_name=\"max_attribute_bytes\",user=\"red\"} 77",
        "tempo_limits_overrides{limit_name=\"max_attribute_bytes\",user=\"*\"} 77",
        "tempo_runtime_config_last_reload_successful 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains("limit_name=\"max_exemplars\",user"), "{metrics}");
}

#[tokio::test]
async fn each_tenants_questions_are_held_to_its_limits() {
    let file = "overrides:
  red: {read: {max_result_limit: 5, max_spans_per_span_set: 2, max_search_duration: 1h, max_response_series: 4}}
  blue: {read: {max_metrics_duration: 1h, max_intervals: 9, max_exemplars: 8, default_result_limit: 3}}";
    let (app, backend, _dir) = with_overrides(FakeBackend::default(), file);
    let rate = "q=%7B%7D%7Crate()";
    for (tenant, path, expected) in [
        (
            "red",
            "/api/search?limit=6",
            "limit 6 exceeds max limit 5: ask for less, or raise `max_result_limit` (`read.max_result_limit` of the tenant)",
        ),
        ("red", "/api/search?spss=3", "spss 3 exceeds max spans per span set 2"),
        ("red", "/api/search?start=1&end=3602", "exceeds 1h, it is 3601s"),
        ("blue", &format!("/api/metrics/query?{rate}&since=2h"), "maximum allowed duration of 1h, it is 2h"),
        ("blue", &format!("/api/metrics/query_range?{rate}&since=1h&step=60"), "raise `max_intervals`"),
        ("blue|red", "/api/search?limit=6", "max limit 5"),
        ("green|blue|red", &format!("/api/metrics/query?{rate}&since=2h"), "duration of 1h"),
    ] {
        let answer = ask_with(&app, path, &[("x-scope-orgid", tenant)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{tenant} {path}");
        assert!(answer.text().contains(expected), "{tenant} {path}: {}", answer.text());
        let others = ask_with(&app, path, &[("x-scope-orgid", "green")]).await;
        assert_eq!(others.status, StatusCode::OK, "{path}");
    }
    backend.searched.lock().unwrap().clear();
    for tenant in ["red", "blue", "green"] {
        ask_with(&app, "/api/search", &[("x-scope-orgid", tenant)]).await;
    }
    let asked: Vec<_> =
        backend.searched.lock().unwrap().iter().map(|r| (r.limit, r.spans_per_span_set)).collect();
    assert_eq!(asked, [(5, 2), (3, 3), (20, 3)]);
    backend.measured.lock().unwrap().clear();
    for (tenant, series) in [("red", ""), ("red", "&maxSeries=9"), ("red", "&maxSeries=3"), ("green", "")] {
        let path = format!("/api/metrics/query_range?{rate}{series}");
        ask_with(&app, &path, &[("x-scope-orgid", tenant)]).await;
    }
    let asked: Vec<usize> =
        backend.measured.lock().unwrap().iter().map(|request| request.max_series).collect();
    assert_eq!(asked, [4, 4, 3, 0]);
}
