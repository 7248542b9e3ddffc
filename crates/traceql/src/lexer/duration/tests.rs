use proptest::prelude::*;

use super::{SECOND, format_duration, parse_duration};

#[test]
fn prometheus_and_go_forms() {
    let cases = [
        ("1s", Some(SECOND)),
        ("1d2h", Some(26 * 3600 * SECOND)),
        ("1y1w1d1h1m1s1ms", Some((373 * 86_400 + 3661) * SECOND + 1_000_000)),
        ("1.5h", Some(5400 * SECOND)),
        ("10ns", Some(10)),
        ("5us", Some(5_000)),
        ("5\u{b5}s", Some(5_000)),
        ("5\u{3bc}s", Some(5_000)),
        ("1.5s", Some(1_500_000_000)),
        ("1m1h", Some(3660 * SECOND)),
        ("1s1s", Some(2 * SECOND)),
        (".5s", Some(SECOND / 2)),
        ("1.s", Some(SECOND)),
        ("0.1234567899s", Some(123_456_789)),
        ("0.00000000000000000000001s", Some(0)),
        ("1h1d", None),
        ("1.5d", None),
        ("1.2.3s", None),
        (".s", None),
        ("1sm", None),
        ("1s2", None),
        ("300y", None),
        ("9223372036854775808ns", None),
    ];
    for (text, nanos) in cases {
        assert_eq!(parse_duration(text), nanos, "{text}");
    }
}

#[test]
fn formatted_like_go() {
    let cases = [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u{b5}s"),
        (2_200_000, "2.2ms"),
        (1_500_000_000, "1.5s"),
        (60 * SECOND, "1m0s"),
        (3600 * SECOND + 1, "1h0m0.000000001s"),
        (-1_500_000_000, "-1.5s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ];
    for (nanos, text) in cases {
        assert_eq!(format_duration(nanos), text);
    }
}

proptest! {
    #[test]
    fn formatted_durations_parse_back(nanos in 0..=i64::MAX, shift in 0..63_u32) {
        let nanos = nanos >> shift;
        prop_assert_eq!(parse_duration(&format_duration(nanos)), Some(nanos));
    }
}
