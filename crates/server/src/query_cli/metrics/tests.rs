use super::*;

fn answer(json: &str) -> MetricsAnswer {
    serde_json::from_str(json).unwrap()
}

const PLAIN: Terminal = Terminal { width: None, unicode: true, colour: false };

#[test]
fn series_are_drawn_over_the_times_of_all() {
    let answer = answer(
        r#"{"series":[
            {"labels":[{"key":"resource.service.name","value":{"stringValue":"shop"}}],
             "samples":[{"timestampMs":"1000","value":1.5},{"timestampMs":"2000"},{"timestampMs":"3000","value":3}]},
            {"labels":[{"key":"p","value":{"doubleValue":0.5}},{"key":"n","value":{"intValue":"7"}}],
             "samples":[{"timestampMs":"2000","value":"Infinity"}]}],
           "metrics":{}}"#,
    );
    let lines: Vec<String> = drawings(&answer, &PLAIN).lines().map(str::to_owned).collect();
    assert!(lines[1].contains("resource.service.name=shop") && lines[1].contains("▅▁█"), "{lines:?}");
    assert!(lines[1].ends_with("3") && lines[1].contains(" 0 "), "{lines:?}");
    assert!(lines[2].contains("p=0.5, n=7") && lines[2].contains(" █ "), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("2 series"));
}

#[test]
fn an_instant_answer_is_a_list_of_values() {
    let answer = answer(r#"{"series":[{"labels":[{"key":"__name__","value":{"stringValue":"rate"}}]}]}"#);
    let text = values(&answer, &PLAIN);
    assert!(text.contains("__name__=rate") && text.contains(" 0\n"), "{text}");
    assert!(text.ends_with("1 series\n"), "{text}");
}

#[test]
fn numbers_are_short() {
    let cases = [
        (0.0, "0"),
        (12.0, "12"),
        (123_456.0, "123456"),
        (0.123_456, "0.1235"),
        (1.5, "1.5"),
        (123.456, "123.5"),
        (12_345.67, "12346"),
        (0.000_012_34, "0.00001234"),
        (-2.25, "-2.25"),
        (f64::INFINITY, "inf"),
        (f64::NAN, "NaN"),
    ];
    for (value, text) in cases {
        assert_eq!(number(value), text);
    }
}
