//! Queries that are valid, and what they mean: the text on the right brackets every nested operator and spells
//! everything the canonical way.

use crate::{Attribute, Intrinsic, Scope, parse, parse_attribute, parse_validated};

const SPANSETS: &[(&str, &str)] = &[
    ("{ }", "{ true }"),
    ("{}", "{ true }"),
    ("{ true }", "{ true }"),
    ("{ .a }", "{ .a }"),
    ("{.a=1}", "{ .a = 1 }"),
    ("({ .a })", "{ .a }"),
    ("(({ .a }))", "{ .a }"),
    ("{ .a } && { .b }", "{ .a } && { .b }"),
    ("{ .a } || { .b }", "{ .a } || { .b }"),
    ("{ .a } || { .b } && { .c }", "({ .a } || { .b }) && { .c }"),
    ("{ .a } && { .b } || { .c }", "({ .a } && { .b }) || { .c }"),
    ("{ .a } || ({ .b } && { .c })", "{ .a } || ({ .b } && { .c })"),
    ("{ .a } && { .b } >> { .c }", "{ .a } && ({ .b } >> { .c })"),
    ("{ .a } > { .b } > { .c }", "({ .a } > { .b }) > { .c }"),
    ("{ .a } >> { .b } ~ { .c }", "({ .a } >> { .b }) ~ { .c }"),
    ("{ .a } > { .b }", "{ .a } > { .b }"),
    ("{ .a } < { .b }", "{ .a } < { .b }"),
    ("{ .a } << { .b }", "{ .a } << { .b }"),
    ("{ .a } ~ { .b }", "{ .a } ~ { .b }"),
    ("{ .a } !> { .b }", "{ .a } !> { .b }"),
    ("{ .a } !< { .b }", "{ .a } !< { .b }"),
    ("{ .a } !>> { .b }", "{ .a } !>> { .b }"),
    ("{ .a } !<< { .b }", "{ .a } !<< { .b }"),
    ("{ .a } !~ { .b }", "{ .a } !~ { .b }"),
    ("{ .a } &> { .b }", "{ .a } &> { .b }"),
    ("{ .a } &< { .b }", "{ .a } &< { .b }"),
    ("{ .a } &>> { .b }", "{ .a } &>> { .b }"),
    ("{ .a } &<< { .b }", "{ .a } &<< { .b }"),
    ("{ .a } &~ { .b }", "{ .a } &~ { .b }"),
    ("{.a}>{.b}", "{ .a } > { .b }"),
    ("{ .a } /* why */ && // because\n { .b }", "{ .a } && { .b }"),
    ("({ .a } | count() > 1) && ({ .b } | count() > 2)", "({ .a } | count() > 1) && ({ .b } | count() > 2)"),
    ("({ .a } | { .b }) >> { .c }", "({ .a } | { .b }) >> { .c }"),
    ("(count() > 1) || ({ .b } | by(.c))", "(count() > 1) || ({ .b } | by(.c))"),
];

