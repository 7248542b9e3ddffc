//! Random queries over random traces: the engine finds what the naive evaluator finds, and the very same however the
//! spans are laid out.

use std::fmt::Debug;

use vivace_e2e::cases::{Store, Way, differs, differs_in_series};
use vivace_e2e::oracle;
use vivace_model::Span;
use vivace_testkit::{SeededRandomness, TraceGenerator, seeds};

use crate::grammar::Queries;

const SEEDS: u64 = 4;
const SEARCHES_PER_SEED: usize = 250;
const METRICS_PER_SEED: usize = 250;
const TRACES: usize = 8;
const SPANS_PER_TRACE: usize = 9;
/// What samplers write, or not.
const TRACE_STATES: [&str; 4] = ["", "ot=th:8", "vendor=x,ot=rv:01234567890123;th:c", "ot=th:e6"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_searches_find_the_same_in_every_way() {
    for seed in seeds(SEEDS) {
        let spans = spans(seed);
        let stores = stores(seed, &spans).await;
        let queries = Queries { random: SeededRandomness::new(seed) };
        let (mut found, mut failures) = (0, Vec::new());
        for number in 0..SEARCHES_PER_SEED {
            let (text, request) = queries.search();
            let by_rule = oracle::search(&spans, &request);
            found += usize::from(!by_rule.is_empty());
            let mut answers = Vec::new();
            for store in two_of(&stores, number) {
                answers.push((store.way(), store.search(&request).await));
            }
            failures.extend(failure(&text, &answers, |found| differs(&by_rule, found)));
        }
        conclude(seed, &failures, found, SEARCHES_PER_SEED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_metrics_are_the_same_in_every_way() {
    for seed in seeds(SEEDS) {
        let spans = spans(seed);
        let stores = stores(seed, &spans).await;
        let queries = Queries { random: SeededRandomness::new(seed) };
        let (mut measured, mut failures) = (0, Vec::new());
        for number in 0..METRICS_PER_SEED {
            let (text, request) = queries.metrics();
            let by_rule = oracle::metrics(&spans, &request);
            measured += usize::from(!by_rule.is_empty());
            let mut answers = Vec::new();
            for store in two_of(&stores, number) {
                answers.push((store.way(), store.metrics(&request).await));
            }
            let text = format!("{text} {:?}", request.window);
            failures.extend(failure(&text, &answers, |found| differs_in_series(&by_rule, found)));
        }
        conclude(seed, &failures, measured, METRICS_PER_SEED);
    }
}

fn conclude(seed: u64, failures: &[String], answered: usize, asked: usize) {
    let count = failures.len();
    assert!(failures.is_empty(), "seed {seed}, {count} queries fail:\n{}", failures.join("\n"));
    // Queries that find nothing test little.
    assert!(answered * 4 > asked, "seed {seed}: only {answered} of {asked} queries found something");
}

async fn stores(seed: u64, spans: &[Span]) -> Vec<Store> {
    let mut stores = Vec::new();
    for way in Way::ALL.into_iter().chain([Way::Scattered(seed)]) {
        stores.push(Store::open(way, spans).await);
    }
    stores
}

/// The first and one of the others in turn, to have time for more queries.
fn two_of(stores: &[Store], number: usize) -> [&Store; 2] {
    [&stores[0], &stores[1 + number % (stores.len() - 1)]]
}

fn spans(seed: u64) -> Vec<Span> {
    let random = SeededRandomness::new(seed);
    let mut spans = TraceGenerator::new(seed).traces(TRACES, SPANS_PER_TRACE);
    for span in &mut spans {
        span.trace_state = (*random.pick(&TRACE_STATES)).to_owned();
    }
    spans
}

/// How the first answer that is wrong differs from the rule, or from the answer of the first way.
fn failure<T: PartialEq + Debug>(
    text: &str,
    answers: &[(Way, Result<T, String>)],
    differs: impl Fn(&T) -> Option<String>,
) -> Option<String> {
    let (first_way, first) = answers.first()?;
    answers.iter().find_map(|(way, answer)| {
        let how = match (answer, first) {
            (Err(reason), _) => Some(reason.clone()),
            (Ok(found), Ok(first)) if found != first => {
                differs(found).or_else(|| Some(format!("not as {first_way:?}: {first:?}\n {found:?}")))
            }
            (Ok(found), _) => differs(found),
        };
        how.map(|how| format!("{text}\n {way:?}: {how}"))
    })
}
