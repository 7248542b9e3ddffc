use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::*;

const ORIGIN: UnixNanos = 1_800_000_000 * SECOND;

fn generator() -> Generator {
    Generator::new(7, ORIGIN, 20.0)
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn spans(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &Span> {
    request.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans)
}

/// Kept apart by trace, so that batches of any size compare.
fn by_id(request: &ExportTraceServiceRequest) -> BTreeMap<Vec<u8>, Span> {
    spans(request).map(|span| (span.span_id.clone(), span.clone())).collect()
}

#[test]
fn the_same_seed_gives_the_same_spans_in_whatever_batches() {
    let whole = generator().batch(0..40);
    assert_eq!(whole, generator().batch(0..40));
    let whole = by_id(&whole.request);
    let mut pieces = by_id(&generator().batch(30..40).request);
    pieces.extend(by_id(&generator().batch(0..30).request));
    assert_eq!(whole, pieces);
    let other = Generator::new(8, ORIGIN, 20.0).batch(0..40).request;
    assert!(by_id(&other).keys().all(|id| !pieces.contains_key(id)));
}

#[test]
fn another_run_with_the_same_seed_makes_other_traces() {
    let ids = |origin| -> BTreeSet<Vec<u8>> {
        let request = Generator::new(7, origin, 20.0).batch(0..100).request;
        spans(&request).map(|span| span.trace_id.clone()).collect()
    };
    let (first, second) = (ids(ORIGIN), ids(ORIGIN + 1));
    assert_eq!((first.len(), second.len()), (100, 100));
    assert!(first.is_disjoint(&second));
}

#[test]
fn a_trace_is_one_tree_in_time() {
    for number in 0..2_000 {
        let request = generator().batch(number..number + 1).request;
        let all = by_id(&request);
        let roots: Vec<_> = all.values().filter(|span| span.parent_span_id.is_empty()).collect();
        assert_eq!(roots.len(), 1);
        let start = ORIGIN + number * SECOND / 20;
        assert!((start..start + SECOND / 20).contains(&roots[0].start_time_unix_nano));
        for span in all.values() {
            assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
            assert!(span.end_time_unix_nano <= start + LONGEST_TRACE);
            if !span.parent_span_id.is_empty() {
                let parent = &all[&span.parent_span_id];
                assert!(parent.start_time_unix_nano <= span.start_time_unix_nano, "{}", span.name);
            }
        }
    }
}

#[test]
fn envoy_spans_carry_what_kiali_reads_as_text() {
    let request = generator().batch(0..400).request;
    let mut flags = BTreeSet::new();
    for resource in &request.resource_spans {
        let of_resource = &resource.resource.as_ref().unwrap().attributes;
        let service = text(of_resource, "service.name").unwrap();
        let pod = text(of_resource, "hostname").unwrap();
        for span in resource.scope_spans.iter().filter(|s| s.scope.as_ref().unwrap().name == "envoy") {
            for span in &span.spans {
                let get =
                    |key| text(&span.attributes, key).unwrap_or_else(|| panic!("{key} in {}", span.name));
                assert_eq!(get("component"), "proxy");
                assert_eq!(get("istio.cluster_id"), "Kubernetes");
                let node: Vec<_> = get("node_id").split('~').collect();
                let (workload_pod, namespace) = node[2].split_once('.').unwrap();
                assert_eq!((node.len(), workload_pod), (4, pod));
                assert_eq!(service, format!("{}.{namespace}", get("istio.canonical_service")));
                assert_eq!(get("upstream_cluster").split('|').count(), 4);
                assert!(span.name.ends_with(".svc.cluster.local:9080/*"));
                flags.insert(get("response_flags").to_owned());
                let failed = matches!(get("http.status_code"), "0" | "500" | "503" | "504");
                assert_eq!(span.status.as_ref().unwrap().code == 2, failed);
                let reached = get("http.status_code") != "503";
                assert_eq!(text(&span.attributes, "istio.destination_workload").is_some(), reached);
            }
        }
    }
    assert!(flags.contains("-") && flags.len() > 1, "{flags:?}");
}

#[test]
fn about_three_traces_in_a_hundred_fail_and_some_are_slow() {
    let (mut failed, mut slow) = (0, 0);
    for number in 0..5_000 {
        let request = generator().batch(number..number + 1).request;
        failed += u32::from(spans(&request).any(|span| span.status.as_ref().unwrap().code == 2));
        let took = |s: &Span| s.end_time_unix_nano - s.start_time_unix_nano;
        slow += u32::from(spans(&request).any(|span| took(span) > SECOND / 4));
    }
    assert!((75..=225).contains(&failed), "{failed} of 5000");
    assert!((75..=400).contains(&slow), "{slow} of 5000");
}

#[test]
fn applications_write_numbers_and_exceptions() {
    let request = generator().batch(0..2_000).request;
    let languages: BTreeSet<_> = request
        .resource_spans
        .iter()
        .filter_map(|r| text(&r.resource.as_ref()?.attributes, "telemetry.sdk.language"))
        .collect();
    assert_eq!(languages, BTreeSet::from(["java", "nodejs", "python", "ruby"]));
    assert!(spans(&request).any(|span| span.events.iter().any(|event| event.name == "exception")));
    let is_integer = |a: &KeyValue| {
        let value = a.value.as_ref().and_then(|value| value.value.as_ref());
        a.key == "http.status_code" && matches!(value, Some(Value::IntValue(_)))
    };
    assert!(spans(&request).any(|span| span.attributes.iter().any(is_integer)));
    assert!(spans(&request).any(|span| text(&span.attributes, "db.system") == Some("mysql")));
}

#[test]
fn batches_are_counted() {
    let batch = generator().batch(0..100);
    assert_eq!(batch.spans, spans(&batch.request).count() as u64);
    let traces: BTreeSet<_> = batch
        .request
        .resource_spans
        .iter()
        .filter(|r| {
            text(&r.resource.as_ref().unwrap().attributes, "service.name") == Some("reviews.bookinfo")
        })
        .flat_map(|r| &r.scope_spans)
        .filter(|s| s.scope.as_ref().unwrap().name == "envoy")
        .flat_map(|s| s.spans.iter().map(|span| span.trace_id.clone()))
        .collect();
    assert_eq!(batch.reviewed, traces.len() as u64);
    assert_eq!(generator().traces_in(300 * SECOND), 6_000);
    assert_eq!(generator().traces_before(ORIGIN + SECOND), 20);
    assert_eq!(generator().traces_before(0), 0);
}
