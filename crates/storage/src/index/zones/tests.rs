use vivace_model::Attribute;
use vivace_testkit::SpanBuilder;

use super::*;
use crate::columns::SpanBatchBuilder;

/// `rows` spans: one attribute that is different on each, one with seven values, one with two.
fn spans(rows: usize) -> RecordBatch {
    let mut builder = SpanBatchBuilder::default();
    for row in 0..rows {
        let mut span = SpanBuilder::new("work").build();
        let values = [("unique", row), ("seven", row % 7), ("two", row % 2)];
        span.attributes.extend(values.map(|(key, value)| Attribute::new(key, format!("value {value}"))));
        builder.push(&span);
    }
    builder.finish()
}

fn zones(mut builder: ZonesBuilder, rows: usize) -> FxHashMap<String, Vec<Zone>> {
    builder.add(&spans(rows)).expect("columns of spans");
    if rows < ZONE_ROWS {
        builder.end_zone();
    }
    builder.columns
}

fn is_known(zones: &FxHashMap<String, Vec<Zone>>, key: &str) -> bool {
    !matches!(zones[&format!("span.{key}:str")][..], [Zone::Unknown])
}

#[test]
fn columns_with_the_most_values_are_unknown_when_there_is_no_room() {
    for (hashes, bytes, known) in [
        (10_000, 10_000, [true, true, true]),
        (400, 10_000, [false, true, true]),
        (10_000, 400, [false, true, true]),
        (6, 10_000, [false, false, true]),
        (10_000, 70, [false, false, true]),
        (0, 10_000, [false, false, false]),
        (10_000, 0, [false, false, false]),
    ] {
        let zones = zones(ZonesBuilder::with_limits(hashes, bytes), 500);
        let found = ["unique", "seven", "two"].map(|key| is_known(&zones, key));
        assert_eq!(found, known, "{hashes} hashes, {bytes} bytes");
        let kept: usize = zones.values().flatten().map(Zone::bytes).sum();
        assert!(kept <= bytes);
    }
}

#[test]
fn each_zone_has_the_room_of_the_first() {
    let mut builder = ZonesBuilder::with_limits(600, 10_000);
    for _ in 0..3 {
        builder.add(&spans(500)).expect("columns of spans");
        builder.rows = builder.rows.next_multiple_of(ZONE_ROWS);
        builder.end_zone();
    }
    let unique = &builder.columns["span.unique:str"];
    assert!(unique.len() == 3 && unique.iter().all(|zone| matches!(zone, Zone::Filter(_))), "{unique:?}");
}
