//! Which spans of a trace are there several times, and which share an id; told from ids, kinds and starts alone.

use vivace_base::UnixNanos;
use vivace_model::{Span, SpanId, SpanKind};

/// What is noted of each row. Small: a trace may have millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Noted {
    id: SpanId,
    kind: u8,
    /// Big-endian, so that it takes no padding and sorts by time.
    start: [u8; 8],
}

impl Noted {
    /// What [`Identities::new`] takes for each row, at most.
    pub(super) const WORKING_BYTES: u64 = 48;

    pub(super) fn new(id: SpanId, kind: SpanKind, start: UnixNanos) -> Self {
        Self { id, kind: kind as u8, start: start.to_be_bytes() }
    }

    pub(super) fn of(span: &Span) -> Self {
        Self::new(span.span_id, span.kind, span.start)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Identities {
    /// Spans that are there several times by id and kind, sorted, and whether one was met.
    repeated: Vec<((SpanId, u8), bool)>,
    /// Ids that a client and a server span share, sorted, and the server span's own.
    separate: Vec<(SpanId, SpanId)>,
}

impl Identities {
    /// From all rows of a trace, in any order.
    pub(super) fn new(mut rows: Vec<Noted>) -> Self {
        rows.sort_unstable();
        let mut repeated = Vec::new();
        let mut shared: Vec<([u8; 8], SpanId)> = Vec::new();
        for of_id in rows.chunk_by(|a, b| a.id == b.id) {
            let of_kind = |kind: SpanKind| of_id.iter().find(|row| row.kind == kind as u8);
            if let (Some(server), Some(_)) = (of_kind(SpanKind::Server), of_kind(SpanKind::Client)) {
                shared.push((server.start, server.id));
            }
            for alike in of_id.chunk_by(|a, b| a.kind == b.kind).filter(|alike| alike.len() > 1) {
                repeated.push(((alike[0].id, alike[0].kind), false));
            }
        }
        // The server spans in the order of the trace.
        shared.sort_unstable();
        let mut used = rows.iter().map(|row| row.id).peekable();
        let mut free = (1..=u64::MAX).map(|number| SpanId(number.to_be_bytes())).filter(|id| {
            while used.next_if(|other| other < id).is_some() {}
            used.peek() != Some(id)
        });
        let mut separate: Vec<_> =
            shared.into_iter().filter_map(|(_, id)| Some((id, free.next()?))).collect();
        separate.sort_unstable();
        Self { repeated, separate }
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> u64 {
        (size_of_val(&*self.repeated) + size_of_val(&*self.separate)) as u64
    }

    /// Whether the span is not there, or the first of its id and kind. Spans come in the order of the trace.
    pub(super) fn is_first(&mut self, span: &Span) -> bool {
        let key = (span.span_id, span.kind as u8);
        match self.repeated.binary_search_by_key(&key, |(known, _)| *known) {
            Ok(at) => !std::mem::replace(&mut self.repeated[at].1, true),
            Err(_) => true,
        }
    }

    /// Gives every server span that shares its id with a client span (Zipkin does that) the least id that is free, 1, 2
    /// and so on, and makes it the client span's child; the children of the shared id become the server span's
    /// (`reference/tempo.md` 2.1).
    pub(super) fn separate(&self, span: &mut Span) {
        if let (Some(id), SpanKind::Server) = (self.own(span.span_id), span.kind) {
            span.parent_span_id = Some(span.span_id);
            span.span_id = id;
        } else if let Some(parent) = span.parent_span_id.filter(|parent| *parent != span.span_id)
            && let Some(id) = self.own(parent)
        {
            span.parent_span_id = Some(id);
        }
    }

    fn own(&self, shared: SpanId) -> Option<SpanId> {
        let at = self.separate.binary_search_by_key(&shared, |(id, _)| *id).ok()?;
        Some(self.separate[at].1)
    }
}
