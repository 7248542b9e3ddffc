use super::tally::Latencies;
use super::*;

#[test]
fn a_range_is_taken_in_whole_minutes() {
    let range = |start, end| {
        let range = ServiceGraphRequest::new(start, end).range();
        (range.start, range.end)
    };
    assert_eq!(range(0, 1), (0, MINUTE - 1));
    assert_eq!(range(MINUTE, 2 * MINUTE), (MINUTE, 2 * MINUTE - 1));
    assert_eq!(range(2 * MINUTE - 1, 2 * MINUTE + 1), (MINUTE, 3 * MINUTE - 1));
    assert_eq!(range(5 * MINUTE, MINUTE), (5 * MINUTE, 6 * MINUTE - 1));
    assert_eq!(range(u64::MAX, u64::MAX).1, u64::MAX - 1);
}

#[test]
fn quantiles_take_the_number_of_their_rank() {
    let mut latencies = Latencies::default();
    assert_eq!(latencies.quantile(0.5), None);
    let wide = |nanos| vivace_storage::index::wide_bucket(nanos);
    latencies.add(wide(1_000_000_000), 1);
    latencies.add(wide(1_000_000), 99);
    let near = |quantile: f64, seconds: f64| {
        let found = latencies.quantile(quantile).unwrap();
        assert!((found - seconds).abs() <= seconds * 0.041, "{quantile}: {found}");
    };
    near(0.0, 0.001);
    near(0.99, 0.001);
    near(0.991, 1.0);
    near(1.0, 1.0);
}
