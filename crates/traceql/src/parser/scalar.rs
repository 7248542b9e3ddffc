use super::spanset::{Term, TermKind};
use super::{Parsed, Parser};
use crate::ast::{Aggregate, BinaryOp, FieldExpr, ScalarExpr, Static, precedence};
use crate::error::ErrorStage;
use crate::fold;
use crate::types;

/// Where a scalar comes from; only some go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Constants only.
    Literal,
    /// Aggregates of the incoming spanset.
    Aggregate,
    /// Aggregates of pipelines in brackets.
    Piped,
}

impl Family {
    /// The family of an expression over both.
    pub(super) fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Literal, family) | (family, Self::Literal) => Some(family),
            _ => (self == other).then_some(self),
        }
    }
}

impl Parser<'_> {
    /// A number, `-` number or aggregate.
    pub(super) fn scalar_term(&mut self) -> Parsed<Term> {
        let first = self.next;
        if self.accept("-") {
            let value = self.negated()?;
            return Ok(constant(value, first));
        }
        if let Some(value) = self.literal_here().filter(|value| types::of_static(value).is_numeric()) {
            self.advance();
            return Ok(constant(value, first));
        }
        let (aggregate, depth) = self.aggregate()?;
        let kind = TermKind::Scalar { expr: ScalarExpr::Aggregate(aggregate), family: Family::Aggregate };
        Ok(Term { kind, depth, first })
    }

    fn negated(&mut self) -> Parsed<Static> {
        let offset = self.offset();
        let operand = self.next;
        let term = self.nested(|parser| parser.term_level(precedence::PRODUCT))?;
        let TermKind::Scalar { expr: ScalarExpr::Literal(value), .. } = term.kind else {
            return Err(self.unexpected_at(operand, "number"));
        };
        fold::unary(crate::ast::UnaryOp::Neg, &value).ok_or_else(|| self.error(offset, "number out of range"))
    }

    /// A constant where only a constant may stand: `10`, `-1.5s`, `2 * 3`.
    pub(super) fn constant(&mut self) -> Parsed<Static> {
        let first = self.next;
        let term = self.term_level(precedence::SUM)?;
        match term.kind {
            TermKind::Scalar { expr: ScalarExpr::Literal(value), .. } => Ok(value),
            _ => Err(self.unexpected_at(first, "number")),
        }
    }

    fn aggregate(&mut self) -> Parsed<(Aggregate, u32)> {
        let build: fn(FieldExpr) -> Aggregate = match self.word() {
            Some("count") => {
                self.advance();
                self.expect("(")?;
                self.expect(")")?;
                return Ok((Aggregate::Count, 1));
            }
            Some("avg") => Aggregate::Avg,
            Some("min") => Aggregate::Min,
            Some("max") => Aggregate::Max,
            Some("sum") => Aggregate::Sum,
            _ => return Err(self.unexpected("")),
        };
        self.advance();
        self.expect("(")?;
        let field = self.field_expr()?;
        self.expect(")")?;
        if !field.ty.may_be_numeric() {
            let message = || format!("an aggregate works on numbers and durations, not on type {}", field.ty);
            self.note(ErrorStage::Validate, field.offset, message);
        }
        if !field.references_span {
            let message = || format!("an aggregate needs a field of the span, {} is constant", field.expr);
            self.note(ErrorStage::Validate, field.offset, message);
        }
        Ok((build(field.expr), field.depth + 1))
    }

    /// `left op right`; constants are folded, and know only `+ - * /`.
    pub(super) fn scalar_arithmetic(
        &mut self,
        op: BinaryOp,
        offset: usize,
        left: ScalarExpr,
        right: ScalarExpr,
        family: Family,
    ) -> Parsed<TermKind> {
        let (ScalarExpr::Literal(a), ScalarExpr::Literal(b)) = (&left, &right) else {
            let expr = ScalarExpr::Binary { op, left: Box::new(left), right: Box::new(right) };
            return Ok(TermKind::Scalar { expr, family });
        };
        if matches!(op, BinaryOp::Mod | BinaryOp::Pow) {
            return Err(self.error(offset, format!("syntax error: unexpected {op}")));
        }
        let value = fold::binary(op, a, b);
        let value = value.ok_or_else(|| self.error(offset, "result is out of range or divided by zero"))?;
        Ok(TermKind::Scalar { expr: ScalarExpr::Literal(value), family })
    }
}

fn constant(value: Static, first: usize) -> Term {
    let kind = TermKind::Scalar { expr: ScalarExpr::Literal(value), family: Family::Literal };
    Term { kind, depth: 1, first }
}
