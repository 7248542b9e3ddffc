use std::sync::Arc;

use vivace_query::{Held, MatchedSpan, SearchMetrics, SearchResponse, SpanSet, TraceMatch};

use super::chunks::Pieces;
use super::value::key_value;
use super::writer::Object;

/// What Tempo says while a trace's root has not arrived.
pub(crate) const NO_ROOT: &str = "<root span not yet received>";

/// `SearchResponse`, a trace a piece.
#[derive(Debug)]
pub(super) struct SearchJson {
    traces: std::vec::IntoIter<Arc<TraceMatch>>,
    metrics: SearchMetrics,
    place: Place,
    _held: Held,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    First,
    Traces,
    End,
}

impl SearchJson {
    pub(super) fn new(found: SearchResponse) -> Self {
        Self {
            traces: found.traces.into_iter(),
            metrics: found.metrics,
            place: Place::Start,
            _held: found.held,
        }
    }
}

impl Pieces for SearchJson {
    fn write_next(&mut self, out: &mut String) -> bool {
        match self.place {
            Place::End => return false,
            Place::Start => {
                out.push_str(r#"{"traces":["#);
                self.place = Place::First;
            }
            Place::First | Place::Traces => match self.traces.find_map(complete) {
                Some(found) => {
                    if self.place == Place::Traces {
                        out.push(',');
                    }
                    hit(&found, out);
                    self.place = Place::Traces;
                }
                None => {
                    out.push_str("],\"metrics\":");
                    metrics(&self.metrics, out);
                    out.push('}');
                    self.place = Place::End;
                }
            },
        }
        true
    }
}

/// The trace if it has at least one spanset, each with at least one span. A client that finds none panics.
pub(crate) fn complete(found: Arc<TraceMatch>) -> Option<TraceMatch> {
    let mut found = Arc::unwrap_or_clone(found);
    found.span_sets.retain(|set| !set.spans.is_empty());
    if found.span_sets.is_empty() {
        tracing::warn!(trace = %found.trace_id, "a hit without spans is left out");
        return None;
    }
    Some(found)
}

fn hit(found: &TraceMatch, out: &mut String) {
    let mut object = Object::open(out);
    object.string("traceID", &found.trace_id.short_hex());
    object.string("rootServiceName", found.root_service_name.as_deref().unwrap_or(NO_ROOT));
    object.string("rootTraceName", found.root_trace_name.as_deref().unwrap_or_default());
    object.u64("startTimeUnixNano", found.start);
    object.u32("durationMs", u32::try_from(found.duration / 1_000_000).unwrap_or(u32::MAX));
    span_sets(&found.span_sets, &mut object);
    if !found.service_stats.is_empty() {
        object.object("serviceStats", |services| {
            for (name, stats) in &found.service_stats {
                services.object(name, |service| {
                    service.u32("spanCount", stats.span_count);
                    service.u32("errorCount", stats.error_count);
                });
            }
        });
    }
    object.close();
}

/// The first set stands there twice, for clients of either age.
fn span_sets(sets: &[SpanSet], object: &mut Object<'_>) {
    let Some((first, others)) = sets.split_first() else { return };
    let out = object.key("spanSet");
    let start = out.len();
    span_set(first, out);
    let written = start..out.len();
    let out = object.key("spanSets");
    out.push('[');
    out.extend_from_within(written);
    for set in others {
        out.push(',');
        span_set(set, out);
    }
    out.push(']');
}

fn span_set(set: &SpanSet, out: &mut String) {
    let mut object = Object::open(out);
    object.array("spans", &set.spans, span);
    object.u32("matched", set.matched);
    object.list("attributes", &set.attributes, |(key, value), out| key_value(key, value, out));
    object.close();
}

fn span(span: &MatchedSpan, out: &mut String) {
    let mut object = Object::open(out);
    object.string("spanID", &span.span_id.to_string());
    object.string("name", &span.name);
    object.u64("startTimeUnixNano", span.start);
    object.u64("durationNanos", span.duration);
    object.list("attributes", &span.attributes, |(key, value), out| key_value(key, value, out));
    object.close();
}

/// `SearchMetrics`
pub(super) fn metrics(metrics: &SearchMetrics, out: &mut String) {
    let mut object = Object::open(out);
    object.u32("inspectedTraces", metrics.inspected_traces);
    object.u64("inspectedBytes", metrics.inspected_bytes);
    object.u32("totalBlocks", metrics.total_blocks);
    object.u32("completedJobs", metrics.completed_jobs);
    object.u32("totalJobs", metrics.total_jobs);
    object.u64("totalBlockBytes", metrics.total_block_bytes);
    object.u64("inspectedSpans", metrics.inspected_spans);
    object.close();
}
