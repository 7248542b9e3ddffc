use super::*;

fn parsed(text: &str) -> Vec<(String, String)> {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn keys_and_values() {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let cases: [(&str, &[(&str, &str)]); 8] = [
        ("", &[]),
        ("  \t ", &[]),
        ("a=b", &[("a", "b")]),
        (" a=b  c.d/e=1.5 ", &[("a", "b"), ("c.d/e", "1.5")]),
        (r#"a="b c=d" e="\"é\" \\ \u00e9""#, &[("a", "b c=d"), ("e", "\"é\" \\ é")]),
        (r#"flag a="" b="#, &[("flag", ""), ("a", ""), ("b", "")]),
        ("ключ=значение", &[("ключ", "значение")]),
        ("guid:x-request-id=1", &[("guid:x-request-id", "1")]),
    ];
    for (text, expected) in cases {
        assert_eq!(parsed(text), pairs(expected), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let cases = [
        ("=b", "invalid tags: unexpected '=' at pos 1"),
        ("a=b =c", "invalid tags: unexpected '=' at pos 5"),
        ("a==b", "invalid tags: unexpected '=' at pos 3"),
        ("a=b=c", "invalid tags: unexpected '=' at pos 4"),
        ("a\"b", "invalid tags: unexpected '\"' at pos 2"),
        ("a=b\"", "invalid tags: unexpected '\"' at pos 4"),
        ("a=\"b", "invalid tags: unterminated quoted value at pos 3"),
        (r#"a="b\"#, "invalid tags: unterminated quoted value at pos 3"),
        (r#"a="\é""#, "invalid tags: invalid quoted value at pos 3"),
        (r#"a="b"c"#, "invalid tags: unexpected 'c' at pos 6"),
        ("a=1 b=2 a=3", "invalid tags: tag a has been set twice"),
    ];
    for (text, reason) in cases {
        assert_eq!(parse(text).expect_err(text).to_string(), reason, "{text}");
    }
}
