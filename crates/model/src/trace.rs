use std::collections::{HashMap, HashSet};

use vivace_base::UnixNanos;

use crate::{Span, SpanId, SpanKind, TimeRange, TraceId};

/// All spans of one trace, without duplicates, ordered by start and span id, with what is true of the whole.
#[derive(Debug, Clone)]
pub struct Trace {
    id: TraceId,
    spans: Vec<Span>,
    parents: Vec<Option<usize>>,
    nested_sets: Vec<NestedSet>,
    child_counts: Vec<u32>,
    root: Option<usize>,
}

/// A span's place in the tree (`reference/tempo.md` 7.9): descendants lie between `left` and `right`; `parent` is the
/// parent's `left`, -1 for a root. All zero when the span is not connected to a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "described above")]
pub struct NestedSet {
    pub left: i32,
    pub right: i32,
    pub parent: i32,
}

impl Trace {
    /// Assembles a trace from its spans, in any order. Of spans with equal id and kind the first in (start, end) order
    /// is kept (`reference/tempo.md` 7.8). [`None`] when there are no spans.
    pub fn assemble(mut spans: Vec<Span>) -> Option<Self> {
        let id = spans.first()?.trace_id;
        spans.sort_by_key(|span| (span.start, span.span_id, span.kind as u8, span.end));
        let mut seen = HashSet::with_capacity(spans.len());
        spans.retain(|span| seen.insert((span.span_id, span.kind)));
        let parents = parent_indexes(&spans);
        let root = spans.iter().rposition(|span| span.parent_span_id.is_none());
        let (nested_sets, child_counts) = number(&spans, &parents);
        Some(Self { id, spans, parents, nested_sets, child_counts, root })
    }

    /// The trace's id.
    pub fn id(&self) -> TraceId {
        self.id
    }

    /// The spans by start, then span id.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The spans, given away.
    pub fn into_spans(self) -> Vec<Span> {
        self.spans
    }

    /// The span without a parent; the last one if there are several, [`None`] while it has not arrived.
    pub fn root(&self) -> Option<&Span> {
        self.root.map(|at| &self.spans[at])
    }

    /// Place in the tree of the span at `index`.
    pub fn nested_set(&self, index: usize) -> NestedSet {
        self.nested_sets.get(index).copied().unwrap_or_default()
    }

    /// Index of the parent of the span at `index`; [`None`] for a root, and while the parent has not arrived. A damaged
    /// trace may have spans that are their own ancestors.
    pub fn parent(&self, index: usize) -> Option<usize> {
        self.parents.get(index).copied().flatten()
    }

    /// Number of direct children of the span at `index`.
    pub fn child_count(&self, index: usize) -> u32 {
        self.child_counts.get(index).copied().unwrap_or_default()
    }

    /// From the first start to the last end of its spans; a span that ends before it starts ends when it starts.
    pub fn range(&self) -> TimeRange {
        let start = self.spans.first().map_or(0, |span| span.start);
        let end = self.spans.iter().map(|span| span.end.max(span.start)).max().unwrap_or(start);
        TimeRange { start, end }
    }

    /// From the first start to the last end, in nanoseconds.
    pub fn duration(&self) -> UnixNanos {
        let range = self.range();
        range.end - range.start
    }
}

/// For each span the index of its parent. A server span that shares its id with a client span (Zipkin) is that
/// client's child.
fn parent_indexes(spans: &[Span]) -> Vec<Option<usize>> {
    let mut by_id: HashMap<SpanId, Vec<usize>> = HashMap::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        by_id.entry(span.span_id).or_default().push(index);
    }
    let shared_client = |index: usize, span: &Span| {
        let twins = by_id.get(&span.span_id)?;
        let is_client = |twin: &&usize| **twin != index && spans[**twin].kind == SpanKind::Client;
        (span.kind == SpanKind::Server).then(|| twins.iter().find(is_client).copied()).flatten()
    };
    let named_parent = |index: usize, span: &Span| {
        let candidates = by_id.get(&span.parent_span_id?)?;
        let not_itself = || candidates.iter().filter(|at| **at != index);
        // A child belongs to the callee's side of a shared id, unless it is that callee's own client half.
        let server = not_itself().find(|at| spans[**at].kind == SpanKind::Server);
        server.or_else(|| not_itself().next()).copied()
    };
    let parent = |(index, span)| shared_client(index, span).or_else(|| named_parent(index, span));
    spans.iter().enumerate().map(parent).collect()
}

/// Numbers the tree depth first from its roots, in span order, without recursion.
fn number(spans: &[Span], parents: &[Option<usize>]) -> (Vec<NestedSet>, Vec<u32>) {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    for (index, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(index);
        }
    }
    let mut sets = vec![NestedSet::default(); spans.len()];
    let mut counter = 0;
    let mut next = || {
        counter += 1;
        counter
    };
    let is_root = |index: &usize| spans[*index].parent_span_id.is_none() && parents[*index].is_none();
    for root in (0..spans.len()).filter(is_root) {
        sets[root] = NestedSet { left: next(), right: 0, parent: -1 };
        let mut path = vec![(root, 0)];
        while let Some((span, child)) = path.last_mut() {
            let Some(&below) = children[*span].get(*child) else {
                sets[*span].right = next();
                path.pop();
                continue;
            };
            *child += 1;
            sets[below] = NestedSet { left: next(), right: 0, parent: sets[*span].left };
            path.push((below, 0));
        }
    }
    let counts = children.iter().map(|below| u32::try_from(below.len()).unwrap_or(u32::MAX)).collect();
    (sets, counts)
}

#[cfg(test)]
mod tests;
