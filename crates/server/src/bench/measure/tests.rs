use serde_json::json;

use super::*;

#[test]
fn percentiles_are_times_that_were_measured() {
    let times = |n: u64| (1..=n).rev().map(Duration::from_millis).collect();
    assert_eq!(Latency::of(times(100)), Some(Latency { p50: 50.0, p95: 95.0, p99: 99.0, max: 100.0 }));
    assert_eq!(Latency::of(times(3)), Some(Latency { p50: 2.0, p95: 3.0, p99: 3.0, max: 3.0 }));
    assert_eq!(Latency::of(Vec::new()), None);
}

#[test]
fn rows_are_counted_in_every_kind_of_answer() {
    let count = |rows, answer: Value| count_rows(rows, answer.to_string().as_bytes());
    assert_eq!(count(Rows::Traces, json!({"traces": [{}, {}]})), Some(2));
    assert_eq!(count(Rows::Traces, json!({})), Some(0));
    assert_eq!(count(Rows::Series, json!({"series": [{}]})), Some(1));
    assert_eq!(count(Rows::Names, json!({"scopes": [{"tags": ["a"]}, {"tags": ["b", "c"]}]})), Some(3));
    assert_eq!(count(Rows::Values, json!({"tagValues": [{}]})), Some(1));
    assert_eq!(count(Rows::Services, json!({"nodes": [{}, {}], "edges": []})), Some(2));
    let batches = json!([{"scopeSpans": [{"spans": [{}, {}]}, {"spans": [{}]}]}]);
    assert_eq!(count(Rows::Spans, json!({"batches": batches})), Some(3));
    assert_eq!(count(Rows::Spans, json!({"trace": {"resourceSpans": batches}})), Some(3));
    assert_eq!(count_rows(Rows::Traces, b"nonsense"), None);
}
