use super::*;

const fn at(seconds: u64) -> u64 {
    seconds * SECOND
}

#[test]
fn windows_that_begin_and_end_with_cells_have_no_edges() {
    let range =
        |start, end, step| interior(MetricsWindow::Range { start: at(start), end: at(end), step: at(step) });
    assert_eq!(range(120, 240, 60), Some((60, at(120) + 1..=at(240))));
    assert_eq!(range(120, 240, 30), Some((30, at(120) + 1..=at(240))));
    assert_eq!(range(45, 90, 15), Some((15, at(45) + 1..=at(90))));
    assert_eq!(range(5, 10, 5), Some((5, at(5) + 1..=at(10))));
    assert_eq!(range(6, 12, 6), None);
    assert_eq!(range(30, 90, 60), Some((30, at(30) + 1..=at(90))), "whoever aligned it otherwise");
    assert_eq!(cells(&(at(120) + 1..=at(240)), 60), 2..=3);
    assert_eq!(cells(&(1..=at(60)), 5), 0..=11);
}

#[test]
fn one_value_is_answered_from_what_lies_between() {
    let instant = |start, end| interior(MetricsWindow::Instant { start, end });
    assert_eq!(instant(at(60), at(240)), Some((60, at(60) + 1..=at(240))));
    assert_eq!(instant(at(60) + 1, at(240)), Some((60, at(60) + 1..=at(240))));
    assert_eq!(instant(at(60) + 2, at(241)), Some((60, at(120) + 1..=at(240))));
    assert_eq!(instant(0, at(60)), Some((60, 1..=at(60))));
    assert_eq!(instant(at(61), at(119)), None);
    let summarised = |start, end| {
        let chosen = FxHashMap::from_iter([(0, Chosen { table: 0, chunks: Vec::new() })]);
        Summarised {
            interior: instant(start, end).map(|(_, interior)| interior),
            window: start..=end,
            chosen: Arc::new(chosen),
        }
    };
    assert_eq!(summarised(at(60), at(240)).edges(), [at(60)..=at(60)]);
    assert_eq!(summarised(at(60) + 1, at(240)).edges(), []);
    assert_eq!(summarised(at(61), at(241)).edges(), [at(61)..=at(120), at(240) + 1..=at(241)]);
    assert_eq!(summarised(at(61), at(119)).edges(), []);
}

#[test]
fn counts_of_slots_are_taken_once() {
    let mut dense = Dense::default();
    dense.add(&[(3, 2), (70, 1)]);
    dense.add(&[(3, 1), (4, 5)]);
    assert_eq!(dense.take_by(|slot| slot), [(3, 3.0), (4, 5.0), (70, 1.0)]);
    assert_eq!(dense.take_by(|slot| slot), []);
    dense.add(&[(6, 1), (7, 1), (8, 1)]);
    assert_eq!(dense.take_by(|slot| slot / 2), [(3, 2.0), (4, 1.0)]);
}
