use vivace_model::{Span, Trace, Value};

use super::SpanRef;

/// A trace as its spans in pre-order: parents before children, siblings by start, then id.
pub(super) struct Outline<'a> {
    pub(super) trace: &'a Trace,
    pub(super) nodes: Vec<Node<'a>>,
}

/// A span and its place.
pub(super) struct Node<'a> {
    pub(super) span: &'a Span,
    /// The span's own `service.name`, else its resource's; may be empty.
    pub(super) service: &'a str,
    /// Position of the parent in the outline.
    pub(super) parent: Option<usize>,
    /// Position among the siblings.
    index: usize,
    /// Steps from the root, the root's own included.
    depth: usize,
}

/// What makes spans of two traces the same operation.
pub(super) type Identity<'a> = (&'a str, &'a str, vivace_model::SpanKind);

impl<'a> Outline<'a> {
    /// Spans whose parent is missing are roots, and so is the first span of a cycle.
    pub(super) fn of(trace: &'a Trace) -> Self {
        let count = trace.spans().len();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut roots = Vec::new();
        for index in 0..count {
            match trace.parent(index) {
                Some(parent) => children[parent].push(index),
                None => roots.push(index),
            }
        }
        let mut outline = Self { trace, nodes: Vec::with_capacity(count) };
        let mut seen = vec![false; count];
        let in_cycles = 0..count;
        let mut root_count = 0;
        for root in roots.into_iter().chain(in_cycles) {
            if !seen[root] {
                outline.descend(root, root_count, &children, &mut seen);
                root_count += 1;
            }
        }
        outline
    }

    fn descend(&mut self, root: usize, index: usize, children: &[Vec<usize>], seen: &mut [bool]) {
        let mut waiting = vec![(root, None, index)];
        seen[root] = true;
        while let Some((at, parent, index)) = waiting.pop() {
            let span = &self.trace.spans()[at];
            let depth = parent.map_or(0, |parent: usize| self.nodes[parent].depth) + 1;
            let here = self.nodes.len();
            self.nodes.push(Node { span, service: service(span), parent, index, depth });
            let below: Vec<usize> = children[at]
                .iter()
                .copied()
                .filter(|child| !std::mem::replace(&mut seen[*child], true))
                .collect();
            waiting
                .extend(below.into_iter().enumerate().rev().map(|(index, child)| (child, Some(here), index)));
        }
    }

    /// Length of all paths together.
    pub(super) fn steps(&self) -> usize {
        self.nodes.iter().fold(0, |steps, node| steps.saturating_add(node.depth))
    }

    /// From the root down to the node at this position, by positions among siblings.
    pub(super) fn path(&self, position: usize) -> Vec<usize> {
        let above = std::iter::successors(self.nodes.get(position), |node| self.nodes.get(node.parent?));
        let mut path: Vec<usize> = above.map(|node| node.index).collect();
        path.reverse();
        path
    }

    /// Where to put the node at this position: below which path, as which child.
    pub(super) fn place(&self, position: usize) -> (Vec<usize>, usize) {
        let node = &self.nodes[position];
        (node.parent.map(|parent| self.path(parent)).unwrap_or_default(), node.index)
    }

    pub(super) fn span_ref(&self, position: usize) -> SpanRef {
        let node = &self.nodes[position];
        SpanRef {
            path: self.path(position),
            service: node.service.to_owned(),
            name: node.span.name.clone(),
            kind: node.span.kind.name(),
        }
    }

    pub(super) fn parent_identity(&self, position: usize) -> Option<Identity<'a>> {
        self.nodes[position].parent.map(|parent| self.nodes[parent].identity())
    }
}

impl<'a> Node<'a> {
    pub(super) fn identity(&self) -> Identity<'a> {
        (self.service, &self.span.name, self.span.kind)
    }

    /// Nanoseconds, if the span has a start and does not end before it.
    pub(super) fn duration(&self) -> Option<u64> {
        self.span.end.checked_sub(self.span.start).filter(|_| self.span.start > 0)
    }
}

fn service(span: &Span) -> &str {
    let own = span.attributes.iter().find(|attribute| attribute.key == "service.name");
    own.and_then(|attribute| Value::as_str(&attribute.value))
        .or(span.resource.service_name())
        .unwrap_or_default()
}
