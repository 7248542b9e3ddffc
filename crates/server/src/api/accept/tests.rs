use super::*;

#[test]
fn the_first_known_form_is_taken() {
    let cases = [
        ("", Format::Json),
        ("*/*", Format::Json),
        ("text/html", Format::Json),
        ("application/json", Format::Json),
        ("application/protobuf", Format::Protobuf),
        ("text/html, application/protobuf;q=0.5", Format::Protobuf),
        ("application/json, application/protobuf", Format::Protobuf),
        ("application/vnd.grafana.llm", Format::Llm),
        ("application/vnd.grafana.llm+json", Format::Llm),
        ("application/vnd.grafana.llm, application/json", Format::Json),
    ];
    for (text, expected) in cases {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))]);
        assert_eq!(Format::asked(&headers), expected, "{text}");
    }
    assert_eq!(Format::asked(&HeaderMap::new()), Format::Json);
}
