use std::time::Duration;

use super::*;
use crate::config::{Config, ConfigArgs};

fn defaults() -> Limits {
    Config::load(&ConfigArgs::default()).unwrap().limits
}

fn parse(text: &str) -> Result<Overrides, String> {
    let path = Path::new("overrides.yaml");
    Overrides::parse(path, text, &defaults(), Duration::from_secs(600)).map_err(|error| error.to_string())
}

const FILE: &str = "
overrides:
  red:
    ingestion: {rate_limit_bytes: 5MB, burst_size_bytes: 1000000}
    read:
      max_search_duration: 24h
      max_response_series: 0
  \"*\":
    read: {max_search_duration: 48h, max_result_limit: 7}
  blue:
";

#[test]
fn what_a_tenant_does_not_set_is_everyones_and_else_the_default() {
    let overrides = parse(FILE).unwrap();
    let of = |tenant: &str| overrides.of(&tenant.parse().unwrap());
    let hours = |tenant: &str| of(tenant).limits.max_search_duration.as_secs() / 3600;
    assert_eq!((hours("red"), hours("blue"), hours("green")), (24, 48, 48));
    let red = of("red");
    assert_eq!(red.limits.ingestion_rate_limit_bytes.bytes(), 5_000_000);
    assert_eq!(red.limits.ingestion_burst_size_bytes.bytes(), 1_000_000);
    assert_eq!((red.limits.max_response_series, red.limits.max_result_limit), (None, 7));
    let untouched = |limits: &Limits| Limits {
        max_search_duration: defaults().max_search_duration,
        max_result_limit: defaults().max_result_limit,
        ..limits.clone()
    };
    assert_eq!(untouched(&of("green").limits), defaults());
    let source = |name: &str| red.source(KEYS.iter().find(|key| key.name == name).unwrap());
    assert_eq!(source("max_search_duration"), "of the tenant");
    assert_eq!(source("max_result_limit"), "of *");
    assert_eq!(source("max_exemplars"), "default");
    let names: Vec<&str> = overrides.all().map(|(name, _)| name).collect();
    assert_eq!(names, ["*", "blue", "red"]);
}

#[test]
fn an_empty_file_overrides_nothing() {
    for text in ["", "overrides:\n", "overrides: {}\n"] {
        assert_eq!(parse(text).unwrap(), Overrides::none(&defaults()), "{text}");
    }
}

#[test]
fn every_limit_has_a_place_of_its_own_and_takes_its_default() {
    for key in KEYS.iter() {
        let Some((section, name)) = key.path.map(|path| path.split_once('.').unwrap()) else { continue };
        let text = format!("overrides: {{a: {{{section}: {{{name}: {}}}}}}}", key.default);
        let overrides = parse(&text).unwrap();
        let tenant = overrides.of(&"a".parse().unwrap());
        assert_eq!((&*tenant.limits, tenant.own.as_slice()), (&defaults(), [key.name].as_slice()));
        assert_eq!(KEYS.iter().filter(|other| other.path == key.path).count(), 1, "{}", key.name);
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, expected) in [
        ("override: {}", "overrides.yaml: unknown key `override`; did you mean `overrides`?"),
        (
            "overrides: {te.nant: {read: {max_serch_duration: 1h}}}",
            "unknown key `overrides.te.nant.read.max_serch_duration`; did you mean `read.max_search_duration`?",
        ),
        ("overrides: {a: {reads: {}}}", "unknown key `overrides.a.reads`; did you mean `read`?"),
        (
            "overrides: {a: {read: {max_result_limit: 0}}}",
            "overrides.yaml: `overrides.a.read.max_result_limit`: `0` is not a whole number",
        ),
        (
            "overrides: {a: {read: {max_result_limit: [1]}}}",
            "`overrides.a.read.max_result_limit`: expected number from 1, found a list",
        ),
        ("overrides: {a: {read: 5}}", "`overrides.a.read`: expected entries, found a number"),
        ("overrides: {a: 5}", "`overrides.a`: expected entries, found a number"),
        ("overrides: {a/b: {}}", "`overrides.a/b`: tenant ID 'a/b' contains unsupported character"),
        ("overrides: {'a:k=v': {}}", "named without what stands behind `:`"),
        ("overrides: {a: {}, a: {}}", "not valid YAML"),
        ("- a", "expected `key: value` lines, found a list"),
        (
            "overrides: {a: {read: {query_deadline: 11m}}}",
            "`overrides.a.read.query_deadline`: \"11m\" is longer than \"10m\", for which blocks are kept",
        ),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn of_two_limits_the_stricter_counts() {
    let limits = |text: &str| {
        let overrides = parse(&format!("overrides: {{a: {{read: {{{text}}}}}}}")).unwrap();
        Limits::clone(&overrides.of(&"a".parse().unwrap()).limits)
    };
    let one = limits("max_result_limit: 5, max_response_series: 9, query_deadline: 3s");
    let other = limits("max_result_limit: 8, max_bytes_scanned: 1MB, query_deadline: 2s");
    let both = one.strictest(&other);
    assert_eq!(both, other.strictest(&one));
    assert_eq!((both.max_result_limit, both.max_response_series), (5, Some(9)));
    assert_eq!(
        (both.max_bytes_scanned, both.query_deadline),
        (Some("1MB".parse().unwrap()), Duration::from_secs(2))
    );
    assert_eq!(both.max_exemplars, defaults().max_exemplars);
}
