use std::collections::{BTreeSet, HashSet};
use std::mem::discriminant;

use vivace_model::Trace;

use super::*;

#[test]
fn the_same_seed_gives_the_same_traces() {
    let spans = |seed| TraceGenerator::new(seed).traces(20, 10);
    assert_eq!(spans(3), spans(3));
    assert_ne!(spans(3), spans(4));
}

#[test]
fn a_trace_has_the_size_asked_for_and_distinct_span_ids() {
    let mut generator = TraceGenerator::new(5);
    for size in [0, 1, 2, 50] {
        let spans = generator.trace(size);
        let ids: HashSet<_> = spans.iter().map(|span| (span.trace_id, span.span_id)).collect();
        assert_eq!((spans.len(), ids.len()), (size, size));
        assert_eq!(Trace::assemble(spans).map_or(0, |trace| trace.spans().len()), size);
    }
}

#[test]
fn everything_a_span_may_hold_occurs() {
    let spans = TraceGenerator::new(1).traces(300, 12);
    let kinds: BTreeSet<_> = spans.iter().map(|span| span.kind as u8).collect();
    let statuses: BTreeSet<_> = spans.iter().map(|span| span.status as u8).collect();
    assert_eq!((kinds.len(), statuses.len()), (6, 3));
    let attributes = || spans.iter().flat_map(|span| &span.attributes);
    let types: HashSet<_> = attributes().map(|attribute| discriminant(&attribute.value)).collect();
    assert_eq!(types.len(), 8);
    let services: BTreeSet<_> = spans.iter().filter_map(|span| span.resource.service_name()).collect();
    assert_eq!(services.len(), SERVICES.len());
    assert!(spans.iter().any(|span| span.resource.attributes.is_empty()));
    assert!(spans.iter().any(|span| span.end < span.start));
    assert!(spans.iter().any(|span| !span.events.is_empty() && !span.links.is_empty()));
    assert!(spans.iter().any(|span| span.parent_span_id == Some(SpanId([0xff; 8]))));
    assert!(spans.iter().any(|span| !span.scope.attributes.is_empty()));
}

#[test]
fn keys_are_distinct_in_every_list() {
    let distinct =
        |list: &[Attribute]| list.iter().map(|a| &a.key).collect::<HashSet<_>>().len() == list.len();
    for span in TraceGenerator::new(2).traces(100, 10) {
        assert!(distinct(&span.attributes) && distinct(&span.resource.attributes));
        assert!(distinct(&span.scope.attributes));
        assert!(span.events.iter().all(|event| distinct(&event.attributes)));
        assert!(span.links.iter().all(|link| distinct(&link.attributes)));
    }
}
