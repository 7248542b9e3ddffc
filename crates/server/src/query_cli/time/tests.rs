use super::*;

const NOW: UnixNanos = 1_800_000_000 * NANOS + 500_000_000;

fn resolve(since: Option<&str>, start: Option<&str>, end: Option<&str>) -> Result<(u64, u64), QueryError> {
    let own = |text: Option<&str>| text.map(str::to_owned);
    TimeArgs { since: own(since), start: own(start), end: own(end) }.resolve(NOW)
}

#[test]
fn ranges() {
    assert_eq!(resolve(None, None, None).unwrap(), (1_799_996_400, 1_800_000_001));
    assert_eq!(resolve(Some("1m"), None, None).unwrap(), (1_799_999_940, 1_800_000_001));
    assert_eq!(resolve(Some("1w"), None, None).unwrap().0, 1_800_000_000 - 604_800);
    assert_eq!(resolve(None, Some("now-2h"), Some("now-1h")).unwrap(), (1_799_992_800, 1_799_996_401));
    assert_eq!(resolve(None, Some("100"), Some("200")).unwrap(), (100, 200));
    assert_eq!(resolve(None, None, Some("7200")).unwrap(), (3600, 7200));
    let written = resolve(None, Some("2026-01-31T12:00:00+01:00"), Some("2026-01-31T11:00:01.5Z")).unwrap();
    assert_eq!(written, (1_769_857_200, 1_769_857_202));
}

#[test]
fn what_is_no_range_is_a_usage_error() {
    let bad = [
        (None, Some("200"), Some("100")),
        (None, Some("100"), Some("100")),
        (None, Some("yesterday"), None),
        (None, Some("now+1h"), None),
        (None, Some("nowish"), None),
        (None, Some("2026-02-30T00:00:00Z"), None),
        (None, Some("2026-01-31T24:00:00Z"), None),
        (None, Some("2026-01-31T12:00:00"), None),
        (None, Some("2026-01-31T12:00:00.Z"), None),
        (None, Some("2026-01-3éT12:00:00Z"), None),
        (None, Some("99999999999999999999"), None),
        (Some("1x"), None, None),
        (Some(""), None, None),
        (Some("0s"), None, Some("100")),
    ];
    for (since, start, end) in bad {
        let error = resolve(since, start, end).expect_err(&format!("{since:?} {start:?} {end:?}"));
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (time, text) in [
        (0, "1970-01-01 00:00:00.000"),
        (951_782_400 * NANOS, "2000-02-29 00:00:00.000"),
        (951_868_799 * NANOS + 999_999_999, "2000-02-29 23:59:59.999"),
        (4_107_542_400 * NANOS, "2100-03-01 00:00:00.000"),
    ] {
        assert_eq!(utc_text(time), text);
    }
}

#[test]
fn durations() {
    let texts =
        [0, 812, 1_250, 999_499, 999_500, 12_345_678, 557_000_000, 1_240_000_000, 125 * NANOS, 3_725 * NANOS]
            .map(|nanos| duration_text(nanos, false));
    assert_eq!(
        texts,
        ["0ns", "812ns", "1.25us", "999us", "1.00ms", "12.3ms", "557ms", "1.24s", "2m05s", "1h02m"]
    );
    assert_eq!(duration_text(1_250, true), "1.25µs");
    assert_eq!(parse_go_duration("1d"), Ok("24h".to_owned()));
    assert_eq!(parse_go_duration("1.5s"), Ok("1500ms".to_owned()));
    assert!(parse_go_duration("fast").is_err());
}
