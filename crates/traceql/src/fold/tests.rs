use super::{binary, unary};
use crate::ast::{BinaryOp, Static, UnaryOp};

const SECOND: i64 = 1_000_000_000;

#[test]
fn arithmetic_keeps_types() {
    let (int, float, duration) = (Static::Int, Static::Float, Static::Duration);
    let cases = [
        (BinaryOp::Add, int(2), int(3), Some(int(5))),
        (BinaryOp::Div, int(-7), int(2), Some(int(-3))),
        (BinaryOp::Div, int(7), float(2.0), Some(float(3.5))),
        (BinaryOp::Div, int(1), int(0), None),
        (BinaryOp::Mod, int(1), int(0), None),
        (BinaryOp::Mod, float(5.5), int(2), Some(float(1.5))),
        (BinaryOp::Div, float(1.0), int(0), None),
        (BinaryOp::Add, int(i64::MAX), int(1), None),
        (BinaryOp::Pow, int(2), int(10), Some(int(1024))),
        (BinaryOp::Pow, int(10), int(2), Some(int(100))),
        (BinaryOp::Pow, int(2), int(-1), Some(float(0.5))),
        (BinaryOp::Pow, int(10), int(100), Some(int(i64::MAX))),
        (BinaryOp::Pow, int(-10), int(101), Some(int(i64::MIN))),
        (BinaryOp::Pow, float(2.0), float(0.5), Some(float(2.0_f64.sqrt()))),
        (BinaryOp::Sub, duration(SECOND), duration(1), Some(duration(SECOND - 1))),
        (BinaryOp::Mul, int(2), duration(SECOND), Some(duration(2 * SECOND))),
        (BinaryOp::Div, duration(SECOND), int(2), Some(duration(SECOND / 2))),
        (BinaryOp::Div, duration(3), int(2), Some(float(1.5))),
        (BinaryOp::Div, duration(SECOND), duration(2), Some(float(5e8))),
        (BinaryOp::Add, duration(SECOND), int(1), Some(float(1e9 + 1.0))),
        (BinaryOp::Sub, duration(-i64::MAX), duration(1), Some(float(-(2.0_f64.powi(63))))),
    ];
    for (op, left, right, result) in cases {
        assert_eq!(binary(op, &left, &right), result, "{left} {op} {right}");
    }
}

#[test]
fn nil_compares_with_nothing() {
    for other in [Static::Nil, Static::Int(1), Static::String("nil".to_owned())] {
        for op in [BinaryOp::Eq, BinaryOp::Ne] {
            assert_eq!(binary(op, &Static::Nil, &other), Some(Static::Bool(false)));
            assert_eq!(binary(op, &other, &Static::Nil), Some(Static::Bool(false)));
        }
        assert_eq!(binary(BinaryOp::Lt, &Static::Nil, &other), None);
    }
}

#[test]
fn integers_compare_exactly() {
    let (left, right) = (Static::Int(i64::MAX), Static::Int(i64::MAX - 1));
    assert_eq!(binary(BinaryOp::Gt, &left, &right), Some(Static::Bool(true)));
    assert_eq!(binary(BinaryOp::Eq, &left, &right), Some(Static::Bool(false)));
}

#[test]
fn prefix_operators() {
    assert_eq!(unary(UnaryOp::Neg, &Static::Int(5)), Some(Static::Int(-5)));
    assert_eq!(unary(UnaryOp::Neg, &Static::Int(i64::MIN)), None);
    assert_eq!(unary(UnaryOp::Not, &Static::Bool(true)), Some(Static::Bool(false)));
    assert_eq!(unary(UnaryOp::Not, &Static::Int(1)), None);
}
