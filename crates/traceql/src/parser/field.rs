use super::{Parsed, Parser};
use crate::ast::{Attribute, BinaryOp, FieldExpr, Intrinsic, Scope, Static, UnaryOp, precedence};
use crate::error::ErrorStage;
use crate::fold;
use crate::pattern;
use crate::types::{self, Type};

/// A field expression with what later checks need to know.
pub(super) struct Operand {
    pub(super) expr: FieldExpr,
    pub(super) ty: Type,
    pub(super) depth: u32,
    /// Whether any attribute is in it.
    pub(super) references_span: bool,
    /// Byte where it starts.
    pub(super) offset: usize,
}

impl Parser<'_> {
    pub(super) fn field_expr(&mut self) -> Parsed<Operand> {
        self.field_level(precedence::LOGICAL)
    }

    /// `'{' field? '}'`, whose value must be boolean.
    pub(super) fn filter(&mut self) -> Parsed<(FieldExpr, u32)> {
        self.expect("{")?;
        if self.accept("}") {
            return Ok((FieldExpr::Literal(Static::Bool(true)), 1));
        }
        let Operand { expr, ty, depth, offset, .. } = self.field_expr()?;
        self.expect("}")?;
        if !ty.may_be_bool() {
            let message = || format!("a filter must be true or false, this is of type {ty}: {{ {expr} }}");
            self.note(ErrorStage::Validate, offset, message);
        }
        Ok((expr, depth))
    }

    /// An expression whose operators bind at least as strongly as `min`.
    fn field_level(&mut self, min: u8) -> Parsed<Operand> {
        let mut left = self.prefix()?;
        while let Some(op) = self.symbol().and_then(BinaryOp::from_symbol)
            && op.precedence() >= min
        {
            let offset = self.offset();
            self.advance();
            let right = if op == BinaryOp::Pow {
                self.nested(|parser| parser.field_level(op.precedence()))?
            } else {
                self.field_level(op.precedence() + 1)?
            };
            left = self.binary(op, offset, left, right)?;
        }
        Ok(left)
    }

    fn prefix(&mut self) -> Parsed<Operand> {
        match self.symbol() {
            Some("-") => self.unary(UnaryOp::Neg),
            Some("!") => self.unary(UnaryOp::Not),
            Some("(") => {
                let offset = self.offset();
                self.advance();
                let inner = self.nested(Self::field_expr)?;
                self.expect(")")?;
                Ok(Operand { offset, ..inner })
            }
            _ => self.leaf(),
        }
    }

    fn leaf(&mut self) -> Parsed<Operand> {
        let offset = self.offset();
        if let Some(value) = self.literal_here() {
            self.advance();
            return Ok(literal(value, offset));
        }
        if self.attribute_here().is_none() {
            return Err(self.unexpected(""));
        }
        let attribute = self.attribute()?;
        let ty = types::of_attribute(&attribute);
        Ok(Operand { expr: FieldExpr::Attribute(attribute), ty, depth: 1, references_span: true, offset })
    }

    fn unary(&mut self, op: UnaryOp) -> Parsed<Operand> {
        let offset = self.offset();
        self.advance();
        let inner = self.nested(|parser| parser.field_level(precedence::PRODUCT))?;
        if let FieldExpr::Literal(value) = &inner.expr
            && let Some(value) = fold::unary(op, value)
        {
            return Ok(literal(value, offset));
        }
        if !inner.ty.allows_unary(op) {
            let message = || format!("operator {op} does not work on type {}: {}", inner.ty, inner.expr);
            self.note(ErrorStage::Validate, offset, message);
        }
        Ok(Operand {
            ty: types::of_unary(op, inner.ty),
            depth: self.depth_over(inner.depth, 0, offset)?,
            references_span: inner.references_span,
            expr: FieldExpr::Unary { op, expr: Box::new(inner.expr) },
            offset,
        })
    }

    fn binary(&mut self, op: BinaryOp, at: usize, left: Operand, right: Operand) -> Parsed<Operand> {
        if let (FieldExpr::Literal(a), FieldExpr::Literal(b)) = (&left.expr, &right.expr)
            && let Some(value) = fold::binary(op, a, b)
        {
            return Ok(literal(value, left.offset));
        }
        self.check_binary(op, at, &left, &right);
        Ok(Operand {
            ty: types::of_binary(op, left.ty, right.ty),
            depth: self.depth_over(left.depth, right.depth, at)?,
            references_span: left.references_span || right.references_span,
            offset: left.offset,
            expr: FieldExpr::Binary { op, left: Box::new(left.expr), right: Box::new(right.expr) },
        })
    }

    fn check_binary(&mut self, op: BinaryOp, at: usize, left: &Operand, right: &Operand) {
        if !left.ty.fits(right.ty) {
            let message = || format!("types of {op} do not match: {} and {}", left.ty, right.ty);
            return self.note(ErrorStage::Validate, at, message);
        }
        if let Some(side) = [left, right].into_iter().find(|side| !side.ty.allows(op)) {
            let message = || format!("operator {op} does not work on type {}", side.ty);
            return self.note(ErrorStage::Validate, at, message);
        }
        if op.is_regex() {
            self.check_pattern(right);
        }
        if op == BinaryOp::Eq {
            self.check_absence(at, &left.expr, &right.expr);
        }
    }

    fn check_pattern(&mut self, right: &Operand) {
        let FieldExpr::Literal(Static::String(text)) = &right.expr else {
            let message =
                || "the right side of a regular expression match must be a string literal".to_owned();
            return self.note(ErrorStage::Validate, right.offset, message);
        };
        if let Err(reason) = pattern::compile(text) {
            self.note(ErrorStage::Validate, right.offset, || format!("invalid regular expression: {reason}"));
        }
    }

    /// `x = nil` of what no span lacks.
    fn check_absence(&mut self, at: usize, left: &FieldExpr, right: &FieldExpr) {
        let tested = match (left, right) {
            (FieldExpr::Attribute(attribute), FieldExpr::Literal(Static::Nil))
            | (FieldExpr::Literal(Static::Nil), FieldExpr::Attribute(attribute)) => attribute,
            _ => return,
        };
        let always_there = match tested {
            Attribute::Intrinsic(intrinsic) => *intrinsic != Intrinsic::Parent,
            Attribute::Named { scope, name, parent } => {
                *scope == Scope::Resource && name == "service.name" && !parent
            }
        };
        if always_there {
            let message = || format!("{tested} = nil is never true: every span has it");
            self.note(ErrorStage::Validate, at, message);
        }
    }
}

fn literal(value: Static, offset: usize) -> Operand {
    let ty = types::of_static(&value);
    Operand { expr: FieldExpr::Literal(value), ty, depth: 1, references_span: false, offset }
}
