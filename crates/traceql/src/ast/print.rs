//! The printer: text that parses to the same tree, with no more brackets than that takes (deep trees would not fit
//! into the parser's nesting limit otherwise).

use std::fmt::{self, Display, Formatter, Write};

use super::{
    Aggregate, Attribute, BinaryOp, FieldExpr, Hint, Intrinsic, Kind, MathExpr, MathQuery, MetricsFunction,
    MetricsOp, MetricsPipeline, MetricsSource, Pipeline, Query, ScalarExpr, ScalarFilter, Scope, SecondStage,
    SpansetExpr, SpansetOp, Stage, Static, Status, UnaryOp, precedence,
};
use crate::lexer::{format_duration, is_plain_name};

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if !self.pipeline.stages.is_empty() {
            write!(f, "{}", self.pipeline)?;
            between = " | ";
        }
        if let Some(metrics) = &self.metrics {
            write!(f, "{between}{metrics}")?;
        }
        if !self.hints.is_empty() {
            f.write_str(" with(")?;
            comma_separated(f, &self.hints)?;
            f.write_char(')')?;
        }
        Ok(())
    }
}

impl Display for Hint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        separated(f, &self.stages, " | ")
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spanset(expr) => expr.fmt(f),
            Self::ScalarFilter(filter) => filter.fmt(f),
            Self::By(expr) => write!(f, "by({expr})"),
            Self::Coalesce => f.write_str("coalesce()"),
            Self::Select(attributes) => {
                f.write_str("select(")?;
                comma_separated(f, attributes)?;
                f.write_char(')')
            }
        }
    }
}

/// How strongly an expression's outermost operator holds it together.
trait Operand: Display {
    fn precedence(&self) -> u8;
}

fn of_literal(value: &Static) -> u8 {
    if value.is_negative() { precedence::PREFIX } else { precedence::LEAF }
}

/// `left op right`, the sides in brackets where they would be torn apart.
fn binary(f: &mut Formatter<'_>, op: impl Display, strength: u8, sides: [&impl Operand; 2]) -> fmt::Result {
    let [left, right] = sides;
    let from_right = strength == precedence::POWER;
    bracketed_if(f, left, left.precedence() < strength + u8::from(from_right))?;
    write!(f, " {op} ")?;
    bracketed_if(f, right, right.precedence() < strength + u8::from(!from_right))
}

impl Operand for SpansetExpr {
    fn precedence(&self) -> u8 {
        match self {
            Self::Binary { op, .. } => op.precedence(),
            Self::Filter(_) | Self::Pipeline(_) => precedence::LEAF,
        }
    }
}

impl Display for SpansetExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(expr) => write!(f, "{{ {expr} }}"),
            Self::Pipeline(pipeline) => write!(f, "({pipeline})"),
            Self::Binary { op, left, right } => binary(f, op, op.precedence(), [&**left, &**right]),
        }
    }
}

impl Operand for FieldExpr {
    fn precedence(&self) -> u8 {
        match self {
            Self::Literal(value) => of_literal(value),
            Self::Attribute(_) => precedence::LEAF,
            Self::Unary { .. } => precedence::PREFIX,
            Self::Binary { op, .. } => op.precedence(),
        }
    }
}

impl Display for FieldExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => value.fmt(f),
            Self::Attribute(attribute) => attribute.fmt(f),
            Self::Unary { op, expr } => {
                write!(f, "{op}")?;
                bracketed_if(f, expr, expr.precedence() < precedence::PREFIX)
            }
            Self::Binary { op, left, right } => binary(f, op, op.precedence(), [&**left, &**right]),
        }
    }
}

impl Display for ScalarFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.op, self.right)
    }
}

impl Operand for ScalarExpr {
    fn precedence(&self) -> u8 {
        match self {
            Self::Literal(value) => of_literal(value),
            Self::Aggregate(_) | Self::Pipeline { .. } => precedence::LEAF,
            Self::Binary { op, .. } => op.precedence(),
        }
    }
}

impl Display for ScalarExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => value.fmt(f),
            Self::Aggregate(aggregate) => aggregate.fmt(f),
            Self::Pipeline { pipeline, scalar } => write!(f, "({pipeline} | {scalar})"),
            Self::Binary { op, left, right } => binary(f, op, op.precedence(), [&**left, &**right]),
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => f.write_str("count()"),
            Self::Avg(expr) => write!(f, "avg({expr})"),
            Self::Min(expr) => write!(f, "min({expr})"),
            Self::Max(expr) => write!(f, "max({expr})"),
            Self::Sum(expr) => write!(f, "sum({expr})"),
        }
    }
}

impl Display for MetricsPipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        second_stages(f, &self.second)
    }
}

impl Display for MetricsSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(function) => function.fmt(f),
            Self::Math(expr) => expr.fmt(f),
        }
    }
}

