use vivace_testkit::SpanBuilder;

use super::*;

fn span(id: u64, parent: u64, kind: SpanKind, start_ms: u64) -> Span {
    let span = SpanBuilder::new("s").id(id).kind(kind).start_ms(start_ms);
    if parent == 0 { span.build() } else { span.parent(parent).build() }
}

/// Each span as id, parent and kind.
#[track_caller]
fn check(spans: Vec<Span>, expected: &[(u64, u64, SpanKind)]) {
    let trace = separate_shared_ids(Trace::assemble(spans).unwrap());
    let number = |id: SpanId| u64::from_be_bytes(id.0);
    let told = trace
        .spans()
        .iter()
        .map(|span| (number(span.span_id), span.parent_span_id.map_or(0, number), span.kind));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_server_span_gets_an_id_of_its_own() {
    use SpanKind::{Client, Internal, Server};
    check(
        vec![
            span(9, 0, Internal, 0),
            span(5, 9, Client, 1),
            span(5, 9, Server, 2),
            span(6, 5, Internal, 3),
            span(7, 5, Client, 4),
            span(7, 5, Server, 5),
        ],
        &[(9, 0, Internal), (5, 9, Client), (1, 5, Server), (6, 1, Internal), (7, 1, Client), (2, 7, Server)],
    );
}

#[test]
fn ids_in_use_are_skipped() {
    use SpanKind::{Client, Server};
    check(
        vec![span(1, 0, Client, 0), span(1, 0, Server, 1), span(2, 1, Client, 2)],
        &[(1, 0, Client), (3, 1, Server), (2, 3, Client)],
    );
}

#[test]
fn other_kinds_may_share() {
    use SpanKind::{Client, Consumer, Producer, Server};
    let kept = [(5, 0, Producer), (5, 0, Consumer), (6, 5, Server), (7, 5, Client)];
    let spans = kept.iter().zip(0..).map(|((id, parent, kind), start)| span(*id, *parent, *kind, start));
    check(spans.collect(), &kept);
}
