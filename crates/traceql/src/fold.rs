//! Folding of literal-only expressions. What has no literal result (division by zero, integer overflow, NaN, a wrong
//! type or pattern) is left as it is.

use std::cmp::Ordering;

use crate::ast::{BinaryOp, Static, UnaryOp};
use crate::pattern;
use crate::types;

/// The value of `op operand`.
pub(crate) fn unary(op: UnaryOp, operand: &Static) -> Option<Static> {
    match (op, operand) {
        (UnaryOp::Not, Static::Bool(value)) => Some(Static::Bool(!value)),
        (UnaryOp::Neg, Static::Int(value)) => value.checked_neg().map(Static::Int),
        (UnaryOp::Neg, Static::Float(value)) => Some(Static::Float(-value)),
        (UnaryOp::Neg, Static::Duration(value)) => value.checked_neg().map(Static::Duration),
        _ => None,
    }
}

/// The value of `left op right`.
pub(crate) fn binary(op: BinaryOp, left: &Static, right: &Static) -> Option<Static> {
    let (left_type, right_type) = (types::of_static(left), types::of_static(right));
    if !(left_type.fits(right_type) && left_type.allows(op) && right_type.allows(op)) {
        return None;
    }
    match op {
        BinaryOp::And | BinaryOp::Or => logical(op, left, right),
        BinaryOp::Regex | BinaryOp::NotRegex => regex(op, left, right),
        _ if op.is_arithmetic() => arithmetic(op, left, right),
        _ => Some(Static::Bool(compare(op, left, right))),
    }
}

fn logical(op: BinaryOp, left: &Static, right: &Static) -> Option<Static> {
    let (Static::Bool(left), Static::Bool(right)) = (left, right) else { return None };
    Some(Static::Bool(if op == BinaryOp::And { *left && *right } else { *left || *right }))
}

fn regex(op: BinaryOp, left: &Static, right: &Static) -> Option<Static> {
    let (Static::String(left), Static::String(right)) = (left, right) else { return None };
    let matches = pattern::compile(right).ok()?.is_match(left);
    Some(Static::Bool(matches == (op == BinaryOp::Regex)))
}

/// Any comparison with nil is false, `nil = nil` and `!=` included.
fn compare(op: BinaryOp, left: &Static, right: &Static) -> bool {
    let order = match (left, right) {
        (Static::Nil, _) | (_, Static::Nil) => return false,
        (Static::String(left), Static::String(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        _ => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => number(left).zip(number(right)).and_then(|(left, right)| left.partial_cmp(&right)),
        },
    };
    match op {
        BinaryOp::Eq => order.map_or(left == right, Ordering::is_eq),
        BinaryOp::Ne => order.map_or(left != right, Ordering::is_ne),
        BinaryOp::Lt => order.is_some_and(Ordering::is_lt),
        BinaryOp::Le => order.is_some_and(Ordering::is_le),
        BinaryOp::Gt => order.is_some_and(Ordering::is_gt),
        BinaryOp::Ge => order.is_some_and(Ordering::is_ge),
        _ => false,
    }
}

fn integer(value: &Static) -> Option<i64> {
    match value {
        Static::Int(value) | Static::Duration(value) => Some(*value),
        _ => None,
    }
}

fn number(value: &Static) -> Option<f64> {
    match value {
        Static::Int(value) | Static::Duration(value) => Some(*value as f64),
        Static::Float(value) => Some(*value),
        _ => None,
    }
}

fn arithmetic(op: BinaryOp, left: &Static, right: &Static) -> Option<Static> {
    let exact = match (left, right) {
        (Static::Int(left), Static::Int(right)) => return int_arithmetic(op, *left, *right),
        (Static::Duration(left), Static::Duration(right)) => duration_sum(op, *left, *right),
        (Static::Duration(left), Static::Int(right)) => duration_multiple(op, *left, *right),
        (Static::Int(left), Static::Duration(right)) if op == BinaryOp::Mul => {
            duration_multiple(op, *right, *left)
        }
        _ => None,
    };
    exact.or_else(|| float_arithmetic(op, number(left)?, number(right)?))
}

fn duration_sum(op: BinaryOp, left: i64, right: i64) -> Option<Static> {
    let nanos = match op {
        BinaryOp::Add => left.checked_add(right),
        BinaryOp::Sub => left.checked_sub(right),
        _ => None,
    };
    nanos.and_then(duration)
}

/// Durations stay durations where nothing is lost, so that `> 2 * 1s` still means seconds after a metrics function.
fn duration_multiple(op: BinaryOp, nanos: i64, factor: i64) -> Option<Static> {
    let result = match op {
        BinaryOp::Mul => nanos.checked_mul(factor),
        BinaryOp::Div if nanos.checked_rem(factor) == Some(0) => nanos.checked_div(factor),
        _ => None,
    };
    result.and_then(duration)
}

/// The least duration has no literal form; like what is lost or too large it becomes a float.
fn duration(nanos: i64) -> Option<Static> {
    (nanos != i64::MIN).then_some(Static::Duration(nanos))
}

fn int_arithmetic(op: BinaryOp, left: i64, right: i64) -> Option<Static> {
    let value = match op {
        BinaryOp::Add => left.checked_add(right),
        BinaryOp::Sub => left.checked_sub(right),
        BinaryOp::Mul => left.checked_mul(right),
        BinaryOp::Div => left.checked_div(right),
        BinaryOp::Mod => left.checked_rem(right),
        BinaryOp::Pow => match u32::try_from(right) {
            Ok(exponent) => Some(left.saturating_pow(exponent)),
            Err(_) => return float_arithmetic(op, left as f64, right as f64),
        },
        _ => None,
    };
    value.map(Static::Int)
}

fn float_arithmetic(op: BinaryOp, left: f64, right: f64) -> Option<Static> {
    let value = match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        _ => return None,
    };
    value.is_finite().then_some(Static::Float(value))
}

#[cfg(test)]
mod tests;
