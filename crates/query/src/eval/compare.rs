use std::cmp::Ordering;

use regex::Regex;
use vivace_traceql::BinaryOp;

use super::Operand;

/// `left op right` for the six comparisons. Nil and types that do not go together make it false; an array satisfies
/// `!=` if all its elements do, any other comparison if one does; two arrays never compare.
pub(crate) fn compare(op: BinaryOp, left: &Operand<'_>, right: &Operand<'_>) -> bool {
    match (left, right) {
        (Operand::Array(_), Operand::Array(_)) => false,
        (Operand::Array(elements), scalar) => {
            over_elements(op == BinaryOp::Ne, elements, scalar, |element| {
                compare_scalars(op, element, scalar)
            })
        }
        (scalar, Operand::Array(elements)) => {
            over_elements(op == BinaryOp::Ne, elements, scalar, |element| {
                compare_scalars(op, scalar, element)
            })
        }
        _ => compare_scalars(op, left, right),
    }
}

/// `operand =~ pattern`, or `!~` when `negated`.
pub(super) fn matches(operand: &Operand<'_>, pattern: &Regex, negated: bool) -> bool {
    match operand {
        Operand::String(text) => pattern.is_match(text) != negated,
        Operand::Array(elements) if negated => elements.iter().all(|element| matches(element, pattern, true)),
        Operand::Array(elements) => elements.iter().any(|element| matches(element, pattern, false)),
        _ => false,
    }
}

fn over_elements(
    all: bool,
    elements: &[Operand<'_>],
    scalar: &Operand<'_>,
    test: impl Fn(&Operand<'_>) -> bool,
) -> bool {
    if scalar.is_nil() {
        return false;
    }
    if all { elements.iter().all(test) } else { elements.iter().any(test) }
}

fn compare_scalars(op: BinaryOp, left: &Operand<'_>, right: &Operand<'_>) -> bool {
    let equality = |equal: bool| match op {
        BinaryOp::Eq => equal,
        BinaryOp::Ne => !equal,
        _ => false,
    };
    match (left, right) {
        (Operand::Bool(left), Operand::Bool(right)) => equality(left == right),
        (Operand::Status(left), Operand::Status(right)) => equality(left == right),
        (Operand::Kind(left), Operand::Kind(right)) => equality(left == right),
        (Operand::String(left), Operand::String(right)) => {
            holds(op, Some(left.as_bytes().cmp(right.as_bytes())))
        }
        _ => match (Number::of(left), Number::of(right)) {
            (Some(left), Some(right)) => holds(op, left.cmp(right)),
            _ => false,
        },
    }
}

/// NaN has no order: only `!=` holds.
fn holds(op: BinaryOp, order: Option<Ordering>) -> bool {
    match op {
        BinaryOp::Eq => order.is_some_and(Ordering::is_eq),
        BinaryOp::Ne => !order.is_some_and(Ordering::is_eq),
        BinaryOp::Lt => order.is_some_and(Ordering::is_lt),
        BinaryOp::Le => order.is_some_and(Ordering::is_le),
        BinaryOp::Gt => order.is_some_and(Ordering::is_gt),
        BinaryOp::Ge => order.is_some_and(Ordering::is_ge),
        _ => false,
    }
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn of(operand: &Operand<'_>) -> Option<Self> {
        match operand {
            Operand::Int(number) | Operand::Duration(number) => Some(Self::Int(*number)),
            Operand::Float(number) => Some(Self::Float(*number)),
            _ => None,
        }
    }

    fn to_float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    fn cmp(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(&right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right),
            (Self::Int(left), Self::Float(right)) => compare_exactly(left, right),
            (Self::Float(left), Self::Int(right)) => compare_exactly(right, left).map(Ordering::reverse),
        }
    }
}

/// Without rounding the integer to a float: 2^53 + 1 is not 2^53.
fn compare_exactly(int: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // 2^63 as a float; every smaller float truncates into an i64.
    let bound = -(i64::MIN as f64);
    if float >= bound {
        return Some(Ordering::Less);
    }
    if float < -bound {
        return Some(Ordering::Greater);
    }
    let whole = float.trunc() as i64;
    Some(int.cmp(&whole).then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}

/// How two numbers compare, whatever their types; [`None`] when one is no number.
pub(crate) fn compare_numbers(left: &Operand<'_>, right: &Operand<'_>) -> Option<Ordering> {
    Number::of(left)?.cmp(Number::of(right)?)
}

/// `left op right` for `+ - * / % ^`. What has no result (nil, a type that cannot, division by zero, not a number) is
/// nil. Integers stay integers and wrap, powers saturate; durations stay durations under `+` and `-`; everything else
/// is done in floats.
pub(super) fn arithmetic(op: BinaryOp, left: &Operand<'_>, right: &Operand<'_>) -> Operand<'static> {
    if let (Operand::Int(left), Operand::Int(right)) = (left, right) {
        return int_arithmetic(op, *left, *right);
    }
    if let (Operand::Duration(left), Operand::Duration(right)) = (left, right) {
        match op {
            BinaryOp::Add => return Operand::Duration(left.wrapping_add(*right)),
            BinaryOp::Sub => return Operand::Duration(left.wrapping_sub(*right)),
            _ => {}
        }
    }
    let (Some(left), Some(right)) = (Number::of(left), Number::of(right)) else { return Operand::Nil };
    float_arithmetic(op, left.to_float(), right.to_float())
}

fn int_arithmetic(op: BinaryOp, left: i64, right: i64) -> Operand<'static> {
    let result = match op {
        BinaryOp::Add => Some(left.wrapping_add(right)),
        BinaryOp::Sub => Some(left.wrapping_sub(right)),
        BinaryOp::Mul => Some(left.wrapping_mul(right)),
        BinaryOp::Div => (right != 0).then(|| left.wrapping_div(right)),
        BinaryOp::Mod => (right != 0).then(|| left.wrapping_rem(right)),
        BinaryOp::Pow if right < 0 => return float_arithmetic(op, left as f64, right as f64),
        BinaryOp::Pow => Some(left.saturating_pow(saturated_exponent(right))),
        _ => None,
    };
    result.map_or(Operand::Nil, Operand::Int)
}

/// An exponent beyond 32 bits does what the greatest one of the same parity does.
fn saturated_exponent(exponent: i64) -> u32 {
    u32::try_from(exponent).unwrap_or(u32::MAX - u32::from(exponent % 2 == 0))
}

fn float_arithmetic(op: BinaryOp, left: f64, right: f64) -> Operand<'static> {
    let result = match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div | BinaryOp::Mod if right == 0.0 => return Operand::Nil,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        _ => return Operand::Nil,
    };
    if result.is_nan() { Operand::Nil } else { Operand::Float(result) }
}

/// `-operand`.
pub(super) fn negate(operand: &Operand<'_>) -> Operand<'static> {
    match operand {
        Operand::Int(number) => Operand::Int(number.wrapping_neg()),
        Operand::Float(number) => Operand::Float(-number),
        Operand::Duration(nanos) => Operand::Duration(nanos.wrapping_neg()),
        _ => Operand::Nil,
    }
}
