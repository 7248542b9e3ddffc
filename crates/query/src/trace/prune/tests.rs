use vivace_testkit::SpanBuilder;

use super::*;

fn span(id: u64, parent: u64, name: &str, duration_ms: u64) -> SpanBuilder {
    let span = SpanBuilder::new(name).id(id).start_ms(id).duration_ms(duration_ms);
    if parent == 0 { span } else { span.parent(parent) }
}

fn pruning(min_spans: usize, max_parent_depth: Option<usize>) -> Pruning {
    Pruning { group_by: GroupBy::default(), min_spans, max_parent_depth }
}

/// Each span as id, parent, and how many it stands for.
fn told(trace: &Trace) -> Vec<(u64, u64, i64)> {
    let number = |id: vivace_model::SpanId| u64::from_be_bytes(id.0);
    let stands_for = |span: &Span| match attribute(span, "aggregation.span_count") {
        Some(Value::Int(count)) => *count,
        _ => 1,
    };
    let one =
        |span| (number(Span::clone(span).span_id), span.parent_span_id.map_or(0, number), stands_for(span));
    trace.spans().iter().map(one).collect()
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
}

#[track_caller]
fn check(spans: Vec<SpanBuilder>, pruning: &Pruning, outcome: Pruned, expected: &[(u64, u64, i64)]) {
    let spans = spans.into_iter().map(SpanBuilder::build).collect();
    let (trace, pruned) = prune(Trace::assemble(spans).unwrap(), pruning);
    assert_eq!((pruned, told(&trace)), (outcome, expected.to_vec()));
}

#[test]
fn a_summary_describes_its_group() {
    let spans = [(2, 5), (3, 30), (4, 12_000), (5, 7), (6, 8)];
    let spans =
        spans.map(|(id, ms)| span(id, 1, "select", ms).attribute("id", id as i64).event("e", 0, vec![]));
    let all = [span(1, 0, "root", 20_000)].into_iter().chain(spans).map(SpanBuilder::build);
    let (trace, pruned) = prune(Trace::assemble(all.collect()).unwrap(), &pruning(5, Some(1)));
    assert_eq!((pruned, told(&trace)), (Pruned::Replaced, vec![(1, 0, 1), (4, 1, 5)]));
    let summary = &trace.spans()[1];
    // From the first start to the last end, with what the slowest has.
    let from_root = summary.start - trace.spans()[0].start;
    assert_eq!((from_root, summary.end - summary.start), (1_000_000, 12_002_000_000));
    assert_eq!((attribute(summary, "id"), summary.events.len()), (Some(&Value::Int(4)), 0));
    let int = |number: i64| Some(Value::Int(number));
    let list = |numbers: &[i64]| Some(Value::Array(numbers.iter().copied().map(Value::Int).collect()));
    let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    for (key, expected) in [
        ("aggregation.is_summary", Some(Value::Bool(true))),
        ("aggregation.span_count", int(5)),
        ("aggregation.duration_min_ns", int(5_000_000)),
        ("aggregation.duration_max_ns", int(12_000_000_000)),
        ("aggregation.duration_avg_ns", int(2_410_000_000)),
        ("aggregation.duration_total_ns", int(12_050_000_000)),
        ("aggregation.histogram_bucket_bounds_s", Some(Value::Array(bounds.map(Value::Float).to_vec()))),
        ("aggregation.histogram_bucket_counts", list(&[1, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5])),
    ] {
        assert_eq!(attribute(summary, key), expected.as_ref(), "{key}");
    }
    // What is pruned once is not pruned again.
    let (again, pruned) = prune(trace.clone(), &pruning(2, None));
    assert_eq!((pruned, told(&again)), (Pruned::BySender, told(&trace)));
}

