use super::*;

#[test]
fn a_bucket_is_the_next_power_of_two() {
    for (number, expected) in
        [(-1.0, 0.0), (0.0, 0.0), (0.3, 0.5), (1.0, 1.0), (2.0, 2.0), (2.1, 4.0), (1e9, 1_073_741_824.0)]
    {
        assert_eq!(bucket(number), expected, "{number}");
    }
    for power in -60..62 {
        let exact = 2.0_f64.powi(power);
        assert_eq!(bucket(exact), exact);
        assert_eq!(bucket(exact * 1.000_000_1), exact * 2.0);
    }
}
