use std::sync::Arc;

use vivace_query::{Held, MatchedSpan, SearchMetrics, SearchResponse, SpanSet, TraceMatch};

use super::chunks::Pieces;
use super::value::key_value;
use super::writer::Object;

/// What Tempo says while a trace's root has not arrived.
pub(crate) const NO_ROOT: &str = "<root span not yet received>";

/// `SearchResponse`, a span a piece: what waits for a slow reader stays small, whatever the trace.
#[derive(Debug)]
pub(super) struct SearchJson {
    traces: std::vec::IntoIter<Arc<TraceMatch>>,
    hit: Option<Hit>,
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
            hit: None,
            metrics: found.metrics,
            place: Place::Start,
            _held: found.held,
        }
    }

    fn write_end(&mut self, out: &mut String) {
        out.push_str("],\"metrics\":");
        metrics(&self.metrics, out);
        out.push('}');
        self.place = Place::End;
    }
}

impl Pieces for SearchJson {
    fn write_next(&mut self, out: &mut String) -> bool {
        if let Some(hit) = &mut self.hit {
            if !hit.write_next(out) {
                self.hit = None;
            }
            return true;
        }
        match self.place {
            Place::End => return false,
            Place::Start => {
                out.push_str(r#"{"traces":["#);
                self.place = Place::First;
            }
            Place::First | Place::Traces => match self.traces.find_map(Hit::new) {
                Some(hit) => {
                    if self.place == Place::Traces {
                        out.push(',');
                    }
                    self.hit = Some(hit);
                    self.place = Place::Traces;
                }
                None => self.write_end(out),
            },
        }
        true
    }
}

/// A trace that is being written. Its first set stands there twice, for clients of either age.
#[derive(Debug)]
struct Hit {
    found: Arc<TraceMatch>,
    /// Of the sets, those that have spans.
    sets: Vec<usize>,
    /// How many sets have been written, that of `spanSet` included.
    written: usize,
    /// The next span of the set.
    span: usize,
}

impl Hit {
    /// [`None`] for a trace without spans; see [`complete`].
    fn new(found: Arc<TraceMatch>) -> Option<Self> {
        let with_spans = |at: &usize| !found.span_sets[*at].spans.is_empty();
        let sets: Vec<usize> = (0..found.span_sets.len()).filter(with_spans).collect();
        if sets.is_empty() {
            tell_left_out(&found);
            return None;
        }
        Some(Self { found, sets, written: 0, span: 0 })
    }

    /// False after the last span.
    fn write_next(&mut self, out: &mut String) -> bool {
        let set = &self.found.span_sets[self.sets[self.written.saturating_sub(1)]];
        if self.span == 0 {
            self.open_set(out);
        } else {
            out.push(',');
        }
        span(&set.spans[self.span], out);
        self.span += 1;
        if self.span < set.spans.len() {
            return true;
        }
        out.push(']');
        close_set(set, out);
        (self.span, self.written) = (0, self.written + 1);
        if self.written <= self.sets.len() {
            return true;
        }
        self.close(out);
        false
    }

    fn open_set(&self, out: &mut String) {
        match self.written {
            0 => {
                head(&self.found, out);
                out.push_str(r#","spanSet":"#);
            }
            1 => out.push_str(r#","spanSets":["#),
            _ => out.push(','),
        }
        out.push_str(r#"{"spans":["#);
    }

    fn close(&self, out: &mut String) {
        out.push(']');
        let mut object = Object::continuing(out);
        if !self.found.service_stats.is_empty() {
            object.object("serviceStats", |services| {
                for (name, stats) in &self.found.service_stats {
                    services.object(name, |service| {
                        service.u32("spanCount", stats.span_count);
                        service.u32("errorCount", stats.error_count);
                    });
                }
            });
        }
        object.close();
    }
}

fn tell_left_out(found: &TraceMatch) {
    tracing::warn!(trace = %found.trace_id, "a hit without spans is left out");
}

/// What comes before the sets; it always has the trace's id.
fn head(found: &TraceMatch, out: &mut String) {
    let mut object = Object::open(out);
    object.string("traceID", &found.trace_id.short_hex());
    object.string("rootServiceName", found.root_service_name.as_deref().unwrap_or(NO_ROOT));
    object.string("rootTraceName", found.root_trace_name.as_deref().unwrap_or_default());
    object.u64("startTimeUnixNano", found.start);
    object.u32("durationMs", u32::try_from(found.duration / 1_000_000).unwrap_or(u32::MAX));
}

/// What comes after the spans.
fn close_set(set: &SpanSet, out: &mut String) {
    let mut object = Object::continuing(out);
    object.u32("matched", set.matched);
    object.list("attributes", &set.attributes, |(key, value), out| key_value(key, value, out));
    object.close();
}

/// The trace if it has at least one spanset, each with at least one span. A client that finds none panics.
pub(crate) fn complete(found: Arc<TraceMatch>) -> Option<TraceMatch> {
    let mut found = Arc::unwrap_or_clone(found);
    found.span_sets.retain(|set| !set.spans.is_empty());
    if found.span_sets.is_empty() {
        tell_left_out(&found);
        return None;
    }
    Some(found)
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
