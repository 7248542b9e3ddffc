//! The query API as a gRPC client in Python sees it, on both ports that serve it.

use serde_json::{Value, json};
use vivace_e2e::grpc::{Outcome, Question, ask};
use vivace_e2e::spans::{SECOND, attribute, batch, scope, service, short_id, span, text};
use vivace_e2e::traffic::{SERVICES, all_spans, range_of};
use vivace_e2e::{Client, SentTrace, Server, ServerBuilder, Traffic, kiali};

use crate::ten_minutes_ago;

const BY_SERVICE: &str = "{ } | count_over_time() by (resource.service.name)";

async fn with_traffic(count: usize) -> (Server, Vec<SentTrace>) {
    let server = Server::start().await;
    let traces = Traffic::new(9, ten_minutes_ago()).traces(count);
    server.otlp().send(all_spans(&traces)).await;
    (server, traces)
}

/// The addresses of both ports.
fn ports(server: &Server) -> [String; 2] {
    [server.addresses().grpc.clone(), server.addresses().http.clone()]
}

fn list<'a>(message: &'a Value, name: &str) -> &'a [Value] {
    message[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The same list over HTTP, not empty.
async fn over_http(client: &Client, path: &str, parameters: &[(&str, &str)], name: &str) -> Vec<Value> {
    let answer = client.json(path, parameters).await;
    let found = list(&answer, name).to_vec();
    assert!(!found.is_empty(), "{path}: {answer}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_answers_as_http_does() {
    let (server, traces) = with_traffic(40).await;
    let (start, end) = range_of(&traces);
    let mut questions = Vec::new();
    for port in ports(&server) {
        let querier = |method: &str, request: Value| Question::querier(&port, method, request);
        let seconds = |mut request: Value| {
            request["start"] = json!(start);
            request["end"] = json!(end);
            request
        };
        let measured = json!({"query": BY_SERVICE, "start": start * SECOND, "end": end * SECOND});
        let search = json!({"Query": "{ status = error }", "Limit": 30, "SpansPerSpanSet": 5});
        questions.extend([
            querier("Search", seconds(search)),
            querier("SearchTags", seconds(json!({"scope": "span"}))),
            querier("SearchTagsV2", seconds(json!({}))),
            querier("SearchTagValues", seconds(json!({"tagName": "service.name"}))),
            querier("SearchTagValuesV2", seconds(json!({"tagName": "resource.service.name"}))),
            querier("MetricsQueryRange", measured.clone()),
            querier("MetricsQueryInstant", measured),
        ]);
    }
    let Some(outcomes) = ask(&questions) else { return };
    for of_port in outcomes.chunks(7) {
        check_as_http(&server.client(), of_port, (start, end), &traces).await;
    }
}

async fn check_as_http(client: &Client, outcomes: &[Outcome], range: (u64, u64), traces: &[SentTrace]) {
    let (start, end) = (range.0.to_string(), range.1.to_string());
    let when = [("start", start.as_str()), ("end", end.as_str())];
    let with = |more: &[(&'static str, &'static str)]| [&when[..], more].concat();
    let search = with(&[("q", "{ status = error }"), ("limit", "30"), ("spss", "5")]);
    let measured = with(&[("q", BY_SERVICE)]);
    let cases = [
        ("/api/search", search, "traces"),
        ("/api/search/tags", with(&[("scope", "span")]), "tagNames"),
        ("/api/v2/search/tags", with(&[]), "scopes"),
        ("/api/search/tag/service.name/values", with(&[]), "tagValues"),
        ("/api/v2/search/tag/resource.service.name/values", with(&[]), "tagValues"),
        ("/api/metrics/query_range", measured.clone(), "series"),
        ("/api/metrics/query", measured, "series"),
    ];
    assert_eq!(outcomes.len(), cases.len());
    for (outcome, (path, parameters, name)) in outcomes.iter().zip(&cases) {
        let wanted = over_http(client, path, parameters, name).await;
        let found = list(outcome.one(), name);
        assert_eq!(numbers_as_floats(&json!(found)), numbers_as_floats(&json!(wanted)), "{path}");
        assert_ne!(outcome.one()["metrics"], Value::Null, "{path}: {outcome:?}");
    }
    let spans: usize = traces.iter().map(SentTrace::span_count).sum();
    let counted: f64 =
        list(outcomes[6].one(), "series").iter().map(|one| one["value"].as_f64().expect("a value")).sum();
    assert_eq!(counted, spans as f64);
}

/// 1 and 1.0 are one number in JSON, and two in `serde_json`.
fn numbers_as_floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(numbers_as_floats).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), numbers_as_floats(value))).collect()
        }
        other => other.clone(),
    }
}

