//! Values and what operators make of them (`reference/tempo.md` 4.5).

use std::cmp::Ordering;

use vivace_model::Value;
use vivace_traceql::{BinaryOp, Kind, Static, Status, compile_pattern};

/// A value while an expression is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Val {
    /// Asked of an event or link of a span that has none: nothing holds about it, not even that it is nil.
    Nowhere,
    Nil,
    Int(i64),
    Float(f64),
    Str(String),
    Bool(bool),
    Duration(i64),
    Status(Status),
    Kind(Kind),
    Array(Vec<Val>),
}

impl Val {
    pub(crate) fn of_static(literal: &Static) -> Self {
        match literal {
            Static::Nil => Val::Nil,
            Static::Int(number) => Val::Int(*number),
            Static::Float(number) => Val::Float(*number),
            Static::String(text) => Val::Str(text.clone()),
            Static::Bool(truth) => Val::Bool(*truth),
            Static::Duration(nanos) => Val::Duration(*nanos),
            Static::Status(status) => Val::Status(*status),
            Static::Kind(kind) => Val::Kind(*kind),
        }
    }

    /// Nil for what cannot be searched: maps, bytes, arrays of mixed types, values that are empty.
    pub(crate) fn of_stored(value: &Value) -> Self {
        match value {
            Value::String(text) => Val::Str(text.clone()),
            Value::Bool(truth) => Val::Bool(*truth),
            Value::Int(number) => Val::Int(*number),
            Value::Float(number) => Val::Float(*number),
            Value::Array(elements) => array(elements),
            Value::Empty | Value::Bytes(_) | Value::Map(_) => Val::Nil,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        *self == Val::Bool(true)
    }
}

fn array(elements: &[Value]) -> Val {
    let kind = |value: &Value| std::mem::discriminant(value);
    let scalar =
        |value: &Value| matches!(value, Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_));
    let uniform = elements.windows(2).all(|pair| kind(&pair[0]) == kind(&pair[1]));
    if uniform && elements.iter().all(scalar) {
        Val::Array(elements.iter().map(Val::of_stored).collect())
    } else {
        Val::Nil
    }
}

/// Whether `left op right`, for the six comparisons and the two regex operators.
pub(crate) fn compare(op: BinaryOp, left: &Val, right: &Val) -> bool {
    let of_all = matches!(op, BinaryOp::Ne | BinaryOp::NotRegex);
    match (left, right) {
        (Val::Array(_), Val::Array(_)) => false,
        (Val::Array(_), Val::Nil | Val::Nowhere) | (Val::Nil | Val::Nowhere, Val::Array(_)) => false,
        (Val::Array(elements), scalar) if of_all => elements.iter().all(|e| compare(op, e, scalar)),
        (Val::Array(elements), scalar) => elements.iter().any(|e| compare(op, e, scalar)),
        (scalar, Val::Array(elements)) if of_all => elements.iter().all(|e| compare(op, scalar, e)),
        (scalar, Val::Array(elements)) => elements.iter().any(|e| compare(op, scalar, e)),
        _ if op.is_regex() => regex(op, left, right),
        _ => scalars(op, left, right),
    }
}

fn regex(op: BinaryOp, text: &Val, pattern: &Val) -> bool {
    let (Val::Str(text), Val::Str(pattern)) = (text, pattern) else { return false };
    let pattern = compile_pattern(pattern).expect("a validated query has valid patterns");
    pattern.is_match(text) == (op == BinaryOp::Regex)
}

fn scalars(op: BinaryOp, left: &Val, right: &Val) -> bool {
    match (left, right) {
        (Val::Str(left), Val::Str(right)) => ordered(op, Some(left.as_bytes().cmp(right.as_bytes()))),
        (Val::Bool(left), Val::Bool(right)) => equal(op, left == right),
        (Val::Status(left), Val::Status(right)) => equal(op, left == right),
        (Val::Kind(left), Val::Kind(right)) => equal(op, left == right),
        _ => match numbers(left, right) {
            Some(order) => ordered(op, order),
            None => false,
        },
    }
}

fn equal(op: BinaryOp, same: bool) -> bool {
    match op {
        BinaryOp::Eq => same,
        BinaryOp::Ne => !same,
        _ => false,
    }
}