const FIELDS: &[(&str, &str)] = &[
    ("{ .a || .b && .c }", "{ (.a || .b) && .c }"),
    ("{ .a && .b || .c }", "{ (.a && .b) || .c }"),
    ("{ .a || (.b && .c) }", "{ .a || (.b && .c) }"),
    ("{ !.a && .b }", "{ (!.a) && .b }"),
    ("{ !(.a && .b) }", "{ !(.a && .b) }"),
    ("{ !!.a }", "{ !(!.a) }"),
    ("{ !.a = .b }", "{ (!.a) = .b }"),
    ("{ .a = 1 && .b = 2 }", "{ (.a = 1) && (.b = 2) }"),
    ("{ .a + .b * .c = 1 }", "{ (.a + (.b * .c)) = 1 }"),
    ("{ .a * .b + .c = 1 }", "{ ((.a * .b) + .c) = 1 }"),
    ("{ .a - .b - .c = 1 }", "{ ((.a - .b) - .c) = 1 }"),
    ("{ .a ^ .b ^ .c = 1 }", "{ (.a ^ (.b ^ .c)) = 1 }"),
    ("{ .a % .b ^ .c = 1 }", "{ (.a % (.b ^ .c)) = 1 }"),
    ("{ -.a * .b = 1 }", "{ (-(.a * .b)) = 1 }"),
    ("{ -.a + .b = 1 }", "{ ((-.a) + .b) = 1 }"),
    ("{ .a * -.b + .c = 1 }", "{ ((.a * (-.b)) + .c) = 1 }"),
    ("{ .a-1 = 2 }", "{ .a-1 = 2 }"),
    ("{ .a - 1 = 2 }", "{ (.a - 1) = 2 }"),
    ("{ .a -1 = 2 }", "{ (.a - 1) = 2 }"),
    ("{ .a/b:c;d[e]? = 2 }", "{ .a/b:c;d[e]? = 2 }"),
    ("{ .a=.b }", "{ .a = .b }"),
    ("{ .a!=.b }", "{ .a != .b }"),
    ("{ .a =!.b }", "{ .a = (!.b) }"),
    ("{ .a>=-1 }", "{ .a >= -1 }"),
    ("{ 1 < .a }", "{ 1 < .a }"),
    ("{ .a =~ \"a|b\" }", "{ .a =~ \"a|b\" }"),
    ("{ name !~ `^/api/\\d+` }", "{ name !~ \"^/api/\\\\d+\" }"),
    ("{ .path =~ \"/users/{id}\" }", "{ .path =~ \"/users/{id}\" }"),
    ("{ .a = nil }", "{ .a = nil }"),
    ("{ nil != span.a }", "{ nil != span.a }"),
    ("{ name != nil }", "{ name != nil }"),
    ("{ span.service.name = nil }", "{ span.service.name = nil }"),
    ("{ duration > 1s }", "{ duration > 1s }"),
    ("{ duration > 100 }", "{ duration > 100 }"),
    ("{ duration > 1.5 }", "{ duration > 1.5 }"),
    ("{ duration > 1d2h }", "{ duration > 26h0m0s }"),
    ("{ duration > 1.5h }", "{ duration > 1h30m0s }"),
    ("{ duration > 10us }", "{ duration > 10\u{b5}s }"),
    ("{ duration > 10\u{b5}s }", "{ duration > 10\u{b5}s }"),
    ("{ .a = .5 }", "{ .a = 0.5 }"),
    ("{ .a = 1e3 }", "{ .a = 1000.0 }"),
    ("{ .a = minInt }", "{ .a = minInt }"),
    ("{ .a = maxInt }", "{ .a = 9223372036854775807 }"),
    ("{ status = error }", "{ status = error }"),
    ("{ status != ok && status != unset }", "{ (status != ok) && (status != unset) }"),
    ("{ kind = server }", "{ kind = server }"),
    ("{ .status = \"error\" }", "{ .status = \"error\" }"),
    ("{ \"foo\" < .a }", "{ \"foo\" < .a }"),
    ("{ .a = \"\\u00e9\\x41\\101\\t\" }", "{ .a = \"\u{e9}AA\\t\" }"),
];

