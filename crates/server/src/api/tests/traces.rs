//! Traces by id and their comparison.

use vivace_model::{Attribute, Span, SpanKind};
use vivace_testkit::BASE_TIME;

use super::*;

/// Root 1 with child 2, and five like children below it.
fn family() -> Trace {
    let root = SpanBuilder::new("root").trace(7).id(1).service("front").kind(SpanKind::Server);
    let child = SpanBuilder::new("child").trace(7).id(2).parent(1).start_ms(1).service("back");
    let leaf = |id: u64| {
        let leaf = SpanBuilder::new("leaf").trace(7).id(id).parent(2).start_ms(id).service("back");
        leaf.attribute("number", id as i64).build()
    };
    Trace::assemble((3..8).map(leaf).chain([root.build(), child.build()]).collect()).unwrap()
}

fn with(trace: Trace) -> FakeBackend {
    FakeBackend { trace: Some(trace), ..FakeBackend::default() }
}

fn pruning(config: &mut Config) {
    config.span_pruning_enabled = true;
}

/// Names of the spans in an answer of v2.
fn names(answer: &Answer) -> Vec<String> {
    let told = answer.json();
    let batches = told["trace"]["resourceSpans"].as_array().cloned().unwrap_or_default();
    let spans = batches.iter().flat_map(|batch| batch["scopeSpans"][0]["spans"].as_array().unwrap());
    spans.map(|span| span["name"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn check_status(answer: &Answer, message: &str) {
    let told = answer.json();
    assert_eq!(told["message"].as_str().unwrap_or_default(), message);
    assert_eq!(told["status"], if message.is_empty() { Json::Null } else { json!("PARTIAL") });
    assert!(answer.headers.get("x-vivace-partial").is_none(), "what was asked for is all there");
}

const FILTERED: &str = "Trace filtered, only a subset of spans matching the filter is returned";

#[tokio::test]
async fn v2_keeps_the_spans_asked_for() {
    let app = app(with(family()), |_| {}).0;
    let cases: [(&str, &[&str], &str); 9] = [
        ("", &["root", "child", "leaf", "leaf", "leaf", "leaf", "leaf"], ""),
        ("q=%20", &["root", "child", "leaf", "leaf", "leaf", "leaf", "leaf"], ""),
        ("q={}", &["root", "child", "leaf", "leaf", "leaf", "leaf", "leaf"], ""),
        ("q={.number=3}", &["leaf"], FILTERED),
        ("q={.number=3}&keep_hierarchy=true", &["root", "child", "leaf"], FILTERED),
        ("q={.number=3}&keep_hierarchy=T&ancestor_depth=1", &["child", "leaf"], FILTERED),
        ("q={.number=3}&keep_hierarchy=false&ancestor_depth=x", &["leaf"], FILTERED),
        ("q={name=\"root\"}&match_depth=1", &["root", "child"], FILTERED),
        ("q={name=\"root\"}&match_depth=-1", &["root", "child", "leaf", "leaf", "leaf", "leaf", "leaf"], ""),
    ];
    for (query, expected, message) in cases {
        let query = query.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        let answer = ask_with(&app, &format!("/api/v2/traces/7?{query}"), &[]).await;
        assert_eq!(names(&answer), expected, "{query}");
        check_status(&answer, message);
    }
    // Without `q` nothing about it is read.
    let answer =
        ask_with(&app, "/api/v2/traces/7?keep_hierarchy=x&ancestor_depth=x&match_depth=x", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_filter_that_leaves_nothing_says_so_in_every_form() {
    let app = app(with(family()), |_| {}).0;
    let path = "/api/v2/traces/7?q=%7Bfalse%7D";
    let json = ask_with(&app, path, &[]).await;
    let expected = json!({"trace": {}, "metrics": {}, "status": "PARTIAL", "message": FILTERED});
    assert_eq!(json.json(), expected);
    let llm = ask_with(&app, path, &[("accept", "application/vnd.grafana.llm")]).await;
    assert_eq!(llm.json(), json!({"status": "PARTIAL", "message": FILTERED}));
    let protobuf = ask_with(&app, path, &[("accept", "application/protobuf")]).await.body;
    let mut expected = vec![0x0a, 0, 0x12, 0, 0x18, 1, 0x22, FILTERED.len() as u8];
    expected.extend(FILTERED.bytes());
    assert_eq!(protobuf.as_ref(), expected);
}

#[tokio::test]
async fn wrong_parameters_are_refused_with_the_reason() {
    let app = app(with(family()), pruning).0;
    let cases = [
        ("/api/traces/7?start=2&end=2", "http parameter start must be before end. received start=2 end=2"),
        ("/api/traces/7?start=x", "invalid start: `x`"),
        ("/api/traces/7?mode=some", "invalid value for mode: `some`"),
        ("/api/traces/7?blockStart=7", "invalid value for blockStart: `7` is not a UUID"),
        ("/api/v2/traces/7?blockEnd=x", "invalid value for blockEnd: `x` is not a UUID"),
        (
            "/api/v2/traces/7?q=%7B%20.a%20%3D%3D%201%20%7D",
            "invalid TraceQL query: parse error at line 1, col",
        ),
        ("/api/v2/traces/7?q=%7B%7D%7Ccount()%3E1", "pipelines cannot filter the spans of a trace"),
        ("/api/v2/traces/7?q=%7B%7D&keep_hierarchy=maybe", "invalid keep_hierarchy: `maybe`"),
        ("/api/v2/traces/7?q=%7B%7D&keep_hierarchy=1&ancestor_depth=-2", "invalid ancestor_depth: -2"),
        ("/api/v2/traces/7?q=%7B%7D&match_depth=-2", "invalid match_depth: -2"),
        ("/api/v2/traces/7?q=%7B%7D&match_depth=1.5", "invalid match_depth: `1.5`"),
        ("/api/v2/traces/7?span_pruning=maybe", "invalid span_pruning: `maybe`"),
        ("/api/v2/traces/7?span_pruning_min_spans=1", "invalid span_pruning_min_spans: 1"),
        ("/api/v2/traces/7?span_pruning_max_parent_depth=-2", "invalid span_pruning_max_parent_depth: -2"),
    ];
    for (path, reason) in cases {
        let answer = ask_with(&app, path, &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(answer.text().starts_with(reason), "{path}: {}", answer.text());
    }
    let fine = "mode=blocks&start=-1&end=1&blockStart=00000000-0000-0000-0000-000000000000\
                &blockEnd=ffffffffffffffffffffffffffffffff";
    for version in ["/api", "/api/v2"] {
        let answer = ask_with(&app, &format!("{version}/traces/7?{fine}"), &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{version}: {}", answer.text());
    }
}

#[tokio::test]
async fn ids_are_taken_in_every_form() {
    let app = app(with(family()), |_| {}).0;
    for id in ["7", "07", "007", "00000000000000000000000000000007"] {
        assert_eq!(ask_with(&app, &format!("/api/traces/{id}"), &[]).await.status, StatusCode::OK, "{id}");
    }
}

#[tokio::test]
async fn similar_spans_are_pruned_where_that_is_allowed() {
    let whole = ["root", "child", "leaf", "leaf", "leaf", "leaf", "leaf"];
    let pruned = ["root", "child", "leaf"];
    let default = |config: &mut Config| {
        (config.span_pruning_enabled, config.span_pruning_enabled_by_default) = (true, true)
    };
    let by_default_only = |config: &mut Config| config.span_pruning_enabled_by_default = true;
    type Setting = fn(&mut Config);
    let settings: [(Setting, &str, &[&str]); 9] = [
        (|_| {}, "span_pruning=true&span_pruning_min_spans=x", &whole),
        (by_default_only, "", &whole),
        (pruning, "", &whole),
        (pruning, "span_pruning=true", &pruned),
        (pruning, "span_pruning=true&span_pruning_min_spans=6", &whole),
        (pruning, "span_pruning=true&span_pruning_group_by=num*", &whole),
        (pruning, "span_pruning=1&span_pruning_group_by=other.*", &pruned),
        (default, "", &pruned),
        (default, "span_pruning=false", &whole),
    ];
    for (setting, query, expected) in settings {
        let app = app(with(family()), setting).0;
        let answer = ask_with(&app, &format!("/api/v2/traces/7?{query}"), &[]).await;
        assert_eq!(names(&answer), expected, "{query}");
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(message.contains("pruned while serving this request"), expected.len() == 3, "{message}");
    }
    let summary = SpanBuilder::new("s").trace(7).attribute("aggregation.is_summary", true).build();
    let app = app(with(Trace::assemble(vec![summary]).unwrap()), pruning).0;
    let told = ask_with(&app, "/api/v2/traces/7?span_pruning=true", &[]).await.json();
    assert!(told["message"].as_str().unwrap().contains("already pruned before it reached"), "{told}");
}

#[tokio::test]
async fn pruning_comes_after_filtering() {
    let app = app(with(family()), pruning).0;
    let path = "/api/v2/traces/7?q=%7B.number%3C7%7D&span_pruning=true&span_pruning_min_spans=4";
    let answer = ask_with(&app, path, &[]).await;
    assert_eq!(names(&answer), ["leaf"]);
    let told = answer.json();
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("{FILTERED}; ")) && message.contains("pruned while"), "{message}");
    assert!(
        told.to_string().contains(r#"{"key":"aggregation.span_count","value":{"intValue":"4"}}"#),
        "{told}"
    );
}

/// Every kind of value, event, link and status, two services, two scopes.
fn colourful() -> Trace {
    use vivace_model::Value as V;
    let list = V::Array(vec![V::Int(1), V::Float(0.5), V::Float(f64::NAN)]);
    let root = SpanBuilder::new("root").trace(7).id(1).service("front").scope("lib", "1.0");
    let root = root.kind(SpanKind::Server).times(BASE_TIME, BASE_TIME + 1_500_000);
    let root = root.attribute("text", "a\"b").attribute("whole", 5_i64).attribute("flag", false);
    let root = root.attribute("bytes", V::Bytes(vec![1, 255])).attribute("list", list);
    let root = root.attribute("map", V::Map(vec![("k".into(), V::Empty)])).resource_attribute("host", "h");
    let root = root.event("e", 1, vec![Attribute::new("x", 1_i64)]).link(9, 8, vec![]).error("bad");
    let child = |id| SpanBuilder::new("child").trace(7).id(id).parent(1).start_ms(id).duration_ms(0);
    let second: Span = child(2).service("back").build();
    let third = child(3).service("front").resource_attribute("host", "h").scope("other", "");
    Trace::assemble(vec![root.build(), second, third.build()]).unwrap()
}

#[tokio::test]
async fn a_language_model_reads_a_trace_of_its_own_form() {
    let app = app(with(colourful()), |_| {}).0;
    let accept = [("accept", "application/vnd.grafana.llm")];
    let answer = ask_with(&app, "/api/v2/traces/7", &accept).await;
    assert_eq!(answer.headers["content-type"], "application/vnd.grafana.llm+json");
    let text = serde_json::to_string_pretty(&answer.json()).unwrap();
    assert_eq!(text, include_str!("../../../testdata/trace-llm.json").trim_end(), "{text}");
    let missing = ask_with(&app, "/api/v2/traces/8", &accept).await;
    assert_eq!((missing.status, missing.text()), (StatusCode::OK, "{}"));
    // Version 1 has no such form.
    let v1 = ask_with(&app, "/api/traces/7", &accept).await;
    assert_eq!(v1.headers["content-type"], "application/vnd.grafana.llm");
    assert_eq!(v1.json(), ask_with(&app, "/api/traces/7", &[]).await.json());
}

async fn post(app: &App, body: impl Into<Body>) -> Answer {
    let request = Request::post("/api/v2/traces/diff").body(body.into()).unwrap();
    let response = router(app).oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.into_body().collect().await.unwrap().to_bytes() }
}

#[tokio::test]
async fn two_traces_are_compared_in_the_format_asked_for() {
    let app = app(with(family()), |_| {}).0;
    let sides = json!({"base": {"traceId": "7", "start": 1, "end": 2}, "compare": {"traceId": "07"}});
    for format in ["", "trace-patch-v0", "trace-summary-v0-native", "trace-summary-v0-composed"] {
        let mut body = sides.clone();
        if !format.is_empty() {
            body["format"] = json!(format);
        }
        let answer = post(&app, body.to_string()).await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
        let expected = if format.is_empty() { "trace-patch-v0" } else { format };
        assert_eq!(answer.json()["version"], expected);
    }
}

#[tokio::test]
async fn a_comparison_that_cannot_be_made_says_why() {
    let app = app(with(family()), |_| {}).0;
    let side = |base: &str| format!(r#"{{"base":{base},"compare":{{"traceId":"7"}}}}"#);
    let cases = [
        ("nonsense".to_owned(), StatusCode::BAD_REQUEST, "invalid trace diff request: "),
        ("{}".to_owned(), StatusCode::BAD_REQUEST, "invalid trace diff request: missing field `base`"),
        (side("{}"), StatusCode::BAD_REQUEST, "invalid trace diff request: missing field `traceId`"),
        (
            side(r#"{"traceId":"x"}"#),
            StatusCode::BAD_REQUEST,
            "invalid base.traceId: trace IDs can only contain hex",
        ),
        (side(r#"{"traceId":""}"#), StatusCode::BAD_REQUEST, "invalid base.traceId: trace ID is empty"),
        (
            side(r#"{"traceId":"7","start":2,"end":1}"#),
            StatusCode::BAD_REQUEST,
            "http parameter start must be before end",
        ),
        (side(r#"{"traceId":"7","start":"x"}"#), StatusCode::BAD_REQUEST, "invalid trace diff request: "),
        (side(r#"{"traceId":"8"}"#), StatusCode::NOT_FOUND, "Not Found"),
        (
            r#"{"base":{"traceId":"7"},"compare":{"traceId":"7"},"format":"x"}"#.to_owned(),
            StatusCode::BAD_REQUEST,
            "unknown format `x`",
        ),
        ("x".repeat(20_000), StatusCode::BAD_REQUEST, "a trace diff request has at most 16384 bytes"),
    ];
    for (body, status, reason) in cases {
        let answer = post(&app, body.clone()).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.text().starts_with(reason), "{body}: {}", answer.text());
    }
    let got = ask_with(&app, "/api/v2/traces/diff", &[]).await;
    assert_eq!(
        (got.status, &got.headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn large_traces_are_not_compared() {
    let size = crate::api::traces::encoded_len(family().spans()) as u64;
    let body = r#"{"base":{"traceId":"7"},"compare":{"traceId":"7"}}"#;
    for (limit, status) in [(2 * size, 200), (2 * size - 1, 429), (size - 1, 429)] {
        let limit_bytes =
            |config: &mut Config| config.max_trace_diff_bytes = vivace_base::ByteSize::from_bytes(limit);
        let answer = post(&app(with(family()), limit_bytes).0, body).await;
        assert_eq!(answer.status.as_u16(), status, "{limit}");
        if status == 429 {
            let reason = format!("bytes exceeds limit {limit} bytes");
            assert!(
                answer.text().starts_with("trace diff input too large: ") && answer.text().ends_with(&reason)
            );
            assert!(answer.headers.get("retry-after").is_none(), "it will not become smaller");
        }
    }
}

#[tokio::test]
async fn incomplete_traces_are_not_compared() {
    let backend = FakeBackend { incomplete: Some("a block is damaged".to_owned()), ..with(family()) };
    let answer = post(&app(backend, |_| {}).0, r#"{"base":{"traceId":"7"},"compare":{"traceId":"7"}}"#).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().ends_with("may not be complete: a block is damaged"), "{}", answer.text());
}

#[tokio::test]
async fn what_is_incomplete_is_marked_beside_what_was_filtered() {
    let backend = FakeBackend { incomplete: Some("a block is damaged".to_owned()), ..with(family()) };
    let answer = ask(backend, "/api/v2/traces/7?q=%7Bname%3D%22root%22%7D").await;
    assert_eq!(answer.json()["message"], format!("a block is damaged; {FILTERED}"));
    assert_eq!(answer.headers["x-vivace-partial"], "a block is damaged");
}

#[tokio::test]
async fn a_trace_that_is_too_large_is_cut_refused_or_not_compared() {
    let file =
        "overrides: {red: {read: {max_spans_per_trace: 3}}, blue: {global: {max_bytes_per_trace: 10}}}";
    let (app, _, _dir) = with_overrides(with(family()), file);
    let ask = async |path: &str, tenant| ask_with(&app, path, &[("x-scope-orgid", tenant)]).await;
    for (tenant, count, told) in [("red", 3, "3 spans"), ("blue", 1, "10 bytes"), ("red|blue", 1, "10 bytes")]
    {
        let cut = ask("/api/v2/traces/7", tenant).await;
        assert_eq!(names(&cut).len(), count, "{tenant}");
        let message = cut.json()["message"].as_str().unwrap().to_owned();
        let expected = format!("Trace exceeds maximum size of {told}, a partial trace is returned");
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(cut.json()["status"], "PARTIAL");
        assert_eq!(cut.headers["x-vivace-partial"], message.as_str());
        let refused = ask("/api/traces/7", tenant).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{tenant}");
        assert!(
            refused.text().starts_with(&format!("trace exceeds max size ({told})")),
            "{}",
            refused.text()
        );
    }
    // The filter sees what is left of the trace.
    assert_eq!(names(&ask("/api/v2/traces/7?q=%7Bname%3D%22leaf%22%7D", "red").await).len(), 1);
    let body = r#"{"base":{"traceId":"7"},"compare":{"traceId":"7"}}"#;
    for (tenant, status) in [("red", StatusCode::TOO_MANY_REQUESTS), ("green", StatusCode::OK)] {
        let request = Request::post("/api/v2/traces/diff").header("x-scope-orgid", tenant);
        let response = router(&app).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{tenant}");
    }
    assert_eq!(names(&ask("/api/v2/traces/7", "green").await).len(), 7);
    assert_eq!(ask("/api/traces/7", "green").await.status, StatusCode::OK);
}
