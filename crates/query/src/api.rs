//! Questions and answers, free of any wire format.

use std::collections::BTreeMap;
use std::sync::Arc;

use vivace_base::{Reservation, UnixNanos};
use vivace_model::{SpanId, Tenants, TimeRange, TraceId, Value};
use vivace_traceql::{Attribute, FieldExpr, Query};

use crate::TracePortions;

/// Told of an answer while it grows, at moments of the engine's choosing. The listener decides whether the answer as
/// it is now is worth building.
pub type Progress<'a, T> = &'a mut (dyn FnMut(&dyn Fn() -> T) + Send);

/// A TraceQL search. The newest `limit` traces that match are returned, newest first.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// What to look for.
    pub query: Query,
    /// At most this many traces.
    pub limit: usize,
    /// At most this many spans in each trace's spanset.
    pub spans_per_span_set: usize,
    /// Traces must overlap it.
    pub range: TimeRange,
    /// Traces shorter than this many nanoseconds are left out.
    pub min_duration: Option<u64>,
    /// Traces longer than this many nanoseconds are left out.
    pub max_duration: Option<u64>,
}

impl SearchRequest {
    /// The whole question as a text that is the same for all who ask the same.
    pub(crate) fn question(&self, tenants: &Tenants) -> String {
        let Self { query, limit, spans_per_span_set, range, min_duration, max_duration } = self;
        let query = query.clone().canonical();
        let bounds = (limit, spans_per_span_set, range.start, range.end, min_duration, max_duration);
        format!("{tenants:?} {bounds:?} {query}")
    }
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SearchResponse {
    /// Newest first by trace start, then by trace id.
    pub traces: Vec<Arc<TraceMatch>>,
    /// What it took.
    pub metrics: SearchMetrics,
    /// Why the answer may not be complete; [`None`] when it is.
    pub partial: Option<String>,
    /// The memory it takes.
    pub held: Held,
}

/// Memory that an answer takes; given back once the answer and its copies are gone.
#[derive(Debug, Clone, Default)]
pub struct Held {
    _reserved: Option<Arc<Reservation>>,
}

impl Held {
    pub(crate) fn new(reserved: Option<Reservation>) -> Self {
        Self { _reserved: reserved.map(Arc::new) }
    }
}

/// Answers are alike whatever memory they take.
impl PartialEq for Held {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// One trace that matches.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceMatch {
    /// Its id.
    pub trace_id: TraceId,
    /// `service.name` of its root; [`None`] while the root has not arrived.
    pub root_service_name: Option<String>,
    /// Name of its root; [`None`] while the root has not arrived.
    pub root_trace_name: Option<String>,
    /// First start of all its spans.
    pub start: UnixNanos,
    /// From first start to last end of all its spans, in nanoseconds.
    pub duration: u64,
    /// Never empty, and none of its sets is.
    pub span_sets: Vec<SpanSet>,
    /// By service.
    pub service_stats: BTreeMap<String, ServiceStats>,
}

impl TraceMatch {
    /// About how many bytes it takes in memory.
    pub(crate) fn memory(&self) -> u64 {
        /// What an allocation takes beside its content.
        const ALLOCATION: usize = 16;
        let text = |text: &str| text.len() + ALLOCATION;
        let attribute = |(key, value): &(String, Value)| {
            size_of::<(String, Value)>() + text(key) + text(value.as_str().unwrap_or_default())
        };
        let span = |span: &MatchedSpan| {
            let attributes: usize = span.attributes.iter().map(attribute).sum();
            size_of::<MatchedSpan>() + text(&span.name) + attributes + ALLOCATION
        };
        let set = |set: &SpanSet| {
            let attributes: usize = set.attributes.iter().map(attribute).sum();
            size_of::<SpanSet>() + set.spans.iter().map(span).sum::<usize>() + attributes + 2 * ALLOCATION
        };
        let services =
            self.service_stats.keys().map(|name| size_of::<ServiceStats>() + text(name) + ALLOCATION);
        let sets = self.span_sets.iter().map(set).sum::<usize>();
        (size_of::<Self>() + services.sum::<usize>() + sets + 4 * ALLOCATION) as u64
    }
}

/// How many spans one service has in a trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServiceStats {
    /// All of them.
    pub span_count: u32,
    /// Those with status error.
    pub error_count: u32,
}

/// Spans of one trace that match together.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSet {
    /// At least one, at most as many as asked for.
    pub spans: Vec<MatchedSpan>,
    /// How many matched, shown or not.
    pub matched: u32,
    /// Values of `by()` and of aggregates, by expression text.
    pub attributes: Vec<(String, Value)>,
}

/// A span in a search result.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchedSpan {
    /// Its id.
    pub span_id: SpanId,
    /// Its name.
    pub name: String,
    /// When it began.
    pub start: UnixNanos,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// What the query mentions and the span has, under the bare name (`reference/tempo.md` 2.3).
    pub attributes: Vec<(String, Value)>,
}

/// What a search cost, under Tempo's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchMetrics {
    /// Traces looked at.
    pub inspected_traces: u32,
    /// Bytes of blocks and head looked at.
    pub inspected_bytes: u64,
    /// Spans looked at.
    pub inspected_spans: u64,
    /// Blocks in the catalog snapshot.
    pub total_blocks: u32,
    /// Their bytes.
    pub total_block_bytes: u64,
    /// Pieces of head and blocks read to the end.
    pub completed_jobs: u32,
    /// Pieces there are to read.
    pub total_jobs: u32,
}

