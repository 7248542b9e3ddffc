use super::*;

const WINDOW: MetricsWindow = MetricsWindow::Range { start: 0, end: 100, step: 10 };

fn candidate(trace: u8, span: u8, start: u64) -> (u32, Candidate) {
    let (trace_id, span_id) = (TraceId([trace; 16]), SpanId([span; 8]));
    (0, Candidate { trace_id, span_id, kind: SpanKind::Server, start, step: 0, value: 0.0, labels: None })
}

fn chosen(limit: usize, offered: &[(u32, Candidate)]) -> Vec<(u8, u8)> {
    let mut exemplars = Exemplars::new(limit);
    offered.iter().for_each(|(group, candidate)| {
        exemplars.offer(WINDOW, *group, candidate.clone(), || Labels::from([]));
    });
    exemplars.chosen().into_iter().map(|(_, c)| (c.trace_id.0[0], c.span_id.0[0])).collect()
}

#[test]
fn the_choice_does_not_depend_on_the_order() {
    let mut offered: Vec<_> =
        (1..20).flat_map(|trace| [candidate(trace, 2, 10), candidate(trace, 1, 10)]).collect();
    offered.push(candidate(30, 1, 90));
    let forwards = chosen(4, &offered);
    assert_eq!(forwards.len(), 3, "two of each half: {forwards:?}");
    assert!(forwards[2] == (30, 1) && forwards[0].0 != forwards[1].0, "one span of a trace: {forwards:?}");
    assert!(forwards.iter().all(|(_, span)| *span == 1), "its least: {forwards:?}");
    offered.reverse();
    assert_eq!(chosen(4, &offered), forwards);
}

#[test]
fn the_first_slice_that_has_spans_is_chosen_from() {
    let early =
        chosen(2, &[candidate(1, 1, 40), candidate(2, 1, 40), candidate(3, 1, 20), candidate(3, 2, 60)]);
    assert_eq!(early.len(), 2);
    assert_eq!(early[0], (3, 1));
}

#[test]
fn none_are_chosen_when_none_are_wanted() {
    assert_eq!(chosen(0, &[candidate(1, 1, 1)]), []);
}
