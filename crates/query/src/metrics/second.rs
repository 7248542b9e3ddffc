//! Second stages and arithmetic (`reference/tempo.md` 4.9). Lines are in order before and after.

use vivace_model::Value;
use vivace_traceql::{BinaryOp, SecondStage, Static};

use super::lines::{Line, Lines, NAME, numeric, sort};

/// Applies the stages one after the other.
pub(super) fn apply(mut lines: Lines, stages: &[SecondStage]) -> Lines {
    for stage in stages {
        match stage {
            SecondStage::TopK(n) => keep_best(&mut lines, *n, |left, right| numeric(-left, -right)),
            SecondStage::BottomK(n) => keep_best(&mut lines, *n, numeric),
            SecondStage::Filter { op, value } => filter(&mut lines, *op, number(value)),
        }
        lines.retain(|line| !line.is_empty());
    }
    lines
}

/// Per step the best `n` keep their value; of equal ones the first.
fn keep_best(lines: &mut Lines, n: i64, order: fn(f64, f64) -> std::cmp::Ordering) {
    let n = usize::try_from(n).unwrap_or_default();
    if lines.len() <= n {
        return;
    }
    let steps = lines.first().map_or(0, |line| line.values.len());
    let mut ranked: Vec<usize> = Vec::with_capacity(lines.len());
    for step in 0..steps {
        ranked.clear();
        ranked.extend(0..lines.len());
        ranked.sort_by(|left, right| {
            order(lines[*left].values[step], lines[*right].values[step]).then(left.cmp(right))
        });
        ranked.iter().skip(n).for_each(|line| lines[*line].values[step] = f64::NAN);
    }
}

fn filter(lines: &mut Lines, op: BinaryOp, limit: f64) {
    for line in lines {
        line.values.iter_mut().filter(|value| !holds(op, **value, limit)).for_each(|value| *value = f64::NAN);
        line.exemplars.retain(|exemplar| holds(op, exemplar.value, limit));
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
        _ => false,
    }
}

/// A literal beside series: durations count in seconds.
pub(super) fn number(literal: &Static) -> f64 {
    match literal {
        Static::Int(number) => *number as f64,
        Static::Float(number) => *number,
        Static::Duration(nanos) => *nanos as f64 / 1e9,
        _ => f64::NAN,
    }
}

/// A side of arithmetic.
pub(super) enum Term {
    Number { value: f64, text: String },
    Lines(Lines),
}

/// `left op right`; two numbers are folded by the parser.
pub(super) fn arithmetic(op: BinaryOp, left: Term, right: Term) -> Lines {
    let mut lines = match (left, right) {
        (Term::Lines(left), Term::Lines(right)) => joined(op, &left, &right),
        (Term::Lines(left), Term::Number { value, text }) => {
            left.iter().map(|line| combined(op, line, &constant(line, value, &text))).collect()
        }
        (Term::Number { value, text }, Term::Lines(right)) => {
            right.iter().map(|line| combined(op, &constant(line, value, &text), line)).collect()
        }
        (Term::Number { .. }, Term::Number { .. }) => Lines::new(),
    };
    lines.retain(|line| !line.is_empty());
    sort(&mut lines);
    lines
}

fn constant(like: &Line, value: f64, text: &str) -> Line {
    let labels = vec![(NAME.to_owned(), Value::from(text))];
    Line { labels, values: vec![value; like.values.len()], exemplars: Vec::new() }
}

/// Lines with equal labels go together; one without labels goes with every other.
fn joined(op: BinaryOp, left: &[Line], right: &[Line]) -> Lines {
    let pairs = left.iter().flat_map(|left| right.iter().map(move |right| (left, right)));
    pairs
        .filter(|(left, right)| {
            let (left, right) = (own_labels(left), own_labels(right));
            left.is_empty()
                || right.is_empty()
                || (left.len() == right.len() && left.iter().all(|label| right.contains(label)))
        })
        .map(|(left, right)| combined(op, left, right))
        .collect()
}

fn own_labels(line: &Line) -> Vec<&(String, Value)> {
    line.labels.iter().filter(|(key, _)| key != NAME).collect()
}

fn combined(op: BinaryOp, left: &Line, right: &Line) -> Line {
    let value = |(left, right): (&f64, &f64)| {
        let value = calculate(op, *left, *right);
        if value.is_finite() { value } else { f64::NAN }
    };
    let (own_left, own_right) = (own_labels(left), own_labels(right));
    let own = if own_left.is_empty() { own_right } else { own_left };
    let labels = if own.is_empty() {
        vec![(NAME.to_owned(), Value::String(format!("({} {op} {})", name(left), name(right))))]
    } else {
        own.into_iter().cloned().collect()
    };
    Line {
        labels,
        values: left.values.iter().zip(&right.values).map(value).collect(),
        exemplars: left.exemplars.iter().chain(&right.exemplars).cloned().collect(),
    }
}

fn name(line: &Line) -> &str {
    line.labels.first().and_then(|(_, value)| value.as_str()).unwrap_or_default()
}

fn calculate(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests;
