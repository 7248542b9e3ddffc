use super::compile;

#[test]
fn patterns_match_the_whole_value() {
    let cases = [
        ("a", "a", true),
        ("a", "ab", false),
        ("a", "ba", false),
        ("a|b", "b", true),
        ("a|b", "ab", false),
        (".*", "two\nlines", true),
        ("^a$", "a", true),
        ("(?i)get", "GET", true),
        ("(?P<verb>get|put)", "put", true),
        ("", "", true),
        ("", "a", false),
    ];
    for (pattern, value, matches) in cases {
        assert_eq!(compile(pattern).unwrap().is_match(value), matches, "{pattern} on {value}");
    }
}

#[test]
fn syntax_is_that_of_re2() {
    let cases = [
        ("/users/{id}", "/users/{id}", true),
        ("a{2}", "aa", true),
        ("a{2,}", "aaa", true),
        ("a{1,2}", "aaa", false),
        ("a{,2}", "a{,2}", true),
        ("}", "}", true),
        (r"\d+", "12", true),
        (r"\d+", "\u{663}", false),
        (r"\w", "\u{e9}", false),
        (r"\W", "\u{e9}", true),
        (r"[\d.]+", "1.2", true),
        (r"[\s\S]", "\n", true),
        ("[[]", "[", true),
        ("[]a]", "]", true),
        ("[^]a]", "b", true),
        ("[a&&b]+", "a&b", true),
        ("[a~~b]+", "a~b", true),
        ("[[:alpha:]]+", "abc", true),
        ("[a-c]", "b", true),
        (r"\Qa.b\E+", "a.b", true),
        (r"\Qa.b", "a.b", true),
        (r"\<a\>", "<a>", true),
        (r"\101", "A", true),
        (r"\x41\x{42}", "AB", true),
        (r"\pL+\p{Greek}", "a\u{3b1}", true),
        (r"\ba b\b", "a b", true),
    ];
    for (pattern, value, matches) in cases {
        let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(regex.is_match(value), matches, "{pattern} on {value}");
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    for pattern in
        ["(", ")", ")(", "[a", "a{3,1}", r"\1", r"\", "*", "(?x)a b", "(?R)a", r"\q", "[z-a]", "(?P<a"]
    {
        assert!(compile(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn compiled_size_is_bounded() {
    let error = compile(r"(\pL{1000}){1000}").unwrap_err();
    assert!(error.contains("bytes compiled"), "{error}");
}
