//! Static types and what operators allow (`reference/tempo.md` 4.4).

use std::fmt;

use crate::ast::{Attribute, BinaryOp, Intrinsic, Static, UnaryOp};

/// What is known of a value before any span is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Nil,
    /// Whatever the span holds.
    Attribute,
    Int,
    Float,
    String,
    Bool,
    Duration,
    Status,
    Kind,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nil => "nil",
            Self::Attribute => "attribute",
            Self::Int => "int",
            Self::Float => "float",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Duration => "duration",
            Self::Status => "status",
            Self::Kind => "kind",
        })
    }
}

impl Type {
    pub(crate) fn is_numeric(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Duration)
    }

    /// Whether an aggregate can work on it.
    pub(crate) fn may_be_numeric(self) -> bool {
        self.is_numeric() || self == Self::Attribute
    }

    /// Whether a filter can be of this type.
    pub(crate) fn may_be_bool(self) -> bool {
        matches!(self, Self::Bool | Self::Attribute)
    }

    /// Whether values of the two can be operands of one operator.
    pub(crate) fn fits(self, other: Self) -> bool {
        let open = |ty| matches!(ty, Self::Attribute | Self::Nil);
        self == other || (self.is_numeric() && other.is_numeric()) || open(self) || open(other)
    }

    /// Whether a value of the type can be an operand of `op`.
    pub(crate) fn allows(self, op: BinaryOp) -> bool {
        let equality = matches!(op, BinaryOp::Eq | BinaryOp::Ne);
        match self {
            Self::Attribute => true,
            Self::Nil | Self::Status | Self::Kind => equality,
            Self::Bool => equality || op.is_logical(),
            Self::Int | Self::Float | Self::Duration => !op.is_logical() && !op.is_regex(),
            Self::String => op.is_comparison(),
        }
    }

    /// Whether a value of the type can be the operand of `op`.
    pub(crate) fn allows_unary(self, op: UnaryOp) -> bool {
        match op {
            UnaryOp::Neg => self.may_be_numeric(),
            UnaryOp::Not => self.may_be_bool(),
        }
    }
}

pub(crate) fn of_static(value: &Static) -> Type {
    match value {
        Static::Nil => Type::Nil,
        Static::Int(_) => Type::Int,
        Static::Float(_) => Type::Float,
        Static::String(_) => Type::String,
        Static::Bool(_) => Type::Bool,
        Static::Duration(_) => Type::Duration,
        Static::Status(_) => Type::Status,
        Static::Kind(_) => Type::Kind,
    }
}

pub(crate) fn of_attribute(attribute: &Attribute) -> Type {
    let Attribute::Intrinsic(intrinsic) = attribute else { return Type::Attribute };
    match intrinsic {
        Intrinsic::Duration | Intrinsic::TraceDuration | Intrinsic::EventTimeSinceStart => Type::Duration,
        Intrinsic::Status => Type::Status,
        Intrinsic::Kind => Type::Kind,
        Intrinsic::Name
        | Intrinsic::StatusMessage
        | Intrinsic::RootName
        | Intrinsic::RootServiceName
        | Intrinsic::TraceId
        | Intrinsic::SpanId
        | Intrinsic::ParentId
        | Intrinsic::EventName
        | Intrinsic::LinkTraceId
        | Intrinsic::LinkSpanId => Type::String,
        Intrinsic::ChildCount
        | Intrinsic::NestedSetLeft
        | Intrinsic::NestedSetRight
        | Intrinsic::NestedSetParent => Type::Int,
        Intrinsic::InstrumentationName | Intrinsic::InstrumentationVersion | Intrinsic::Parent => {
            Type::Attribute
        }
    }
}

/// The type of `op operand`.
pub(crate) fn of_unary(op: UnaryOp, operand: Type) -> Type {
    match op {
        UnaryOp::Neg => operand,
        UnaryOp::Not => Type::Bool,
    }
}

/// The type of `left op right`, which are known to fit.
pub(crate) fn of_binary(op: BinaryOp, left: Type, right: Type) -> Type {
    match (left, right) {
        _ if !op.is_arithmetic() => Type::Bool,
        (Type::Attribute, other) | (other, Type::Attribute) => other,
        (Type::Int, Type::Int) => Type::Int,
        (Type::Duration, Type::Duration) => Type::Duration,
        _ => Type::Float,
    }
}