/// What Kiali sends over gRPC: only spans with a `node_id`, and errors as they are.
fn kiali_search(name: &str, range: (u64, u64), condition: &str) -> Value {
    let filter = format!(
        "{{ .service.name = \"{name}\"  && .istio.cluster_id = \"{}\"{condition} && .node_id =~ \".*\" }}",
        kiali::CLUSTER
    );
    json!({
        "Query": format!("{filter} && {{  }} | select(status, .service_name, .node_id, .component, name)"),
        "start": range.0,
        "end": range.1,
        "Limit": 100,
        "SpansPerSpanSet": kiali::SPANS_PER_TRACE,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn kiali_finds_the_traces_of_a_service() {
    let (server, traces) = with_traffic(60).await;
    let address = &server.addresses().grpc;
    let range = range_of(&traces);
    let mut questions: Vec<Question> = SERVICES
        .iter()
        .map(|name| Question::querier(address, "Search", kiali_search(name, range, "")))
        .collect();
    let errors = " && .error = \"true\"";
    questions.push(Question::querier(address, "Search", kiali_search(SERVICES[0], range, errors)));
    // Its health check and its list of services.
    questions.push(Question::querier(address, "Search", json!({})));
    let Some(outcomes) = ask(&questions) else { return };
    for (name, outcome) in SERVICES.iter().zip(&outcomes) {
        let mut wanted: Vec<&SentTrace> = traces.iter().filter(|trace| trace.has_service(name)).collect();
        wanted.sort_by_key(|trace| std::cmp::Reverse(trace.start));
        let found = list(outcome.one(), "traces");
        let ids: Vec<String> = found.iter().map(kiali_reads).collect();
        assert_eq!(ids, wanted.iter().map(|trace| trace.short()).collect::<Vec<_>>(), "{name}");
        assert!(!ids.is_empty(), "{name}");
    }
    let [errors, empty] = &outcomes[SERVICES.len()..] else { panic!("{outcomes:?}") };
    assert!(list(errors.one(), "traces").is_empty(), "no span has the attribute: {errors:?}");
    assert_eq!(list(empty.one(), "traces").len(), 20);
    for trace in list(empty.one(), "traces") {
        kiali_reads(trace);
    }
}

/// Takes what Kiali takes without looking, and returns the trace's id.
fn kiali_reads(trace: &Value) -> String {
    let spans = trace["spanSet"]["spans"].as_array().expect("Kiali takes spanSet.spans without looking");
    let first = spans.first().expect("Kiali takes the first span without looking");
    let number = |value: &Value| value.as_str().is_some_and(|text| text.parse::<u64>().is_ok());
    assert!(number(&first["startTimeUnixNano"]) && number(&first["durationNanos"]), "{first}");
    assert!(trace["rootTraceName"].is_string(), "{trace}");
    trace["traceID"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_comes_in_small_messages() {
    let server = ServerBuilder::new().config("max_attribute_bytes", "64KiB").start().await;
    let start = ten_minutes_ago();
    let trace = |number: u8| {
        let mut root = span([number; 16], 1, None, "work", start + u64::from(number) * SECOND);
        root.attributes = vec![attribute("payload", text(&"p".repeat(60_000)))];
        batch(service("large"), scope("test", "1"), vec![root])
    };
    for number in 1..=60 {
        server.otlp().send(vec![trace(number)]).await;
    }
    let request = json!({"Query": "{ } | select(span.payload)", "Limit": 100});
    let questions = ports(&server).map(|port| Question::querier(&port, "Search", request.clone()));
    let compressed = questions[0].clone().gzip();
    let Some(outcomes) = ask(&[&questions[..], &[compressed]].concat()) else { return };
    let newest_first: Vec<String> = (1..=60).rev().map(|number| short_id([number; 16])).collect();
    for outcome in &outcomes {
        assert!(outcome.largest <= 1 << 20, "a message of {} bytes", outcome.largest);
        assert!(outcome.ok().len() > 1);
        let last = outcome.ok().last().expect("messages");
        assert!(outcome.ok().iter().all(|message| message["metrics"] == last["metrics"]));
        let ids: Vec<String> =
            outcome.ok().iter().flat_map(|message| list(message, "traces")).map(kiali_reads).collect();
        assert_eq!(ids, newest_first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_see_their_own_and_errors_have_codes() {
    let server = ServerBuilder::new().flag("--multitenancy").start().await;
    for (number, tenant) in [(1, "red"), (2, "blue")] {
        let root = span([number; 16], 1, None, tenant, ten_minutes_ago());
        server.otlp().tenant(tenant).send(vec![batch(service(tenant), scope("test", "1"), vec![root])]).await;
    }
    for port in ports(&server) {
        let question = |request: Value| Question::querier(&port, "SearchTagValues", request);
        let services = || question(json!({"tagName": "service.name"}));
        let search = |query: &str| Question::querier(&port, "Search", json!({"Query": query})).tenant("red");
        let questions = [
            services().tenant("red"),
            services().tenant("red|blue"),
            services().tenant("green"),
            services(),
            services().tenant("a/b"),
            search("{ .a ="),
            Question::querier(&port, "Search", json!({"Limit": 1 << 20})).tenant("red"),
            Question::querier(&port, "MetricsQueryRange", json!({"query": "{ }"})).tenant("red"),
        ];
        let Some(outcomes) = ask(&questions) else { return };
        assert_eq!(list(outcomes[0].one(), "tagValues"), ["red"]);
        assert_eq!(list(outcomes[1].one(), "tagValues"), ["blue", "red"]);
        assert!(list(outcomes[2].one(), "tagValues").is_empty());
        let ends: Vec<(&str, &str)> =
            outcomes[3..].iter().map(|outcome| (outcome.code.as_str(), outcome.details.as_str())).collect();
        assert_eq!(ends[0], ("UNAUTHENTICATED", "no org id"));
        assert!(ends[1..].iter().all(|(code, _)| *code == "INVALID_ARGUMENT"), "{ends:?}");
        for ((_, details), text) in
            ends[1..].iter().zip(["tenant ID", "invalid TraceQL query", "limit", "not a metrics"])
        {
            assert!(details.contains(text), "{details}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_are_there() {
    let server = Server::start().await;
    for port in ports(&server) {
        let questions = [
            Question::health(&port, ""),
            Question::health(&port, "tempopb.StreamingQuerier"),
            Question::health(&port, "unknown"),
            Question::reflection(&port),
        ];
        let Some(outcomes) = ask(&questions) else { return };
        assert_eq!(outcomes[0].one()["status"], "SERVING");
        assert_eq!(outcomes[1].one()["status"], "SERVING");
        assert_eq!(outcomes[2].code, "NOT_FOUND");
        let described = outcomes[3].one();
        assert!(list(described, "services").contains(&json!("tempopb.StreamingQuerier")), "{described}");
        assert_eq!(described["SearchRequest"]["Query"], 8, "{described}");
        assert_eq!(described["SearchRequest"]["Tags"], 1, "{described}");
    }
}
