use super::*;

#[test]
fn a_threshold_says_what_a_span_stands_for() {
    for (state, expected) in [
        ("", 1.0),
        ("ot=th:0", 1.0),
        ("ot=th:8", 2.0),
        ("vendor=x, ot=rv:123;th:c", 4.0),
        ("ot=th:fffffffffffffff", 1.0),
        ("ot=th:zz", 1.0),
        ("other=th:8", 1.0),
    ] {
        assert_eq!(weight(state), expected, "{state}");
    }
}
