use serde_json::{Value as Json, json};
use vivace_model::{Attribute, SpanKind, StatusCode, Value};
use vivace_testkit::SpanBuilder;

use super::*;

fn span(id: u64, parent: u64, service: &str, name: &str, duration_ms: u64) -> SpanBuilder {
    let span = SpanBuilder::new(name).id(id).service(service).start_ms(id).duration_ms(duration_ms);
    if parent == 0 { span } else { span.parent(parent) }
}

fn trace(id: u128, spans: Vec<SpanBuilder>) -> Trace {
    Trace::assemble(spans.into_iter().map(|span| span.trace(id).build()).collect()).unwrap()
}

fn told(base: Vec<SpanBuilder>, compare: Vec<SpanBuilder>, format: DiffFormat) -> Json {
    serde_json::to_value(diff(&trace(1, base), &trace(2, compare), format).unwrap()).unwrap()
}

fn base() -> Vec<SpanBuilder> {
    vec![
        span(1, 0, "frontend", "GET /", 100).kind(SpanKind::Server),
        span(2, 1, "cart", "get", 20).attribute("http.request.body.size", 1000_i64).attribute("a", 1_i64),
        span(3, 1, "db", "select", 5).error("gone"),
        span(4, 2, "db", "select", 5).attribute("service.name", "db-replica"),
    ]
}

fn compare() -> Vec<SpanBuilder> {
    vec![
        span(11, 0, "frontend", "GET /", 140).kind(SpanKind::Server).status(StatusCode::Error),
        span(12, 11, "cart", "get", 21)
            .attribute("http.request.body.size", 1020_i64)
            .attribute("a", "1")
            .attribute("b", true),
        span(13, 12, "cache", "hit", 1),
        span(14, 12, "db", "select", 5).attribute("service.name", "db-replica"),
    ]
}

#[test]
fn each_format_reads_as_recorded() {
    for (format, recorded) in [
        (DiffFormat::Patch, include_str!("../../../testdata/diff/patch.json")),
        (DiffFormat::Native, include_str!("../../../testdata/diff/native.json")),
        (DiffFormat::Composed, include_str!("../../../testdata/diff/composed.json")),
    ] {
        let told = diff(&trace(1, base()), &trace(2, compare()), format).unwrap();
        let text = serde_json::to_string_pretty(&told).unwrap();
        assert_eq!(text, recorded.trim_end(), "{}\n{text}", format.name());
    }
}

#[test]
fn a_trace_does_not_differ_from_itself() {
    let same = told(base(), base(), DiffFormat::Composed);
    for list in ["modified", "added", "removed", "warnings"] {
        assert_eq!(same["patch"][list], json!([]), "{list}");
    }
    assert_eq!(same["summary"]["trust"], json!({"matchedSpanRatio": 1.0, "structureOverlap": 1.0}));
    assert_eq!(same["summary"]["changedServices"], json!([]));
    assert_eq!(same["summary"]["services"], json!([]));
    let signals = same["summary"]["signals"].as_object().unwrap();
    assert!(signals.values().all(|signal| signal == "unchanged"), "{signals:?}");
}

#[test]
fn formats_are_known_by_name() {
    for format in [DiffFormat::Patch, DiffFormat::Native, DiffFormat::Composed] {
        assert_eq!(format.name().parse(), Ok(format));
    }
    assert_eq!("".parse(), Ok(DiffFormat::Patch));
    assert_eq!("patch".parse::<DiffFormat>(), Err(UnknownFormat("patch".to_owned())));
}

/// The changes of a trace's one span.
fn changes(base: SpanBuilder, compare: SpanBuilder) -> Json {
    told(vec![base], vec![compare], DiffFormat::Patch)["modified"][0]["changes"].clone()
}

#[test]
fn durations_change_beyond_a_millisecond_and_a_fifth_of_the_longer() {
    let lasting = |micros: u64| {
        let start = vivace_testkit::BASE_TIME;
        SpanBuilder::new("s").times(start, start + micros * 1_000)
    };
    let cases = [
        (0, 1_250, false),
        (0, 1_251, true),
        (10_000, 13_750, false),
        (10_000, 13_751, true),
        (13_750, 10_000, false),
        (13_751, 10_000, true),
        (1_000_000, 1_251_250, false),
        (1_000_000, 1_251_251, true),
    ];
    for (before, after, differs) in cases {
        let changes = changes(lasting(before), lasting(after));
        let expected = json!([{"op": "modify", "target": {"type": "field", "name": "duration_nanos"},
            "before": before * 1_000, "after": after * 1_000}]);
        assert_eq!(changes, if differs { expected } else { Json::Null }, "{before} {after}");
    }
}

