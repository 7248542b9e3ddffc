use super::*;

const PLAIN: Terminal = Terminal { width: Some(140), unicode: true, colour: false };

#[test]
fn a_search_as_it_is_shown() {
    let answer: SearchAnswer = serde_json::from_str(
        r#"{"traces":[
          {"traceID":"2f3e0cee77ae5dc9c17ade3689eb2e54","rootServiceName":"gateway","rootTraceName":"GET /",
           "startTimeUnixNano":"1800000000123000000","durationMs":557,
           "spanSet":{"spans":[{"spanID":"1"}],"matched":7},"spanSets":[{"spans":[{"spanID":"1"}],"matched":7}],
           "serviceStats":{"gateway":{"spanCount":3},"reviews":{"spanCount":11,"errorCount":2}}},
          {"traceID":"1","rootServiceName":"<root span not yet received>","startTimeUnixNano":"1800000000000000000",
           "spanSet":{"spans":[{},{}],"matched":2}}],
          "metrics":{"inspectedBytes":"12"}}"#,
    )
    .unwrap();
    assert_eq!(answer.traces[1].spans_returned(), 2);
    insta::assert_snapshot!(search_table(&answer, &PLAIN), @r"
     Trace                             Started (UTC)            Root service                  Root name  Duration  Matched  Spans  Errors
     2f3e0cee77ae5dc9c17ade3689eb2e54  2027-01-15 08:00:00.123  gateway                       GET /         557ms        7     14       2
     1                                 2027-01-15 08:00:00.000  <root span not yet received>                 <1ms        2      -       -

    2 traces, 9 spans matched
    ");
}

#[test]
fn a_narrow_terminal_cuts_names_and_never_ids() {
    let id = "2f3e0cee77ae5dc9c17ade3689eb2e54";
    let answer: SearchAnswer = serde_json::from_str(&format!(
        r#"{{"traces":[{{"traceID":"{id}","rootServiceName":"istio-ingressgateway.istio-system",
            "rootTraceName":"productpage.bookinfo.svc.cluster.local:9080/*","startTimeUnixNano":"1"}}]}}"#
    ))
    .unwrap();
    for width in [120, 132] {
        let text = search_table(&answer, &Terminal { width: Some(width), ..PLAIN });
        let line = text.lines().nth(1).unwrap();
        assert!(line.contains(id) && line.contains('…'), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
    }
}

#[test]
fn nothing_found_has_no_header() {
    assert_eq!(search_table(&SearchAnswer::default(), &PLAIN), "0 traces, 0 spans matched\n");
}

#[test]
fn names_and_values_as_they_are_shown() {
    let names: TagNamesAnswer = serde_json::from_str(
        r#"{"scopes":[{"name":"span","tags":["http.method"]},{"name":"resource","tags":["hostname","k8s.pod.name"]}]}"#,
    )
    .unwrap();
    let values: TagValuesAnswer = serde_json::from_str(
        r#"{"tagValues":[{"type":"string","value":"200"},{"type":"int","value":"200"}],"metrics":{}}"#,
    )
    .unwrap();
    insta::assert_snapshot!(tags_table(&names, &PLAIN), @r"
     Scope     Attribute
     resource  hostname
     resource  k8s.pod.name
     span      http.method

    3 attributes
    ");
    insta::assert_snapshot!(values_table(&values, &PLAIN), @r"
     Type    Value
     string  200
     int     200

    2 values
    ");
}

#[test]
fn numbers_are_counted_in_words_people_read() {
    assert_eq!(count(0, "span"), "0 spans");
    assert_eq!(count(1, "span"), "1 span");
    assert_eq!(count(999, "span"), "999 spans");
    assert_eq!(count(1_234_567, "span"), "1,234,567 spans");
}
