//! Relations between the spans of a trace, by parent links. Each takes time linear in the spans of the trace.

use std::collections::{HashMap, HashSet};

use vivace_model::{SpanId, Trace};

use crate::plan::Relation;

/// Those of `to` that are in `relation` to some span of `from`: its children, its ancestors, and so on.
pub(super) fn related(trace: &Trace, relation: Relation, from: &[usize], to: &[usize]) -> HashSet<usize> {
    let to = to.iter().copied();
    match relation {
        Relation::Child => {
            let from = marked(trace, from);
            to.filter(|at| trace.parent(*at).is_some_and(|parent| from[parent])).collect()
        }
        Relation::Parent => {
            let mut parents = vec![false; trace.spans().len()];
            from.iter().filter_map(|at| trace.parent(*at)).for_each(|parent| parents[parent] = true);
            to.filter(|at| parents[*at]).collect()
        }
        Relation::Descendant => {
            let below = below(trace, &marked(trace, from));
            to.filter(|at| below[*at]).collect()
        }
        Relation::Ancestor => {
            let above = above(trace, from);
            to.filter(|at| above[*at]).collect()
        }
        Relation::Sibling => siblings(trace, from, to),
    }
}

fn marked(trace: &Trace, spans: &[usize]) -> Vec<bool> {
    let mut marks = vec![false; trace.spans().len()];
    spans.iter().for_each(|at| marks[*at] = true);
    marks
}

/// For each span whether an ancestor is marked. Every span is decided once, on the way back down from the first one
/// above it that is known.
fn below(trace: &Trace, marks: &[bool]) -> Vec<bool> {
    let mut known: Vec<Option<bool>> = vec![None; marks.len()];
    let mut place_on_path: Vec<Option<usize>> = vec![None; marks.len()];
    let mut path: Vec<usize> = Vec::new();
    for span in 0..marks.len() {
        let mut next = Some(span);
        let mut is_below = loop {
            let Some(at) = next else { break false };
            if let Some(is_below) = known[at] {
                break is_below || marks[at];
            }
            // Spans that are their own ancestors: all of the circle is above each of them.
            if let Some(place) = place_on_path[at] {
                break path[place..].iter().any(|met| marks[*met]);
            }
            place_on_path[at] = Some(path.len());
            path.push(at);
            next = trace.parent(at);
        };
        while let Some(at) = path.pop() {
            known[at] = Some(is_below);
            is_below |= marks[at];
        }
    }
    known.into_iter().map(|is_below| is_below.unwrap_or(false)).collect()
}

/// For each span whether it is an ancestor of one of `from`. Walks up until where another walk has been.
fn above(trace: &Trace, from: &[usize]) -> Vec<bool> {
    let mut above = vec![false; trace.spans().len()];
    for span in from {
        let mut at = trace.parent(*span);
        while let Some(parent) = at.filter(|parent| !above[*parent]) {
            above[parent] = true;
            at = trace.parent(parent);
        }
    }
    above
}

/// Spans with the same parent are siblings, whether it has arrived or not; so are spans without one.
fn siblings(trace: &Trace, from: &[usize], to: impl Iterator<Item = usize>) -> HashSet<usize> {
    let parent = |at: usize| match trace.parent(at) {
        Some(parent) => Parent::Known(parent),
        None => {
            trace.spans().get(at).and_then(|span| span.parent_span_id).map_or(Parent::None, Parent::Missing)
        }
    };
    let mut families: HashMap<Parent, Family> = HashMap::new();
    for at in from {
        let family = families.entry(parent(*at)).or_insert(Family { one: *at, several: false });
        family.several |= family.one != *at;
    }
    let has_sibling =
        |at: &usize| families.get(&parent(*at)).is_some_and(|family| family.several || family.one != *at);
    to.filter(has_sibling).collect()
}

#[derive(PartialEq, Eq, Hash)]
enum Parent {
    None,
    Known(usize),
    Missing(SpanId),
}

struct Family {
    one: usize,
    several: bool,
}
