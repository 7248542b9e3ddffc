//! A trace by id: filtered, pruned, for a language model, and compared with another.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value as Json, json};
use vivace_e2e::spans::{self, MILLISECOND, attribute, batch, error, scope, service, span};
use vivace_e2e::{Client, ServerBuilder, flatten};

use crate::ten_minutes_ago;

const FIRST: [u8; 16] = [0x11; 16];
const SECOND: [u8; 16] = [0x22; 16];
const FILTERED: &str = "Trace filtered, only a subset of spans matching the filter is returned";

/// Root 1, handler 2 below it, and six queries below that, one of them failed.
fn family(trace: [u8; 16], start: u64) -> Vec<Span> {
    let child = |id, parent, name| span(trace, id, Some(parent), name, start + id * MILLISECOND);
    let query =
        |id| Span { attributes: vec![attribute("row", Value::IntValue(id as i64))], ..child(id, 2, "query") };
    let mut all = vec![span(trace, 1, None, "root", start), child(2, 1, "handler")];
    all.extend((3..9).map(query));
    all[7].status = error("gone");
    all
}

async fn names(client: &Client, parameters: &[(&str, &str)]) -> (Vec<String>, Json) {
    let told = client.json(&format!("/api/v2/traces/{}", spans::hex_id(FIRST)), parameters).await;
    let batches = told["trace"]["resourceSpans"].as_array().cloned().unwrap_or_default();
    let scopes = batches.iter().flat_map(|batch| batch["scopeSpans"].as_array().expect("scopes"));
    let found = scopes.flat_map(|scope| scope["spans"].as_array().expect("spans"));
    let names = found.map(|span| span["name"].as_str().expect("a name").to_owned()).collect();
    (names, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_shaped_and_compared() {
    let server = ServerBuilder::new().flag("--span-pruning-enabled").start().await;
    let (client, start) = (server.client(), ten_minutes_ago());
    let mut changed = family(SECOND, start);
    changed.pop();
    changed[1].end_time_unix_nano += 50 * MILLISECOND;
    let sent = [family(FIRST, start), changed];
    server.otlp().send(sent.map(|spans| batch(service("shop"), scope("lib", "1"), spans)).to_vec()).await;
    filtered(&client).await;
    pruned(&client).await;
    for_a_language_model(&client).await;
    compared(&client).await;
}

async fn filtered(client: &Client) {
    let (found, told) = names(client, &[]).await;
    assert_eq!((found.len(), &told["status"]), (8, &Json::Null));
    let (found, told) = names(client, &[("q", "{ status = error }")]).await;
    assert_eq!(found, ["query"]);
    assert_eq!((&told["status"], &told["message"]), (&json!("PARTIAL"), &json!(FILTERED)));
    let kept = [("q", "{ span.row > 7 }"), ("keep_hierarchy", "true")];
    assert_eq!(names(client, &kept).await.0, ["root", "handler", "query"]);
    let below = [("q", "{ name = \"root\" }"), ("match_depth", "1")];
    assert_eq!(names(client, &below).await.0, ["root", "handler"]);
    let path = format!("/api/v2/traces/{}", spans::hex_id(FIRST));
    let refused = client.get_with(&path, &[("q", "{ } | count() > 1")], &[]).await.expect(400);
    assert!(refused.text().contains("cannot filter the spans of a trace"), "{}", refused.text());
}

async fn pruned(client: &Client) {
    let wanted = [("span_pruning", "true")];
    let (found, told) = names(client, &wanted).await;
    assert_eq!(found, ["root", "handler", "query", "query"]);
    assert!(
        told.to_string().contains(r#"{"key":"aggregation.span_count","value":{"intValue":"5"}}"#),
        "{told}"
    );
    // The stored trace is as it was.
    let stored = client.trace(&spans::hex_id(FIRST)).await.expect("the trace");
    assert_eq!(flatten(&stored.resource_spans).len(), 8);
}

async fn for_a_language_model(client: &Client) {
    let accept = [("Accept", "application/vnd.grafana.llm")];
    let path = format!("/api/v2/traces/{}", spans::hex_id(FIRST));
    let reply = client.get_with(&path, &[], &accept).await.ok();
    assert_eq!(reply.header("content-type"), "application/vnd.grafana.llm+json");
    let trace = reply.json()["trace"].clone();
    assert_eq!(trace["traceId"], spans::hex_id(FIRST));
    assert_eq!(trace["services"][0]["serviceName"], "shop");
    let told = &trace["services"][0]["scopes"][0]["spans"][2];
    assert_eq!((&told["spanId"], &told["attributes"]["row"]), (&json!("0000000000000003"), &json!(3)));
    assert_eq!(client.get_with("/api/v2/traces/abc", &[], &accept).await.ok().text(), "{}");
}

async fn compared(client: &Client) {
    let mut body =
        json!({"base": {"traceId": spans::hex_id(FIRST)}, "compare": {"traceId": spans::hex_id(SECOND)}});
    let patch = client.post_json("/api/v2/traces/diff", &body).await.ok().json();
    assert_eq!(patch["version"], "trace-patch-v0");
    assert_eq!(patch["stats"]["matchedSpans"], 7);
    assert_eq!(patch["modified"][0]["span"]["name"], "handler");
    assert_eq!(patch["modified"][0]["changes"][0]["after"], 60 * MILLISECOND);
    assert_eq!(patch["removed"][0]["span"]["path"], json!([0, 0, 5]));
    body["format"] = json!("trace-summary-v0-composed");
    let composed = client.post_json("/api/v2/traces/diff", &body).await.ok().json();
    assert_eq!(composed["patch"], patch);
    assert_eq!(composed["summary"]["signals"]["errors"], "decreased");
    body["base"]["traceId"] = json!("abc");
    assert_eq!(client.post_json("/api/v2/traces/diff", &body).await.expect(404).text(), "Not Found");
    client.get("/api/v2/traces/diff").await.expect(405);
}
