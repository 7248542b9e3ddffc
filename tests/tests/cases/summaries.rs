//! Metrics that summaries can answer: what the naive evaluator finds, and the very same from summaries, from spans where
//! there are none, from both, and with spans in several places. Exemplars too.

use std::collections::BTreeMap;

use vivace_e2e::cases::{Store, Way, differs_in_series};
use vivace_e2e::oracle;
use vivace_model::{Attribute, Span, TraceId, Value};
use vivace_query::{MetricsRequest, MetricsWindow};
use vivace_testkit::{BASE_TIME, SeededRandomness, TraceGenerator, seeds};
use vivace_traceql::parse_validated;

const SEEDS: u64 = 3;
const QUERIES_PER_SEED: usize = 60;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

const FILTERS: [&str; 12] = [
    "{ }",
    "{ true }",
    "{ resource.service.name = \"reviews\" }",
    "{ .service.name =~ \"r.*\" }",
    "{ kind = server && status != error }",
    "{ status = error || name = \"GET /\" }",
    "{ .service.name = nil }",
    "{ !(kind = client) && resource.service.name != \"details\" }",
    "{ name =~ \"GET.*\" } | { kind != internal }",
    "{ kind = server } || { kind = client && status = ok }",
    "{ span.service.name = \"reviews\" }",
    "{ kind = consumer && name = \"nobody's\" }",
];
const FUNCTIONS: [&str; 6] = [
    "rate()",
    "count_over_time()",
    "quantile_over_time(duration, 0.5, 0.99)",
    "quantile_over_time(duration, 0, 1)",
    "histogram_over_time(duration)",
    "avg_over_time(duration)",
];
const GROUPS: [&str; 8] = [
    "",
    "by(resource.service.name)",
    "by(.service.name)",
    "by(name)",
    "by(kind, status)",
    "by(resource.service.name, name, kind)",
    "by(span.service.name, kind)",
    "by(status)",
];
/// Steps in seconds: most of them are made of cells.
const STEPS: [u64; 7] = [60, 60, 120, 30, 15, 5, 7];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn summaries_say_what_spans_say() {
    for seed in seeds(SEEDS) {
        let random = SeededRandomness::new(seed);
        let spans = spans(seed, random.chance(50));
        let mut stores = Vec::new();
        for way in Way::ALL.into_iter().chain([Way::Scattered(seed)]) {
            stores.push(Store::open(way, &spans).await);
        }
        let mut measured = 0;
        for _ in 0..QUERIES_PER_SEED {
            let text =
                format!("{} | {} {}", random.pick(&FILTERS), random.pick(&FUNCTIONS), random.pick(&GROUPS));
            let query = parse_validated(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let request = MetricsRequest { query, window: window(&random), exemplars: 0, max_series: 0 };
            let by_rule = oracle::metrics(&spans, &request);
            measured += usize::from(!by_rule.is_empty());
            let what = format!("seed {seed}: {text} {:?}", request.window);
            let with = MetricsRequest { exemplars: 10, ..request.clone() };
            let first = stores[0].metrics_with_exemplars(&with).await.expect("there is an answer");
            for store in &stores {
                let found = store.metrics(&request).await.expect("there is an answer");
                assert_eq!(differs_in_series(&by_rule, &found), None, "{what}\n{:?}", store.way());
                let with = store.metrics_with_exemplars(&with).await.expect("there is an answer");
                assert_eq!(first, with, "{what}\n{:?}", store.way());
            }
        }
        assert!(measured * 2 > QUERIES_PER_SEED, "seed {seed}: only {measured} queries found something");
    }
}

/// Random traces over some minutes, some spans at the very beginning of a minute; `service.name` of some spans too, if
/// it is to be everywhere.
fn spans(seed: u64, everywhere: bool) -> Vec<Span> {
    let random = SeededRandomness::new(seed);
    let mut spans = TraceGenerator::new(seed).traces(60, 12);
    let mut delays: BTreeMap<TraceId, u64> = BTreeMap::new();
    for span in &mut spans {
        let delay = *delays.entry(span.trace_id).or_insert_with(|| random.below(6 * MINUTE));
        (span.start, span.end) = (span.start + delay, span.end + delay);
        if random.chance(5) {
            let length = span.end.saturating_sub(span.start);
            span.start = span.start.next_multiple_of(MINUTE);
            span.end = span.start + length;
        }
        if everywhere && random.chance(3) {
            span.attributes.push(Attribute::new("service.name", Value::from("reviews")));
        }
    }
    spans
}

fn window(random: &SeededRandomness) -> MetricsWindow {
    let base = BASE_TIME - BASE_TIME % MINUTE;
    let start = base + random.below(4 * MINUTE) / SECOND * SECOND;
    let end = start + SECOND + random.below(6 * MINUTE) / SECOND * SECOND;
    match random.below(4) {
        0 => MetricsWindow::Instant { start, end },
        1 => {
            MetricsWindow::Instant { start: start + random.below(SECOND), end: end.next_multiple_of(MINUTE) }
        }
        _ => MetricsWindow::aligned(start, end, random.pick(&STEPS) * SECOND),
    }
}
