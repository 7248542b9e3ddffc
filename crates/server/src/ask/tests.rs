use vivace_model::TimeRange;
use vivace_query::MetricsWindow;

use super::*;
use crate::config::{Config, ConfigArgs, Limits};

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_800_000_000 * SECOND;

fn limits() -> Limits {
    Config::load(&ConfigArgs::default()).unwrap().limits
}

#[test]
fn timestamps_come_in_four_forms() {
    let cases = [
        ("0", 0),
        ("1700000000", 1_700_000_000 * SECOND),
        ("1700000000.25", 1_700_000_000 * SECOND + SECOND / 4),
        ("1700000000.1234", 1_700_000_000 * SECOND + 123_000_000),
        ("1700000000123456789", 1_700_000_000_123_456_789),
        ("17000000000", 17_000_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000 * SECOND),
        ("2023-11-14T23:13:20.5+01:00", 1_700_000_000 * SECOND + SECOND / 2),
    ];
    for (text, nanos) in cases {
        assert_eq!(parse_timestamp("start", text), Ok(nanos), "{text}");
    }
    for text in ["", "x", "-1", "1e300", "nan", "2023-13-14T22:13:20Z", "99999999999999999999999"] {
        let error = parse_timestamp("start", text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("invalid start: `{text}` is not a time")), "{error}");
    }
}

fn ranged(start: Option<u64>, end: Option<u64>, since: Option<u64>) -> Result<TimeRange, InvalidQuestion> {
    let since = since.map(std::time::Duration::from_secs);
    When { start: start.map(|s| s * SECOND), end: end.map(|s| s * SECOND), since }.range(NOW)
}

