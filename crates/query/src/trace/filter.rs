use std::collections::HashMap;

use vivace_model::{SpanId, Trace};
use vivace_traceql::{Attribute, Intrinsic, SpansetExpr, Stage, parse_validated};

use crate::QueryError;
use crate::eval::{Filter, rows};

/// Selects spans of one trace: a TraceQL `{ … }` that looks at single spans (`reference/tempo.md` 2.2).
#[derive(Debug, Clone)]
pub struct SpanFilter(Filter);

/// How many generations of spans; [`None`] for all there are.
pub type Levels = Option<usize>;

/// Which relatives of the selected spans are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hierarchy {
    /// Parents, their parents and so on.
    pub ancestors: Levels,
    /// Children, their children and so on.
    pub descendants: Levels,
}

/// What a filter leaves of a trace.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The trace; [`None`] when no span is left.
    pub trace: Option<Trace>,
    /// How many spans are gone.
    pub dropped: usize,
}

impl Hierarchy {
    /// Nothing but the selected spans.
    pub const NONE: Self = Self { ancestors: Some(0), descendants: Some(0) };
}

impl SpanFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for what is no TraceQL, is more than one `{ … }`, or looks at more than one span.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let query = parse_validated(text)
            .map_err(|error| QueryError::Invalid(format!("invalid TraceQL query: {error}")))?;
        if query.metrics.is_some() {
            return Err(refused("metrics functions"));
        }
        let expr = match query.pipeline.stages.as_slice() {
            [Stage::Spanset(SpansetExpr::Filter(expr))] => expr,
            [Stage::Spanset(_)] => return Err(refused("operators between spansets")),
            [Stage::ScalarFilter(_)] => return Err(refused("aggregates")),
            _ => return Err(refused("pipelines")),
        };
        let filter = Filter::compile(expr)?;
        match filter.attributes().iter().find(|attribute| looks_further(attribute)) {
            Some(attribute) => Err(refused(&format!("`{attribute}`, which is not known from a span alone,"))),
            None => Ok(Self(filter)),
        }
    }

    /// The spans the filter holds for, for some choice of one event and one link, and their relatives.
    pub fn keep(&self, trace: Trace, hierarchy: Hierarchy) -> Kept {
        let count = trace.spans().len();
        let matches: Vec<bool> = (0..count).map(|index| rows::holds(&self.0, &trace, index)).collect();
        let relatives = Relatives::of(&trace);
        let above = walk(&matches, hierarchy.ancestors, |index| relatives.parents(index));
        let below = walk(&matches, hierarchy.descendants, |index| relatives.children(index));
        let kept = above.iter().zip(&below).map(|(above, below)| *above || *below);
        let kept: Vec<bool> = kept.collect();
        let dropped = kept.iter().filter(|kept| !**kept).count();
        if dropped == 0 {
            return Kept { trace: Some(trace), dropped };
        }
        let mut spans = trace.into_spans();
        let mut kept = kept.into_iter();
        spans.retain(|_| kept.next().unwrap_or(false));
        Kept { trace: Trace::assemble(spans), dropped }
    }
}

fn refused(what: &str) -> QueryError {
    QueryError::Invalid(format!(
        "{what} cannot filter the spans of a trace: `q` is one {{ … }} over single spans"
    ))
}

/// Whether a value depends on the whole trace.
fn looks_further(attribute: &Attribute) -> bool {
    use Intrinsic as I;
    matches!(
        attribute,
        Attribute::Intrinsic(
            I::RootName
                | I::RootServiceName
                | I::TraceDuration
                | I::TraceId
                | I::ChildCount
                | I::NestedSetLeft
                | I::NestedSetRight
                | I::NestedSetParent
        )
    )
}

/// Who is related to whom by span ids alone: of several spans with one id all are.
struct Relatives<'a> {
    trace: &'a Trace,
    by_id: HashMap<SpanId, Vec<usize>>,
    by_parent: HashMap<SpanId, Vec<usize>>,
}

impl<'a> Relatives<'a> {
    fn of(trace: &'a Trace) -> Self {
        let mut by_id: HashMap<SpanId, Vec<usize>> = HashMap::new();
        let mut by_parent: HashMap<SpanId, Vec<usize>> = HashMap::new();
        for (index, span) in trace.spans().iter().enumerate() {
            by_id.entry(span.span_id).or_default().push(index);
            if let Some(parent) = span.parent_span_id {
                by_parent.entry(parent).or_default().push(index);
            }
        }
        Self { trace, by_id, by_parent }
    }

    fn parents(&self, index: usize) -> &[usize] {
        let parent = self.trace.spans()[index].parent_span_id;
        parent.and_then(|id| self.by_id.get(&id)).map_or(&[], Vec::as_slice)
    }

    fn children(&self, index: usize) -> &[usize] {
        self.by_parent.get(&self.trace.spans()[index].span_id).map_or(&[], Vec::as_slice)
    }
}

/// The spans to start from and those reached in so many steps; none is visited twice, so cycles end.
fn walk<'a>(from: &[bool], levels: Levels, next: impl Fn(usize) -> &'a [usize]) -> Vec<bool> {
    let mut reached = from.to_vec();
    let mut front: Vec<usize> = (0..from.len()).filter(|index| from[*index]).collect();
    let mut left = levels;
    while !front.is_empty() && left != Some(0) {
        let steps = front.iter().flat_map(|index| next(*index).iter().copied());
        let steps: Vec<usize> =
            steps.filter(|index| !std::mem::replace(&mut reached[*index], true)).collect();
        front = steps;
        left = left.map(|left| left - 1);
    }
    reached
}

#[cfg(test)]
mod tests;
