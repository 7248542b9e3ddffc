use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use vivace_model::schema;

use super::distances;

#[test]
fn spans_are_counted_by_how_far_from_now_they_ended() {
    const SECOND: u64 = 1_000_000_000;
    let now = 10_000 * SECOND;
    let starts: Vec<u64> = [9_000, 9_700, 9_699, 6_000, 10_001, 14_000].map(|at| at * SECOND).to_vec();
    let durations = vec![1_000 * SECOND as i64, 0, 0, 0, 0, 0];
    let columns: [(&str, ArrayRef); 2] = [
        (schema::START, Arc::new(UInt64Array::from(starts))),
        (schema::DURATION, Arc::new(Int64Array::from(durations))),
    ];
    let found = distances(&RecordBatch::try_from_iter(columns).unwrap(), now);
    assert_eq!((found.past.counts, found.past.seconds), ([2, 1, 0, 1], 300 + 301 + 4_000));
    assert_eq!((found.future.counts, found.future.seconds), ([1, 0, 0, 1], 1 + 4_000));
    let mut twice = found.past;
    twice.add(&found.past);
    assert_eq!((twice.counts, twice.seconds), ([4, 2, 0, 2], 2 * found.past.seconds));
}
