//! A query's pipeline, taken apart: the filters that columns can answer, what they say about a trace before it is
//! assembled, and the stages that decide on the assembled trace.

use vivace_traceql::{
    Aggregate, Attribute, BinaryOp, FieldExpr, Intrinsic, Pipeline, Query, ScalarExpr, ScalarFilter,
    SpansetExpr, SpansetOp, Stage,
};

use vivace_model::schema::{self, AttributeScope};
use vivace_storage::Projection;

use crate::QueryError;
use crate::eval::{Filter, Operand, columnar};

/// How many spanset filters a query has at most.
const MAX_FILTERS: usize = 64;

/// A pipeline, ready to run.
#[derive(Debug)]
pub(crate) struct SearchPlan {
    /// Every spanset filter of the query.
    pub(crate) filters: Vec<Filter>,
    /// What the filters must have matched in a trace for it to have a chance.
    pub(crate) condition: Condition,
    /// Whether the condition, together with counts of spans that follow, is not only necessary but sufficient.
    pub(crate) exact: bool,
    /// Which spans the pipeline selects, if each span can be decided on alone.
    pub(crate) local: Option<Local>,
    /// What to do with an assembled trace.
    pub(crate) stages: Vec<PlanStage>,
    /// What a result shows of each span: everything the query mentions.
    pub(crate) shown: Vec<Attribute>,
}

/// Over which filters have matched some span of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    /// Says nothing.
    Any,
    /// This filter has.
    Matched(usize),
    /// This filter has, that often.
    MatchedOften {
        filter: usize,
        at_least: i64,
    },
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

/// Over which filters match one span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Local {
    /// No filter is asked.
    All,
    Matches(usize),
    And(Box<Local>, Box<Local>),
    Or(Box<Local>, Box<Local>),
}

/// A step on an assembled trace (`reference/tempo.md` 4.7).
#[derive(Debug)]
pub(crate) enum PlanStage {
    /// Keeps the spans an expression selects.
    Spanset(PlanSpanset),
    /// Keeps the span sets whose aggregate compares.
    Scalar(PlanScalar),
    /// Splits span sets by a value.
    By { value: Filter, label: String },
    /// Makes one span set of all.
    Coalesce,
}

/// `aggregate op literal`.
#[derive(Debug)]
pub(crate) struct PlanScalar {
    pub(crate) aggregate: PlanAggregate,
    /// The aggregate's text.
    pub(crate) label: String,
    pub(crate) op: BinaryOp,
    pub(crate) literal: Operand<'static>,
}

#[derive(Debug)]
pub(crate) enum PlanAggregate {
    Count,
    Avg(Filter),
    Min(Filter),
    Max(Filter),
    Sum(Filter),
}

/// Selects spans of an assembled trace (`reference/tempo.md` 4.6).
#[derive(Debug)]
pub(crate) enum PlanSpanset {
    /// Those for which this filter holds.
    Filter(usize),
    /// What is left in any span set of a pipeline of its own.
    Pipeline(Vec<PlanStage>),
    /// Both sides, if both have any.
    And(Box<PlanSpanset>, Box<PlanSpanset>),
    /// Both sides.
    Or(Box<PlanSpanset>, Box<PlanSpanset>),
    /// Those that stand in a relation to the other side.
    Structural { relation: Relation, take: Take, left: Box<PlanSpanset>, right: Box<PlanSpanset> },
}

/// What a span of the right side is to a span of the left side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Child,
    Parent,
    Descendant,
    Ancestor,
    Sibling,
}

/// Which spans a structural operator yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// Those of the right side that are related.
    Related,
    /// Those of the right side that are not.
    Unrelated,
    /// Those of both sides that are related.
    Both,
}

impl SearchPlan {
    /// Compiles the pipeline of a query.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for what cannot be evaluated, naming it.
    pub(crate) fn compile(query: &Query) -> Result<Self, QueryError> {
        Self::of_pipeline(&query.pipeline)
    }

    /// The columns that matter of traces that are assembled for this plan.
    pub(crate) fn projection(&self) -> Projection {
        let mut projection = Self::base_projection();
        // What the query mentions is shown, but for what stands in these columns.
        self.shown.iter().for_each(|attribute| columnar::project_attribute(attribute, &mut projection));
        projection
    }

    /// The columns that every assembled trace has.
    pub(crate) fn base_projection() -> Projection {
        let mut projection = Projection::default();
        projection.fixed.extend([
            schema::TRACE_ID,
            schema::SPAN_ID,
            schema::PARENT_SPAN_ID,
            schema::START,
            schema::DURATION,
            schema::NAME,
            schema::KIND,
            schema::STATUS,
        ]);
        projection.attribute(AttributeScope::Resource, "service.name");
        projection
    }

