//! A trace by id, in portions: put in order from all pieces, and never whole in memory.

use std::sync::Arc;

use vivace_base::{Holder, MemoryBudget, Reservation, SPANS};
use vivace_model::{Span, Trace, TraceId};

use crate::QueryError;
use crate::decode::ASSEMBLED_BYTES;
use crate::source::Source;

mod identities;
mod merge;
mod weight;

use merge::Merge;
use weight::Weights;

/// A portion has at most so many spans.
const PORTION_SPANS: usize = 4_096;
/// A portion ends with the span with which it takes so many bytes.
const PORTION_BYTES: u64 = 8 << 20;

/// A trace's spans, a portion at a time. Every span is in one portion, none is there twice, and no two spans of a call
/// share an id (`reference/tempo.md` 2.1, 7.8). Within a portion they are ordered as in a [`Trace`], and no portion
/// has spans that start before those of the portion before it.
#[derive(Debug)]
pub struct TracePortions {
    id: TraceId,
    /// Read already.
    first: Option<Vec<Span>>,
    rest: Rest,
    /// How many more spans are given out.
    left: usize,
}

/// All spans of a trace at once, and the memory they take.
#[derive(Debug)]
pub struct WholeTrace {
    /// The trace.
    pub trace: Trace,
    /// For as long as the trace is in memory.
    pub reserved: Reservation,
    /// Why it may not be complete; [`None`] when it is.
    pub partial: Option<String>,
}

#[derive(Debug)]
enum Rest {
    Stored(Box<Merge>),
    Assembled { spans: std::vec::IntoIter<Span>, _reserved: Option<Reservation> },
}

impl TracePortions {
    /// Finds a trace; [`None`] when it has no spans. The first portion is read when this returns.
    #[tracing::instrument(target = SPANS, level = "trace", name = "first portion", skip_all)]
    pub(crate) async fn find(
        source: &Arc<Source>,
        budget: &Arc<MemoryBudget>,
        id: TraceId,
    ) -> Result<Option<Self>, QueryError> {
        let mut merge = Merge::new(source, budget, id).await?;
        let first = merge.portion().await?;
        let portions =
            |first| Self { id, first: Some(first), rest: Rest::Stored(Box::new(merge)), left: usize::MAX };
        Ok(first.map(portions))
    }

    /// The portions of a trace that is in memory, for as long as its reservation lives.
    pub fn of(trace: Trace, reserved: Option<Reservation>) -> Self {
        let id = trace.id();
        let rest = Rest::Assembled { spans: trace.into_spans().into_iter(), _reserved: reserved };
        Self { id, first: None, rest, left: usize::MAX }
    }

    /// Only the first so many spans, at least one.
    pub fn first_spans(self, count: usize) -> Self {
        Self { left: count.max(1), ..self }
    }

    /// The trace's id.
    pub fn id(&self) -> TraceId {
        self.id
    }

    /// Why the portions so far may not be all there is; [`None`] when nothing is known to be missing.
    pub fn partial(&self) -> Option<String> {
        match &self.rest {
            Rest::Stored(merge) => merge.partial(),
            Rest::Assembled { .. } => None,
        }
    }

    /// The next portion, never empty; [`None`] at the end.
    ///
    /// # Errors
    /// [`QueryError`] when the rest cannot be read; what was read so far is not all.
    pub async fn next(&mut self) -> Result<Option<Vec<Span>>, QueryError> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut portion = self.read_next().await?;
        if let Some(spans) = &mut portion {
            spans.truncate(self.left);
            self.left -= spans.len();
        }
        Ok(portion)
    }

    async fn read_next(&mut self) -> Result<Option<Vec<Span>>, QueryError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        match &mut self.rest {
            Rest::Stored(merge) => merge.portion().await,
            Rest::Assembled { spans, .. } => {
                let mut portion = Portion::default();
                while !portion.is_full()
                    && let Some(span) = spans.next()
                {
                    portion.push(span);
                }
                Ok(portion.finish())
            }
        }
    }

    /// All portions as one trace.
    ///
    /// # Errors
    /// [`QueryError::TooLargeTrace`] when it does not fit into memory, and as [`TracePortions::next`].
    pub async fn whole(mut self, budget: &Arc<MemoryBudget>) -> Result<WholeTrace, QueryError> {
        let trace = self.id;
        let refused = |refused| QueryError::TooLargeTrace { trace, refused };
        let mut reserved = budget.reserve(Holder::Query, 0).map_err(refused)?;
        let (mut all, mut weights) = (Vec::new(), Weights::default());
        while let Some(portion) = self.next().await? {
            let bytes: u64 = portion.iter().map(|span| weights.next(span) + ASSEMBLED_BYTES).sum();
            reserved.resize(reserved.bytes() + bytes).map_err(refused)?;
            all.extend(portion);
        }
        let trace = Trace::assemble(all).expect("a trace that is found has spans");
        Ok(WholeTrace { trace, reserved, partial: self.partial() })
    }
}

/// A portion under way.
#[derive(Default)]
struct Portion {
    spans: Vec<Span>,
    weights: Weights,
    bytes: u64,
}

impl Portion {
    fn is_full(&self) -> bool {
        self.spans.len() >= PORTION_SPANS || self.bytes >= PORTION_BYTES
    }

    fn push(&mut self, span: Span) {
        self.bytes += self.weights.next(&span);
        self.spans.push(span);
    }

    fn finish(self) -> Option<Vec<Span>> {
        (!self.spans.is_empty()).then_some(self.spans)
    }
}

#[cfg(test)]
pub(crate) mod tests;
