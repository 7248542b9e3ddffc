//! What the rows of a zone must have for a filter to hold on one: a necessary condition that indexes can decide.

use std::ops::RangeInclusive;

use vivace_storage::index::ValueHash;
use vivace_traceql::{Attribute, BinaryOp};

use super::Operand;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) enum Need {
    /// Nothing is known.
    Anything,
    /// Some row has the attribute.
    Present(Attribute),
    /// Some row has this text.
    Text(Attribute, ValueHash),
    /// Some row has a number between these, given for whole numbers and for others.
    Number(Attribute, RangeInclusive<i64>, RangeInclusive<f64>),
    All(Vec<Need>),
    Any(Vec<Need>),
}

impl Need {
    pub(crate) fn all(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::Anything, one) | (one, Self::Anything) => one,
            (left, right) => Self::All(vec![left, right]),
        }
    }

    pub(crate) fn any(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::Anything, _) | (_, Self::Anything) => Self::Anything,
            (left, right) => Self::Any(vec![left, right]),
        }
    }

    /// For `attribute op constant` to hold.
    pub(super) fn of_comparison(attribute: &Attribute, op: BinaryOp, constant: &Operand<'_>) -> Self {
        let attribute = attribute.clone();
        match (op, constant) {
            // What is stored as missing may be compared as empty.
            (BinaryOp::Eq, Operand::String(text)) if !text.is_empty() => {
                Self::Text(attribute, ValueHash::of(text))
            }
            (_, Operand::Int(number) | Operand::Duration(number)) => {
                range(op, *number as f64).map_or(Self::Present(attribute.clone()), |floats| {
                    let ints = match op {
                        BinaryOp::Eq => *number..=*number,
                        BinaryOp::Lt | BinaryOp::Le => i64::MIN..=*number,
                        _ => *number..=i64::MAX,
                    };
                    Self::Number(attribute, ints, floats)
                })
            }
            (_, Operand::Float(number)) => {
                range(op, *number).map_or(Self::Present(attribute.clone()), |floats| {
                    // Casts saturate, and what lies between is rounded outwards.
                    let ints = floats.start().floor() as i64..=floats.end().ceil() as i64;
                    Self::Number(attribute, ints, floats)
                })
            }
            (BinaryOp::Eq, Operand::Status(status)) => exactly(attribute, *status as i64),
            (BinaryOp::Eq, Operand::Kind(kind)) => exactly(attribute, *kind as i64),
            _ => Self::Present(attribute),
        }
    }
}

fn exactly(attribute: Attribute, code: i64) -> Need {
    Need::Number(attribute, code..=code, code as f64..=code as f64)
}

/// The floats that may stand on the left; rounding is covered by a neighbour on each side.
fn range(op: BinaryOp, number: f64) -> Option<RangeInclusive<f64>> {
    let (below, above) = (number.next_down(), number.next_up());
    match op {
        _ if number.is_nan() => None,
        BinaryOp::Eq => Some(below..=above),
        BinaryOp::Lt | BinaryOp::Le => Some(f64::NEG_INFINITY..=above),
        BinaryOp::Gt | BinaryOp::Ge => Some(below..=f64::INFINITY),
        _ => None,
    }
}

/// `constant op attribute` as `attribute op constant`.
pub(super) fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Le => BinaryOp::Ge,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Ge => BinaryOp::Le,
        other => other,
    }
}
