use proptest::prelude::*;

use super::*;

#[test]
fn nothing_has_no_quantile_nor_has_what_was_taken_away() {
    let mut sketch = Sketch::default();
    assert_eq!(sketch.quantile(0.5), None);
    sketch.add(0.123, 1.0);
    sketch.add(7.0, 1.0);
    sketch.add(0.123, -1.0);
    assert!((sketch.quantile(0.5).unwrap() - 7.0).abs() < 0.036);
    sketch.add(7.0, -1.0);
    assert_eq!((sketch.quantile(0.5), sketch.weight()), (None, 0.0));
}

#[test]
fn weights_count() {
    let mut sketch = Sketch::default();
    sketch.add(1.0, 9.0);
    sketch.add(100.0, 1.0);
    assert!((sketch.quantile(0.9).unwrap() - 1.0).abs() < 0.005);
    assert!((sketch.quantile(0.91).unwrap() - 100.0).abs() < 0.5);
}

proptest! {
    #[test]
    fn within_half_a_percent_however_merged(
        mut numbers in prop::collection::vec(prop_oneof![-1e12_f64..1e12, -5.0_f64..5.0, Just(0.0)], 1..200),
        quantile in 0.0_f64..=1.0,
        cut in 0_usize..200,
    ) {
        let (left, right) = numbers.split_at(cut.min(numbers.len()));
        let of = |numbers: &[f64]| {
            let mut sketch = Sketch::default();
            numbers.iter().for_each(|number| sketch.add(*number, 1.0));
            sketch
        };
        let mut merged = of(right);
        merged.merge(&of(left));
        let found = merged.quantile(quantile).unwrap();
        prop_assert_eq!(found, of(&numbers).quantile(quantile).unwrap());
        numbers.sort_by(f64::total_cmp);
        let rank = ((quantile * numbers.len() as f64).ceil() as usize).max(1);
        let exact = numbers[rank - 1];
        prop_assert!((found - exact).abs() <= exact.abs() * 0.005_000_1, "{} is not {}", found, exact);
    }
}