#[test]
fn a_duration_that_is_not_valid_is_null() {
    let good = || SpanBuilder::new("s").times(5, 9);
    let bad = |start, end| SpanBuilder::new("s").times(start, end);
    for (start, end) in [(0, 9), (9, 5)] {
        let told = told(vec![good()], vec![bad(start, end)], DiffFormat::Composed);
        let change = &told["patch"]["modified"][0]["changes"][0];
        assert_eq!((&change["before"], &change["after"]), (&json!(4), &Json::Null), "{start} {end}");
        assert_eq!(told["patch"]["warnings"][0]["code"], "invalid_duration");
        assert_eq!(told["summary"]["warnings"], told["patch"]["warnings"]);
        assert_eq!(told["summary"]["compare"]["durationMs"], 0);
    }
    assert_eq!(changes(bad(0, 3), bad(0, 9)), Json::Null);
}

#[test]
fn attributes_are_compared_by_value_and_amounts_nearly() {
    let nan = || Value::Float(f64::NAN);
    let array = || Value::Array(vec![nan(), Value::Int(1)]);
    let cases: [(&str, Value, Value, bool); 14] = [
        ("a", 1_i64.into(), 1_i64.into(), false),
        ("a", 1_i64.into(), 2_i64.into(), true),
        ("a", 1_i64.into(), 1.0.into(), true),
        ("a", 1_i64.into(), "1".into(), true),
        ("a", nan(), nan(), false),
        ("a", array(), array(), false),
        ("a", Value::Bytes(vec![1]), Value::Bytes(vec![1, 2]), true),
        ("file.size", 100_i64.into(), 105_i64.into(), false),
        ("file.size", 100_i64.into(), 106_i64.into(), true),
        ("file.size", 100_i64.into(), 95_i64.into(), false),
        ("file.size", 100_i64.into(), 95.5.into(), false),
        ("file.size", 0_i64.into(), 1_i64.into(), true),
        ("file.size", "100".into(), "101".into(), true),
        ("gen_ai.usage.input_tokens", 1000_i64.into(), 1040_i64.into(), false),
    ];
    for (key, before, after, differs) in cases {
        let with = |value: &Value| SpanBuilder::new("s").attribute(key, value.clone());
        let changes = changes(with(&before), with(&after));
        let expected = json!([{"op": "modify", "target": {"type": "attribute", "scope": "span", "key": key},
            "before": before.to_plain_json(), "after": after.to_plain_json()}]);
        assert_eq!(changes, if differs { expected } else { Json::Null }, "{key}: {before:?} {after:?}");
    }
    // Nothing but a span's own attributes is compared.
    let other = SpanBuilder::new("s").resource_attribute("r", 1_i64).scope("x", "1").event("e", 1, vec![]);
    assert_eq!(changes(SpanBuilder::new("s"), other.link(1, 2, vec![])), Json::Null);
}

