use super::*;

fn printed(tags: &[(&str, &str)]) -> String {
    let tags: Vec<_> = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    query(&tags).unwrap_or_else(|error| panic!("{tags:?}: {error}")).to_string()
}

#[test]
fn tags_mean_what_a_query_says() {
    let cases: [(&[(&str, &str)], &str); 11] = [
        (&[("name", "GET")], r#"{ name =~ "(?i).*GET.*" }"#),
        (&[("service.name", "shop")], r#"{ resource.service.name =~ "(?i).*shop.*" }"#),
        (&[("root.name", "a")], r#"{ rootName =~ "(?i).*a.*" }"#),
        (&[("root.service.name", "a")], r#"{ rootServiceName =~ "(?i).*a.*" }"#),
        (&[("status", "error")], "{ status = error }"),
        (&[("status.code", "ok")], "{ status = ok }"),
        (&[("a", "x")], r#"{ span.a =~ "(?i).*x.*" || resource.a =~ "(?i).*x.*" }"#),
        (
            &[("a", "200")],
            r#"{ span.a =~ "(?i).*200.*" || span.a = 200 || (resource.a =~ "(?i).*200.*" || resource.a = 200) }"#,
        ),
        (
            &[("error", "true")],
            r#"{ status = error || (span.error =~ "(?i).*true.*" || span.error = true || (resource.error =~ "(?i).*true.*" || resource.error = true)) }"#,
        ),
        (&[("name", "a.b*")], r#"{ name =~ "(?i).*a\\.b\\*.*" }"#),
        (&[("name", "a"), ("status", "ok")], r#"{ name =~ "(?i).*a.*" } && { status = ok }"#),
    ];
    for (tags, expected) in cases {
        assert_eq!(printed(tags), expected, "{tags:?}");
        let reread = vivace_traceql::parse_validated(expected).unwrap_or_else(|e| panic!("{expected}: {e}"));
        assert_eq!(reread.to_string(), expected);
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let many: Vec<_> = (0..=MAX_TAGS).map(|n| (n.to_string(), String::new())).collect();
    assert_eq!(query(&many).expect_err("too many").to_string(), "invalid tags: 65 are more than 64");
    query(&many[1..]).expect("as many as allowed");
    let long = [("a".to_owned(), "é".repeat(1 << 20))];
    assert!(query(&long).expect_err("too long").to_string().starts_with("invalid tags: "));
}
