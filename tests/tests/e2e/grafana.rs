//! What Grafana asks: Explore's search and its completions, and the metrics of Traces Drilldown.

use std::collections::BTreeMap;

use serde_json::Value;
use vivace_e2e::answers::keys;
use vivace_e2e::traffic::{SERVICES, all_spans, range_of};
use vivace_e2e::{Client, SentTrace, Server, Traffic};

use crate::ten_minutes_ago;

const TRACES: usize = 40;
const STEP: u64 = 15;
/// Drilldown's filter for the roots of traces.
const ROOTS: &str = "nestedSetParent<0";

async fn with_traffic() -> (Server, Vec<SentTrace>) {
    let server = Server::start().await;
    let traces = Traffic::new(10, ten_minutes_ago()).traces(TRACES);
    server.otlp().send(all_spans(&traces)).await;
    (server, traces)
}

fn array<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    of[field].as_array().unwrap_or_else(|| panic!("no list `{field}` in {of}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_version() {
    let server = Server::start().await;
    let client = server.client();
    assert_eq!(client.get("/api/echo").await.ok().text(), "echo\n");
    let info = client.json("/api/status/buildinfo", &[]).await;
    let mut names = keys(&info);
    names.sort_unstable();
    assert_eq!(names, ["branch", "buildDate", "buildUser", "goVersion", "revision", "version"]);
}

/// Grafana refuses fields it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn search_has_known_fields_only() {
    let (server, traces) = with_traffic().await;
    let query = "{resource.service.name=\"productpage\" && status!=error} | select(status, span.http.method)";
    let found = server.client().search(query, 20, 3, range_of(&traces)).await;
    let within = |object: &Value, known: &[&str]| {
        let unknown: Vec<&str> = keys(object).into_iter().filter(|key| !known.contains(key)).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {object}");
    };
    within(&found, &["traces", "metrics"]);
    assert_eq!(array(&found, "traces").len(), 20);
    for hit in array(&found, "traces") {
        within(
            hit,
            &[
                "traceID",
                "rootServiceName",
                "rootTraceName",
                "startTimeUnixNano",
                "durationMs",
                "spanSet",
                "spanSets",
                "serviceStats",
            ],
        );
        for set in array(hit, "spanSets") {
            within(set, &["spans", "matched", "attributes"]);
            assert!(array(set, "spans").len() <= 3);
            for span in array(set, "spans") {
                within(span, &["spanID", "name", "startTimeUnixNano", "durationNanos", "attributes"]);
            }
        }
    }
}

/// While a query is typed: names, then values, filtered by what stands there already.
#[tokio::test(flavor = "multi_thread")]
async fn completions() {
    let (server, traces) = with_traffic().await;
    let client = server.client();
    let (start, end) = range_of(&traces);
    let (start, end) = (start.to_string(), end.to_string());
    let range = [("start", start.as_str()), ("end", end.as_str()), ("limit", "5000")];
    let names = client.json("/api/v2/search/tags", &range).await;
    let scopes: BTreeMap<&str, &[Value]> = array(&names, "scopes")
        .iter()
        .map(|scope| (scope["name"].as_str().expect("a name"), array(scope, "tags")))
        .collect();
    for (scope, name) in [
        ("resource", "service.name"),
        ("span", "http.method"),
        ("intrinsic", "span:name"),
        ("event", "attempt"),
        ("link", "reason"),
    ] {
        let tags = scopes.get(scope).unwrap_or_else(|| panic!("no scope {scope} in {names}"));
        assert!(tags.contains(&name.into()), "{scope}.{name} is missing: {tags:?}");
    }
    let values = async |name: &str, filter: &str| -> Vec<String> {
        let parameters = [&range[..], &[("q", filter)]].concat();
        let path = format!("/api/v2/search/tag/{name}/values");
        let answer = client.json(&path, &parameters).await;
        let text = |value: &Value| value["value"].as_str().expect("a text").to_owned();
        array(&answer, "tagValues").iter().map(text).collect()
    };
    let mut services = SERVICES.to_vec();
    services.sort_unstable();
    assert_eq!(values("resource.service.name", "").await, services);
    assert_eq!(values("resource.service.name", "{ resource.service.name = ").await, services);
    let half_typed = "{ span.istio.destination_workload = \"details-v1\" && span.http.method = ";
    assert_eq!(values("resource.service.name", half_typed).await, ["details"]);
    let mut statuses = values("status", "").await;
    statuses.sort_unstable();
    assert_eq!(statuses, ["error", "ok", "unset"]);
    assert_eq!(values("kind", "").await.len(), 6);
    assert_eq!(values("span.guid:x-request-id", "").await.len(), requests(&traces));
}

fn requests(traces: &[SentTrace]) -> usize {
    let attributes = traces.iter().flat_map(SentTrace::spans).flat_map(|span| &span.attributes);
    attributes.filter(|attribute| attribute.key == "guid:x-request-id").count()
}