    /// Makes results show these too.
    pub(crate) fn show_also<'a>(&mut self, attributes: impl IntoIterator<Item = &'a Attribute>) {
        attributes.into_iter().for_each(|attribute| show(&mut self.shown, attribute));
    }

    /// See [`SearchPlan::compile`].
    pub(crate) fn of_pipeline(pipeline: &Pipeline) -> Result<Self, QueryError> {
        let mut compiler = Compiler::default();
        let (stages, condition) = compiler.stages(&pipeline.stages)?;
        let needs_trace = compiler.filters.iter().any(Filter::needs_trace);
        let exact = !needs_trace && is_counted_algebra(&stages);
        let local = local(&stages).filter(|_| !needs_trace);
        Ok(Self { filters: compiler.filters, condition, exact, local, stages, shown: compiler.shown })
    }
}

/// Whether a pipeline selects spans once, and may then count them.
fn is_counted_algebra(stages: &[PlanStage]) -> bool {
    let Some((PlanStage::Spanset(first), rest)) = stages.split_first() else { return false };
    let counts = |stage: &PlanStage| {
        matches!(stage, PlanStage::Scalar(PlanScalar { aggregate: PlanAggregate::Count, .. }))
    };
    is_algebra(first) && rest.iter().all(counts)
}

/// Whether an expression is decided by which filters match anywhere in the trace.
fn is_algebra(spanset: &PlanSpanset) -> bool {
    match spanset {
        PlanSpanset::Filter(_) => true,
        PlanSpanset::And(left, right) | PlanSpanset::Or(left, right) => is_algebra(left) && is_algebra(right),
        PlanSpanset::Pipeline(_) | PlanSpanset::Structural { .. } => false,
    }
}

fn local(stages: &[PlanStage]) -> Option<Local> {
    let each = stages.iter().map(|stage| match stage {
        PlanStage::Spanset(spanset) => local_spanset(spanset),
        _ => None,
    });
    let all = each.collect::<Option<Vec<_>>>()?;
    let both = |left, right| Local::And(Box::new(left), Box::new(right));
    Some(all.into_iter().reduce(both).unwrap_or(Local::All))
}

fn local_spanset(spanset: &PlanSpanset) -> Option<Local> {
    match spanset {
        PlanSpanset::Filter(filter) => Some(Local::Matches(*filter)),
        PlanSpanset::Or(left, right) => {
            Some(Local::Or(Box::new(local_spanset(left)?), Box::new(local_spanset(right)?)))
        }
        _ => None,
    }
}

#[derive(Default)]
struct Compiler {
    filters: Vec<Filter>,
    shown: Vec<Attribute>,
}

impl Compiler {
    fn stages(&mut self, stages: &[Stage]) -> Result<(Vec<PlanStage>, Condition), QueryError> {
        let mut compiled = Vec::with_capacity(stages.len());
        let mut condition = Condition::Any;
        for stage in stages {
            match stage {
                Stage::Spanset(expr) => {
                    let (spanset, of_stage) = self.spanset(expr)?;
                    compiled.push(PlanStage::Spanset(spanset));
                    condition = condition.and(of_stage);
                }
                Stage::ScalarFilter(filter) => {
                    let scalar = self.scalar(filter)?;
                    condition = condition.and(often(compiled.last(), &scalar));
                    compiled.push(PlanStage::Scalar(scalar));
                }
                Stage::By(expr) => {
                    let value = self.value(expr)?;
                    compiled.push(PlanStage::By { value, label: format!("by({expr})") });
                }
                Stage::Coalesce => compiled.push(PlanStage::Coalesce),
                Stage::Select(attributes) => {
                    attributes.iter().for_each(|attribute| show(&mut self.shown, attribute))
                }
            }
        }
        Ok((compiled, condition))
    }

    fn spanset(&mut self, expr: &SpansetExpr) -> Result<(PlanSpanset, Condition), QueryError> {
        let (op, left, right) = match expr {
            SpansetExpr::Filter(expr) => {
                let at = self.filter(expr)?;
                return Ok((PlanSpanset::Filter(at), Condition::Matched(at)));
            }
            SpansetExpr::Pipeline(pipeline) => {
                let (stages, condition) = self.stages(&pipeline.stages)?;
                return Ok((PlanSpanset::Pipeline(stages), condition));
            }
            SpansetExpr::Binary { op, left, right } => (*op, left, right),
        };
        let (left, left_condition) = self.spanset(left)?;
        let (right, right_condition) = self.spanset(right)?;
        let Some((relation, take)) = structural(op) else {
            let (left, right) = (Box::new(left), Box::new(right));
            return Ok(match op {
                SpansetOp::And => (PlanSpanset::And(left, right), left_condition.and(right_condition)),
                _ => (PlanSpanset::Or(left, right), left_condition.or(right_condition)),
            });
        };
        if yields_several(&left) || yields_several(&right) {
            return Err(QueryError::Invalid(format!(
                "`{op}` does not work on multiple spansets per trace: `{expr}`. Consider using coalesce()"
            )));
        }
        let condition = match take {
            Take::Unrelated => right_condition,
            Take::Related | Take::Both => left_condition.and(right_condition),
        };
        let (left, right) = (Box::new(left), Box::new(right));
        Ok((PlanSpanset::Structural { relation, take, left, right }, condition))
    }

