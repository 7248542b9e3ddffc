//! Expressions outside braces. Spansets, scalars and metrics share operators and brackets, so they are read as one
//! [`Term`] and told apart by what they turn out to be.

use super::scalar::Family;
use super::{Parsed, Parser};
use crate::ast::{
    BinaryOp, MathExpr, MetricsOp, ScalarExpr, ScalarFilter, SpansetExpr, SpansetOp, precedence,
};
use crate::error::ErrorStage;

/// An operand outside braces.
pub(super) struct Term {
    pub(super) kind: TermKind,
    pub(super) depth: u32,
    /// Index of its first token.
    pub(super) first: usize,
}

pub(super) enum TermKind {
    /// `piped` when an operand is a pipeline in brackets: it can only be a whole query.
    Spanset {
        expr: SpansetExpr,
        piped: bool,
    },
    Scalar {
        expr: ScalarExpr,
        family: Family,
    },
    /// `piped` as above.
    Filter {
        filter: ScalarFilter,
        piped: bool,
    },
    Math(MathExpr),
}

impl Parser<'_> {
    /// An expression whose operators bind at least as strongly as `min`. Stops at an operator its left side does not
    /// have.
    pub(super) fn term_level(&mut self, min: u8) -> Parsed<Term> {
        let mut left = self.term()?;
        while let Some(symbol) = self.symbol()
            && let Some(strength) = strength(&left.kind, symbol)
            && strength >= min
        {
            let at = self.next;
            self.advance();
            let right = if strength == precedence::POWER {
                self.nested(|parser| parser.term_level(strength))?
            } else {
                self.term_level(strength + 1)?
            };
            left = self.combine(symbol, at, left, right)?;
        }
        Ok(left)
    }

    fn term(&mut self) -> Parsed<Term> {
        let first = self.next;
        match self.symbol() {
            Some("{") => {
                let (expr, depth) = self.filter()?;
                let kind = TermKind::Spanset { expr: SpansetExpr::Filter(expr), piped: false };
                Ok(Term { kind, depth: depth + 1, first })
            }
            Some("(") => {
                self.advance();
                let sequence = self.nested(Self::sequence)?;
                self.expect(")")?;
                self.bracketed(sequence, first)
            }
            _ => self.scalar_term(),
        }
    }

    fn combine(&mut self, symbol: &'static str, at: usize, left: Term, right: Term) -> Parsed<Term> {
        let offset = self.tokens.get(at).map_or(0, |token| token.start);
        let depth = self.depth_over(left.depth, right.depth, offset)?;
        let first = left.first;
        let kind = match (left.kind, right.kind) {
            (TermKind::Spanset { expr: a, piped: p }, TermKind::Spanset { expr: b, piped: q }) => {
                let Some(op) = SpansetOp::from_symbol(symbol) else { return Err(self.unexpected_at(at, "")) };
                let expr = SpansetExpr::Binary { op, left: Box::new(a), right: Box::new(b) };
                TermKind::Spanset { expr, piped: p || q }
            }
            (TermKind::Scalar { expr: a, family: f }, TermKind::Scalar { expr: b, family: g }) => {
                let Some(op) = BinaryOp::from_symbol(symbol) else { return Err(self.unexpected_at(at, "")) };
                let Some(family) = f.with(g) else { return Err(self.unexpected_at(right.first, "")) };
                if op.is_arithmetic() {
                    self.scalar_arithmetic(op, offset, a, b, family)?
                } else {
                    self.scalar_filter(op, first, a, b, family)?
                }
            }
            (left, right_kind) => match (math_operand(left), math_operand(right_kind), math_operator(symbol))
            {
                (Some(a), Some(b), Some(op)) => {
                    self.check_math(offset, [&a, &b]);
                    TermKind::Math(MathExpr::Binary { op, left: Box::new(a), right: Box::new(b) })
                }
                _ => return Err(self.unexpected_at(right.first, "")),
            },
        };
        Ok(Term { kind, depth, first })
    }

    fn check_math(&mut self, offset: usize, operands: [&MathExpr; 2]) {
        let compares = |operand: &&MathExpr| {
            let MathExpr::Query(query) = operand else { return false };
            matches!(query.function.op, MetricsOp::Compare { .. })
        };
        if operands.iter().any(compares) {
            self.note(ErrorStage::Validate, offset, || {
                "compare() cannot be an operand of arithmetic".to_owned()
            });
        }
    }

    fn scalar_filter(
        &mut self,
        op: BinaryOp,
        first: usize,
        left: ScalarExpr,
        right: ScalarExpr,
        family: Family,
    ) -> Parsed<TermKind> {
        if family == Family::Literal {
            return Err(self.unexpected(""));
        }
        let simple = matches!((&left, &right), (ScalarExpr::Aggregate(_), ScalarExpr::Literal(_)));
        let filter = ScalarFilter { op, left, right };
        if !simple {
            let offset = self.tokens.get(first).map_or(0, |token| token.start);
            let message =
                || format!("only `aggregate op literal` is supported, as in count() > 2; not {filter}");
            self.note(ErrorStage::Unsupported, offset, message);
        }
        Ok(TermKind::Filter { filter, piped: family == Family::Piped })
    }
}

/// How strongly `symbol` binds after such a term; none if it cannot follow. A comparison of metrics is no operator
/// but a second stage.
fn strength(left: &TermKind, symbol: &str) -> Option<u8> {
    match left {
        TermKind::Spanset { .. } => SpansetOp::from_symbol(symbol).map(SpansetOp::precedence),
        TermKind::Scalar { .. } => {
            let op = BinaryOp::from_symbol(symbol).filter(|op| !op.is_logical() && !op.is_regex());
            op.map(BinaryOp::precedence)
        }
        TermKind::Filter { .. } => None,
        TermKind::Math(_) => math_operator(symbol).map(BinaryOp::precedence),
    }
}

fn math_operator(symbol: &str) -> Option<BinaryOp> {
    let op = BinaryOp::from_symbol(symbol)?;
    matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div).then_some(op)
}

fn math_operand(term: TermKind) -> Option<MathExpr> {
    match term {
        TermKind::Math(expr) => Some(expr),
        TermKind::Scalar { expr: ScalarExpr::Literal(value), .. } if value.is_plain_number() => {
            Some(MathExpr::Literal(value))
        }
        _ => None,
    }
}
