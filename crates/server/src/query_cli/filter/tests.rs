use super::*;

fn filter(service: Option<&str>, tags: &[&str]) -> String {
    let tags = tags.iter().map(|tag| parse_tag(tag).unwrap()).collect();
    Filter { service: service.map(str::to_owned), tags }.to_traceql().unwrap()
}

#[test]
fn flags_become_a_filter() {
    assert!(Filter::default().to_traceql().is_none());
    assert_eq!(filter(Some("reviews.bookinfo"), &[]), r#"{ resource.service.name = "reviews.bookinfo" }"#);
    assert_eq!(
        filter(Some("a"), &["http.method=GET", "span.x=y"]),
        r#"{ resource.service.name = "a" && .http.method = "GET" && span.x = "y" }"#
    );
}

#[test]
fn numbers_and_booleans_are_looked_for_as_text_too() {
    assert_eq!(
        filter(None, &[".http.status_code=503"]),
        r#"{ (.http.status_code = "503" || .http.status_code = 503) }"#
    );
    assert_eq!(filter(None, &["error=true"]), r#"{ (.error = "true" || .error = true) }"#);
    assert_eq!(filter(None, &["version=1.2.3"]), r#"{ .version = "1.2.3" }"#);
    // larger than TraceQL's integers
    assert_eq!(filter(None, &["id=99999999999999999999"]), r#"{ .id = "99999999999999999999" }"#);
}

#[test]
fn intrinsics_are_not_attributes() {
    assert_eq!(filter(None, &["status=error", "kind=client"]), "{ status = error && kind = client }");
    assert_eq!(filter(None, &["name=GET /"]), r#"{ name = "GET /" }"#);
}

#[test]
fn quotes_and_braces_cannot_leave_the_literal() {
    assert_eq!(filter(Some("a\" } || { true"), &[]), r#"{ resource.service.name = "a\" } || { true" }"#);
    assert_eq!(filter(None, &["a b\"c=d\\e\nf\u{1}"]), r#"{ ."a b\"c" = "d\\e\nf\u0001" }"#);
    assert_eq!(filter(None, &["status=ok } || { true"]), r#"{ .status = "ok } || { true" }"#);
    assert!(parse_tag("=x").is_err());
    assert!(parse_tag("x").is_err());
}

#[test]
fn what_is_built_parses() {
    for text in [
        filter(Some("we\"ird\\"), &["a b=1", "span.x{}=é", "error=true", "status=error", "name=\t"]),
        filter(None, &["resource.k8s.pod.name=p-1", "http.status_code=200"]),
    ] {
        vivace_traceql::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}
