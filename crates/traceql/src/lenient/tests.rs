use proptest::prelude::*;

use super::parse_tag_filter;

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
        "({ .a = 1 })",
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

proptest! {
    #[test]
    fn any_text_is_survived(text in r#"\{?([ .a-z=&|(){}!~<>"1-9]|&&|\|\|){0,40}"#) {
        let _ = parse_tag_filter(&text);
    }
}
