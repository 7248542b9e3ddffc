use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tower::ServiceExt;
use vivace_model::Trace;
use vivace_query::{MetricsWindow, SearchResponse, TagNames, TagScope, TagValue, TagValueKind, TagValues};
use vivace_testkit::SpanBuilder;

use crate::api::router;
use crate::backend::fake::{FakeBackend, app, starting};
use crate::state::App;

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

async fn post(app: &App, body: &Json, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let request = Request::post("/api/mcp").header("host", "traces.example:3200");
    let headers = [ACCEPT, JSON].into_iter().chain(headers.iter().copied());
    let request = headers.fold(request, |request, (name, value)| request.header(name, value));
    let response = router(app).oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The whole answer to a request that HTTP has nothing against.
async fn rpc(app: &App, method: &str, params: Json) -> Json {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let (status, text) = post(app, &body, &[]).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let answer: Json = serde_json::from_str(&text).unwrap();
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
    answer
}

async fn call(app: &App, tool: &str, arguments: Json) -> Json {
    rpc(app, "tools/call", json!({"name": tool, "arguments": arguments})).await["result"].clone()
}

/// The text of an answer of this type.
async fn told(app: &App, tool: &str, arguments: Json, kind: &str, encoding: &str) -> String {
    let result = call(app, tool, arguments).await;
    assert_eq!(result["isError"], json!(false), "{result}");
    assert_eq!(result["_meta"], json!({"type": kind, "encoding": encoding, "version": "1"}));
    assert_eq!(result["content"].as_array().unwrap().len(), 1, "{result}");
    assert_eq!(result["content"][0]["type"], "text");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

async fn told_json(app: &App, tool: &str, arguments: Json, kind: &str) -> Json {
    serde_json::from_str(&told(app, tool, arguments, kind, "json").await).unwrap()
}

/// Why a tool cannot answer.
async fn refused(app: &App, tool: &str, arguments: Json) -> String {
    let result = call(app, tool, arguments).await;
    assert_eq!(result["isError"], json!(true), "{result}");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

fn ready() -> App {
    app(FakeBackend::default(), |_| {}).0
}

fn with_trace() -> App {
    let trace = Trace::assemble(vec![SpanBuilder::new("buy").trace(7).id(1).service("shop").build()]);
    app(FakeBackend { trace, ..FakeBackend::default() }, |_| {}).0
}

fn trace_id() -> String {
    format!("{:0>32}", 7)
}

#[tokio::test]
async fn a_client_learns_who_answers() {
    let client = json!({"name": "test", "version": "1"});
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": client});
        let told = rpc(&ready(), "initialize", params).await["result"].clone();
        assert_eq!(told["protocolVersion"], version);
        assert_eq!(told["serverInfo"]["name"], "vivace");
        assert_eq!(told["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(told["capabilities"], json!({"tools": {}, "resources": {}}));
        assert!(told["instructions"].as_str().unwrap().contains("docs-traceql"));
    }
    let (status, _) =
        post(&ready(), &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}), &[]).await;
    assert_eq!(status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn tools_are_those_of_tempo() {
    let listed = rpc(&ready(), "tools/list", json!({})).await["result"]["tools"].clone();
    let strings = |value: &Json| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut found = Vec::new();
    for tool in listed.as_array().unwrap() {
        let schema = &tool["inputSchema"];
        assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)));
        assert_eq!(tool["annotations"]["readOnlyHint"], true);
        assert!(!tool["description"].as_str().unwrap().is_empty());
        let mut names: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        let name = tool["name"].as_str().unwrap().to_owned();
        found.push((name, names.join(" "), strings(&schema["required"]).join(" ")));
    }
    let expected = [
        ("traceql-search", "end query start", "query"),
        ("traceql-metrics-instant", "end query start", "query"),
        ("traceql-metrics-range", "end query start", "query"),
        ("get-trace", "trace_id", "trace_id"),
        (
            "trace-diff",
            "base_end base_start base_trace_id compare_end compare_start compare_trace_id format",
            "base_trace_id compare_trace_id",
        ),
        ("get-attribute-names", "scope", ""),
        ("get-attribute-values", "filter-query name", "name"),
        ("docs-traceql", "name", "name"),
        ("docs-config", "name", "name"),
    ];
    assert_eq!(found, expected.map(|(name, all, needed)| (name.into(), all.into(), needed.into())));
}

#[tokio::test]
async fn a_search_is_about_the_last_hour_unless_told() {
    let (app, backend) = app(FakeBackend::default(), |_| {});
    let query = "{ .a = 1 }";
    let found = told_json(&app, "traceql-search", json!({"query": query}), "search-results").await;
    assert_eq!(found["traces"], json!([]));
    let times = json!({"query": query, "start": "1970-01-01T00:00:10Z", "end": "1970-01-01T01:00:20+01:00"});
    told_json(&app, "traceql-search", times, "search-results").await;
    let until = json!({"query": query, "start": null, "end": "1970-01-01T02:00:00Z"});
    told_json(&app, "traceql-search", until, "search-results").await;
    let asked = backend.searched.lock().unwrap();
    assert_eq!(asked[0].range.end - asked[0].range.start, 3_600_999_999_999);
    assert_eq!((asked[1].range.start, asked[1].range.end), (10_000_000_000, 20_999_999_999));
    assert_eq!((asked[2].range.start, asked[2].range.end), (3_600_000_000_000, 7_200_999_999_999));
    assert_eq!(asked[0].limit, 20);
}

#[tokio::test]
async fn a_search_refuses_what_measures() {
    let (app, backend) = app(FakeBackend::default(), |_| {});
    let reason = refused(&app, "traceql-search", json!({"query": "{ } | rate()"})).await;
    assert!(reason.contains("traceql-metrics-instant"), "{reason}");
    assert!(backend.searched.lock().unwrap().is_empty());
    for tool in ["traceql-metrics-instant", "traceql-metrics-range"] {
        let reason = refused(&app, tool, json!({"query": "{ }"})).await;
        assert!(reason.starts_with("not a metrics query"), "{reason}");
    }
    assert!(backend.measured.lock().unwrap().is_empty());
}

#[tokio::test]
async fn metrics_are_measured_over_the_time_asked_for() {
    let (app, backend) = app(FakeBackend::default(), |_| {});
    let asked =
        json!({"query": "{ } | rate()", "start": "1970-01-01T00:00:10Z", "end": "1970-01-01T00:01:10Z"});
    let instant = told_json(&app, "traceql-metrics-instant", asked.clone(), "metrics-instant").await;
    let range = told_json(&app, "traceql-metrics-range", asked, "metrics-range").await;
    assert_eq!((&instant["series"], &range["series"]), (&json!([]), &json!([])));
    let measured = backend.measured.lock().unwrap();
    let window = MetricsWindow::Instant { start: 10_000_000_000, end: 70_000_000_000 };
    assert_eq!(measured[0].window, window);
    assert_eq!(measured[1].window, MetricsWindow::aligned(10_000_000_000, 70_000_000_000, 1_000_000_000));
}

#[tokio::test]
async fn a_trace_comes_as_models_read_it() {
    let app = with_trace();
    let told = told_json(&app, "get-trace", json!({"trace_id": trace_id()}), "trace").await;
    assert_eq!(told["trace"]["traceId"], trace_id());
    assert!(told["trace"]["services"][0]["scopes"][0]["spans"][0].to_string().contains("buy"), "{told}");
    let missing = refused(&app, "get-trace", json!({"trace_id": "2"})).await;
    assert_eq!(missing, format!("there is no trace {:0>32}", 2));
    let wrong = refused(&app, "get-trace", json!({"trace_id": "xyz"})).await;
    assert!(wrong.starts_with("invalid trace_id: "), "{wrong}");
}

#[tokio::test]
async fn traces_are_compared_in_the_form_asked_for() {
    let app = with_trace();
    let ids = json!({"base_trace_id": trace_id(), "compare_trace_id": trace_id()});
    let told = told_json(&app, "trace-diff", ids.clone(), "trace-diff").await;
    assert_eq!(told["version"], "trace-summary-v0-composed");
    let with = |name: &str, value: &str| {
        let mut arguments = ids.clone();
        arguments[name] = json!(value);
        arguments
    };
    let told = told_json(&app, "trace-diff", with("format", "trace-patch-v0"), "trace-diff").await;
    assert_eq!(told["version"], "trace-patch-v0");
    assert!(refused(&app, "trace-diff", with("format", "x")).await.starts_with("unknown format `x`"));
    assert_eq!(refused(&app, "trace-diff", with("compare_trace_id", "2")).await, "Not Found");
    let wrong = refused(&app, "trace-diff", with("base_start", "soon")).await;
    assert!(wrong.starts_with("invalid base_start: `soon`"), "{wrong}");
}

#[tokio::test]
async fn attributes_are_listed() {
    let names = TagNames {
        scopes: [(TagScope::Span, vec!["http.route".to_owned()])].into_iter().collect(),
        ..TagNames::default()
    };
    let value = TagValue { kind: TagValueKind::String, text: "cart".to_owned() };
    let values = TagValues { values: vec![value], ..TagValues::default() };
    let app = app(FakeBackend { names, values, ..FakeBackend::default() }, |_| {}).0;
    let told = told_json(&app, "get-attribute-names", json!({"scope": "span"}), "attribute-names").await;
    assert_eq!(told["scopes"], json!([{"name": "span", "tags": ["http.route"]}]));
    let wanted = json!({"name": "resource.service.name", "filter-query": "{ kind = server }"});
    let told = told_json(&app, "get-attribute-values", wanted, "attribute-values").await;
    assert_eq!(told["tagValues"], json!({"string": ["cart"]}));
    assert_eq!(refused(&app, "get-attribute-names", json!({"scope": "x"})).await, "invalid scope: x");
}

#[tokio::test]
async fn documentation_is_a_tool_and_a_resource() {
    let app = ready();
    let listed = rpc(&app, "resources/list", json!({})).await["result"]["resources"].clone();
    let mut uris = Vec::new();
    for resource in listed.as_array().unwrap() {
        let uri = resource["uri"].as_str().unwrap();
        let read = rpc(&app, "resources/read", json!({"uri": uri})).await["result"]["contents"].clone();
        assert_eq!((&read[0]["uri"], &read[0]["mimeType"]), (&json!(uri), &json!("text/markdown")));
        let (topic, name) = uri.strip_prefix("docs://").unwrap().split_once('/').unwrap();
        let tool = format!("docs-{topic}");
        let told = told(&app, &tool, json!({"name": name}), "documentation", "markdown").await;
        assert_eq!(read[0]["text"], told);
        uris.push(uri.to_owned());
    }
    let expected = [
        "docs://traceql/basic",
        "docs://traceql/aggregates",
        "docs://traceql/structural",
        "docs://traceql/metrics",
        "docs://config/overview",
        "docs://config/reference",
    ];
    assert_eq!(uris, expected);
    let reason = refused(&app, "docs-traceql", json!({"name": "overview"})).await;
    assert_eq!(reason, "no page `overview`: there are basic, aggregates, structural, metrics");
    let absent = rpc(&app, "resources/read", json!({"uri": "docs://traceql/x"})).await;
    assert_eq!(absent["error"]["code"], -32002);
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let app = ready();
    let missing = refused(&app, "traceql-search", json!({})).await;
    assert_eq!(missing, "traceql-search needs the argument `query`");
    let unknown = refused(&app, "get-trace", json!({"id": "1"})).await;
    assert_eq!(unknown, "unknown argument `id`: get-trace takes trace_id");
    let number = refused(&app, "get-trace", json!({"trace_id": 1})).await;
    assert_eq!(number, "argument `trace_id` must be a text, not 1");
    let time = refused(&app, "traceql-search", json!({"query": "{}", "start": "today"})).await;
    assert!(time.starts_with("invalid start: `today`"), "{time}");
    let query = refused(&app, "traceql-search", json!({"query": "{"})).await;
    assert!(query.starts_with("invalid TraceQL query: "), "{query}");
}

#[tokio::test]
async fn what_the_protocol_does_not_know_is_its_error() {
    let app = ready();
    let tool = rpc(&app, "tools/call", json!({"name": "x", "arguments": {}})).await;
    assert_eq!(tool["error"]["code"], -32602);
    let method = rpc(&app, "prompts/list", json!({})).await;
    assert_eq!(method["error"]["code"], -32601);
}

#[tokio::test]
async fn what_the_backend_refuses_is_told() {
    let app = app(FakeBackend { full: true, ..FakeBackend::default() }, |_| {}).0;
    let reason = refused(&app, "traceql-search", json!({"query": "{}"})).await;
    assert!(reason.contains("memory"), "{reason}");
    let reason = refused(&starting(|_| {}), "traceql-search", json!({"query": "{}"})).await;
    assert!(reason.starts_with("starting"), "{reason}");
}

#[tokio::test]
async fn an_incomplete_answer_says_so() {
    let found = SearchResponse { partial: Some("deadline".to_owned()), ..SearchResponse::default() };
    let app = app(FakeBackend { found, ..FakeBackend::default() }, |_| {}).0;
    let result = call(&app, "traceql-search", json!({"query": "{}"})).await;
    assert_eq!(result["content"][1]["text"], "This answer may not be complete: deadline");
}

/// A defect stays in its request.
#[tokio::test]
async fn a_defect_is_an_error() {
    let app = app(FakeBackend { defect: true, ..FakeBackend::default() }, |_| {}).0;
    let params = json!({"name": "traceql-search", "arguments": {"query": "{}"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let (status, text) = post(&app, &body, &[]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
    rpc(&app, "tools/list", json!({})).await;
}

#[tokio::test]
async fn requests_name_a_tenant_where_there_are_several() {
    let app = app(FakeBackend::default(), |config| config.multitenancy = true).0;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert_eq!(post(&app, &body, &[]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&app, &body, &[("x-scope-orgid", "a|b")]).await.0, StatusCode::OK);
    assert_eq!(post(&app, &body, &[("x-scope-orgid", "a/b")]).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_server_can_be_without_it() {
    let app = app(FakeBackend::default(), |config| config.mcp_enabled = false).0;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let absent = (StatusCode::NOT_FOUND, "404 page not found\n".to_owned());
    assert_eq!(post(&app, &body, &[]).await, absent);
}

#[tokio::test]
async fn browsers_and_floods_are_kept_out() {
    let app = ready();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let page = [("origin", "http://traces.example:3200")];
    assert_eq!(post(&app, &body, &page).await.0, StatusCode::FORBIDDEN);
    let params = json!({"name": "traceql-search", "arguments": {"query": " ".repeat(super::MAX_REQUEST)}});
    let flood = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    assert_eq!(post(&app, &flood, &[]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let get = Request::get("/api/mcp").header("host", "localhost").body(Body::empty()).unwrap();
    let response = router(&app).oneshot(get).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
}