#[test]
fn ranges_of_search_and_tags() {
    assert_eq!(ranged(None, None, None), Ok(TimeRange::ALL));
    assert_eq!(ranged(Some(1), Some(2), None), Ok(TimeRange::from_seconds(1, 2)));
    let hour = TimeRange::from_seconds(1_799_996_400, 1_800_000_000);
    assert_eq!(ranged(None, None, Some(3600)), Ok(hour));
    assert_eq!(ranged(Some(1), Some(2), Some(3600)), Ok(hour), "since wins");
    for (start, end, reason) in [
        (Some(1), None, "must provide both or neither"),
        (None, Some(1), "must provide both or neither"),
        (Some(2), Some(2), "received start=2 end=2"),
        (Some(3), Some(2), "start must be before end"),
    ] {
        let error = ranged(start, end, None).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(When::from_seconds(0, 0), When::default());
    assert_eq!(When::from_seconds(1, 2).range(NOW), Ok(TimeRange::from_seconds(1, 2)));
}

#[test]
fn a_metrics_query_on_search_finds_the_spans_it_measures() {
    let search = |query: &str| {
        let question = SearchQuestion { query: query.to_owned(), ..SearchQuestion::default() };
        question.request(&limits(), NOW).map(|request| request.query.to_string())
    };
    let found = search("{ .a = 1 } | rate() by (name) with (most_recent=true)");
    assert_eq!(found, Ok("{ .a = 1 } with(most_recent=true)".to_owned()));
    let refused = search("({ } | rate()) / ({ } | rate())").expect_err("math");
    assert!(refused.to_string().starts_with("math expressions not supported"), "{refused}");
    assert_eq!(search(""), Ok("{ true }".to_owned()));
    let long = search(&format!("{{ .a = \"{}\" }}", "x".repeat(128 << 10))).expect_err("too long");
    assert!(long.to_string().starts_with("invalid TraceQL query: "), "{long}");
}

fn measure(
    adjust: impl FnOnce(&mut MetricsQuestion),
) -> Result<vivace_query::MetricsRequest, InvalidQuestion> {
    let mut question = MetricsQuestion { query: "{ } | rate()".to_owned(), ..MetricsQuestion::default() };
    adjust(&mut question);
    question.request(&limits(), NOW)
}

fn between(start: u64, end: u64) -> When {
    When { start: Some(start), end: Some(end), since: None }
}

#[test]
fn metrics_have_defaults() {
    let request = measure(|_| {}).unwrap();
    let window = MetricsWindow::aligned(NOW - 3600 * SECOND, NOW, 15 * SECOND);
    assert_eq!((request.window, request.exemplars, request.max_series), (window, 100, 0));
    let request = measure(|asked| {
        asked.when = between(95 * SECOND, 125 * SECOND);
        asked.step = Some(10 * SECOND);
        asked.exemplars = Some(7);
        asked.max_series = 3;
    });
    let request = request.unwrap();
    let window = MetricsWindow::Range { start: 80 * SECOND, end: 130 * SECOND, step: 10 * SECOND };
    assert_eq!((request.window, request.exemplars, request.max_series), (window, 7, 3));
    assert_eq!(measure(|asked| asked.exemplars = Some(101)).unwrap().exemplars, 100);
    assert_eq!(measure(|asked| asked.exemplars = Some(0)).unwrap().exemplars, 0);
    let since = Some(std::time::Duration::from_secs(60));
    let request = measure(|asked| asked.when = When { since, ..When::default() }).unwrap();
    assert_eq!(request.window, MetricsWindow::aligned(NOW - 60 * SECOND, NOW, SECOND));
}

#[test]
fn metrics_that_cannot_be_are_refused() {
    let refused = |adjust: &dyn Fn(&mut MetricsQuestion)| measure(adjust).expect_err("refused").to_string();
    let cases = [
        (refused(&|asked| asked.when = between(2, 2)), "end must be greater than start"),
        (
            refused(&|asked| asked.when = between(0, 86_401 * SECOND)),
            "metrics query time range exceeds the maximum allowed duration of 24h",
        ),
        (
            refused(&|asked| asked.step = Some(SECOND / 10)),
            "step of 100ms is too small, minimum step for given range is 360ms",
        ),
        (refused(&|asked| asked.query = "{ }".to_owned()), "not a metrics query"),
        (
            refused(&|asked| asked.query = "{ } | rate() by (".to_owned()),
            "invalid TraceQL query: parse error",
        ),
    ];
    for (error, reason) in cases {
        assert!(error.starts_with(reason), "{error}");
    }
}

#[test]
fn an_instant_query_is_not_aligned_and_has_no_exemplars() {
    let query = "{ } | count_over_time()".to_owned();
    let question = InstantQuestion { query, when: between(95, 125), max_series: 2 };
    let request = question.request(&limits(), NOW).unwrap();
    let window = MetricsWindow::Instant { start: 95, end: 125 };
    assert_eq!((request.window, request.exemplars, request.max_series), (window, 0, 2));
}

#[test]
fn a_filter_of_tags_may_be_wrong_but_not_long() {
    let names = |query: String| TagNamesQuestion { query, ..TagNamesQuestion::default() }.request(NOW);
    for (query, filtered) in [("{ .a = 1 && .b =", true), ("{ .a =", false), ("nonsense", false)] {
        let Ok(Answer::Ask(request)) = names(query.to_owned()) else { panic!("{query} is refused") };
        assert_eq!(request.filter.is_some(), filtered, "{query}");
    }
    let error = names("x".repeat(MAX_TEXT + 1)).expect_err("too long");
    assert!(error.to_string().contains("is longer than 131072"), "{error}");
}

#[test]
fn a_filter_of_tags_has_a_limited_number_of_alternatives() {
    let query = |alternatives: usize| {
        let each: Vec<String> = (0..alternatives).map(|n| format!(".a = {n}")).collect();
        format!("{{ {} }}", each.join(" || "))
    };
    let values = |name: &str, alternatives: usize| {
        let name = name.to_owned();
        let question = TagValuesQuestion { name, query: query(alternatives), ..TagValuesQuestion::default() };
        question.request_v2(NOW).map_err(|error| error.to_string())
    };
    assert!(values("span.x", 100).is_ok());
    let error = values("span.x", 101).expect_err("too many");
    assert!(error.starts_with("maximum condition groups reached (limit: 100)"), "{error}");
    assert!(values(".x", 50).is_ok());
    assert!(values(".x", 51).is_err(), "a tag without scope is looked up twice");
}
