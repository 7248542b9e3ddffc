use super::route;

#[test]
fn routes_are_named_as_tempo_names_them() {
    assert_eq!(route("/api/traces/{traceID}"), "api_traces_traceid");
    assert_eq!(route("/api/v2/search/tag/{tagName}/values"), "api_v2_search_tag_tagname_values");
    assert_eq!(route("/v1/traces"), "otlp_v1_traces");
    assert_eq!(
        route("/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        "opentelemetry_proto_collector_trace_v1_traceservice_export"
    );
}
