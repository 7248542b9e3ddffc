use vivace_model::{Attribute as KeyValue, SpanKind};
use vivace_testkit::SpanBuilder;

use super::*;

/// Root 1 with children 2 and 3; 4 is below 2, 5 below 4.
fn tree() -> Trace {
    let root = SpanBuilder::new("root").id(1).kind(SpanKind::Server);
    let event = |name: &str, size: i64| (name.to_owned(), vec![KeyValue::new("size", size)]);
    let with_events = |span: SpanBuilder, events: &[(String, Vec<KeyValue>)]| {
        events.iter().fold(span, |span, (name, of)| span.event(name, 1, of.clone()))
    };
    let four = SpanBuilder::new("four").id(4).parent(2).start_ms(3).attribute("k", "nil").error("bad");
    Trace::assemble(vec![
        root.build(),
        SpanBuilder::new("two").id(2).parent(1).start_ms(1).attribute("k", 1_i64).build(),
        SpanBuilder::new("three")
            .id(3)
            .parent(1)
            .start_ms(2)
            .link(7, 8, vec![KeyValue::new("size", 5_i64)])
            .build(),
        with_events(four, &[event("small", 1), event("large", 100)]).build(),
        SpanBuilder::new("five").id(5).parent(4).start_ms(4).duration_ms(2000).service("other").build(),
    ])
    .unwrap()
}

fn ids(trace: Option<Trace>) -> Vec<u64> {
    let trace = trace.map(Trace::into_spans).unwrap_or_default();
    trace.iter().map(|span| u64::from_be_bytes(span.span_id.0)).collect()
}

#[track_caller]
fn check(text: &str, hierarchy: Hierarchy, expected: &[u64]) {
    let kept = SpanFilter::parse(text).expect(text).keep(tree(), hierarchy);
    assert_eq!(kept.dropped, 5 - expected.len(), "{text} with {hierarchy:?}");
    assert_eq!(ids(kept.trace), expected, "{text} with {hierarchy:?}");
}

#[test]
fn spans_are_selected_by_what_they_have() {
    let cases: [(&str, &[u64]); 20] = [
        ("{ }", &[1, 2, 3, 4, 5]),
        ("{ false }", &[]),
        ("{ name = \"two\" }", &[2]),
        ("{ kind = server || status = error }", &[1, 4]),
        ("{ statusMessage = \"bad\" }", &[4]),
        ("{ duration > 1s }", &[5]),
        ("{ resource.service.name = \"other\" }", &[5]),
        ("{ span:id = \"0000000000000003\" }", &[3]),
        ("{ span:parentID = \"0000000000000001\" }", &[2, 3]),
        ("{ .k = 1 }", &[2]),
        ("{ event:name = \"large\" }", &[4]),
        ("{ event:timeSinceStart > 0s }", &[4]),
        ("{ link:spanID = \"0000000000000008\" }", &[3]),
        ("{ instrumentation:name = \"\" }", &[1, 2, 3, 4, 5]),
        // Both conditions are about one event.
        ("{ event:name = \"small\" && event.size = 100 }", &[]),
        ("{ event:name = \"large\" && event.size = 100 }", &[4]),
        // A missing attribute is nil, the text is not.
        ("{ span.k = nil }", &[1, 3, 5]),
        ("{ span.k != nil }", &[2, 4]),
        ("{ span.k != 1 }", &[]),
        ("{ span.k = \"nil\" }", &[4]),
    ];
    for (text, expected) in cases {
        check(text, Hierarchy::NONE, expected);
    }
}

#[test]
fn relatives_are_kept_as_far_as_asked() {
    let cases: [(Levels, Levels, &[u64]); 8] = [
        (Some(0), Some(0), &[4]),
        (None, Some(0), &[1, 2, 4]),
        (Some(1), Some(0), &[2, 4]),
        (Some(9), Some(0), &[1, 2, 4]),
        (Some(0), Some(1), &[4, 5]),
        (Some(0), None, &[4, 5]),
        (None, None, &[1, 2, 4, 5]),
        (Some(1), Some(1), &[2, 4, 5]),
    ];
    for (ancestors, descendants, expected) in cases {
        check("{ name = \"four\" }", Hierarchy { ancestors, descendants }, expected);
    }
    check("{ name = \"root\" }", Hierarchy { ancestors: None, descendants: Some(1) }, &[1, 2, 3]);
    check("{ false }", Hierarchy { ancestors: None, descendants: None }, &[]);
}

#[test]
fn cycles_end() {
    let span = |id, parent| SpanBuilder::new("s").id(id).parent(parent).start_ms(id).build();
    let cycle = Trace::assemble(vec![span(1, 3), span(2, 1), span(3, 2), span(4, 4)]).unwrap();
    let all = Hierarchy { ancestors: None, descendants: None };
    for (id, expected) in [(2, vec![1, 2, 3]), (4, vec![4])] {
        let filter = SpanFilter::parse(&format!("{{ span:id = \"{id:016x}\" }}")).unwrap();
        assert_eq!(ids(filter.keep(cycle.clone(), all).trace), expected);
    }
}

#[test]
fn a_filter_that_drops_nothing_says_so() {
    let kept = SpanFilter::parse("{ true }").unwrap().keep(tree(), Hierarchy::NONE);
    assert_eq!((kept.dropped, kept.trace.unwrap().spans().len()), (0, 5));
}

#[test]
fn what_looks_further_than_one_span_is_refused() {
    let cases = [
        ("", "invalid TraceQL query: parse error at line 1"),
        ("{ .a == 1 }", "invalid TraceQL query: parse error at line 1"),
        ("{ 1 = \"x\" }", "invalid TraceQL query: validation error at line 1"),
        ("{ parent.a = 1 }", "not yet supported"),
        ("{ } | count() > 1", "pipelines cannot filter"),
        ("{ } | { .a = 1 }", "pipelines cannot filter"),
        ("{ } | select(.a)", "pipelines cannot filter"),
        ("{ } | by(.a)", "pipelines cannot filter"),
        ("{ } && { }", "operators between spansets cannot filter"),
        ("{ } >> { }", "operators between spansets cannot filter"),
        ("count() > 1", "aggregates cannot filter"),
        ("{ } | rate()", "metrics functions cannot filter"),
        ("({ } | rate()) + ({ } | rate())", "metrics functions cannot filter"),
        ("{ trace:id = \"1\" }", "`trace:id`, which is not known from a span alone,"),
        ("{ trace:duration > 1s }", "which is not known from a span alone,"),
        ("{ .a = 1 || rootName = \"x\" }", "which is not known from a span alone,"),
        ("{ rootServiceName = \"x\" }", "which is not known from a span alone,"),
        ("{ nestedSetLeft > 1 }", "which is not known from a span alone,"),
        ("{ nestedSetRight > 1 }", "which is not known from a span alone,"),
        ("{ nestedSetParent > 1 }", "which is not known from a span alone,"),
        ("{ span:childCount > 1 }", "which is not known from a span alone,"),
    ];
    for (text, reason) in cases {
        let error = SpanFilter::parse(text).expect_err(text);
        assert!(error.to_string().contains(reason), "{text}: {error}");
        assert_eq!(error.kind(), vivace_base::ErrorKind::InvalidInput);
    }
}
