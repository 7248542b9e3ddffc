//! A search query, taken apart: the filters that columns can answer, what they say about a trace before it is
//! assembled, and the pipeline that decides on the assembled trace.

use vivace_traceql::{Attribute, FieldExpr, Intrinsic, Pipeline, Query, SpansetExpr, SpansetOp, Stage};

use crate::QueryError;
use crate::eval::Filter;

/// How many spanset filters a query has at most.
const MAX_FILTERS: usize = 64;

/// A search query, ready to run.
#[derive(Debug)]
pub(crate) struct SearchPlan {
    /// Every spanset filter of the query.
    pub(crate) filters: Vec<Filter>,
    /// What the filters must have matched in a trace for it to have a chance.
    pub(crate) condition: Condition,
    /// Whether the condition is not only necessary but sufficient.
    pub(crate) exact: bool,
    /// What to do with an assembled trace.
    pub(crate) stages: Vec<PlanStage>,
    /// What a result shows of each span: everything the query mentions.
    pub(crate) shown: Vec<Attribute>,
}

/// Over which filters have matched some span of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    /// This filter has.
    Matched(usize),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

/// A step on an assembled trace.
#[derive(Debug)]
pub(crate) enum PlanStage {
    /// Keeps the spans an expression selects.
    Spanset(PlanSpanset),
}

/// Selects spans of an assembled trace.
#[derive(Debug)]
pub(crate) enum PlanSpanset {
    /// Those for which this filter holds.
    Filter(usize),
    /// Both sides, if both have any.
    And(Box<PlanSpanset>, Box<PlanSpanset>),
    /// Both sides.
    Or(Box<PlanSpanset>, Box<PlanSpanset>),
}

impl SearchPlan {
    /// Compiles a query.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for what cannot be evaluated, naming it.
    pub(crate) fn compile(query: &Query) -> Result<Self, QueryError> {
        let mut compiler = Compiler::default();
        let mut stages = Vec::new();
        let mut conditions = Vec::new();
        for stage in &query.pipeline.stages {
            match stage {
                Stage::Spanset(expr) => {
                    let (spanset, condition) = compiler.spanset(expr)?;
                    stages.push(PlanStage::Spanset(spanset));
                    conditions.push(condition);
                }
                Stage::Select(attributes) => attributes.iter().for_each(|attribute| compiler.show(attribute)),
                other => return Err(not_yet(&Pipeline { stages: vec![other.clone()] })),
            }
        }
        if query.metrics.is_some() {
            return Err(QueryError::Invalid(
                "metrics queries cannot be searched with; ask for spans".to_owned(),
            ));
        }
        let all = |a: Condition, b: Condition| Condition::And(Box::new(a), Box::new(b));
        let exact = stages.len() == 1 && !compiler.filters.iter().any(Filter::needs_trace);
        let Some(condition) = conditions.into_iter().reduce(all) else {
            return Err(QueryError::Invalid("the query selects no spans: begin with { }".to_owned()));
        };
        Ok(Self { filters: compiler.filters, condition, exact, stages, shown: compiler.shown })
    }
}

fn not_yet(what: &Pipeline) -> QueryError {
    QueryError::Invalid(format!("`{what}` is not supported yet"))
}

#[derive(Default)]
struct Compiler {
    filters: Vec<Filter>,
    shown: Vec<Attribute>,
}

impl Compiler {
    fn spanset(&mut self, expr: &SpansetExpr) -> Result<(PlanSpanset, Condition), QueryError> {
        let (op, left, right) = match expr {
            SpansetExpr::Filter(expr) => {
                let at = self.filter(expr)?;
                return Ok((PlanSpanset::Filter(at), Condition::Matched(at)));
            }
            SpansetExpr::Pipeline(pipeline) => return Err(not_yet(pipeline)),
            SpansetExpr::Binary { op, left, right } => (op, left, right),
        };
        if !matches!(op, SpansetOp::And | SpansetOp::Or) {
            return Err(not_yet(&Pipeline { stages: vec![Stage::Spanset(expr.clone())] }));
        }
        let (left, left_condition) = self.spanset(left)?;
        let (right, right_condition) = self.spanset(right)?;
        let (left, right) = (Box::new(left), Box::new(right));
        let (left_condition, right_condition) = (Box::new(left_condition), Box::new(right_condition));
        Ok(match op {
            SpansetOp::And => {
                (PlanSpanset::And(left, right), Condition::And(left_condition, right_condition))
            }
            _ => (PlanSpanset::Or(left, right), Condition::Or(left_condition, right_condition)),
        })
    }

    fn filter(&mut self, expr: &FieldExpr) -> Result<usize, QueryError> {
        if self.filters.len() == MAX_FILTERS {
            return Err(QueryError::Invalid(format!("a query has at most {MAX_FILTERS} spanset filters")));
        }
        let filter = Filter::compile(expr)?;
        filter.attributes().iter().for_each(|attribute| self.show(attribute));
        self.filters.push(filter);
        Ok(self.filters.len() - 1)
    }

    /// Spans show what the query mentions, except what the result has in fields of its own (`reference/tempo.md` 2.3).
    fn show(&mut self, attribute: &Attribute) {
        use Intrinsic as I;
        let has_field = matches!(
            attribute,
            Attribute::Intrinsic(
                I::Name
                    | I::Duration
                    | I::TraceDuration
                    | I::RootName
                    | I::RootServiceName
                    | I::TraceId
                    | I::SpanId
            )
        );
        if !has_field && !self.shown.contains(attribute) {
            self.shown.push(attribute.clone());
        }
    }
}

#[cfg(test)]
mod tests;
