use super::Exact;

#[test]
fn floats_survive() {
    let numbers =
        [0.0, 1.0, -2.5, 0.1, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 1e-300, 9_007_199_254_740_993.0, 1e22];
    for number in numbers {
        let exact = Exact::of_float(number).expect("it is finite");
        assert_eq!(exact.to_f64().to_bits(), number.to_bits(), "{number}");
    }
    assert!(Exact::of_float(f64::INFINITY).is_none());
    assert!(Exact::of_float(f64::NAN).is_none());
}

#[test]
fn fractions_round_to_the_nearest() {
    let third = Exact::of_int(1).over(&Exact::of_int(3));
    assert_eq!(third.to_f64(), 1.0 / 3.0);
    assert_eq!(third.times(&Exact::of_int(-3)).to_f64(), -1.0);
    // Halfway between two floats: to the even one.
    assert_eq!(Exact::of_int((1 << 53) + 1).to_f64(), 9_007_199_254_740_992.0);
    assert_eq!(Exact::of_int((1 << 53) + 3).to_f64(), 9_007_199_254_740_996.0);
}

#[test]
fn sums_lose_nothing() {
    assert_eq!(Exact::sum_of_floats(&[1e300, 1.0, -1e300]), 1.0);
    assert_eq!(Exact::sum_of_floats(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
    assert_eq!(Exact::mean_of_floats(&[f64::MAX, f64::MAX]), f64::MAX);
    assert_eq!(Exact::sum_of_floats(&[f64::INFINITY, 1.0]), f64::INFINITY);
    assert!(Exact::sum_of_floats(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
}
