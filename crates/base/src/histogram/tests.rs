use std::time::Duration;

use super::DurationHistogram;

#[test]
fn a_duration_falls_into_the_lowest_bucket_that_holds_it() {
    let mut histogram = DurationHistogram::default();
    for micros in [0, 500, 501, 25_000_000, 25_000_001] {
        histogram.record(Duration::from_micros(micros));
    }
    let filled: Vec<(f64, u64)> = histogram.buckets().filter(|(_, count)| *count > 0).collect();
    assert_eq!(filled, [(0.0005, 2), (0.001, 1), (25.0, 1), (f64::INFINITY, 1)]);
    assert_eq!(histogram.count(), 5);
    assert_eq!(histogram.total(), Duration::from_micros(50_001_002));
}
