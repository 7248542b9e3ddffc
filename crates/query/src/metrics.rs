//! Metrics queries: from spans to series (`docs/adr/0005-what-pipelines-and-metrics-compute.md`).

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use vivace_base::{Holder, Reservation, SPANS};
use vivace_traceql::{MathExpr, MetricsFunction, MetricsSource, Pipeline, SecondStage};

use crate::repeats::RepeatsOf;
use crate::search::SearchContext;
use crate::{Exemplar, MetricsRequest, MetricsResponse, Progress, QueryError, Sample, SearchMetrics, Series};

mod collect;
mod columns;
mod compare;
mod exemplars;
mod lines;
mod picks;
mod plan;
mod sampling;
mod second;
mod sketch;
mod steps;
mod summaries;
mod table;
mod tally;

use collect::{Collected, collect};
use lines::{Line, Lines, lines, sort};
use plan::{Function, MetricsPlan};
use second::{Term, apply, arithmetic, number};
use steps::milliseconds;

/// How many series an answer has at most.
const MAX_SERIES: usize = 20_000;

/// Answers a metrics query.
#[tracing::instrument(target = SPANS, level = "trace", name = "measure", skip_all)]
pub(crate) async fn metrics(
    context: &SearchContext<'_>,
    repeats: RepeatsOf<'_>,
    request: &MetricsRequest,
    progress: Progress<'_, MetricsResponse>,
) -> Result<MetricsResponse, QueryError> {
    let Some(metrics) = &request.query.metrics else {
        return Err(QueryError::Invalid("not a metrics query".to_owned()));
    };
    let mut run = Run {
        context,
        request,
        totals: SearchMetrics {
            total_blocks: context.source.block_count,
            total_block_bytes: context.source.block_bytes,
            inspected_bytes: context.source.block_bytes,
            ..SearchMetrics::default()
        },
        repeats,
        memory: context.budget.reserve(Holder::Query, 0)?,
    };
    let lines = match &metrics.source {
        MetricsSource::Function(function) => {
            run.function(&request.query.pipeline, function, &[], progress).await?
        }
        MetricsSource::Math(expr) => match run.math(expr, progress).await? {
            Term::Lines(lines) => lines,
            Term::Number { .. } => return Err(QueryError::Invalid("not a metrics query".to_owned())),
        },
    };
    Ok(run.answer(apply(lines, &metrics.second)))
}

struct Run<'a, 'c> {
    context: &'a SearchContext<'c>,
    request: &'a MetricsRequest,
    totals: SearchMetrics,
    repeats: RepeatsOf<'a>,
    memory: Reservation,
}

impl Run<'_, '_> {
    /// The series of one function, in order.
    async fn function(
        &mut self,
        pipeline: &Pipeline,
        function: &MetricsFunction,
        stages: &[SecondStage],
        progress: Progress<'_, MetricsResponse>,
    ) -> Result<Lines, QueryError> {
        let MetricsRequest { query, window, exemplars, .. } = self.request;
        let plan = MetricsPlan::compile(pipeline, function, &query.hints, *window, *exemplars)?;
        let plan = Arc::new(plan);
        let collected = collect(self.context, self.repeats, &plan, &mut self.totals, progress).await?;
        let plan = &*plan;
        let (mut lines, _reserved) = match collected {
            Collected::Series(table) => {
                let (groups, reserved) = table.into_groups();
                let per_group = match &plan.function {
                    Function::Quantiles { quantiles, .. } => quantiles.len(),
                    _ => 1,
                };
                self.reserve(groups.len() * per_group)?;
                (lines(plan, groups), reserved)
            }
            Collected::Compare(table) => {
                let top_n = if let Function::Compare(compare) = &plan.function { compare.top_n } else { 0 };
                self.reserve(table.line_count(top_n))?;
                table.into_lines(plan, top_n)
            }
        };
        lines.retain(|line| !line.is_empty());
        sort(&mut lines);
        Ok(apply(lines, stages))
    }

    fn math<'s>(
        &'s mut self,
        expr: &'s MathExpr,
        progress: Progress<'s, MetricsResponse>,
    ) -> BoxFuture<'s, Result<Term, QueryError>> {
        async move {
            Ok(match expr {
                MathExpr::Literal(literal) => {
                    Term::Number { value: number(literal), text: literal.to_string() }
                }
                MathExpr::Query(query) => Term::Lines(
                    self.function(&query.pipeline, &query.function, &query.second, progress).await?,
                ),
                MathExpr::Binary { op, left, right } => {
                    let left = self.math(left, progress).await?;
                    let right = self.math(right, progress).await?;
                    if let (Term::Lines(left), Term::Lines(right)) = (&left, &right) {
                        self.reserve(left.len().max(right.len()))?;
                    }
                    Term::Lines(arithmetic(*op, left, right))
                }
            })
        }
        .boxed()
    }

    /// Takes memory for this many series before they are made.
    fn reserve(&mut self, lines: usize) -> Result<(), QueryError> {
        /// A value, and a sample in the answer.
        const BYTES_PER_STEP: usize = 8 + 16;
        const BYTES_PER_LINE: usize = 512;
        let each = BYTES_PER_LINE + self.request.window.steps().saturating_mul(BYTES_PER_STEP);
        let bytes = lines.saturating_mul(each) as u64;
        Ok(self.memory.resize(self.memory.bytes().saturating_add(bytes))?)
    }

    fn answer(self, mut lines: Lines) -> MetricsResponse {
        let limit = match self.request.max_series {
            0 => MAX_SERIES,
            limit => limit.min(MAX_SERIES),
        };
        let too_many = (lines.len() > limit).then(|| {
            format!(
                "Response exceeds maximum series limit of {limit}, a partial response is returned. \
                 Warning: the accuracy of each individual value is not guaranteed."
            )
        });
        lines.truncate(limit);
        let series = lines.into_iter().map(|line| self.series(line)).collect();
        let partial = too_many.or_else(|| self.context.source.partial());
        MetricsResponse { series, metrics: self.totals, partial }
    }

    fn series(&self, line: Line) -> Series {
        let window = self.request.window;
        let known = line.values.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let samples =
            known.map(|(step, value)| Sample { timestamp_ms: window.timestamp_ms(step), value: *value });
        let exemplars = line.exemplars.iter().map(|candidate| Exemplar {
            labels: candidate.labels.iter().flat_map(|labels| labels.iter().cloned()).collect(),
            value: candidate.value,
            timestamp_ms: milliseconds(candidate.start),
        });
        let exemplars = exemplars.filter(|exemplar| !exemplar.value.is_nan());
        Series { samples: samples.collect(), exemplars: exemplars.collect(), labels: line.labels }
    }
}