/// The sum of all samples, by the text of one label.
async fn sums(client: &Client, query: &str, traces: &[SentTrace], label: &str) -> BTreeMap<String, f64> {
    let answer = client.query_range(query, range_of(traces), STEP).await;
    let mut sums = BTreeMap::new();
    for series in array(&answer, "series") {
        let labels = array(series, "labels");
        let found = labels.iter().find(|of| of["key"] == label).map(|of| &of["value"]);
        let found = found.unwrap_or_else(|| panic!("{query}: no label {label} in {series}"));
        let text =
            found["stringValue"].as_str().map_or_else(|| found["doubleValue"].to_string(), str::to_owned);
        let samples = array(series, "samples");
        let values = samples.iter().map(|sample| sample["value"].as_f64().unwrap_or(0.0));
        *sums.entry(text).or_default() += values.sum::<f64>();
    }
    sums
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_add_up_to_the_spans() {
    let (server, traces) = with_traffic().await;
    let client = server.client();
    let roots = sums(&client, &format!("{{{ROOTS} && true}} | rate()"), &traces, "__name__").await;
    assert_near(roots["rate"] * STEP as f64, TRACES as f64);
    let by = "{true} | rate() by(resource.service.name)";
    let rates = sums(&client, by, &traces, "resource.service.name").await;
    for service in SERVICES {
        let batches = traces.iter().flat_map(|trace| &trace.resource_spans);
        let spans = batches.filter(|of| service_of(of) == Some(service)).flat_map(|of| &of.scope_spans);
        let spans: usize = spans.map(|of| of.spans.len()).sum();
        assert_near(rates[service] * STEP as f64, spans as f64);
    }
    let failed = sums(&client, "{status=error} | count_over_time()", &traces, "__name__").await;
    let errors = traces.iter().flat_map(SentTrace::spans).filter(|span| span.status.is_some()).count();
    assert_eq!(failed["count_over_time"], errors as f64);
}

fn service_of(batch: &opentelemetry_proto::tonic::trace::v1::ResourceSpans) -> Option<&'static str> {
    SERVICES.into_iter().find(|name| {
        let attributes = batch.resource.iter().flat_map(|of| &of.attributes);
        let mut values = attributes.filter(|of| of.key == "service.name").flat_map(|of| &of.value);
        values.any(|value| *value == vivace_e2e::spans::value(vivace_e2e::spans::text(name)))
    })
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn durations_as_heat_map_and_quantiles() {
    let (server, traces) = with_traffic().await;
    let client = server.client();
    let histogram = format!("{{{ROOTS} && true}} | histogram_over_time(duration)");
    let buckets = sums(&client, &histogram, &traces, "__bucket").await;
    assert_eq!(buckets.values().sum::<f64>(), TRACES as f64, "{buckets:?}");
    let quantiles = format!("{{{ROOTS} && true}} | quantile_over_time(duration, .5, .9)");
    let quantiles = sums(&client, &quantiles, &traces, "p").await;
    assert_eq!(quantiles.keys().map(String::as_str).collect::<Vec<_>>(), ["0.5", "0.9"]);
    assert!(quantiles["0.9"] >= quantiles["0.5"] && quantiles["0.5"] > 0.0, "{quantiles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn comparison_counts_every_span_once() {
    let (server, traces) = with_traffic().await;
    let query = "{true} | compare({status = error}, 10)";
    let answer = server.client().query_range(query, range_of(&traces), STEP).await;
    let mut totals: BTreeMap<String, f64> = BTreeMap::new();
    for series in array(&answer, "series") {
        let labels = array(series, "labels");
        let kind = labels.iter().find(|of| of["key"] == "__meta_type").expect("a meta type");
        if labels.iter().any(|of| of["key"] == "name") {
            let samples =
                array(series, "samples").iter().map(|sample| sample["value"].as_f64().unwrap_or(0.0));
            *totals.entry(kind["value"]["stringValue"].to_string()).or_default() += samples.sum::<f64>();
        }
    }
    let spans = || traces.iter().flat_map(SentTrace::spans);
    let errors = spans().filter(|span| span.status.is_some()).count() as f64;
    assert_eq!(totals["\"selection_total\""], errors, "{totals:?}");
    assert_eq!(totals["\"baseline_total\""], spans().count() as f64 - errors, "{totals:?}");
    assert_eq!(totals["\"selection\""], errors, "there are fewer than ten names: {totals:?}");
}

/// An instant query, and exemplars of a range that lead to traces.
#[tokio::test(flavor = "multi_thread")]
async fn instant_values_and_exemplars() {
    let (server, traces) = with_traffic().await;
    let client = server.client();
    let (start, end) = range_of(&traces);
    let (start, end) = (start.to_string(), end.to_string());
    let range = [("start", start.as_str()), ("end", end.as_str())];
    let parameters = [&range[..], &[("query", "{nestedSetParent<0} | count_over_time()")]].concat();
    let answer = client.json("/api/metrics/query", &parameters).await;
    assert_eq!(array(&answer, "series").len(), 1, "{answer}");
    assert_eq!(answer["series"][0]["value"].as_f64(), Some(TRACES as f64), "{answer}");
    let parameters = [&range[..], &[("q", "{nestedSetParent<0} | rate()"), ("exemplars", "5")]].concat();
    let answer = client.json("/api/metrics/query_range", &parameters).await;
    let exemplars = array(&answer["series"][0], "exemplars");
    assert!((1..=5).contains(&exemplars.len()), "{answer}");
    for exemplar in exemplars {
        let labels = array(exemplar, "labels");
        let id = labels.iter().find(|of| of["key"] == "trace:id").expect("trace:id");
        let id = id["value"]["stringValue"].as_str().expect("a text");
        assert!(client.trace(id).await.is_some(), "the exemplar's trace {id} is not found");
    }
}