impl Display for MetricsFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.op)?;
        if !self.by.is_empty() {
            f.write_str(" by(")?;
            comma_separated(f, &self.by)?;
            f.write_char(')')?;
        }
        Ok(())
    }
}

impl Display for MetricsOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate => f.write_str("rate()"),
            Self::CountOverTime => f.write_str("count_over_time()"),
            Self::MinOverTime(attribute) => write!(f, "min_over_time({attribute})"),
            Self::MaxOverTime(attribute) => write!(f, "max_over_time({attribute})"),
            Self::SumOverTime(attribute) => write!(f, "sum_over_time({attribute})"),
            Self::AvgOverTime(attribute) => write!(f, "avg_over_time({attribute})"),
            Self::HistogramOverTime(attribute) => write!(f, "histogram_over_time({attribute})"),
            Self::QuantileOverTime { attribute, quantiles } => {
                write!(f, "quantile_over_time({attribute}")?;
                quantiles.iter().try_for_each(|quantile| write!(f, ", {quantile:?}"))?;
                f.write_char(')')
            }
            Self::Compare { selection, top_n, window } => {
                write!(f, "compare({{ {selection} }}, {}", Static::Int(*top_n))?;
                if let Some((start, end)) = window {
                    write!(f, ", {}, {}", Static::Int(*start), Static::Int(*end))?;
                }
                f.write_char(')')
            }
        }
    }
}

impl Display for SecondStage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopK(limit) => write!(f, "| topk({})", Static::Int(*limit)),
            Self::BottomK(limit) => write!(f, "| bottomk({})", Static::Int(*limit)),
            Self::Filter { op, value } => write!(f, "{op} {value}"),
        }
    }
}

impl Operand for MathExpr {
    fn precedence(&self) -> u8 {
        match self {
            Self::Literal(value) => of_literal(value),
            Self::Query(_) => precedence::LEAF,
            Self::Binary { op, .. } => op.precedence(),
        }
    }
}

impl Display for MathExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => value.fmt(f),
            Self::Query(query) => query.fmt(f),
            Self::Binary { op, left, right } => binary(f, op, op.precedence(), [&**left, &**right]),
        }
    }
}

impl Display for MathQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({} | {}", self.pipeline, self.function)?;
        second_stages(f, &self.second)?;
        f.write_char(')')
    }
}

impl Display for UnaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

impl Display for SpansetOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Display for Scope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Display for Intrinsic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Display for Static {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            // Its digits alone would be out of range.
            Self::Int(i64::MIN) => f.write_str("minInt"),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::String(text) => quoted(f, text),
            Self::Bool(value) => value.fmt(f),
            Self::Duration(nanos) => f.write_str(&format_duration(*nanos)),
            Self::Status(status) => status.fmt(f),
            Self::Kind(kind) => kind.fmt(f),
        }
    }
}

impl Display for Attribute {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (scope, name, parent) = match self {
            Self::Intrinsic(intrinsic) => return intrinsic.fmt(f),
            Self::Named { scope, name, parent } => (*scope, name, *parent),
        };
        if parent {
            f.write_str("parent")?;
        }
        if parent && scope != Scope::None {
            f.write_char('.')?;
        }
        write!(f, "{scope}.")?;
        if is_plain_name(name) && !is_ambiguous(scope, name, parent) {
            f.write_str(name)
        } else {
            let escaped = name.replace('\\', r"\\").replace('"', "\\\"");
            write!(f, "\"{escaped}\"")
        }
    }
}

/// Whether a plain name would be read as something else: `.5` as a number, `parent.span.x` as scoped.
fn is_ambiguous(scope: Scope, name: &str, parent: bool) -> bool {
    let number = !parent && name.starts_with(|c: char| c.is_ascii_digit());
    let scoped = parent && (name.starts_with("span.") || name.starts_with("resource."));
    scope == Scope::None && (number || scoped)
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str(r"\\")?,
            '\n' => f.write_str(r"\n")?,
            '\r' => f.write_str(r"\r")?,
            '\t' => f.write_str(r"\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

fn bracketed_if(f: &mut Formatter<'_>, item: &impl Display, brackets: bool) -> fmt::Result {
    if brackets { write!(f, "({item})") } else { item.fmt(f) }
}

fn second_stages(f: &mut Formatter<'_>, stages: &[SecondStage]) -> fmt::Result {
    stages.iter().try_for_each(|stage| write!(f, " {stage}"))
}

fn comma_separated(f: &mut Formatter<'_>, items: &[impl Display]) -> fmt::Result {
    separated(f, items, ", ")
}

fn separated(f: &mut Formatter<'_>, items: &[impl Display], separator: &str) -> fmt::Result {
    let mut between = "";
    for item in items {
        write!(f, "{between}{item}")?;
        between = separator;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
