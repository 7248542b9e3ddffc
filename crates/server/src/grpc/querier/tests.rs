use std::collections::BTreeMap;

use vivace_base::UnixNanos;
use vivace_model::TimeRange;
use vivace_query::MetricsWindow;

use super::*;
use crate::config::{Config, ConfigArgs, Limits};

const SECOND: u64 = 1_000_000_000;
const NOW: UnixNanos = 1_800_000_000 * SECOND;

fn limits() -> Limits {
    Config::load(&ConfigArgs::default()).unwrap().limits
}

#[test]
fn an_empty_search_is_for_the_newest_traces_there_are() {
    let request = search(SearchRequest::default()).request(&limits(), NOW).unwrap();
    assert_eq!((request.limit, request.spans_per_span_set), (20, 3));
    assert_eq!((request.range, request.min_duration, request.max_duration), (TimeRange::ALL, None, None));
}

#[test]
fn each_field_of_a_search_is_heard() {
    let asked = SearchRequest {
        query: "{ .a = 1 }".into(),
        min_duration_ms: 5,
        max_duration_ms: 6,
        limit: 7,
        spans_per_span_set: 8,
        start: 9,
        end: 10,
        ..SearchRequest::default()
    };
    let request = search(asked.clone()).request(&limits(), NOW).unwrap();
    assert_eq!(request.query.to_string(), "{ .a = 1 }");
    assert_eq!((request.min_duration, request.max_duration), (Some(5_000_000), Some(6_000_000)));
    assert_eq!((request.limit, request.spans_per_span_set), (7, 8));
    assert_eq!(request.range, TimeRange::from_seconds(9, 10));
    let tags = BTreeMap::from([("service.name".to_owned(), "shop".to_owned())]);
    let refused = search(SearchRequest { tags: tags.clone(), ..asked.clone() }).request(&limits(), NOW);
    assert!(refused.unwrap_err().to_string().contains("tags and q"));
    let by_tags =
        search(SearchRequest { tags, query: String::new(), ..asked }).request(&limits(), NOW).unwrap();
    assert!(by_tags.query.to_string().contains("shop"), "{}", by_tags.query);
}

#[test]
fn limits_are_those_of_http() {
    let refused = |asked: SearchRequest| search(asked).request(&limits(), NOW).unwrap_err().to_string();
    let many = refused(SearchRequest { limit: 1 << 20, ..SearchRequest::default() });
    assert!(many.contains("exceeds max limit 262144"), "{many}");
    let wide = refused(SearchRequest { spans_per_span_set: 101, ..SearchRequest::default() });
    assert!(wide.contains("exceeds max spans per span set 100"), "{wide}");
    let half = refused(SearchRequest { start: 5, ..SearchRequest::default() });
    assert!(half.contains("both or neither"), "{half}");
}

#[test]
fn metrics_have_default_step_and_window() {
    let asked = QueryRangeRequest {
        query: "{ } | rate()".into(),
        start: NOW - 3600 * SECOND,
        end: NOW,
        ..QueryRangeRequest::default()
    };
    let request = range(asked.clone()).request(&limits(), NOW).unwrap();
    assert_eq!(request.window, MetricsWindow::aligned(NOW - 3600 * SECOND, NOW, 15 * SECOND));
    assert_eq!(request.exemplars, 100);
    let said = QueryRangeRequest { step: SECOND, exemplars: 3, max_series: 4, ..asked };
    let request = range(said).request(&limits(), NOW).unwrap();
    assert_eq!(request.window, MetricsWindow::aligned(NOW - 3600 * SECOND, NOW, SECOND));
    assert_eq!((request.exemplars, request.max_series), (3, 4));
    let asked = QueryInstantRequest { query: "{ } | rate()".into(), ..QueryInstantRequest::default() };
    let request = instant(asked).request(&limits(), NOW).unwrap();
    assert_eq!(request.window, MetricsWindow::Instant { start: NOW - 3600 * SECOND, end: NOW });
}
