use std::sync::Arc;

use super::*;
use crate::{Resource, Scope, StatusCode};

fn span(id: u8, parent: u8, kind: SpanKind, start: u64) -> Span {
    Span {
        trace_id: TraceId([1; 16]),
        span_id: SpanId([id; 8]),
        parent_span_id: (parent != 0).then_some(SpanId([parent; 8])),
        trace_state: String::new(),
        flags: 0,
        name: format!("s{id}"),
        kind,
        start,
        end: start + 10,
        status: StatusCode::Unset,
        status_message: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        resource: Arc::new(Resource::default()),
        scope: Arc::new(Scope::default()),
    }
}

fn sets(trace: &Trace) -> Vec<(i32, i32, i32)> {
    (0..trace.spans().len()).map(|i| trace.nested_set(i)).map(|s| (s.left, s.right, s.parent)).collect()
}

#[test]
fn numbers_a_tree_depth_first() {
    use SpanKind::Internal;
    let spans = vec![
        span(3, 1, Internal, 3),
        span(1, 0, Internal, 1),
        span(2, 1, Internal, 2),
        span(4, 2, Internal, 4),
    ];
    let trace = Trace::assemble(spans).expect("spans");
    assert_eq!(sets(&trace), [(1, 8, -1), (2, 5, 1), (6, 7, 1), (3, 4, 2)]);
    assert_eq!(trace.child_count(0), 2);
    assert_eq!(trace.duration(), 13);
}

#[test]
fn orphans_and_cycles_stay_zero() {
    use SpanKind::Internal;
    let spans = vec![
        span(1, 0, Internal, 1),
        span(2, 9, Internal, 2),
        span(3, 4, Internal, 3),
        span(4, 3, Internal, 4),
    ];
    let trace = Trace::assemble(spans).expect("spans");
    assert_eq!(sets(&trace), [(1, 2, -1), (0, 0, 0), (0, 0, 0), (0, 0, 0)]);
}

#[test]
fn a_span_that_is_its_own_parent_does_not_loop() {
    let trace = Trace::assemble(vec![span(1, 1, SpanKind::Internal, 1)]).expect("spans");
    assert_eq!(sets(&trace), [(0, 0, 0)]);
    assert!(trace.root().is_none());
}

#[test]
fn duplicates_go_and_zipkin_halves_stay() {
    let spans = vec![
        span(1, 0, SpanKind::Client, 1),
        span(1, 0, SpanKind::Server, 2),
        span(1, 0, SpanKind::Client, 1),
        span(2, 1, SpanKind::Internal, 3),
    ];
    let trace = Trace::assemble(spans).expect("spans");
    assert_eq!(trace.spans().len(), 3);
    assert_eq!(sets(&trace), [(1, 6, -1), (2, 5, 1), (3, 4, 2)]);
}
