use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use vivace_model::TenantId;
use vivace_storage::{CompactionStats, LevelStats, TenantBacklog};

use super::compaction::Compaction;
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
    assert_eq!(route("/api/v2/search/tag/{*tagName_values}"), "api_v2_search_tag_tagname_values");
    assert_eq!(route("/status/"), "status");
    assert_eq!(route("/"), "root");
}

#[test]
fn compaction_is_counted_by_level_and_its_backlog_by_tenant() {
    let mut stats = CompactionStats { errors: 3, blocks_deleted: 4, ..CompactionStats::default() };
    stats.levels[1] = LevelStats { blocks: 5, rows_read: 70, rows_written: 68, ..LevelStats::default() };
    let tenant = TenantId::single();
    stats.backlog.push(TenantBacklog { tenant, blocks: 9, outstanding: 8, oldest: Some(1_000_000_000) });
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Compaction { stats, now: 61_500_000_000 }));
    let mut page = String::new();
    encode(&mut page, &registry).unwrap();
    for line in [
        "tempodb_compaction_blocks_total{level=\"0\"} 0",
        "tempodb_compaction_blocks_total{level=\"1\"} 5",
        "tempodb_compaction_spans_deduped_total{level=\"1\"} 2",
        "tempodb_compaction_errors_total 3",
        "tempodb_retention_deleted_total 4",
        "tempodb_blocklist_length{tenant=\"single-tenant\"} 9",
        "tempodb_compaction_outstanding_blocks{tenant=\"single-tenant\"} 8",
        "vivace_compaction_backlog_age_seconds 60",
    ] {
        assert!(page.lines().any(|found| found == line), "no `{line}` in\n{page}");
    }
}
