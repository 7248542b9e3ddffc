//! What is done to series: second stages and arithmetic (`reference/tempo.md` 4.9).

use std::cmp::Ordering;

use vivace_model::Value;
use vivace_query::{Sample, Series};
use vivace_traceql::{BinaryOp, MathExpr, SecondStage, Static};

use super::metrics::{Labels, NAME, Question, sort};

/// The stages in order. The series are in order before and after.
pub(crate) fn second_stages(mut series: Vec<Series>, stages: &[SecondStage]) -> Vec<Series> {
    for stage in stages {
        series = match stage {
            SecondStage::TopK(n) => best(series, *n, |left, right| numeric(right, left)),
            SecondStage::BottomK(n) => best(series, *n, numeric),
            SecondStage::Filter { op, value } => {
                let limit = seconds(value);
                kept(series, |_, sample| holds(*op, sample.value, limit))
            }
        };
    }
    series
}

/// Samples that are among the first `n` of their time; of equal ones those of the first series.
fn best(series: Vec<Series>, n: i64, order: fn(f64, f64) -> Ordering) -> Vec<Series> {
    let all = series.clone();
    let before = |at: usize, sample: &Sample| {
        let better = |(other, series): (usize, &Series)| {
            value_at(series, sample.timestamp_ms)
                .is_some_and(|value| order(value, sample.value).then(other.cmp(&at)).is_lt())
        };
        all.iter().enumerate().filter(|(other, series)| better((*other, *series))).count()
    };
    kept(series, |at, sample| (before(at, sample) as i64) < n)
}

fn value_at(series: &Series, timestamp_ms: i64) -> Option<f64> {
    series.samples.iter().find(|sample| sample.timestamp_ms == timestamp_ms).map(|sample| sample.value)
}

/// The samples that are wanted, and the series that have some.
fn kept(mut series: Vec<Series>, wanted: impl Fn(usize, &Sample) -> bool) -> Vec<Series> {
    for (at, series) in series.iter_mut().enumerate() {
        series.samples.retain(|sample| wanted(at, sample));
    }
    series.retain(|series| !series.samples.is_empty());
    series
}

fn seconds(value: &Static) -> f64 {
    match value {
        Static::Int(number) => *number as f64,
        Static::Float(number) => *number,
        Static::Duration(nanos) => *nanos as f64 / 1e9,
        other => panic!("{other} is no number"),
    }
}

fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Lt => left < right,
        BinaryOp::Le => left <= right,
        BinaryOp::Gt => left > right,
        BinaryOp::Ge => left >= right,
        other => panic!("{other} is no comparison"),
    }
}

/// A side of arithmetic.
enum Operand {
    Number(f64, String),
    Series(Vec<Series>),
}

/// The series of an arithmetic expression, in order.
pub(crate) fn math(expr: &MathExpr, question: &Question<'_>) -> Vec<Series> {
    match operand(expr, question) {
        Operand::Series(series) => series,
        Operand::Number(..) => panic!("`{expr}` does not pass validation"),
    }
}

fn operand(expr: &MathExpr, question: &Question<'_>) -> Operand {
    match expr {
        MathExpr::Literal(literal) => Operand::Number(seconds(literal), literal.to_string()),
        MathExpr::Query(query) => {
            Operand::Series(second_stages(question.series(&query.pipeline, &query.function), &query.second))
        }
        MathExpr::Binary { op, left, right } => {
            let mut series = match (operand(left, question), operand(right, question)) {
                (Operand::Series(left), Operand::Series(right)) => joined(*op, &left, &right),
                (Operand::Series(left), Operand::Number(number, text)) => {
                    let one = |series: &Series| combined(*op, series, &constant(series, number, &text));
                    left.iter().map(one).collect()
                }
                (Operand::Number(number, text), Operand::Series(right)) => {
                    let one = |series: &Series| combined(*op, &constant(series, number, &text), series);
                    right.iter().map(one).collect()
                }
                (Operand::Number(..), Operand::Number(..)) => panic!("`{expr}` is folded"),
            };
            series.retain(|series| !series.samples.is_empty());
            sort(&mut series);
            Operand::Series(series)
        }
    }
}

/// The number at every time of the series.
fn constant(series: &Series, number: f64, text: &str) -> Series {
    let samples = series.samples.iter().map(|sample| Sample { value: number, ..*sample }).collect();
    Series { labels: vec![(NAME.to_owned(), Value::from(text))], samples, exemplars: Vec::new() }
}

/// Every pair that goes together.
fn joined(op: BinaryOp, left: &[Series], right: &[Series]) -> Vec<Series> {
    let pairs = left.iter().flat_map(|l| right.iter().map(move |r| (l, r)));
    let fitting = pairs.filter(|(l, r)| {
        let (l, r) = (unnamed(l), unnamed(r));
        l.is_empty() || r.is_empty() || same(&l, &r)
    });
    fitting.map(|(l, r)| combined(op, l, r)).collect()
}

fn unnamed(series: &Series) -> Labels {
    series.labels.iter().filter(|(key, _)| key != NAME).cloned().collect()
}

fn same(left: &Labels, right: &Labels) -> bool {
    left.len() == right.len() && left.iter().all(|label| right.contains(label))
}

fn combined(op: BinaryOp, left: &Series, right: &Series) -> Series {
    let sample = |sample: &Sample| {
        let value = apply(op, sample.value, value_at(right, sample.timestamp_ms)?);
        value.is_finite().then_some(Sample { value, ..*sample })
    };
    let labels = if unnamed(left).is_empty() { unnamed(right) } else { unnamed(left) };
    let labels = if labels.is_empty() { named(op, left, right) } else { labels };
    Series { labels, samples: left.samples.iter().filter_map(sample).collect(), exemplars: Vec::new() }
}

fn named(op: BinaryOp, left: &Series, right: &Series) -> Labels {
    let name = |series: &Series| match series.labels.first() {
        Some((_, Value::String(name))) => name.clone(),
        _ => panic!("a series without other labels has a name"),
    };
    vec![(NAME.to_owned(), Value::String(format!("({} {op} {})", name(left), name(right))))]
}

fn apply(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        other => panic!("{other} is no arithmetic of series"),
    }
}

fn numeric(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).expect("samples are numbers")
}
