use super::*;

fn sum(numbers: &[f64]) -> f64 {
    let mut sum = ExactSum::default();
    numbers.iter().for_each(|number| sum.add(*number));
    sum.value()
}

#[test]
fn nothing_is_lost() {
    assert_eq!(sum(&[]), 0.0);
    assert_eq!(sum(&[1e100, 1.0, -1e100]), 1.0);
    assert_eq!(sum(&[0.1; 10]), 1.0);
    assert_eq!(sum(&[1e16, 1.0, 1.0]), 1e16 + 2.0);
    // 2^53 + 1 lies half way; the tiny part decides.
    assert_eq!(sum(&[9_007_199_254_740_992.0, 1.0]), 9_007_199_254_740_992.0);
    assert_eq!(sum(&[9_007_199_254_740_992.0, 1.0, 1e-300]), 9_007_199_254_740_994.0);
}

#[test]
fn infinities_stay() {
    assert_eq!(sum(&[1.0, f64::INFINITY, 2.0]), f64::INFINITY);
    assert!(sum(&[f64::NEG_INFINITY, f64::INFINITY]).is_nan());
}

proptest::proptest! {
    #[test]
    fn order_and_parts_do_not_matter(mut numbers in proptest::collection::vec(-1e12_f64..1e12, 0..60), cut in 0_usize..60) {
        let forwards = sum(&numbers);
        let (left, right) = numbers.split_at(cut.min(numbers.len()));
        let mut merged = ExactSum::default();
        right.iter().for_each(|number| merged.add(*number));
        let mut other = ExactSum::default();
        left.iter().for_each(|number| other.add(*number));
        merged.merge(&other);
        proptest::prop_assert_eq!(merged.value(), forwards);
        numbers.reverse();
        proptest::prop_assert_eq!(sum(&numbers), forwards);
    }
}