/// A TraceQL metrics query.
#[derive(Debug, Clone)]
pub struct MetricsRequest {
    /// What to measure; has a metrics pipeline.
    pub query: Query,
    /// When.
    pub window: MetricsWindow,
    /// At most this many exemplars in all series together. Hints of the query may lower it.
    pub exemplars: usize,
    /// At most this many series; 0 for the engine's own limit.
    pub max_series: usize,
}

impl MetricsRequest {
    /// As [`SearchRequest::question`].
    pub(crate) fn question(&self, tenants: &Tenants) -> String {
        let Self { query, window, exemplars, max_series } = self;
        let query = query.clone().canonical();
        format!("{tenants:?} {:?} {query}", (window, exemplars, max_series))
    }
}

/// Which spans count, by their start, and at which times values are given. Times are Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsWindow {
    /// A value at `start + step`, and every `step` up to `end`, each for the spans that started in `(t - step, t]`.
    Range {
        /// Aligned: a multiple of `step`.
        start: UnixNanos,
        /// Aligned: a multiple of `step`.
        end: UnixNanos,
        /// Not zero.
        step: u64,
    },
    /// One value for the spans that started in `[start, end]`.
    Instant {
        /// First nanosecond.
        start: UnixNanos,
        /// Last nanosecond.
        end: UnixNanos,
    },
}

impl MetricsWindow {
    /// A range as Tempo aligns it (`reference/tempo.md` 2.5): outwards to multiples of the step, and one step more at
    /// the beginning.
    pub fn aligned(start: UnixNanos, end: UnixNanos, step: u64) -> Self {
        let step = step.max(1);
        let floor = start - start % step;
        Self::Range { start: floor.saturating_sub(step), end: end.div_ceil(step).saturating_mul(step), step }
    }
}

/// Series over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricsResponse {
    /// By number of labels, then keys, then values (`reference/tempo.md` 2.5). None is without samples.
    pub series: Vec<Series>,
    /// What it took.
    pub metrics: SearchMetrics,
    /// Why the answer may not be complete; [`None`] when it is.
    pub partial: Option<String>,
}

/// One series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// What distinguishes it.
    pub labels: Vec<(String, Value)>,
    /// By time, none of them NaN. Of an instant query exactly one.
    pub samples: Vec<Sample>,
    /// Spans behind it, by time.
    pub exemplars: Vec<Exemplar>,
}

/// A value at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Unix milliseconds.
    pub timestamp_ms: i64,
    /// The value.
    pub value: f64,
}

/// A span that stands for others.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// What the query mentions and the span has, with `trace:id` and `span:id`.
    pub labels: Vec<(String, Value)>,
    /// What was measured of it, or the value of its step where spans are counted.
    pub value: f64,
    /// When it started, Unix milliseconds.
    pub timestamp_ms: i64,
}

/// A trace asked for by id.
#[derive(Debug, Default)]
pub struct TraceResponse {
    /// The trace; [`None`] when it has no spans.
    pub trace: Option<TracePortions>,
    /// Why it may not be complete, as far as that is known before it is read; [`None`] when nothing is missing.
    pub partial: Option<String>,
}

/// Where tags are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagScope {
    /// Resource attributes.
    Resource,
    /// Span attributes.
    Span,
    /// Event attributes.
    Event,
    /// Link attributes.
    Link,
    /// Instrumentation scope attributes.
    Instrumentation,
    /// What every span has by nature.
    Intrinsic,
}

impl TagScope {
    /// Its name in TraceQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Span => "span",
            Self::Event => "event",
            Self::Link => "link",
            Self::Instrumentation => "instrumentation",
            Self::Intrinsic => "intrinsic",
        }
    }
}

/// Which attribute names there are.
#[derive(Debug, Clone)]
pub struct TagNamesRequest {
    /// Only this scope; [`None`] for all.
    pub scope: Option<TagScope>,
    /// Only on spans that match.
    pub filter: Option<FieldExpr>,
    /// Only on spans that overlap it.
    pub range: TimeRange,
    /// At most this many per scope; 0 for the engine's own limit.
    pub limit: usize,
}

/// Attribute names by scope, sorted; a scope without names is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TagNames {
    /// The names.
    pub scopes: BTreeMap<TagScope, Vec<String>>,
    /// Bytes looked at.
    pub inspected_bytes: u64,
    /// Why the answer may not be complete; [`None`] when it is.
    pub partial: Option<String>,
}

/// Which values an attribute has.
#[derive(Debug, Clone)]
pub struct TagValuesRequest {
    /// The attribute.
    pub attribute: Attribute,
    /// Only on spans that match.
    pub filter: Option<FieldExpr>,
    /// Only on spans that overlap it.
    pub range: TimeRange,
    /// At most this many; 0 for the engine's own limit.
    pub limit: usize,
}

/// The type of a tag value, as `reference/tempo.md` 2.4 lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are Tempo's")]
pub enum TagValueKind {
    String,
    Int,
    Float,
    Bool,
    Duration,
    Keyword,
}

impl TagValueKind {
    /// Its name, as `reference/tempo.md` 2.4 has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Duration => "duration",
            Self::Keyword => "keyword",
        }
    }
}

/// One value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagValue {
    /// Its type.
    pub kind: TagValueKind,
    /// Its text.
    pub text: String,
}

/// Values of an attribute, sorted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TagValues {
    /// The values.
    pub values: Vec<TagValue>,
    /// Bytes looked at.
    pub inspected_bytes: u64,
    /// Why the answer may not be complete; [`None`] when it is.
    pub partial: Option<String>,
}
