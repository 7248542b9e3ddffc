use super::{TooManyConditionGroups, check_condition_groups, parse_tag_filter};

#[test]
fn half_typed_filters_are_completed() {
    let cases = [
        ("{ .a = 1 }", Some(".a = 1")),
        ("{ .a = 1", Some(".a = 1")),
        ("{ .a = 1 && ( .b = 2", Some(".a = 1 && .b = 2")),
        ("{ (.a = 1 || .b = 2 }", Some(".a = 1 || .b = 2")),
        ("{ .a = 1 && .b = }", Some(".a = 1")),
        ("{ .a = 1 && .b =", Some(".a = 1")),
        ("{ .a = && .b = 2 }", Some(".b = 2")),
        ("{ (.a =) && name =~ \"x.*\" }", Some("name =~ \"x.*\"")),
        ("{ .a = 1 && .b = \"half", Some(".a = 1")),
        ("{ status = error && kind = }", Some("status = error")),
        ("{ .a = 1 } | rate()", Some(".a = 1")),
        ("{ .a = 1 } | cou", Some(".a = 1")),
        ("{ .a = 1 } with(most_recent=true)", Some(".a = 1")),
        ("{ .a = \"}\" && .b = 1 }", Some(".a = \"}\" && .b = 1")),
        ("{ 1 < .a }", Some("1 < .a")),
        ("({ .a = 1 })", Some(".a = 1")),
        ("(({ .a = 1 }) | cou", None),
        ("(({ .a = 1 })) | cou", Some(".a = 1")),
        ("(({ .a = 1 }", Some(".a = 1")),
        ("(({ .a = ", None),
        ("(({ .a = 1 && .b = ", Some(".a = 1")),
    ];
    for (text, filter) in cases {
        assert_eq!(parse_tag_filter(text).map(|expr| expr.to_string()).as_deref(), filter, "{text}");
    }
}

#[test]
fn only_comparisons_with_values_count() {
    let cases = [
        ("{ .a && .b = 1 }", Some(".b = 1")),
        ("{ .b = 1 && .a != nil }", Some(".b = 1")),
        ("{ .b = 1 && !(.a = 2) }", Some(".b = 1")),
        ("{ .b = 1 && .a + 1 = 2 }", Some(".b = 1")),
        ("{ .b = 1 && .a = .c }", Some(".b = 1")),
        ("{ .b = 1 || .a = .c }", None),
        ("{ .b = 1 || .a = }", None),
        ("{ .c = 3 && (.a = 1 || .b) }", Some(".c = 3")),
        ("{ nil != .a && .b = 1 }", Some(".b = 1")),
        (
            "{ .a =~ `x` && .b !~ `y` && .c != 1s && status = ok }",
            Some(".a =~ \"x\" && .b !~ \"y\" && .c != 1s && status = ok"),
        ),
        ("{ .a }", None),
        ("{ true }", None),
        ("{ }", None),
    ];
    for (text, filter) in cases {
        assert_eq!(parse_tag_filter(text).map(|expr| expr.to_string()).as_deref(), filter, "{text}");
    }
}

#[test]
fn what_is_no_single_filter_is_no_filter() {
    let texts = [
        "",
        "   ",
        "foo",
        ".a = 1",
        "({ .a = 1 }) && { .b = 2 }",
        "({ .a = 1 } | { .b = 2 })",
        "{ .a = 1 } > { .b = 2 }",
        "{ .a = 1 } && { .b = 2 }",
        "{ .a = 1 } { .b = 2 }",
        "{ .a = 1 && }",
        "{ .a = 1 ) }",
        "{ .a == 1 }",
        "{ .a = 1 && foo = 2 }",
        "{ .a = 1 && status = 2 }",
        "{ .a = 1 && .b =~ \"(\" }",
        "rate()",
    ];
    for text in texts {
        assert_eq!(parse_tag_filter(text), None, "{text}");
    }
}

/// `{ (.a = 1 || .a = 2 ...) && (...) }` with so many alternatives in each pair of brackets.
fn product(alternatives: &[usize]) -> String {
    let bracketed = |count: &usize| {
        let conditions: Vec<_> = (0..*count).map(|value| format!(".a = {value}")).collect();
        format!("({})", conditions.join(" || "))
    };
    let factors: Vec<_> = alternatives.iter().map(bracketed).collect();
    format!("{{ {} }}", factors.join(" && "))
}

#[test]
fn condition_groups_are_limited() {
    let many = [2; 64];
    let cases: [(&[usize], usize, bool); 10] = [
        (&[1], 1, true),
        (&[100], 1, true),
        (&[101], 1, false),
        (&[10, 10], 1, true),
        (&[10, 11], 1, false),
        (&[2, 5, 10, 1, 1], 1, true),
        (&[50], 2, true),
        (&[51], 2, false),
        (&[1; 200], 1, true),
        (&many, 2, false),
    ];
    for (alternatives, lookups, taken) in cases {
        let filter = parse_tag_filter(&product(alternatives)).expect("a filter");
        let expected = if taken { Ok(()) } else { Err(TooManyConditionGroups) };
        assert_eq!(check_condition_groups(&filter, lookups), expected, "{alternatives:?} * {lookups}");
    }
    assert!(TooManyConditionGroups.to_string().starts_with("maximum condition groups reached (limit: 100)"));
}
