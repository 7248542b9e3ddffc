//! The tree a query becomes. It holds what the text means, not how it was spelled: legacy and scoped names of an
//! intrinsic are one variant, brackets are gone, literal-only expressions are folded.
//!
//! Nodes carry no positions; errors do. The depth of a tree is bounded by the parser (`MAX_DEPTH`), so plain
//! recursion over it is safe.

mod attribute;
mod canonical;
mod print;
mod symbol;

pub use attribute::{Attribute, Intrinsic, Scope};
pub(crate) use symbol::precedence;

/// A whole query.
///
/// For metrics arithmetic `metrics` holds a [`MetricsSource::Math`] and `pipeline` has no stages: each operand brings
/// its own pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What selects the spans.
    pub pipeline: Pipeline,
    /// What turns the selected spans into series; none for a search.
    pub metrics: Option<MetricsPipeline>,
    /// The last `with(...)`, in the order written.
    pub hints: Vec<Hint>,
}

/// `key = value` of `with(...)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hint {
    /// Name of the hint, for example `most_recent`.
    pub key: String,
    /// A literal.
    pub value: Static,
}

/// Stages in the order they are applied, the first to all spans of a trace. Never empty except in a [`Query`] that is
/// metrics arithmetic.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// At least one stage.
    pub stages: Vec<Stage>,
}

/// One step of a pipeline: spansets in, spansets out.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Keeps the spans the expression selects.
    Spanset(SpansetExpr),
    /// Keeps the spansets the comparison holds for.
    ScalarFilter(ScalarFilter),
    /// `by(expr)`: splits each spanset by the value of the expression.
    By(FieldExpr),
    /// `coalesce()`: merges spansets back into one.
    Coalesce,
    /// `select(attr, ...)`: fetches attributes for the output, filters nothing.
    Select(Vec<Attribute>),
}

/// Selects spans of one trace.
#[derive(Debug, Clone, PartialEq)]
pub enum SpansetExpr {
    /// `{ expr }`; `{ }` is `Filter(Literal(Bool(true)))`.
    Filter(FieldExpr),
    /// `(pipeline)` as an operand. Never a single [`Stage::Spanset`]: such brackets only group.
    Pipeline(Box<Pipeline>),
    /// `left op right`.
    Binary {
        /// How the operands are combined.
        op: SpansetOp,
        /// Left operand.
        left: Box<SpansetExpr>,
        /// Right operand; for structural operators the side that is returned.
        right: Box<SpansetExpr>,
    },
}

/// Combines two spansets of a trace (`reference/tempo.md` 4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpansetOp {
    /// `&&`: union, when both sides have spans.
    And,
    /// `||`: union.
    Or,
    /// `>`: right spans whose parent is on the left.
    Child,
    /// `<`: right spans that are the parent of a left span.
    Parent,
    /// `>>`: right spans with an ancestor on the left.
    Descendant,
    /// `<<`: right spans that are an ancestor of a left span.
    Ancestor,
    /// `~`: right spans with another sibling on the left.
    Sibling,
    /// `!>`: right spans that are not `Child`.
    NotChild,
    /// `!<`: right spans that are not `Parent`.
    NotParent,
    /// `!>>`: right spans that are not `Descendant`.
    NotDescendant,
    /// `!<<`: right spans that are not `Ancestor`.
    NotAncestor,
    /// `!~`: right spans that are not `Sibling`.
    NotSibling,
    /// `&>`: both sides of `Child`.
    UnionChild,
    /// `&<`: both sides of `Parent`.
    UnionParent,
    /// `&>>`: both sides of `Descendant`.
    UnionDescendant,
    /// `&<<`: both sides of `Ancestor`.
    UnionAncestor,
    /// `&~`: both sides of `Sibling`.
    UnionSibling,
}

/// An expression over one span.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldExpr {
    /// A constant.
    Literal(Static),
    /// The value of an attribute or intrinsic, nil where missing.
    Attribute(Attribute),
    /// `op expr`.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Its operand.
        expr: Box<FieldExpr>,
    },
    /// `left op right`. A test for existence is `Eq` or `Ne` with `Literal(Nil)` on either side.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<FieldExpr>,
        /// Right operand.
        right: Box<FieldExpr>,
    },
}

/// Prefix operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`, numbers and durations.
    Neg,
    /// `!`, booleans.
    Not,
}

/// Infix operators of field and scalar expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`, left to the power of right.
    Pow,
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `=~`: the whole value matches the pattern.
    Regex,
    /// `!~`
    NotRegex,
    /// `&&`
    And,
    /// `||`
    Or,
}

/// A literal. The language has no array literals.
#[derive(Debug, Clone, PartialEq)]
pub enum Static {
    /// `nil`: no value.
    Nil,
    /// 64-bit integer.
    Int(i64),
    /// Always finite.
    Float(f64),
    /// Text.
    String(String),
    /// `true`, `false`.
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    /// Status of a span.
    Status(Status),
    /// Kind of a span.
    Kind(Kind),
}

/// Status of a span. The order is TraceQL's, not OTLP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// `error`
    Error,
    /// `ok`
    Ok,
    /// `unset`
    Unset,
}

/// Kind of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `unspecified`
    Unspecified,
    /// `internal`
    Internal,
    /// `server`
    Server,
    /// `client`
    Client,
    /// `producer`
    Producer,
    /// `consumer`
    Consumer,
}