fn ordered(op: BinaryOp, order: Option<Ordering>) -> bool {
    match op {
        BinaryOp::Eq => order == Some(Ordering::Equal),
        BinaryOp::Ne => order != Some(Ordering::Equal),
        BinaryOp::Lt => order == Some(Ordering::Less),
        BinaryOp::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        BinaryOp::Gt => order == Some(Ordering::Greater),
        BinaryOp::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        other => panic!("{other:?} is no comparison"),
    }
}

/// How two numbers compare; the outer [`None`] when one is no number, the inner when one is NaN.
fn numbers(left: &Val, right: &Val) -> Option<Option<Ordering>> {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(Some(left.cmp(&right))),
        (Some(left), None) => float(right).map(|right| exact(left, right)),
        (None, Some(right)) => float(left).map(|left| exact(right, left).map(Ordering::reverse)),
        (None, None) => Some(float(left)?.partial_cmp(&float(right)?)),
    }
}

fn whole(value: &Val) -> Option<i64> {
    match value {
        Val::Int(number) | Val::Duration(number) => Some(*number),
        _ => None,
    }
}

fn float(value: &Val) -> Option<f64> {
    match value {
        Val::Float(number) => Some(*number),
        _ => None,
    }
}

/// Compares without rounding the whole number.
fn exact(whole: i64, float: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        return None;
    }
    if float >= BEYOND {
        return Some(Ordering::Less);
    }
    if float < -BEYOND {
        return Some(Ordering::Greater);
    }
    Some(whole.cmp(&(float.trunc() as i64)).then(0.0_f64.partial_cmp(&float.fract())?))
}

/// `left op right`; nil where there is no result. Whole numbers wrap around at 64 bits, powers stop there.
pub(crate) fn arithmetic(op: BinaryOp, left: &Val, right: &Val) -> Val {
    match (left, right) {
        (Val::Nowhere, _) | (_, Val::Nowhere) => Val::Nowhere,
        (Val::Int(left), Val::Int(right)) => whole_arithmetic(op, *left, *right),
        (Val::Duration(left), Val::Duration(right)) if op == BinaryOp::Add => {
            Val::Duration(left.wrapping_add(*right))
        }
        (Val::Duration(left), Val::Duration(right)) if op == BinaryOp::Sub => {
            Val::Duration(left.wrapping_sub(*right))
        }
        _ => match (as_float(left), as_float(right)) {
            (Some(left), Some(right)) => float_arithmetic(op, left, right),
            _ => Val::Nil,
        },
    }
}

/// `-value`.
pub(crate) fn negated(value: Val) -> Val {
    match value {
        Val::Int(number) => Val::Int(number.wrapping_neg()),
        Val::Duration(nanos) => Val::Duration(nanos.wrapping_neg()),
        Val::Float(number) => Val::Float(-number),
        Val::Nowhere => Val::Nowhere,
        _ => Val::Nil,
    }
}

fn as_float(value: &Val) -> Option<f64> {
    whole(value).map(|number| number as f64).or(float(value))
}

fn whole_arithmetic(op: BinaryOp, left: i64, right: i64) -> Val {
    let result = match op {
        BinaryOp::Add => Some(left.wrapping_add(right)),
        BinaryOp::Sub => Some(left.wrapping_sub(right)),
        BinaryOp::Mul => Some(left.wrapping_mul(right)),
        BinaryOp::Div | BinaryOp::Mod if right == 0 => None,
        BinaryOp::Div => Some(left.wrapping_div(right)),
        BinaryOp::Mod => Some(left.wrapping_rem(right)),
        BinaryOp::Pow if right < 0 => return float_arithmetic(op, left as f64, right as f64),
        BinaryOp::Pow => Some(power(left, right)),
        other => panic!("{other:?} is no arithmetic"),
    };
    result.map_or(Val::Nil, Val::Int)
}

/// Multiplied one by one until it no longer fits.
fn power(base: i64, exponent: i64) -> i64 {
    let mut result: i64 = 1;
    for step in 0..exponent {
        match result.checked_mul(base) {
            Some(product) => result = product,
            None if base < 0 && (exponent % 2 == 1) => return i64::MIN,
            None => return i64::MAX,
        }
        if step > 64 && (-1..=1).contains(&base) {
            return if exponent % 2 == 0 { base * base } else { base };
        }
    }
    result
}

fn float_arithmetic(op: BinaryOp, left: f64, right: f64) -> Val {
    let result = match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div | BinaryOp::Mod if right == 0.0 => return Val::Nil,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        other => panic!("{other:?} is no arithmetic"),
    };
    if result.is_nan() { Val::Nil } else { Val::Float(result) }
}
