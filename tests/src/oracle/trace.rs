//! Traces put together from spans, and what is true of each span within its trace.

use std::collections::{BTreeMap, HashSet};

use vivace_model::{NestedSet, Span, SpanId, SpanKind, Trace, TraceId};

/// A span as the rules see it: itself and what is true of its trace.
pub(crate) struct Subject<'a> {
    /// Its place in the order of the trace.
    pub(crate) at: usize,
    pub(crate) span: &'a Span,
    pub(crate) parent: Parent,
    pub(crate) root: Option<&'a Span>,
    pub(crate) trace_duration: u64,
    pub(crate) nested_set: NestedSet,
    pub(crate) child_count: u32,
}

/// What a span hangs on. Spans with equal ones are siblings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Parent {
    /// It names no parent.
    Nobody,
    /// The parent has not arrived.
    Missing(SpanId),
    /// The span at this place of the trace.
    At(usize),
}

/// The spans of each trace, without duplicates, in order.
pub(crate) fn traces(spans: &[Span]) -> Vec<Vec<Span>> {
    let mut by_trace: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
    for span in spans {
        by_trace.entry(span.trace_id).or_default().push(span.clone());
    }
    by_trace.into_values().map(without_duplicates).collect()
}

/// In order of start and span id; of those with the same id and kind the one that started, then ended first.
fn without_duplicates(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.start, span.end));
    let mut seen: HashSet<(SpanId, SpanKind)> = HashSet::new();
    spans.retain(|span| seen.insert((span.span_id, span.kind)));
    spans.sort_by_key(|span| (span.start, span.span_id, span.kind as u8));
    spans
}

/// From the first start to the last end.
pub(crate) fn range(trace: &[Span]) -> (u64, u64) {
    let start = trace.iter().map(|span| span.start).min().expect("a trace has spans");
    let end = trace.iter().map(|span| span.end.max(span.start)).max().expect("a trace has spans");
    (start, end)
}

/// The span without a parent; the last of several.
pub(crate) fn root(trace: &[Span]) -> Option<&Span> {
    trace.iter().rfind(|span| span.parent_span_id.is_none())
}

/// The spans of a trace as [`traces`] gives it.
pub(crate) fn subjects(trace: &[Span]) -> Vec<Subject<'_>> {
    let tree = Trace::assemble(trace.to_vec()).expect("a trace has spans");
    let (start, end) = range(trace);
    let subject = |(at, span)| Subject {
        at,
        span,
        parent: parent(trace, at),
        root: root(trace),
        trace_duration: end - start,
        nested_set: tree.nested_set(at),
        child_count: tree.child_count(at),
    };
    trace.iter().enumerate().map(subject).collect()
}

/// A server that shares its id with a client is the client's child; other children of that id are the server's.
fn parent(trace: &[Span], at: usize) -> Parent {
    let span = &trace[at];
    let others =
        |id: SpanId| (0..trace.len()).filter(move |other| *other != at && trace[*other].span_id == id);
    if span.kind == SpanKind::Server
        && let Some(client) = others(span.span_id).find(|other| trace[*other].kind == SpanKind::Client)
    {
        return Parent::At(client);
    }
    let Some(id) = span.parent_span_id else { return Parent::Nobody };
    let server = others(id).find(|other| trace[*other].kind == SpanKind::Server);
    server.or_else(|| others(id).next()).map_or(Parent::Missing(id), Parent::At)
}
