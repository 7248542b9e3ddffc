use super::*;

#[test]
fn parts_have_the_times_that_are_theirs() {
    let windows = [
        MetricsWindow::Range { start: 100, end: 217, step: 13 },
        MetricsWindow::Range { start: 100, end: 103, step: 1 },
        MetricsWindow::Instant { start: 0, end: 1_000 },
        MetricsWindow::Instant { start: 7, end: 7 },
    ];
    for (window, parts) in windows.into_iter().flat_map(|window| [(window, 1), (window, 7), (window, 64)]) {
        for start in (0..1_200).filter(|start| window.step_of(*start).is_some()) {
            let holds = |part: &usize| window.times_of(*part..*part + 1, parts).contains(&start);
            let found: Vec<usize> = (0..parts).filter(holds).collect();
            assert_eq!(found, [window.part_of(start, parts)], "{window:?} {parts} {start}");
        }
        assert!(window.times_of(0..parts, parts).end > 0);
    }
}
