//! Rules whose cases would be long to write down.

use std::collections::BTreeSet;

use vivace_e2e::cases::{Store, Way, aligned, differs_in_series};
use vivace_e2e::oracle;
use vivace_model::{Attribute, Span, SpanId, TraceId, Value};
use vivace_query::{MetricsRequest, MetricsWindow, Series};
use vivace_testkit::{BASE_TIME, SpanBuilder};

const SECOND: u64 = 1_000_000_000;

/// `count` traces of one span each, over ten seconds, numbered by `span.number`.
fn numbered(count: u64) -> Vec<Span> {
    let span = |number: u64| {
        let mut span = SpanBuilder::new("work").build();
        span.trace_id = TraceId(u128::from(number + 1).to_be_bytes());
        span.span_id = SpanId((number + 1).to_be_bytes());
        span.start = BASE_TIME + 1 + number * (10 * SECOND / count);
        span.end = span.start + number;
        span.attributes.push(Attribute::new("number", Value::from(format!("{number}"))));
        span
    };
    (0..count).map(span).collect()
}

/// 4.9.13: up to a thousand values of an attribute are told apart; one more, and the attribute is marked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compare_marks_attributes_of_too_many_values() {
    for (count, marked) in [(1_000, false), (1_001, true)] {
        let spans = numbered(count);
        let request = aligned("{ } | compare({ true }, 2)").expect("it is valid");
        let by_rule = oracle::metrics(&spans, &request);
        let errors = |series: &[Series]| {
            let is_error = |series: &&Series| series.labels.iter().any(|(key, _)| key == "__meta_error");
            series.iter().filter(is_error).count()
        };
        assert_eq!(errors(&by_rule), usize::from(marked), "{count} values");
        for way in Way::ALL {
            let found = Store::open(way, &spans).await.metrics(&request).await.expect("there is an answer");
            assert_eq!(differs_in_series(&by_rule, &found), None, "{count} values, {way:?}");
        }
    }
}

/// 4.9.17: exemplars are spans that count, at most as many as asked for, one of each trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exemplars_are_spans_that_count() {
    let spans = numbered(50);
    for way in Way::ALL {
        let store = Store::open(way, &spans).await;
        for (text, asked, most) in [
            ("{ } | count_over_time()", 10, 10),
            ("{ } | max_over_time(duration)", 5, 5),
            ("{ } | count_over_time() with(exemplars=3)", 10, 3),
            ("{ } | count_over_time() with(exemplars=false)", 10, 0),
            ("{ } | count_over_time()", 0, 0),
        ] {
            let request = MetricsRequest { exemplars: asked, ..aligned(text).expect("it is valid") };
            let series = store.metrics_with_exemplars(&request).await.expect("there is an answer");
            check_exemplars(&series, &spans, most, text);
        }
        let window = MetricsWindow::Instant { start: BASE_TIME, end: BASE_TIME + 10 * SECOND };
        let request = aligned("{ } | count_over_time()").expect("it is valid");
        let request = MetricsRequest { exemplars: 10, window, ..request };
        let series = store.metrics_with_exemplars(&request).await.expect("there is an answer");
        check_exemplars(&series, &spans, 0, "instant");
    }
}

fn check_exemplars(series: &[Series], spans: &[Span], most: usize, what: &str) {
    let exemplars: Vec<_> = series.iter().flat_map(|series| &series.exemplars).collect();
    assert!(exemplars.len() <= most, "{what}: {} exemplars", exemplars.len());
    assert_eq!(exemplars.is_empty(), most == 0, "{what}");
    let label = |at: usize, key: &str| {
        let found = exemplars[at].labels.iter().find(|(known, _)| known == key);
        found.and_then(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("{what}: no {key}")).to_owned()
    };
    let mut traces = BTreeSet::new();
    for (at, exemplar) in exemplars.iter().enumerate() {
        let id = label(at, "span:id");
        let span = spans.iter().find(|span| span.span_id.to_string() == id).expect("a span that was sent");
        assert_eq!(exemplar.timestamp_ms, (span.start / 1_000_000) as i64, "{what}");
        assert!(traces.insert(label(at, "trace:id")), "{what}: two exemplars of one trace");
    }
}
