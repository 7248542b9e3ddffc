//! The parts of Tempo's JSON that are shown (`reference/tempo.md` 2.0 to 2.4). Absent fields are zero values.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Answer of `/api/search`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SearchAnswer {
    pub(crate) traces: Vec<SearchHit>,
}

/// A trace that matched.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SearchHit {
    #[serde(rename = "traceID")]
    pub(crate) trace_id: String,
    pub(crate) root_service_name: String,
    pub(crate) root_trace_name: String,
    #[serde(deserialize_with = "integer")]
    pub(crate) start_time_unix_nano: u64,
    #[serde(deserialize_with = "integer")]
    pub(crate) duration_ms: u64,
    pub(crate) span_set: Option<SpanSet>,
    pub(crate) span_sets: Vec<SpanSet>,
    pub(crate) service_stats: BTreeMap<String, ServiceStats>,
}

/// The spans of a trace that matched; at most `spss` of `matched`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SpanSet {
    pub(crate) spans: Vec<serde::de::IgnoredAny>,
    #[serde(deserialize_with = "integer")]
    pub(crate) matched: u64,
}

/// What one service did in a trace.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ServiceStats {
    #[serde(deserialize_with = "integer")]
    pub(crate) span_count: u64,
    #[serde(deserialize_with = "integer")]
    pub(crate) error_count: u64,
}

impl SearchHit {
    /// Spans that matched, over all span sets; older servers fill only the single `spanSet`.
    pub(crate) fn matched(&self) -> u64 {
        self.sets().map(|set| set.matched).sum()
    }

    /// Spans that came with the answer.
    pub(crate) fn spans_returned(&self) -> usize {
        self.sets().map(|set| set.spans.len()).sum()
    }

    fn sets(&self) -> impl Iterator<Item = &SpanSet> {
        let single = self.span_set.iter().filter(|_| self.span_sets.is_empty());
        self.span_sets.iter().chain(single)
    }
}

/// Answer of `/api/v2/search/tags`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TagNamesAnswer {
    pub(super) scopes: Vec<TagScope>,
}

/// The attribute names of one scope.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TagScope {
    pub(super) name: String,
    pub(super) tags: Vec<String>,
}

/// Answer of `/api/v2/search/tag/{tag}/values`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TagValuesAnswer {
    pub(super) tag_values: Vec<TagValue>,
}

/// One value of an attribute.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TagValue {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) value: String,
}

/// Answer of `/api/metrics/query_range` and `/api/metrics/query`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MetricsAnswer {
    pub(super) series: Vec<SeriesAnswer>,
    /// Why it is not whole.
    pub(super) message: Option<String>,
}

/// One series.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SeriesAnswer {
    labels: Vec<Attribute>,
    pub(super) samples: Vec<SampleAnswer>,
    /// Of an instant query.
    #[serde(deserialize_with = "double")]
    pub(super) value: f64,
}

/// A value at a time.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SampleAnswer {
    #[serde(deserialize_with = "integer")]
    pub(super) timestamp_ms: u64,
    #[serde(deserialize_with = "double")]
    pub(super) value: f64,
}

impl SeriesAnswer {
    /// `key=value, key=value`
    pub(super) fn name(&self) -> String {
        let label = |label: &Attribute| {
            let value = label.value.values().next();
            let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            format!("{}={}", label.key, text.unwrap_or_default())
        };
        self.labels.iter().map(label).collect::<Vec<_>>().join(", ")
    }
}

