//! What Kiali asks and how it reads the answers. It checks nothing before it takes the first element of a list, and
//! neither does this: where Kiali would panic, so does the test.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The cluster that single-cluster meshes report.
pub const CLUSTER: &str = "Kubernetes";
/// Spans per trace that Kiali asks for.
pub const SPANS_PER_TRACE: usize = 10;
const SELECTED: &str = "status, .service_name, .node_id, .component, .upstream_cluster, .http.method, .response_flags, \
     .istio.destination_workload, .istio.destination_namespace, .istio.destination_instance_name, \
     .istio.destination_canonical_service, .istio.source_workload, .istio.source_namespace, \
     .istio.source_instance_name, .istio.source_canonical_service, resource.hostname, name";

/// One trace of a search, as far as Kiali reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Hex, perhaps without leading zeros.
    pub trace_id: String,
    /// The name shown when there is no better one.
    pub root_name: String,
    /// The service shown for the whole trace: the first span's attribute.
    pub service: String,
    /// Hex ids of the spans shown.
    pub span_ids: Vec<String>,
    /// How many spans matched.
    pub matched: u64,
    /// Start of the first span shown.
    pub start: u64,
}

/// One span of a trace lookup, as far as Kiali reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct DetailSpan {
    /// Eight bytes.
    pub id: Vec<u8>,
    /// Eight bytes, none for a root.
    pub parent: Vec<u8>,
    /// Its name.
    pub name: String,
    /// From start to end in nanoseconds.
    pub duration: u64,
    /// Only those that are strings; others are empty, as Kiali has them.
    pub attributes: Vec<(String, String)>,
}

/// The query Kiali sends for a service.
pub fn query(service: &str) -> String {
    format!(
        "{{ .service.name = \"{service}\"  && .istio.cluster_id = \"{CLUSTER}\"  }} && {{  }} | select({SELECTED})"
    )
}

/// Reads the answer to a search.
pub fn search(answer: &Value) -> Vec<Hit> {
    // Kiali decodes a missing list as an empty one.
    let traces = answer["traces"].as_array().map(Vec::as_slice).unwrap_or_default();
    traces.iter().map(hit).collect()
}

fn hit(trace: &Value) -> Hit {
    let spans = trace["spanSet"]["spans"].as_array().expect("spanSet.spans is a list");
    // Spans[0]
    let first = spans.first().expect("Kiali takes the first span without looking");
    let service = attributes(&first["attributes"]).into_iter().find(|(key, _)| key == "service.name");
    let nanos = |span: &Value, field: &str| -> u64 {
        span[field].as_str().expect("64-bit numbers are strings").parse().expect("a number")
    };
    for span in spans {
        nanos(span, "startTimeUnixNano");
        nanos(span, "durationNanos");
    }
    assert_eq!(trace["spanSets"][0], trace["spanSet"], "spanSet is the first of spanSets");
    Hit {
        trace_id: string(&trace["traceID"]),
        root_name: trace["rootTraceName"].as_str().unwrap_or_default().to_owned(),
        service: service.map(|(_, name)| name).unwrap_or_default(),
        span_ids: spans.iter().map(|span| string(&span["spanID"])).collect(),
        matched: trace["spanSet"]["matched"].as_u64().expect("matched is a number"),
        start: nanos(first, "startTimeUnixNano"),
    }
}

/// Reads the answer to `/api/traces/{id}`.
pub fn trace(answer: &Value) -> Vec<DetailSpan> {
    let batches = answer["batches"].as_array().expect("batches is a list");
    assert!(!batches.is_empty(), "Kiali takes Batches[0] without looking");
    let mut spans = Vec::new();
    for batch in batches {
        // ScopeSpans[0], and no other
        let scope_spans = batch["scopeSpans"].as_array().expect("scopeSpans is a list");
        let first = scope_spans.first().expect("Kiali takes ScopeSpans[0] without looking");
        spans.extend(first["spans"].as_array().expect("spans is a list").iter().map(detail));
    }
    spans
}

fn detail(span: &Value) -> DetailSpan {
    let nanos = |field: &str| -> u64 { string(&span[field]).parse().expect("a number in a string") };
    let id = |field: &str| STANDARD.decode(span[field].as_str().unwrap_or_default()).expect("base64");
    DetailSpan {
        id: id("spanId"),
        parent: id("parentSpanId"),
        name: span["name"].as_str().unwrap_or_default().to_owned(),
        duration: nanos("endTimeUnixNano") - nanos("startTimeUnixNano"),
        attributes: attributes(&span["attributes"]),
    }
}

fn attributes(list: &Value) -> Vec<(String, String)> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value["stringValue"].as_str().unwrap_or_default().to_owned();
    list.iter().map(|attribute| (string(&attribute["key"]), text(&attribute["value"]))).collect()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string")).to_owned()
}
