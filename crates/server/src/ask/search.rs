use std::time::Duration;

use vivace_base::UnixNanos;
use vivace_model::TimeRange;
use vivace_query::SearchRequest;
use vivace_traceql::{FieldExpr, MetricsSource, Pipeline, Query, SpansetExpr, Stage, Static};

use super::{InvalidQuestion, When, legacy, traceql};
use crate::config::Limits;
use crate::duration;

/// A search (`reference/tempo.md` 2.3). Without query and tags every trace matches.
#[derive(Debug, Clone, Default)]
pub(crate) struct SearchQuestion {
    /// TraceQL; empty for none.
    pub(crate) query: String,
    /// Values that must occur in the trace, each key once. Not beside a query.
    pub(crate) tags: Vec<(String, String)>,
    /// Only traces at least this long.
    pub(crate) min_duration: Option<Duration>,
    /// Only traces at most this long.
    pub(crate) max_duration: Option<Duration>,
    /// How many traces.
    pub(crate) limit: Option<u32>,
    /// How many spans of each; 0 is the default, as Tempo's engine takes it.
    pub(crate) spans_per_span_set: Option<u32>,
    /// When.
    pub(crate) when: When,
}

impl SearchQuestion {
    /// What the engine is to do.
    ///
    /// # Errors
    /// [`InvalidQuestion`] says which part is wrong.
    pub(crate) fn request(&self, limits: &Limits, now: UnixNanos) -> Result<SearchRequest, InvalidQuestion> {
        let query = self.query()?;
        let (min, max) = (self.min_duration, self.max_duration);
        if let (Some(min), Some(max)) = (min, max)
            && max < min
        {
            return Err(InvalidQuestion::new("invalid maxDuration: must be greater than minDuration"));
        }
        Ok(SearchRequest {
            query,
            limit: self.limit(limits)?,
            spans_per_span_set: self.spans_per_span_set(limits)?,
            range: self.range(limits, now)?,
            min_duration: min.map(duration::nanos),
            max_duration: max.map(duration::nanos),
        })
    }

    fn query(&self) -> Result<Query, InvalidQuestion> {
        match (self.query.is_empty(), self.tags.is_empty()) {
            (false, false) => {
                Err(InvalidQuestion::new("invalid request: can't specify tags and q in the same query"))
            }
            (false, true) => first_stage(traceql(&self.query)?),
            (true, false) => legacy::query(&self.tags),
            (true, true) => Ok(spanset_query(SpansetExpr::Filter(FieldExpr::Literal(Static::Bool(true))))),
        }
    }

    fn limit(&self, limits: &Limits) -> Result<usize, InvalidQuestion> {
        let max = limits.max_result_limit;
        match self.limit.map(|limit| limit as usize) {
            None => Ok(limits.default_result_limit.min(max)),
            Some(0) => Err(InvalidQuestion::new("invalid limit: must be a positive number")),
            Some(limit) if limit > max => Err(InvalidQuestion::beyond(
                "max_result_limit",
                format!("limit {limit} exceeds max limit {max}"),
            )),
            Some(limit) => Ok(limit),
        }
    }

    fn spans_per_span_set(&self, limits: &Limits) -> Result<usize, InvalidQuestion> {
        let max = limits.max_spans_per_span_set;
        match self.spans_per_span_set.map(|spans| spans as usize) {
            None | Some(0) => Ok(limits.default_spans_per_span_set.min(max)),
            Some(spans) if spans > max => Err(InvalidQuestion::beyond(
                "max_spans_per_span_set",
                format!("spss {spans} exceeds max spans per span set {max}"),
            )),
            Some(spans) => Ok(spans),
        }
    }

    fn range(&self, limits: &Limits, now: UnixNanos) -> Result<TimeRange, InvalidQuestion> {
        let range = self.when.range(now)?;
        let max = limits.max_search_duration;
        // A range includes its last second whole, which does not count as length.
        let length = Duration::from_secs((range.end - range.start) / 1_000_000_000);
        if range != TimeRange::ALL && length > max {
            let (max, length) = (duration::print(max), duration::print(length));
            return Err(InvalidQuestion::beyond(
                "max_search_duration",
                format!("range specified by start and end exceeds {max}, it is {length}"),
            ));
        }
        Ok(range)
    }
}

/// A search for the spans that a metrics query measures.
fn first_stage(query: Query) -> Result<Query, InvalidQuestion> {
    if query.metrics.as_ref().is_some_and(|metrics| matches!(metrics.source, MetricsSource::Math(_))) {
        return Err(InvalidQuestion::new("math expressions not supported: ask for one of the operands"));
    }
    Ok(Query { metrics: None, ..query })
}

pub(super) fn spanset_query(spanset: SpansetExpr) -> Query {
    let pipeline = Pipeline { stages: vec![Stage::Spanset(spanset)] };
    Query { pipeline, metrics: None, hints: Vec::new() }
}
