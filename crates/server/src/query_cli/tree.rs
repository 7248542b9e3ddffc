//! Which span stands under which, whatever a broken trace claims: missing parents, several roots, cycles.

use std::collections::HashMap;

use super::answer::SpanView;

/// The spans of a trace as a forest, by index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forest {
    /// Spans without a parent.
    pub(super) roots: Vec<usize>,
    /// Spans whose parent is not in the trace.
    pub(super) orphans: Vec<usize>,
    /// One span of each ring of spans that are their own ancestors.
    pub(super) cycles: Vec<usize>,
    children: Vec<Vec<usize>>,
}

/// A line of the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Which span.
    pub(super) span: usize,
    /// Ancestors above it.
    pub(super) depth: usize,
    /// Whether no sibling follows.
    pub(super) last: bool,
}

impl Forest {
    /// Orders siblings by start.
    pub(super) fn new(spans: &[SpanView]) -> Self {
        let mut by_id = HashMap::with_capacity(spans.len());
        for (index, span) in spans.iter().enumerate() {
            by_id.entry(span.id.as_str()).or_insert(index);
        }
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|index| (spans[*index].start, *index));

        let mut forest = Forest { children: vec![Vec::new(); spans.len()], ..Forest::default() };
        for &index in &order {
            let parent = spans[index].parent.as_str();
            match by_id.get(parent) {
                _ if parent.is_empty() => forest.roots.push(index),
                None => forest.orphans.push(index),
                Some(&parent) => forest.children[parent].push(index),
            }
        }
        forest.find_cycles(&order);
        forest
    }

    /// What no root or orphan leads to is in a cycle or below one.
    fn find_cycles(&mut self, order: &[usize]) {
        let mut reached = vec![false; order.len()];
        let heads: Vec<usize> = self.roots.iter().chain(&self.orphans).copied().collect();
        for head in heads {
            self.reach(head, &mut reached);
        }
        for &index in order {
            if !reached[index] {
                self.cycles.push(index);
                self.reach(index, &mut reached);
            }
        }
    }

    /// Marks everything below `head`, and cuts the edges that lead back.
    fn reach(&mut self, head: usize, reached: &mut [bool]) {
        let mut stack = vec![head];
        reached[head] = true;
        while let Some(index) = stack.pop() {
            self.children[index].retain(|&child| {
                let new = !std::mem::replace(&mut reached[child], true);
                if new {
                    stack.push(child);
                }
                new
            });
        }
    }

    /// The lines below and with `heads`, depth first.
    pub(super) fn lines<'a>(&'a self, heads: &[usize]) -> impl Iterator<Item = Line> + use<'a> {
        let mut stack: Vec<Line> =
            heads.iter().rev().map(|&span| Line { span, depth: 0, last: true }).collect();
        std::iter::from_fn(move || {
            let line = stack.pop()?;
            let children = self.children[line.span].iter().rev().enumerate();
            stack.extend(children.map(|(i, &span)| Line { span, depth: line.depth + 1, last: i == 0 }));
            Some(line)
        })
    }
}

#[cfg(test)]
mod tests;
