//! The shapes of `reference/tempo.md` 2.6, field by field. Times and durations are nanoseconds unless the name says
//! otherwise.
#![expect(missing_docs, reason = "the fields are Tempo's and named for what they are")]

use serde::Serialize;
use serde_json::Value as Json;

/// `trace-patch-v0`: every change that turns one trace into the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TracePatch {
    pub version: &'static str,
    pub base: TraceMeta,
    pub compare: TraceMeta,
    pub stats: Stats,
    pub modified: Vec<ModifiedSpan>,
    pub added: Vec<SpanChange>,
    pub removed: Vec<SpanChange>,
    pub warnings: Vec<DiffWarning>,
}

/// Which trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceMeta {
    pub trace_id: String,
    pub span_count: usize,
}

/// How much changed. A is the base, B what it is compared with. Events are not compared and nothing is truncated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub span_count_a: usize,
    pub span_count_b: usize,
    pub matched_spans: usize,
    pub modified_spans: usize,
    pub added_spans: usize,
    pub removed_spans: usize,
    pub field_changes: usize,
    pub attribute_changes: usize,
    pub event_changes: usize,
    pub truncated: bool,
}

/// A span that is in both traces and not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModifiedSpan {
    /// Where it is in the compared trace.
    pub span: SpanRef,
    pub changes: Vec<Change>,
}

/// A span and where it is: the position among its siblings, from the root down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpanRef {
    pub path: Vec<usize>,
    pub service: String,
    pub name: String,
    pub kind: &'static str,
}

/// One change of a span; null is "not there".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub op: &'static str,
    pub target: Target,
    pub before: Json,
    pub after: Json,
}

/// What of a span changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Target {
    Field { name: &'static str },
    Attribute { scope: &'static str, key: String },
}

/// A span that is in one trace only.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpanChange {
    pub target: SpanTarget,
    pub span: SpanSnapshot,
}

/// Where a span comes in or goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpanTarget {
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_path: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

/// The little that is told of a span in one trace only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpanSnapshot {
    #[serde(flatten)]
    pub span: SpanRef,
    /// 0 when it is not valid.
    pub duration_nanos: u64,
    pub status: &'static str,
}

/// Something that makes the comparison less sure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffWarning {
    pub code: &'static str,
    pub message: String,
}

/// `trace-summary-v0-native`: what changed on the whole, and in which services.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceSummaryDiff {
    pub version: &'static str,
    pub base: TraceSummary,
    pub compare: TraceSummary,
    pub signals: Signals,
    pub trust: Trust,
    pub stats: SummaryStats,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<DiffWarning>,
    pub changed_services: Vec<String>,
    pub services: Vec<ServiceRollup>,
}

/// One trace on the whole. Spans without a valid duration do not count in durations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceSummary {
    pub trace_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub root_service: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub root_name: String,
    pub span_count: usize,
    pub error_span_count: usize,
    pub duration_ms: i64,
    pub sum_span_duration_ms: i64,
}

/// In which direction the traces differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signals {
    pub trace_latency: &'static str,
    pub sum_span_duration: &'static str,
    pub errors: &'static str,
    pub span_count: &'static str,
    pub structure: &'static str,
}

/// How much of the traces is the same: matched spans by the larger and by the smaller number of spans.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    pub matched_span_ratio: f64,
    pub structure_overlap: f64,
}

/// By how much the traces differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SummaryStats {
    pub trace_latency_delta_ms: i64,
    pub sum_span_duration_delta_ms: i64,
    pub span_count_delta: i64,
    pub error_span_delta: i64,
    pub matched_spans: usize,
    pub modified_spans: usize,
    pub added_spans: usize,
    pub removed_spans: usize,
    pub field_changes: usize,
    pub attribute_changes: usize,
}

/// What changed in one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRollup {
    pub name: String,
    pub sum_span_duration_delta_ms: i64,
    pub modified: usize,
    pub added: usize,
    pub removed: usize,
    pub new_errors: usize,
    pub resolved_errors: usize,
}

/// `trace-summary-v0-composed`: the summary, and the patch whole or not at all.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComposedDiff {
    pub version: &'static str,
    pub summary: TraceSummaryDiff,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<TracePatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_omitted: Option<PatchOmitted>,
}

/// Why there is no patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PatchOmitted {
    pub bytes: usize,
    pub reason: &'static str,
}