/// `left op right` over spanset aggregates. `op` is one of `= != < <= > >=`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalarFilter {
    /// The comparison.
    pub op: BinaryOp,
    /// Left operand.
    pub left: ScalarExpr,
    /// Right operand.
    pub right: ScalarExpr,
}

/// A number computed from a spanset.
#[derive(Debug, Clone, PartialEq)]
pub enum ScalarExpr {
    /// A number or duration.
    Literal(Static),
    /// An aggregate of the incoming spanset.
    Aggregate(Aggregate),
    /// `(pipeline | scalar)`: a scalar of the spanset the pipeline yields.
    Pipeline {
        /// What yields the spanset.
        pipeline: Pipeline,
        /// What is computed from it.
        scalar: Box<ScalarExpr>,
    },
    /// `left op right`, `op` one of `+ - * / % ^`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<ScalarExpr>,
        /// Right operand.
        right: Box<ScalarExpr>,
    },
}

/// Aggregates of a spanset.
#[derive(Debug, Clone, PartialEq)]
pub enum Aggregate {
    /// Number of spans.
    Count,
    /// Mean of an expression, nil values skipped.
    Avg(FieldExpr),
    /// Least value.
    Min(FieldExpr),
    /// Greatest value.
    Max(FieldExpr),
    /// Sum.
    Sum(FieldExpr),
}

/// Turns spans into series.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsPipeline {
    /// Where the series come from.
    pub source: MetricsSource,
    /// What is done to them, in order.
    pub second: Vec<SecondStage>,
}

/// Where series come from.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricsSource {
    /// A function over the spans of the query's pipeline.
    Function(MetricsFunction),
    /// Arithmetic over metrics queries in brackets.
    Math(MathExpr),
}

/// `function(...) by (attr, ...)`.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsFunction {
    /// The function and its arguments.
    pub op: MetricsOp,
    /// What series are grouped by; empty for one series.
    pub by: Vec<Attribute>,
}

/// Metrics functions (`reference/tempo.md` 4.9).
#[derive(Debug, Clone, PartialEq)]
pub enum MetricsOp {
    /// `rate()`: spans per second.
    Rate,
    /// `count_over_time()`
    CountOverTime,
    /// `min_over_time(attr)`
    MinOverTime(Attribute),
    /// `max_over_time(attr)`
    MaxOverTime(Attribute),
    /// `sum_over_time(attr)`
    SumOverTime(Attribute),
    /// `avg_over_time(attr)`
    AvgOverTime(Attribute),
    /// `quantile_over_time(attr, q, ...)`
    QuantileOverTime {
        /// What is measured.
        attribute: Attribute,
        /// At least one, each in 0..=1 once validated.
        quantiles: Vec<f64>,
    },
    /// `histogram_over_time(attr)`
    HistogramOverTime(Attribute),
    /// `compare({selection}, top_n, start, end)`
    Compare {
        /// Spans it holds for are the selection, all others the baseline.
        selection: FieldExpr,
        /// Values listed per attribute; 10 where the query names none.
        top_n: i64,
        /// Start and end of the selection, Unix nanoseconds; none for the whole request.
        window: Option<(i64, i64)>,
    },
}

/// What is done to series.
#[derive(Debug, Clone, PartialEq)]
pub enum SecondStage {
    /// `| topk(n)`: the n greatest per time step.
    TopK(i64),
    /// `| bottomk(n)`: the n least per time step.
    BottomK(i64),
    /// `op value`: drops points it does not hold for. `op` is one of `= != < <= > >=`.
    Filter {
        /// The comparison.
        op: BinaryOp,
        /// A number or duration.
        value: Static,
    },
}

/// Arithmetic over series.
#[derive(Debug, Clone, PartialEq)]
pub enum MathExpr {
    /// An integer or float.
    Literal(Static),
    /// A metrics query in brackets.
    Query(Box<MathQuery>),
    /// `left op right`, `op` one of `+ - * /`; at most one side is a literal.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<MathExpr>,
        /// Right operand.
        right: Box<MathExpr>,
    },
}

/// An operand of metrics arithmetic.
#[derive(Debug, Clone, PartialEq)]
pub struct MathQuery {
    /// What selects the spans.
    pub pipeline: Pipeline,
    /// What turns them into series.
    pub function: MetricsFunction,
    /// What is done to the series, in order.
    pub second: Vec<SecondStage>,
}

impl FieldExpr {
    /// Whether the value depends on the span. Constants do not.
    pub fn references_span(&self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Attribute(_) => true,
            Self::Unary { expr, .. } => expr.references_span(),
            Self::Binary { left, right, .. } => left.references_span() || right.references_span(),
        }
    }
}

impl BinaryOp {
    /// `+ - * / % ^`
    pub fn is_arithmetic(self) -> bool {
        matches!(self, Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Mod | Self::Pow)
    }

    /// `&& ||`
    pub fn is_logical(self) -> bool {
        matches!(self, Self::And | Self::Or)
    }

    /// `= != < <= > >= =~ !~`
    pub fn is_comparison(self) -> bool {
        !self.is_arithmetic() && !self.is_logical()
    }

    /// `=~ !~`
    pub fn is_regex(self) -> bool {
        matches!(self, Self::Regex | Self::NotRegex)
    }
}
