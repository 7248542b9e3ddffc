//! Every case of `tests/cases/`, each query five ways: what the file says by hand, the naive evaluator, and the engine
//! over all spans in the head, in one block, and split mid-trace over two blocks and the head. And random queries over
//! random traces, all ways but the first.

#[path = "cases/random.rs"]
mod random;

use std::collections::BTreeSet;
use std::fmt::Write;

use vivace_e2e::cases::{Case, Question, Store, Way, folder};
use vivace_e2e::oracle;
use vivace_query::TraceMatch;

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
        let (mut failed, by_rule) = (Vec::new(), oracle::search(&case.spans, &question.request));
        failed.extend(question.expected.difference(&by_rule).map(|how| ("naive evaluator".to_owned(), how)));
        for store in &stores {
            let found = store.search(&question.request).await;
            let way = format!("{:?}", store.way());
            failed.extend(wrong(question, &by_rule, &found).map(|how| (way, how)));
        }
        for (way, how) in failed {
            let Question { line, text, .. } = question;
            writeln!(failures, "tests/cases/{name}.case:{line}: {text}\n {way}: {how}").expect("text grows");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

fn wrong(
    question: &Question,
    by_rule: &[TraceMatch],
    found: &Result<Vec<TraceMatch>, String>,
) -> Option<String> {
    match found {
        Err(reason) => Some(reason.clone()),
        Ok(found) => question.expected.difference(found).or_else(|| differs(by_rule, found)),
    }
}

/// How the engine's answer differs from the naive one, in all that a result holds.
fn differs(by_rule: &[TraceMatch], found: &[TraceMatch]) -> Option<String> {
    let length = by_rule.len().max(found.len());
    (0..length).find(|at| by_rule.get(*at) != found.get(*at)).map(|at| {
        let (Some(rule), Some(found)) = (by_rule.get(at), found.get(at)) else {
            return format!("{} traces by rule, {} found", by_rule.len(), found.len());
        };
        let spans = |trace: &TraceMatch| trace.span_sets.first().map_or(Vec::new(), |set| set.spans.clone());
        let pair = spans(rule).into_iter().zip(spans(found)).find(|(rule, found)| rule != found);
        match pair {
            Some((rule, found)) => format!("result {at}:\n by rule {rule:?}\n   found {found:?}"),
            None => format!("result {at}:\n by rule {rule:?}\n   found {found:?}"),
        }
    })
}
