//! Every case of `tests/cases/`, each query many ways: what the file says by hand, the naive evaluator, and the engine
//! over the spans in the head, in a block, split mid-trace over two blocks and the head, and in blocks of every format
//! feature ([`Way`]). And random queries over random traces, all ways but the first.

#[path = "cases/grammar.rs"]
mod grammar;
#[path = "cases/graph.rs"]
mod graph;
#[path = "cases/limits.rs"]
mod limits;
#[path = "cases/random.rs"]
mod random;
#[path = "cases/summaries.rs"]
mod summaries;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use vivace_e2e::cases::{
    Ask, Case, Question, Store, Way, aligned, differs, differs_in_series, folder, named_in, rules, unbounded,
};
use vivace_e2e::oracle;
use vivace_model::Span;

/// One test per file, and one that finds files without.
macro_rules! cases {
    ($($name:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            check(stringify!($name)).await;
        })*

        #[test]
        fn every_file_has_its_test() {
            let known: BTreeSet<String> = [$(stringify!($name)),*].map(str::to_owned).into();
            assert_eq!(files(), known);
        }
    };
}

cases! {
    comparisons
    booleans
    arithmetic
    existence
    regex
    arrays
    scopes
    intrinsics
    events_and_links
    trace_level
    spansets
    select
    bounds
    time_and_duration
    rootless
    structure
    structure_broken
    pipelines
    aggregates
    grouping
    hints
    metrics_counts
    metrics_values
    metrics_quantiles
    metrics_histograms
    metrics_groups
    metrics_compare
    metrics_second_stages
    metrics_arithmetic
}

fn files() -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder of cases is there");
    entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .collect()
}

async fn check(name: &str) {
    let case = Case::read(name);
    assert!(!case.queries.is_empty(), "{name}.case asks nothing");
    let mut stores = Vec::new();
    for way in Way::ALL {
        stores.push(Store::open(way, &case.spans).await);
    }
    let mut failures = String::new();
    for question in &case.queries {
        for (way, how) in failures_of(question, &case.spans, &stores).await {
            let Question { line, text, .. } = question;
            writeln!(failures, "tests/cases/{name}.case:{line}: {text}\n {way}: {how}").expect("text grows");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// How the naive evaluator and each store fail the question.
async fn failures_of(question: &Question, spans: &[Span], stores: &[Store]) -> Vec<(String, String)> {
    let mut failures = Vec::new();
    let mut note = |way: &str, failure: Option<String>| {
        failures.extend(failure.map(|how| (way.to_owned(), how)));
    };
    match &question.ask {
        Ask::Search(request, expected) => {
            let by_rule = oracle::search(spans, request);
            note("naive evaluator", expected.difference(&by_rule));
            for store in stores {
                let failure = match store.search(request).await {
                    Err(reason) => Some(reason),
                    Ok(found) => expected.difference(&found).or_else(|| differs(&by_rule, &found)),
                };
                note(&format!("{:?}", store.way()), failure);
            }
        }
        Ask::Metrics(request, expected) => {
            let by_rule = oracle::metrics(spans, request);
            note("naive evaluator", expected.difference(&by_rule));
            for store in stores {
                let failure = match store.metrics(request).await {
                    Err(reason) => Some(reason),
                    Ok(found) => expected.difference(&found).or_else(|| differs_in_series(&by_rule, &found)),
                };
                note(&format!("{:?}", store.way()), failure);
            }
        }
        Ask::RefusedSearch(reason) => {
            if let Some(request) = well_formed(unbounded(&question.text), reason, &mut note) {
                note("naive evaluator", accepted(oracle::refusal(&request.query)));
                for store in stores {
                    let answer = store.search(&request).await.map(|found| format!("{found:?}"));
                    note(&format!("{:?}", store.way()), not_refused(answer, reason));
                }
            }
        }
        Ask::RefusedMetrics(reason) => {
            if let Some(request) = well_formed(aligned(&question.text), reason, &mut note) {
                note("naive evaluator", accepted(oracle::refusal(&request.query)));
                for store in stores {
                    let answer = store.metrics(&request).await.map(|found| format!("{found:?}"));
                    note(&format!("{:?}", store.way()), not_refused(answer, reason));
                }
            }
        }
    }
    failures
}

/// The request, if the parser does not refuse it; if it does, it must be for the reason.
fn well_formed<R>(
    request: Result<R, String>,
    reason: &str,
    note: &mut impl FnMut(&str, Option<String>),
) -> Option<R> {
    match request {
        Ok(request) => Some(request),
        Err(error) => {
            note("parser", not_refused(Err(error), reason));
            None
        }
    }
}

fn accepted(refusal: Option<String>) -> Option<String> {
    refusal.is_none().then(|| "must be refused".to_owned())
}

fn not_refused(answer: Result<String, String>, reason: &str) -> Option<String> {
    match answer {
        Ok(found) => Some(format!("must be refused for {reason:?}, found {found}")),
        Err(error) if error.contains(reason) => None,
        Err(error) => Some(format!("refused for {error:?}, not for {reason:?}")),
    }
}

/// Each rule is named where the index says it is proven, and nowhere a rule that the index does not know.
#[test]
fn every_rule_of_the_index_is_proven() {
    let rules = rules();
    let known: BTreeSet<String> = rules.iter().map(|rule| rule.number.clone()).collect();
    assert_eq!(known.len(), rules.len(), "a number stands twice in the index");
    let mut failures = Vec::new();
    for rule in &rules {
        for place in &rule.proven_in {
            let path = place_of(place);
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            if !names(&text, &rule.number) {
                failures.push(format!("{place} does not name {}", rule.number));
            }
        }
    }
    for name in files() {
        let text = std::fs::read_to_string(place_of(&name)).expect("it was listed");
        let named = named_in(&text);
        if named.is_empty() {
            failures.push(format!("{name}.case names no rule"));
        }
        let listed = |number: &&String| {
            rules.iter().any(|rule| rule.number == **number && rule.proven_in.contains(&name))
        };
        let missing = named.iter().filter(|number| !listed(number));
        failures.extend(missing.map(|number| format!("{name}.case is not listed as a proof of {number}")));
    }
    assert!(failures.is_empty(), "tests/cases/RULES.md:\n{}", failures.join("\n"));
}

/// Rules of sections without numbered rules are named by section.
fn names(text: &str, number: &str) -> bool {
    if number.matches('.').count() == 2 { named_in(text).contains(number) } else { text.contains(number) }
}

/// A case file by its name, everything else by its path from the root of the repository.
fn place_of(place: &str) -> PathBuf {
    if place.contains('/') {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(place)
    } else {
        folder().join(format!("{place}.case"))
    }
}