const ATTRIBUTES: &[(&str, &str)] = &[
    ("{ span.a }", "{ span.a }"),
    ("{ resource.service.name = \"x\" }", "{ resource.service.name = \"x\" }"),
    ("{ event.exception.message =~ \".*\" }", "{ event.exception.message =~ \".*\" }"),
    ("{ link.a = 1 }", "{ link.a = 1 }"),
    ("{ instrumentation.a = 1 }", "{ instrumentation.a = 1 }"),
    ("{ span.\"foo bar\".baz = 1 }", "{ span.\"foo bar.baz\" = 1 }"),
    ("{ .\"plain\" = 1 }", "{ .plain = 1 }"),
    ("{ .\"a\\\"b\\\\c\" = 1 }", "{ .\"a\\\"b\\\\c\" = 1 }"),
    ("{ .\"5\" = 1 }", "{ .\"5\" = 1 }"),
    ("{ span.5xx = 1 }", "{ span.5xx = 1 }"),
    ("{ .duration > 1s }", "{ .duration > 1s }"),
    ("{ span:duration > 1s }", "{ duration > 1s }"),
    ("{ span:name = \"a\" }", "{ name = \"a\" }"),
    ("{ span:status = ok }", "{ status = ok }"),
    ("{ span:statusMessage = \"a\" }", "{ statusMessage = \"a\" }"),
    ("{ span:kind = client }", "{ kind = client }"),
    ("{ trace:rootName = \"a\" }", "{ rootName = \"a\" }"),
    ("{ trace:rootService = \"a\" }", "{ rootServiceName = \"a\" }"),
    ("{ trace:duration > 1s }", "{ traceDuration > 1s }"),
    ("{ trace:id = \"1\" }", "{ trace:id = \"1\" }"),
    ("{ trace: id = \"1\" }", "{ trace:id = \"1\" }"),
    ("{ span:id = \"1\" && span:parentID = \"\" }", "{ (span:id = \"1\") && (span:parentID = \"\") }"),
    ("{ span:childCount > 2 }", "{ span:childCount > 2 }"),
    ("{ event:name = \"a\" }", "{ event:name = \"a\" }"),
    ("{ event:timeSinceStart > 1ms }", "{ event:timeSinceStart > 1ms }"),
    (
        "{ link:traceID = \"a\" || link:spanID = \"b\" }",
        "{ (link:traceID = \"a\") || (link:spanID = \"b\") }",
    ),
    ("{ instrumentation:name = \"a\" }", "{ instrumentation:name = \"a\" }"),
    ("{ instrumentation:version = \"a\" }", "{ instrumentation:version = \"a\" }"),
    ("{ nestedSetLeft > 1 }", "{ nestedSetLeft > 1 }"),
    ("{ nestedSetRight > 1 }", "{ nestedSetRight > 1 }"),
    ("{ nestedSetParent = -1 }", "{ nestedSetParent = -1 }"),
];

const FOLDED: &[(&str, &str)] = &[
    ("{ 1 = 2 }", "{ false }"),
    ("{ 1 + 1 = 2 }", "{ true }"),
    ("{ 1s > 5 }", "{ true }"),
    ("{ 1 = 1.0 }", "{ true }"),
    ("{ 7 / 2 = 3 }", "{ true }"),
    ("{ 7 / 2.0 = 3.5 }", "{ true }"),
    ("{ .a = 2 ^ 3 }", "{ .a = 8 }"),
    ("{ .a = -2 ^ 2 }", "{ .a = -4 }"),
    ("{ .a = (-2) ^ 2 }", "{ .a = 4 }"),
    ("{ .a = 1 + 2 * 3 }", "{ .a = 7 }"),
    ("{ .a > 2 * 1s }", "{ .a > 2s }"),
    ("{ !true }", "{ false }"),
    ("{ nil = nil }", "{ false }"),
    ("{ nil != nil }", "{ false }"),
    ("{ \"a\" < \"b\" }", "{ true }"),
    ("{ \"abc\" =~ \"b\" }", "{ false }"),
    ("{ \"abc\" !~ \"b\" }", "{ true }"),
    ("{ .a = 1 / 0 }", "{ .a = (1 / 0) }"),
    ("{ true || .a }", "{ true || .a }"),
];

