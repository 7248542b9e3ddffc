use vivace_traceql::parse_validated;

use super::*;

fn plan(text: &str) -> Result<SearchPlan, QueryError> {
    SearchPlan::compile(&parse_validated(text).expect(text))
}

#[test]
fn kialis_idiom_is_decided_by_columns_alone() {
    let plan = plan("{ .a = 1 } && { } | select(status, name, .b)").expect("compiles");
    assert!(plan.exact);
    let both = Condition::And(Box::new(Condition::Matched(0)), Box::new(Condition::Matched(1)));
    assert_eq!(plan.condition, both);
    let shown: Vec<_> = plan.shown.iter().map(|attribute| attribute.bare_name()).collect();
    assert_eq!(shown, ["a", "status", "b"], "the name has a field of its own");
}

#[test]
fn what_needs_the_trace_or_several_stages_is_not_exact() {
    for text in ["{ rootName = \"x\" }", "{ .a = 1 } | { .b = 2 }", "{ span:childCount > 1 } || { .a = 1 }"] {
        assert!(!plan(text).expect(text).exact, "{text}");
    }
}

#[test]
fn what_is_not_built_is_named() {
    for (text, named) in [("{ } >> { }", ">>"), ("{ } | count() > 1", "count()"), ("{ } | rate()", "metrics")]
    {
        let error = plan(text).expect_err(text);
        assert!(error.to_string().contains(named), "{text}: {error}");
    }
}