    fn filter(&mut self, expr: &FieldExpr) -> Result<usize, QueryError> {
        if self.filters.len() == MAX_FILTERS {
            return Err(QueryError::Invalid(format!("a query has at most {MAX_FILTERS} spanset filters")));
        }
        let filter = self.value(expr)?;
        self.filters.push(filter);
        Ok(self.filters.len() - 1)
    }

    fn value(&mut self, expr: &FieldExpr) -> Result<Filter, QueryError> {
        let filter = Filter::compile(expr)?;
        filter.attributes().iter().for_each(|attribute| show(&mut self.shown, attribute));
        Ok(filter)
    }

    fn scalar(&mut self, filter: &ScalarFilter) -> Result<PlanScalar, QueryError> {
        let ScalarFilter { op, left: ScalarExpr::Aggregate(aggregate), right: ScalarExpr::Literal(literal) } =
            filter
        else {
            return Err(QueryError::Invalid(format!(
                "`{filter}` is not supported: compare one aggregate with a number, the aggregate on the left"
            )));
        };
        Ok(PlanScalar {
            label: aggregate.to_string(),
            aggregate: match aggregate {
                Aggregate::Count => PlanAggregate::Count,
                Aggregate::Avg(expr) => PlanAggregate::Avg(self.value(expr)?),
                Aggregate::Min(expr) => PlanAggregate::Min(self.value(expr)?),
                Aggregate::Max(expr) => PlanAggregate::Max(self.value(expr)?),
                Aggregate::Sum(expr) => PlanAggregate::Sum(self.value(expr)?),
            },
            op: *op,
            literal: Operand::of_static(literal),
        })
    }
}

/// Spans show what the query mentions, except what the result has in fields of its own (`reference/tempo.md` 2.3).
fn show(shown: &mut Vec<Attribute>, attribute: &Attribute) {
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
    if !has_field && !shown.contains(attribute) {
        shown.push(attribute.clone());
    }
}

/// `{ f } | count() > n` needs f to match that often. Duplicates make it match more often, never less.
fn often(before: Option<&PlanStage>, scalar: &PlanScalar) -> Condition {
    let (Some(PlanStage::Spanset(PlanSpanset::Filter(filter))), PlanAggregate::Count, Operand::Int(number)) =
        (before, &scalar.aggregate, &scalar.literal)
    else {
        return Condition::Any;
    };
    let at_least = match scalar.op {
        BinaryOp::Gt => number.saturating_add(1),
        BinaryOp::Ge | BinaryOp::Eq => *number,
        _ => return Condition::Any,
    };
    Condition::MatchedOften { filter: *filter, at_least }
}

fn yields_several(spanset: &PlanSpanset) -> bool {
    let PlanSpanset::Pipeline(stages) = spanset else { return false };
    let splits = |stage: &PlanStage| matches!(stage, PlanStage::By { .. } | PlanStage::Coalesce);
    matches!(stages.iter().rfind(|stage| splits(stage)), Some(PlanStage::By { .. }))
}

fn structural(op: SpansetOp) -> Option<(Relation, Take)> {
    use SpansetOp as O;
    Some(match op {
        O::And | O::Or => return None,
        O::Child => (Relation::Child, Take::Related),
        O::Parent => (Relation::Parent, Take::Related),
        O::Descendant => (Relation::Descendant, Take::Related),
        O::Ancestor => (Relation::Ancestor, Take::Related),
        O::Sibling => (Relation::Sibling, Take::Related),
        O::NotChild => (Relation::Child, Take::Unrelated),
        O::NotParent => (Relation::Parent, Take::Unrelated),
        O::NotDescendant => (Relation::Descendant, Take::Unrelated),
        O::NotAncestor => (Relation::Ancestor, Take::Unrelated),
        O::NotSibling => (Relation::Sibling, Take::Unrelated),
        O::UnionChild => (Relation::Child, Take::Both),
        O::UnionParent => (Relation::Parent, Take::Both),
        O::UnionDescendant => (Relation::Descendant, Take::Both),
        O::UnionAncestor => (Relation::Ancestor, Take::Both),
        O::UnionSibling => (Relation::Sibling, Take::Both),
    })
}

impl Condition {
    /// Whether it is met, given whether a filter has matched so often at least.
    pub(crate) fn is_met(&self, matched: &dyn Fn(usize, i64) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Matched(filter) => matched(*filter, 1),
            Self::MatchedOften { filter, at_least } => matched(*filter, *at_least),
            Self::And(left, right) => left.is_met(matched) && right.is_met(matched),
            Self::Or(left, right) => left.is_met(matched) || right.is_met(matched),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any, one) | (one, Self::Any) => one,
            (left, right) => Self::And(Box::new(left), Box::new(right)),
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => Self::Any,
            (left, right) => Self::Or(Box::new(left), Box::new(right)),
        }
    }
}

impl Relation {
    /// What the left side's spans are to the right side's.
    pub(crate) fn inverse(self) -> Self {
        match self {
            Self::Child => Self::Parent,
            Self::Parent => Self::Child,
            Self::Descendant => Self::Ancestor,
            Self::Ancestor => Self::Descendant,
            Self::Sibling => Self::Sibling,
        }
    }
}

#[cfg(test)]
mod tests;