#[test]
fn spans_match_by_service_name_and_kind_and_then_by_parent() {
    // Two spans of the same identity; the compared trace has them in the other order, under the same parents.
    let base = vec![
        span(1, 0, "f", "root", 9),
        span(2, 1, "f", "x", 9),
        span(3, 1, "f", "y", 9),
        span(4, 2, "db", "q", 1).attribute("under", "x"),
        span(5, 3, "db", "q", 1).attribute("under", "y"),
    ];
    let swapped = vec![
        span(1, 0, "f", "root", 9),
        span(2, 1, "f", "y", 9),
        span(3, 1, "f", "x", 9),
        span(4, 2, "db", "q", 1).attribute("under", "y"),
        span(5, 3, "db", "q", 1).attribute("under", "x"),
    ];
    let told_swapped = told(base.clone(), swapped, DiffFormat::Patch);
    assert_eq!((&told_swapped["modified"], &told_swapped["stats"]["matchedSpans"]), (&json!([]), &json!(5)));
    // Under another parent the first one left is taken.
    let moved = vec![span(1, 0, "f", "root", 9), span(2, 1, "db", "q", 1)];
    let told_moved = told(base, moved, DiffFormat::Native);
    assert_eq!(
        (&told_moved["stats"]["matchedSpans"], &told_moved["stats"]["modifiedSpans"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(told_moved["trust"], json!({"matchedSpanRatio": 0.4, "structureOverlap": 1.0}));
    for other in
        [span(1, 0, "g", "s", 1), span(1, 0, "f", "t", 1), span(1, 0, "f", "s", 1).kind(SpanKind::Client)]
    {
        let told = told(vec![span(1, 0, "f", "s", 1)], vec![other], DiffFormat::Patch);
        assert_eq!((&told["stats"]["addedSpans"], &told["stats"]["removedSpans"]), (&json!(1), &json!(1)));
    }
}

#[test]
fn structure_is_what_lies_under_what() {
    let shape =
        |parent| vec![span(1, 0, "f", "root", 9), span(2, 1, "f", "x", 9), span(3, parent, "db", "q", 1)];
    let told = told(shape(1), shape(2), DiffFormat::Native);
    assert_eq!(told["signals"]["structure"], "changed");
    assert_eq!((&told["changedServices"], &told["services"]), (&json!(["db"]), &json!([])));
}

#[test]
fn orphans_and_cycles_are_roots() {
    let spans = vec![
        span(1, 0, "f", "root", 9),
        span(2, 99, "f", "orphan", 9),
        span(3, 4, "f", "a", 9),
        span(4, 3, "f", "b", 9),
    ];
    let nothing = vec![span(1, 0, "f", "other", 9)];
    let told = told(nothing, spans, DiffFormat::Patch);
    let paths: Vec<_> =
        told["added"].as_array().unwrap().iter().map(|added| &added["span"]["path"]).collect();
    assert_eq!(paths, [&json!([0]), &json!([1]), &json!([2]), &json!([2, 0])]);
    assert_eq!(told["added"][3]["target"], json!({"type": "span", "parentPath": [2], "index": 0}));
    assert_eq!(told["added"][1]["target"], json!({"type": "span", "index": 1}));
    assert_eq!(told["removed"][0]["target"], json!({"type": "span", "path": [0]}));
}

#[test]
fn services_drift_by_a_millisecond_and_a_twentieth() {
    let lasting = |micros: u64| {
        let start = vivace_testkit::BASE_TIME;
        vec![SpanBuilder::new("s").no_resource().times(start, start + micros * 1_000)]
    };
    for (before, after, drifts) in [
        (0, 999, false),
        (0, 1_000, true),
        (40_000, 41_999, false),
        (40_000, 42_000, true),
        (40_000, 38_000, true),
        (40_000, 38_001, false),
    ] {
        let told = told(lasting(before), lasting(after), DiffFormat::Native);
        let expected = if drifts { json!(["<unknown>"]) } else { json!([]) };
        assert_eq!(told["changedServices"], expected, "{before} {after}");
    }
}

#[test]
fn warnings_name_what_makes_a_comparison_unsure() {
    let twice = vec![span(1, 0, "f", "s", 1), span(1, 0, "f", "s", 1).kind(SpanKind::Producer)];
    let told_twice = told(twice, vec![span(1, 0, "f", "s", 1)], DiffFormat::Patch);
    assert_eq!(told_twice["warnings"][0]["code"], "duplicate_span_id");
    let cases = [
        ("GET /users/123456", true),
        ("GET /users/12345", false),
        ("GET /users/{id}", false),
        ("get 0af7651916cd43dd", true),
        ("get 5f3c6e1e-8f0b-4f8e-9d3a-2b1c0d9e8f7a now", true),
        ("defaced", false),
        ("v1.25.3-alpha", false),
        ("added-facade-decade", false),
    ];
    for (name, expected) in cases {
        let told = told(vec![span(1, 0, "f", name, 1)], vec![span(1, 0, "f", "s", 1)], DiffFormat::Patch);
        let warned = told["warnings"][0]["code"] == "high_cardinality_span_name";
        assert_eq!(warned, expected, "{name}");
    }
}

#[test]
fn a_long_patch_is_left_out_whole() {
    let many = |count: u64, text: &str| {
        let child = |id| span(id, 1, "f", "s", 1).attribute("k", text);
        std::iter::once(span(1, 0, "f", "root", 9)).chain((2..count).map(child)).collect::<Vec<_>>()
    };
    let long = "x".repeat(1000);
    for (count, fits) in [(5, true), (80, false)] {
        let told = told(many(count, "y"), many(count, &long), DiffFormat::Composed);
        let patch =
            diff(&trace(1, many(count, "y")), &trace(2, many(count, &long)), DiffFormat::Patch).unwrap();
        let bytes = serde_json::to_string(&patch).unwrap().len();
        assert_eq!(bytes <= MAX_COMPOSED_PATCH, fits);
        assert_eq!(told["patch"].is_object(), fits);
        let omitted = if fits { Json::Null } else { json!({"bytes": bytes, "reason": "over_budget"}) };
        assert_eq!(told["patchOmitted"], omitted);
        assert_eq!(told["summary"]["stats"]["modifiedSpans"], count - 2);
    }
}

#[test]
fn a_chain_too_deep_to_tell_is_refused() {
    let chain = |count: u64| (1..=count).map(|id| span(id, id - 1, "f", "s", 1)).collect::<Vec<_>>();
    let short = trace(1, chain(100));
    assert!(diff(&short, &short, DiffFormat::Native).is_ok());
    let long = trace(2, chain(3000));
    let error = diff(&short, &long, DiffFormat::Native).unwrap_err();
    assert!(error.to_string().starts_with("trace diff input too large: "), "{error}");
}

#[test]
fn of_a_key_that_is_there_twice_the_first_counts() {
    let mut twice = span(1, 0, "f", "s", 1).attribute("k", 1_i64).build();
    twice.attributes.push(Attribute::new("k", 2_i64));
    let once = trace(1, vec![span(1, 0, "f", "s", 1).attribute("k", 1_i64)]);
    let TraceDiff::Patch(patch) =
        diff(&once, &Trace::assemble(vec![twice]).unwrap(), DiffFormat::Patch).unwrap()
    else {
        panic!("a patch was asked for");
    };
    assert_eq!(patch.modified, []);
}
