use super::*;

#[test]
fn buckets_follow_the_numbers() {
    let mut numbers: Vec<f64> = (0..63)
        .flat_map(|power| {
            let at = 2.0_f64.powi(power);
            [at.next_down(), at, at.next_up(), at * 1.37]
        })
        .collect();
    numbers.extend([f64::MIN_POSITIVE, 0.3, 1e300, f64::MAX, f64::INFINITY]);
    numbers.extend(numbers.clone().iter().map(|number| -number));
    numbers.push(0.0);
    numbers.sort_by(f64::total_cmp);
    let buckets: Vec<i32> = numbers.iter().map(|number| bucket(*number)).collect();
    assert!(buckets.is_sorted(), "{buckets:?}");
    for power in 0..4_000 {
        let bound = GAMMA.powi(power);
        assert!(
            logarithm(bound * 1.000_001) == power + 1 && logarithm(bound * 0.999_999) == power,
            "{power}"
        );
    }
}

#[test]
fn the_middle_of_a_bucket_is_near_all_in_it() {
    for nanos in (0..63).flat_map(|power| [1_u64 << power, (1 << power) + (1 << power) / 3]) {
        let number = nanos as f64;
        let near = |middle: f64, most: f64| (middle - number).abs() <= number * most;
        assert!(near(middle(bucket(number)), 0.005_000_1), "{nanos}");
        assert!(near(wide_middle(wide_bucket(nanos)), 0.040_001), "{nanos}");
    }
    assert_eq!((middle(bucket(0.0)), wide_middle(wide_bucket(0))), (0.0, 0.0));
    assert!(wide_bucket(u64::MAX) < 1024);
}

#[test]
fn a_slot_has_one_bucket_and_one_power() {
    let near = (0..63).flat_map(|power| {
        let at = 1_i64 << power;
        [at - 1, at, at.saturating_add(1), at + at / 3, at + at / 127]
    });
    let on_bounds = POWERS.bounds.iter().filter(|bound| **bound < 9e18);
    let on_bounds = on_bounds.flat_map(|bound| [*bound as i64, (*bound as i64).saturating_add(1)]);
    for number in near.chain(on_bounds).chain(0..5_000).chain([i64::MAX, i64::MAX - 1_000]) {
        let slot = slot(number);
        assert!(slot < 8_192);
        assert_eq!(bucket_of_slot(slot), bucket(number as f64), "{number}");
        let power = if number == 0 { 0.0 } else { 2.0_f64.powf((number as f64).log2().ceil()) };
        let found = power_of_slot(slot);
        assert!(found >= number as f64 && found / 2.0 < (number as f64).max(f64::MIN_POSITIVE), "{number}");
        assert!(found == power || found == power * 2.0 || found == power / 2.0, "{number}");
    }
}
