use super::*;

#[test]
fn the_default_step_is_a_240th_rounded_down() {
    let cases = [
        (SECOND, 50 * MILLISECOND),
        (30 * SECOND, 100 * MILLISECOND),
        (59 * SECOND, 200 * MILLISECOND),
        (MINUTE, SECOND),
        (5 * MINUTE, SECOND),
        (15 * MINUTE, 3 * SECOND),
        (HOUR, 15 * SECOND),
        (3 * HOUR, 45 * SECOND),
        (6 * HOUR, MINUTE),
        (24 * HOUR, 5 * MINUTE),
        // Six minutes are whole minutes, but the largest unit that fits is five.
        (24 * 6 * HOUR + HOUR / 2, 35 * MINUTE),
        (24 * 7 * HOUR, 40 * MINUTE),
        (240 * 25 * HOUR, 25 * HOUR),
    ];
    for (length, step) in cases {
        assert_eq!(default_step(length), step, "{length}");
    }
}

#[test]
fn steps_are_seconds_or_durations() {
    let cases = [
        ("10", 10 * SECOND),
        ("0.5", SECOND / 2),
        ("1.5e1", 15 * SECOND),
        ("10s", 10 * SECOND),
        ("1m30s", 90 * SECOND),
        ("1.5h", 90 * MINUTE),
        ("1d", 24 * HOUR),
        ("250ms", 250 * MILLISECOND),
        ("0", 0),
    ];
    for (text, nanos) in cases {
        assert_eq!(parse_step(text), Ok(nanos), "{text}");
    }
    for text in ["", "-1", "-5s", "s", "10x", "nan", "inf", "1e300", "10 s"] {
        let error = parse_step(text).expect_err(text);
        assert!(error.to_string().starts_with("invalid step: "), "{error}");
    }
}
