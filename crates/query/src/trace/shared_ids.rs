use std::collections::{HashMap, HashSet};

use vivace_model::{Span, SpanId, SpanKind, Trace};

/// Gives every server span that shares its id with a client span (Zipkin does that) the least id that is free, 1, 2
/// and so on, and makes it the client span's child; the children of the shared id become the server span's
/// (`reference/tempo.md` 2.1). A trace without shared ids is left as it is.
pub fn separate_shared_ids(trace: Trace) -> Trace {
    let shared = shared(trace.spans());
    if shared.is_empty() {
        return trace;
    }
    let used: HashSet<SpanId> = trace.spans().iter().map(|span| span.span_id).collect();
    let free = (1..=u64::MAX).map(|number| SpanId(number.to_be_bytes())).filter(|id| !used.contains(id));
    let fresh: HashMap<SpanId, SpanId> = shared.into_iter().zip(free).collect();
    let mut spans = trace.into_spans();
    for span in &mut spans {
        let own = fresh.get(&span.span_id);
        let of_parent = span.parent_span_id.and_then(|parent| fresh.get(&parent));
        if let (Some(id), SpanKind::Server) = (own, span.kind) {
            span.parent_span_id = Some(span.span_id);
            span.span_id = *id;
        } else if let (Some(id), true) = (of_parent, span.parent_span_id != Some(span.span_id)) {
            span.parent_span_id = Some(*id);
        }
    }
    Trace::assemble(spans).expect("a trace has spans, and none was taken away")
}

/// The ids that a client and a server span have in common, in the order of the server spans.
fn shared(spans: &[Span]) -> Vec<SpanId> {
    let of_kind = |kind| spans.iter().filter(move |span| span.kind == kind).map(|span| span.span_id);
    let clients: HashSet<SpanId> = of_kind(SpanKind::Client).collect();
    of_kind(SpanKind::Server).filter(|id| clients.contains(id)).collect()
}

#[cfg(test)]
mod tests;