#[test]
fn only_what_is_alike_is_grouped() {
    let base = || vec![span(1, 0, "root", 50), span(2, 1, "s", 9), span(3, 1, "s", 1)];
    let with = |last: SpanBuilder| base().into_iter().chain([last]).collect::<Vec<_>>();
    let unlike = [
        span(4, 1, "other", 1),
        span(4, 1, "s", 1).kind(SpanKind::Client),
        span(4, 1, "s", 1).status(StatusCode::Error),
        span(4, 0, "s", 1),
        span(4, 99, "s", 1),
    ];
    for last in unlike {
        let spans = with(last).into_iter().map(SpanBuilder::build).collect();
        let (trace, pruned) = prune(Trace::assemble(spans).unwrap(), &pruning(3, None));
        assert_eq!((pruned, trace.spans().len()), (Pruned::Nothing, 4));
    }
    check(with(span(4, 1, "s", 1)), &pruning(3, None), Pruned::Replaced, &[(1, 0, 1), (2, 1, 3)]);
    check(
        with(span(4, 1, "s", 1)),
        &pruning(4, None),
        Pruned::Nothing,
        &[(1, 0, 1), (2, 1, 1), (3, 1, 1), (4, 1, 1)],
    );
    // The parent's name counts, not the parent.
    let below = |parent: u64, name: &str| {
        vec![
            span(1, 0, "root", 90),
            span(2, 1, "handler", 9),
            span(3, 1, name, 9),
            span(4, 2, "s", 1),
            span(5, parent, "s", 1),
        ]
    };
    check(
        below(3, "handler"),
        &pruning(2, Some(0)),
        Pruned::Replaced,
        &[(1, 0, 1), (2, 1, 1), (3, 1, 1), (4, 2, 2)],
    );
    check(
        below(3, "worker"),
        &pruning(2, Some(0)),
        Pruned::Nothing,
        &[(1, 0, 1), (2, 1, 1), (3, 1, 1), (4, 2, 1), (5, 3, 1)],
    );
}

#[test]
fn attributes_that_are_named_must_be_equal() {
    let spans = || {
        let leaf = |id: u64, op: &str| {
            span(id, 1, "s", 1).attribute("db.operation", op).attribute("rows", id as i64)
        };
        vec![span(1, 0, "root", 9), leaf(2, "get"), leaf(3, "put"), leaf(4, "get"), leaf(5, "put")]
    };
    let by = |text: &str| Pruning { group_by: GroupBy::parse(text).unwrap(), ..pruning(2, None) };
    let by_operation: &[_] = &[(1, 0, 1), (2, 1, 2), (3, 1, 2)];
    for (text, expected) in [
        ("", &[(1, 0, 1), (2, 1, 4)][..]),
        ("db.*", by_operation),
        ("db.operation", by_operation),
        (" http.*, ?b.op* ", by_operation),
        ("db", &[(1, 0, 1), (2, 1, 4)]),
        ("DB.*", &[(1, 0, 1), (2, 1, 4)]),
        ("db.(operation)", &[(1, 0, 1), (2, 1, 4)]),
    ] {
        check(spans(), &by(text), Pruned::Replaced, expected);
    }
    let kept = &[(1, 0, 1), (2, 1, 1), (3, 1, 1), (4, 1, 1), (5, 1, 1)];
    check(spans(), &by("*"), Pruned::Nothing, kept);
    assert!(GroupBy::parse(&"a,".repeat(MAX_PATTERNS + 1)).unwrap_err().contains("too many"));
}

/// Root 1; handlers 2 and 3 under workers 4 and 5; queries 6 and 7.
fn chain() -> Vec<SpanBuilder> {
    vec![
        span(1, 0, "root", 90),
        span(2, 1, "handler", 60),
        span(3, 1, "handler", 50),
        span(4, 2, "worker", 20),
        span(5, 3, "worker", 30),
        span(6, 4, "query", 5),
        span(7, 5, "query", 9),
    ]
}

#[test]
fn parents_follow_their_children_up_to_a_depth() {
    for (depth, expected) in [
        (Some(0), &[(1, 0, 1), (2, 1, 1), (3, 1, 1), (4, 2, 1), (5, 3, 1), (7, 5, 2)][..]),
        (Some(1), &[(1, 0, 1), (2, 1, 1), (3, 1, 1), (5, 3, 2), (7, 5, 2)]),
        (Some(2), &[(1, 0, 1), (2, 1, 2), (5, 2, 2), (7, 5, 2)]),
        (None, &[(1, 0, 1), (2, 1, 2), (5, 2, 2), (7, 5, 2)]),
    ] {
        let mut spans: Vec<_> = chain().into_iter().map(SpanBuilder::build).collect();
        spans.reverse();
        let (trace, _) = prune(Trace::assemble(spans).unwrap(), &pruning(2, depth));
        let mut told = told(&trace);
        told.sort_unstable();
        assert_eq!(told, expected, "{depth:?}");
    }
}

#[test]
fn a_parent_with_a_child_left_stays() {
    let mut spans = chain();
    spans.push(span(8, 5, "other", 1));
    let (trace, _) = prune(
        Trace::assemble(spans.into_iter().map(SpanBuilder::build).collect()).unwrap(),
        &pruning(2, None),
    );
    let expected = [(1, 0, 1), (2, 1, 1), (3, 1, 1), (4, 2, 1), (5, 3, 1), (7, 5, 2), (8, 5, 1)];
    let mut told = told(&trace);
    told.sort_unstable();
    assert_eq!(told, expected);
}
