use super::*;

fn spans(list: &[(&str, &str, u64)]) -> Vec<SpanView> {
    let span = |(id, parent, start): &(&str, &str, u64)| SpanView {
        id: (*id).to_owned(),
        parent: (*parent).to_owned(),
        start: *start,
        ..SpanView::default()
    };
    list.iter().map(span).collect()
}

fn drawn(forest: &Forest, heads: &[usize]) -> Vec<(usize, usize, bool)> {
    forest.lines(heads).map(|line| (line.span, line.depth, line.last)).collect()
}

#[test]
fn siblings_stand_by_start_and_several_roots_are_kept() {
    let forest =
        Forest::new(&spans(&[("b", "a", 9), ("a", "", 1), ("c", "a", 5), ("d", "c", 6), ("e", "", 0)]));
    assert_eq!(forest.roots, [4, 1]);
    assert!(forest.orphans.is_empty() && forest.cycles.is_empty());
    assert_eq!(
        drawn(&forest, &forest.roots),
        [(4, 0, true), (1, 0, true), (2, 1, false), (3, 2, true), (0, 1, true)]
    );
}

#[test]
fn a_missing_parent_makes_an_orphan_with_its_children() {
    let forest = Forest::new(&spans(&[("b", "gone", 2), ("c", "b", 3)]));
    assert_eq!(forest.orphans, [0]);
    assert_eq!(drawn(&forest, &forest.orphans), [(0, 0, true), (1, 1, true)]);
}

#[test]
fn every_span_of_a_cycle_is_drawn_once() {
    let list =
        spans(&[("a", "c", 1), ("b", "a", 2), ("c", "b", 3), ("d", "c", 4), ("x", "x", 5), ("r", "", 0)]);
    let forest = Forest::new(&list);
    assert_eq!(forest.roots, [5]);
    assert_eq!(forest.cycles, [0, 4]);
    let lines = drawn(&forest, &forest.cycles);
    assert_eq!(lines, [(0, 0, true), (1, 1, true), (2, 2, true), (3, 3, true), (4, 0, true)]);
}

#[test]
fn client_and_server_may_share_an_id() {
    let forest = Forest::new(&spans(&[("a", "", 1), ("a", "", 2), ("b", "a", 3)]));
    assert_eq!(drawn(&forest, &forest.roots), [(0, 0, true), (2, 1, true), (1, 0, true)]);
}

#[test]
fn a_chain_of_a_hundred_thousand_does_not_overflow() {
    let id = |i: usize| if i == 0 { String::new() } else { format!("{i}") };
    let list: Vec<SpanView> =
        (1..=100_000).map(|i| SpanView { id: id(i), parent: id(i - 1), ..SpanView::default() }).collect();
    let forest = Forest::new(&list);
    assert_eq!(forest.lines(&forest.roots).last().map(|line| line.depth), Some(99_999));
}
