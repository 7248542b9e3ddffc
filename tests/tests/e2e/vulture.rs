//! What Tempo's own acceptance test asks of a server (`reference/tempo.md` 8.4): a trace comes back as it was sent, is
//! found by any of its attributes, and is counted as often as it is found.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use serde_json::Value;
use vivace_e2e::spans::SECOND;
use vivace_e2e::traffic::{all_spans, range_of};
use vivace_e2e::{Client, SentTrace, Server, Traffic, flatten};

use crate::ten_minutes_ago;

const TRACES: usize = 30;
const STEP: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_read_found_and_counted() {
    let server = Server::start().await;
    let traces = Traffic::new(8, ten_minutes_ago()).traces(TRACES);
    server.otlp().send(all_spans(&traces)).await;
    check(&server.client(), &traces).await;
    let (status, builder) = server.terminate().await;
    assert!(status.success(), "{status}");
    check(&builder.start().await.client(), &traces).await;
}

async fn check(client: &Client, traces: &[SentTrace]) {
    for trace in traces {
        read(client, trace).await;
    }
    for (key, value) in attributes(traces) {
        find_and_count(client, traces, &key, &value).await;
    }
}

/// With the time of half an hour around it, as protobuf.
async fn read(client: &Client, trace: &SentTrace) {
    let seed = trace.start / SECOND;
    let path = format!("/api/traces/{}?start={}&end={}", trace.hex(), seed - 1800, seed + 1800);
    let reply = client.get_with(&path, &[], &[("Accept", "application/protobuf")]).await.ok();
    let found: opentelemetry_proto::tonic::trace::v1::TracesData =
        prost::Message::decode(reply.body.as_slice()).expect("a trace in protobuf");
    let found = flatten(&found.resource_spans);
    assert_eq!(found, flatten(&trace.resource_spans));
    let ids: BTreeSet<&[u8]> = found.iter().map(|flat| flat.span.span_id.as_slice()).collect();
    for flat in &found {
        let parent = flat.span.parent_span_id.as_slice();
        assert!(parent.is_empty() || ids.contains(parent), "the parent of {:?} is missing", flat.span.name);
    }
}

/// Every text that some span or resource has.
fn attributes(traces: &[SentTrace]) -> BTreeSet<(String, String)> {
    let batches = || traces.iter().flat_map(|trace| &trace.resource_spans);
    let of_resources = batches().filter_map(|of| of.resource.as_ref()).flat_map(|of| &of.attributes);
    let of_spans = traces.iter().flat_map(SentTrace::spans).flat_map(|span| &span.attributes);
    let texts = of_resources.chain(of_spans).filter_map(|attribute| {
        match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Any::StringValue(text)) => Some((attribute.key.clone(), text.clone())),
            _ => None,
        }
    });
    texts.collect()
}

async fn find_and_count(client: &Client, traces: &[SentTrace], key: &str, value: &str) {
    let (range, filter) = (range_of(traces), format!("{{ .{key} = \"{value}\" }}"));
    let found = client.search(&filter, 1000, 3, range).await;
    let with: BTreeSet<String> =
        traces.iter().filter(|trace| has(trace, key, value)).map(SentTrace::short).collect();
    assert_eq!(ids(&found), with, "{filter}");
    let (start, end) = (range.0.to_string(), range.1.to_string());
    let tags = format!("{key}=\"{value}\"");
    let parameters = [("tags", tags.as_str()), ("start", &start), ("end", &end), ("limit", "1000")];
    let by_tags = ids(&client.json("/api/search", &parameters).await);
    assert!(by_tags.is_superset(&with), "{tags}: {by_tags:?} lacks some of {with:?}");
    let counted = client.query_range(&format!("{filter} | count_over_time()"), range, STEP).await;
    let series = counted["series"].as_array().expect("series");
    assert_eq!(series.len(), 1, "{filter}: {counted}");
    let samples = series[0]["samples"].as_array().expect("samples");
    let sum: f64 = samples.iter().map(|sample| sample["value"].as_f64().unwrap_or(0.0)).sum();
    let hits = found["traces"].as_array().expect("traces");
    let sets = hits.iter().flat_map(|hit| hit["spanSets"].as_array().expect("spanSets"));
    let matched: u64 = sets.map(|set| set["matched"].as_u64().expect("matched")).sum();
    assert!(sum >= 1.0, "{filter} counts nothing");
    assert_eq!(sum, matched as f64, "{filter}");
}

fn has(trace: &SentTrace, key: &str, value: &str) -> bool {
    attributes(std::slice::from_ref(trace)).contains(&(key.to_owned(), value.to_owned()))
}

fn ids(found: &Value) -> BTreeSet<String> {
    let hits = found["traces"].as_array().map(Vec::as_slice).unwrap_or_default();
    hits.iter().map(|hit| hit["traceID"].as_str().expect("traceID").to_owned()).collect()
}

/// Legacy search: parts of texts, numbers, what is no attribute, and tags on different spans of a trace.
#[tokio::test(flavor = "multi_thread")]
async fn tags_find_what_they_found_before_traceql() {
    let server = Server::start().await;
    let traces = Traffic::new(9, ten_minutes_ago()).traces(TRACES);
    server.otlp().send(all_spans(&traces)).await;
    let client = server.client();
    let by = async |tags: &str| {
        let parameters = [("tags", tags), ("limit", "1000")];
        ids(&client.json("/api/search", &parameters).await)
    };
    let of = |wanted: &dyn Fn(&SentTrace) -> bool| -> BTreeSet<String> {
        traces.iter().filter(|trace| wanted(trace)).map(SentTrace::short).collect()
    };
    assert_eq!(by("service.name=VIEW").await, of(&|trace| trace.has_service("reviews")));
    let both = of(&|trace| trace.has_service("reviews") && trace.has_service("ratings"));
    assert_eq!(by("istio.destination_workload=ratings-v1 service.name=reviews").await, both);
    assert!(
        !both.is_empty() && both.len() < TRACES,
        "the traffic says nothing about tags on different spans"
    );
    let failed = of(&|trace| trace.spans().any(|span| span.status.is_some()));
    for tags in ["error=true", "status=error", "status.code=error"] {
        assert_eq!(by(tags).await, failed, "{tags}");
    }
    let size = traces[0].spans().find_map(|span| {
        let size = span.attributes.iter().find(|attribute| attribute.key == "response_size")?;
        match size.value.as_ref()?.value.as_ref()? {
            Any::IntValue(size) => Some(*size),
            _ => None,
        }
    });
    let tags = format!("response_size={}", size.expect("a size"));
    assert!(by(&tags).await.contains(&traces[0].short()), "{tags}");
    assert_eq!(by("root.service.name=productpage").await.len(), TRACES);
    assert_eq!(by("name=call").await, of(&|trace| trace.spans().any(|span| span.name == "call")));
    assert!(by("service.name=r.views").await.is_empty(), "a tag is no pattern");
    let found = client.json("/api/search", &[("service.name", "reviews"), ("limit", "1000")]).await;
    assert_eq!(ids(&found), of(&|trace| trace.has_service("reviews")));
}
