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
fn a_condition_says_what_the_pipeline_needs() {
    use Condition as C;
    let both = |left, right| C::And(Box::new(left), Box::new(right));
    for (text, condition) in [
        ("{ .a = 1 } >> { .b = 2 }", both(C::Matched(0), C::Matched(1))),
        ("{ .a = 1 } !>> { .b = 2 }", C::Matched(1)),
        ("{ .a = 1 } | { .b = 2 }", both(C::Matched(0), C::Matched(1))),
        ("{ .a = 1 } | count() > 2", both(C::Matched(0), C::MatchedOften { filter: 0, at_least: 3 })),
        ("{ .a = 1 } | count() < 2", C::Matched(0)),
        ("by(.a) | count() > 1", C::Any),
        ("({ .a = 1 } | by(.b)) || { .c = 2 }", C::Or(Box::new(C::Matched(0)), Box::new(C::Matched(1)))),
    ] {
        assert_eq!(plan(text).expect(text).condition, condition, "{text}");
    }
}

#[test]
fn what_each_span_decides_alone_is_known() {
    for (text, local) in [
        ("{ .a = 1 } | { .b = 1 }", true),
        ("{ .a = 1 } || { .b = 1 } | select(.c)", true),
        ("{ .a = 1 } && { .b = 1 }", false),
        ("{ rootName = \"x\" }", false),
        ("{ } | count() > 1", false),
        ("{ } | by(.a)", false),
    ] {
        assert_eq!(plan(text).expect(text).local.is_some(), local, "{text}");
    }
}

#[test]
fn several_span_sets_have_no_structure() {
    let error = plan("({ } | by(.a)) >> ({ })").expect_err("refused");
    assert!(error.to_string().contains("coalesce()"), "{error}");
    plan("({ } | by(.a) | coalesce()) >> ({ })").expect("one span set");
}