/// Answer of `/api/v2/traces/{id}`, or of v1, which has `batches` at the top.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TraceAnswer {
    trace: Option<TraceBody>,
    batches: Vec<ResourceSpans>,
    /// What the server has to say about it, such as that it is cut.
    pub(crate) message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TraceBody {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ResourceSpans {
    resource: Resource,
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ScopeSpans {
    spans: Vec<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Span {
    trace_id: String,
    span_id: String,
    parent_span_id: String,
    name: String,
    kind: Value,
    #[serde(deserialize_with = "integer")]
    start_time_unix_nano: u64,
    #[serde(deserialize_with = "integer")]
    end_time_unix_nano: u64,
    attributes: Vec<Attribute>,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: Value,
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attribute {
    key: String,
    value: BTreeMap<String, Value>,
}

/// A trace as the waterfall draws it.
#[derive(Debug, Default)]
pub(crate) struct TraceView {
    /// 32 hex digits.
    pub(crate) trace_id: String,
    /// In the order the server sent them.
    pub(crate) spans: Vec<SpanView>,
}

/// A span as the waterfall draws it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpanView {
    /// Hex.
    pub(crate) id: String,
    /// Hex; empty for a root.
    pub(crate) parent: String,
    pub(crate) service: String,
    pub(crate) name: String,
    /// `client`, `server`, `internal`, `producer`, `consumer` or empty.
    pub(crate) kind: &'static str,
    /// Nanoseconds since the Unix epoch.
    pub(crate) start: u64,
    /// Nanoseconds.
    pub(crate) duration: u64,
    /// What went wrong, when the status is error; may be empty.
    pub(crate) error: Option<String>,
}

impl From<&TraceAnswer> for TraceView {
    fn from(answer: &TraceAnswer) -> Self {
        let batches = answer.trace.as_ref().map_or(&answer.batches, |trace| &trace.resource_spans);
        let mut view = TraceView::default();
        for batch in batches {
            let service = attribute_text(&batch.resource.attributes, "service.name").unwrap_or_default();
            for span in batch.scope_spans.iter().flat_map(|scope| &scope.spans) {
                if view.trace_id.is_empty() {
                    view.trace_id = hex_id(&span.trace_id, 16);
                }
                view.spans.push(span.view(&service));
            }
        }
        view
    }
}

impl Span {
    fn view(&self, service: &str) -> SpanView {
        SpanView {
            id: hex_id(&self.span_id, 8),
            parent: hex_id(&self.parent_span_id, 8),
            service: service.to_owned(),
            name: self.name.clone(),
            kind: kind_name(&self.kind),
            start: self.start_time_unix_nano,
            duration: self.end_time_unix_nano.saturating_sub(self.start_time_unix_nano),
            error: self.is_error().then(|| self.what_went_wrong()),
        }
    }

    fn is_error(&self) -> bool {
        self.status.code == "STATUS_CODE_ERROR" || self.status.code == 2
    }

    /// The status message and what proxies say: HTTP status and Envoy's response flags.
    fn what_went_wrong(&self) -> String {
        let http = ["http.status_code", "http.response.status_code"]
            .into_iter()
            .find_map(|key| attribute_text(&self.attributes, key))
            .map(|code| format!("HTTP {code}"));
        let flags = attribute_text(&self.attributes, "response_flags").filter(|flags| flags != "-");
        let message = Some(self.status.message.clone()).filter(|message| !message.is_empty());
        let parts = [http, flags.map(|flags| format!("flags {flags}")), message];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Enum names in Tempo's JSON, numbers in OTLP's.
fn kind_name(kind: &Value) -> &'static str {
    let names = ["internal", "server", "client", "producer", "consumer"];
    if let Some(number) = kind.as_u64().and_then(|number| usize::try_from(number).ok()) {
        return number.checked_sub(1).and_then(|at| names.get(at)).unwrap_or(&"");
    }
    let name = kind.as_str().unwrap_or_default().strip_prefix("SPAN_KIND_").unwrap_or_default();
    names.iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(&"")
}

fn attribute_text(attributes: &[Attribute], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.values().next()?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// An id as hex: base64 in Tempo's JSON, hex already in OTLP's.
fn hex_id(text: &str, bytes: usize) -> String {
    if text.len() == 2 * bytes {
        return text.to_ascii_lowercase();
    }
    STANDARD.decode(text).map_or_else(|_| text.to_owned(), hex::encode)
}

/// What is not finite is text in protobuf's JSON.
fn double<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Double {
        Number(f64),
        Text(String),
    }
    match Double::deserialize(deserializer)? {
        Double::Number(number) => Ok(number),
        Double::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// 64-bit integers are text in protobuf's JSON.
fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Integer {
        Number(u64),
        Text(String),
    }
    match Integer::deserialize(deserializer)? {
        Integer::Number(number) => Ok(number),
        Integer::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}