const PIPELINES: &[(&str, &str)] = &[
    ("{ .a } | { .b }", "{ .a } | { .b }"),
    ("{ } | count() > 1", "{ true } | count() > 1"),
    ("{ } | count() > 2 + 3 * 4", "{ true } | count() > 14"),
    ("{ } | avg(duration) >= 1s", "{ true } | avg(duration) >= 1s"),
    ("{ } | min(.a) < -5", "{ true } | min(.a) < -5"),
    ("{ } | max(.a + 1) != 0.5", "{ true } | max(.a + 1) != 0.5"),
    ("{ } | sum(span.bytes) = 3", "{ true } | sum(span.bytes) = 3"),
    ("{ } | (count()) > (1)", "{ true } | count() > 1"),
    ("count() > 1", "count() > 1"),
    ("count() > 1 | { .a }", "count() > 1 | { .a }"),
    ("by(.a) | count() > 1", "by(.a) | count() > 1"),
    ("{ } | by(resource.service.name) | coalesce()", "{ true } | by(resource.service.name) | coalesce()"),
    ("{ } | by(.a = 1)", "{ true } | by(.a = 1)"),
    ("select(.a)", "select(.a)"),
    ("{ } | select(.a, name, span:status)", "{ true } | select(.a, name, status)"),
    ("{ .a } > { .b } | select(.a) | { .c }", "{ .a } > { .b } | select(.a) | { .c }"),
    ("{ } with(most_recent=true)", "{ true } with(most_recent=true)"),
    ("{ } with (a=1, b=\"x\", c=1.5, d=1s, e=error)", "{ true } with(a=1, b=\"x\", c=1.5, d=1s, e=error)"),
    ("{ } with(a=1) with(b=2)", "{ true } with(b=2)"),
];

const METRICS: &[(&str, &str)] = &[
    ("{ } | rate()", "{ true } | rate()"),
    ("{ } | count_over_time() by (name)", "{ true } | count_over_time() by(name)"),
    ("{ } | min_over_time(duration)", "{ true } | min_over_time(duration)"),
    ("{ } | max_over_time(.a)", "{ true } | max_over_time(.a)"),
    ("{ } | sum_over_time(span.a)", "{ true } | sum_over_time(span.a)"),
    ("{ } | avg_over_time(span.a) by (.b)", "{ true } | avg_over_time(span.a) by(.b)"),
    (
        "{ } | quantile_over_time(duration, .5, 0.99, 1)",
        "{ true } | quantile_over_time(duration, 0.5, 0.99, 1.0)",
    ),
    ("{ } | histogram_over_time(duration)", "{ true } | histogram_over_time(duration)"),
    ("{ } | compare({ status = error })", "{ true } | compare({ status = error }, 10)"),
    ("{ } | compare({ .a }, 5)", "{ true } | compare({ .a }, 5)"),
    ("{ } | compare({ .a }, 5, 100, 200)", "{ true } | compare({ .a }, 5, 100, 200)"),
    ("{ } | rate() by (.a, .b, .c, .d, .e)", "{ true } | rate() by(.a, .b, .c, .d, .e)"),
    ("{ } | rate() | topk(5)", "{ true } | rate() | topk(5)"),
    ("{ } | rate() by (.a) > 1 | bottomk(2) < -3", "{ true } | rate() by(.a) > 1 | bottomk(2) < -3"),
    ("{ } | avg_over_time(duration) > 100ms", "{ true } | avg_over_time(duration) > 100ms"),
    ("{ } | rate() with(exemplars=true)", "{ true } | rate() with(exemplars=true)"),
    ("{ } | select(.a) | rate()", "{ true } | select(.a) | rate()"),
    ("({ } | rate())", "({ true } | rate())"),
    ("({ .a } | rate()) / ({ } | rate())", "({ .a } | rate()) / ({ true } | rate())"),
    ("({ } | rate()) * 100", "({ true } | rate()) * 100"),
    ("-2 * 3 + ({ } | rate())", "(-6) + ({ true } | rate())"),
    ("({ .a } | rate()) + ({ .b } | rate()) * 2", "({ .a } | rate()) + (({ .b } | rate()) * 2)"),
    (
        "(({ .a } | rate()) + ({ .b } | rate())) * 2 > 5 | topk(3)",
        "(({ .a } | rate()) + ({ .b } | rate())) * 2 > 5 | topk(3)",
    ),
    (
        "({ .a } | rate() | topk(2)) - ({ .b } | rate() > 1)",
        "({ .a } | rate() | topk(2)) - ({ .b } | rate() > 1)",
    ),
];

fn tables() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    [SPANSETS, FIELDS, ATTRIBUTES, FOLDED, PIPELINES, METRICS].into_iter().flatten()
}

#[test]
fn valid_queries_have_the_expected_tree() {
    assert!(tables().count() >= 150);
    for (text, bracketed) in tables() {
        let query = parse_validated(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(Ok(query), parse(bracketed), "{text}");
    }
}

#[test]
fn printed_queries_parse_to_the_same_tree() {
    for (text, _) in tables() {
        let query = parse(text).unwrap();
        assert_eq!(parse(&query.to_string()), Ok(query), "{text}");
    }
}

#[test]
fn print_is_canonical_and_keeps_only_needed_brackets() {
    let cases = [
        ("{((.a)||.b)&&.c}", "{ .a || .b && .c }"),
        ("{.a||(.b&&.c)}", "{ .a || (.b && .c) }"),
        ("{ (.a * .b) + .c = -1 }", "{ .a * .b + .c = -1 }"),
        ("{ (.a + .b) * -1 = (-.c) ^ 2 }", "{ (.a + .b) * (-1) = (-.c) ^ 2 }"),
        ("{ !(!.a) && !(.b && .c) }", "{ !!.a && !(.b && .c) }"),
        ("{ span:name = `a\\b` && .`x` }", "{ name = \"a\\\\b\" && .`x` }"),
        ("{ duration>90m && .x>1500ms }", "{ duration > 1h30m0s && .x > 1.5s }"),
        ("{} | by (span:status) | avg ( duration ) > 0.5", "{ true } | by(status) | avg(duration) > 0.5"),
        ("({.a}|rate()|topk(2))*2+({}|rate())", "({ .a } | rate() | topk(2)) * 2 + ({ true } | rate())"),
    ];
    for (text, printed) in cases {
        assert_eq!(parse(text).unwrap().to_string(), printed);
    }
}

#[test]
fn attributes_parse_alone() {
    let named = |scope, name: &str, parent| Attribute::Named { scope, name: name.to_owned(), parent };
    let cases = [
        (".foo", named(Scope::None, "foo", false)),
        ("resource.x", named(Scope::Resource, "x", false)),
        ("span.\"a b\"", named(Scope::Span, "a b", false)),
        ("parent.x", named(Scope::None, "x", true)),
        ("parent.span.x", named(Scope::Span, "x", true)),
        ("parent.resource.x", named(Scope::Resource, "x", true)),
        ("parent.event.x", named(Scope::None, "event.x", true)),
        ("parent.\"span.x\"", named(Scope::None, "span.x", true)),
        ("span:name", Attribute::Intrinsic(Intrinsic::Name)),
        ("name", Attribute::Intrinsic(Intrinsic::Name)),
        ("parent", Attribute::Intrinsic(Intrinsic::Parent)),
        (" trace:rootService ", Attribute::Intrinsic(Intrinsic::RootServiceName)),
    ];
    for (text, attribute) in cases {
        assert_eq!(parse_attribute(text), Ok(attribute.clone()), "{text}");
        assert_eq!(parse_attribute(&attribute.to_string()), Ok(attribute), "{text}");
    }
    for text in ["", "foo", ". foo", ".a .b", "{ .a }", "trace:rootServiceName", "span.", "5"] {
        assert!(parse_attribute(text).is_err(), "{text}");
    }
}

#[test]
fn output_keys_have_no_scope() {
    for (text, key) in [("span.a.b", "a.b"), ("span:name", "name"), ("trace:rootService", "rootServiceName")]
    {
        assert_eq!(parse_attribute(text).unwrap().bare_name(), key);
    }
}
