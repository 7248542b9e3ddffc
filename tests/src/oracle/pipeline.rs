//! Pipelines over one trace (`reference/tempo.md` 4.6 and 4.7).

use vivace_model::Value;
use vivace_traceql::{
    Aggregate, BinaryOp, FieldExpr, Pipeline, ScalarExpr, ScalarFilter, SpansetExpr, SpansetOp, Stage,
};

use super::exact::Exact;
use super::field::{holds, shown, value_of};
use super::structure::structural;
use super::trace::Subject;
use super::value::{Val, compare};

pub(crate) type Spans<'a, 's> = Vec<&'a Subject<'s>>;

/// Spans that go on together, and what is said of them.
#[derive(Clone)]
pub(crate) struct Set<'a, 's> {
    pub(crate) spans: Spans<'a, 's>,
    pub(crate) attributes: Vec<(String, Value)>,
}

/// The span sets a pipeline makes of all spans of a trace.
pub(crate) fn matched<'a, 's>(pipeline: &Pipeline, trace: &'a [Subject<'s>]) -> Vec<Set<'a, 's>> {
    let all: Spans<'a, 's> = trace.iter().collect();
    let context = Context { trace: &all };
    context.run(pipeline, vec![Set { spans: all.clone(), attributes: Vec::new() }])
}

/// Why the pipeline is refused.
pub(crate) fn refusal(pipeline: &Pipeline) -> Option<String> {
    pipeline.stages.iter().find_map(|stage| match stage {
        Stage::Spanset(expr) => spanset_refusal(expr),
        _ => None,
    })
}

fn spanset_refusal(expr: &SpansetExpr) -> Option<String> {
    match expr {
        SpansetExpr::Filter(_) => None,
        SpansetExpr::Pipeline(pipeline) => refusal(pipeline),
        SpansetExpr::Binary { op, left, right } => {
            let several = !matches!(op, SpansetOp::And | SpansetOp::Or)
                && (yields_several(left) || yields_several(right));
            let refused = several.then(|| format!("an operand of {op} has several span sets"));
            refused.or_else(|| spanset_refusal(left)).or_else(|| spanset_refusal(right))
        }
    }
}

fn yields_several(operand: &SpansetExpr) -> bool {
    let SpansetExpr::Pipeline(pipeline) = operand else { return false };
    let last = |wanted: fn(&Stage) -> bool| pipeline.stages.iter().rposition(wanted);
    last(|stage| matches!(stage, Stage::By(_))) > last(|stage| matches!(stage, Stage::Coalesce))
}

struct Context<'c, 'a, 's> {
    /// Every span of the trace.
    trace: &'c Spans<'a, 's>,
}

impl<'a, 's> Context<'_, 'a, 's> {
    fn run(&self, pipeline: &Pipeline, mut sets: Vec<Set<'a, 's>>) -> Vec<Set<'a, 's>> {
        for stage in &pipeline.stages {
            sets = match stage {
                Stage::Spanset(expr) => sets
                    .into_iter()
                    .map(|set| Set { spans: self.spanset(expr, &set.spans), attributes: set.attributes })
                    .collect(),
                Stage::ScalarFilter(filter) => {
                    sets.into_iter().filter_map(|set| scalar_filter(filter, set)).collect()
                }
                Stage::By(expr) => sets.into_iter().flat_map(|set| split(expr, &set)).collect(),
                Stage::Coalesce => vec![coalesced(&sets)],
                Stage::Select(_) => sets,
            };
            sets.retain(|set| !set.spans.is_empty());
        }
        sets
    }

    fn spanset(&self, expr: &SpansetExpr, spans: &Spans<'a, 's>) -> Spans<'a, 's> {
        match expr {
            SpansetExpr::Filter(filter) => {
                spans.iter().copied().filter(|subject| holds(subject, filter)).collect()
            }
            SpansetExpr::Pipeline(pipeline) => {
                let set = Set { spans: spans.clone(), attributes: Vec::new() };
                let sets = self.run(pipeline, vec![set]);
                sets.iter().fold(Vec::new(), |all, set| union(all, &set.spans))
            }
            SpansetExpr::Binary { op, left, right } => {
                let (left, right) = (self.spanset(left, spans), self.spanset(right, spans));
                match op {
                    SpansetOp::And if left.is_empty() || right.is_empty() => Vec::new(),
                    SpansetOp::And | SpansetOp::Or => union(left, &right),
                    op => structural(*op, &left, &right, self.trace),
                }
            }
        }
    }
}

/// Those of the left, then those of the right that are not among them.
pub(crate) fn union<'a, 's>(mut left: Spans<'a, 's>, right: &Spans<'a, 's>) -> Spans<'a, 's> {
    for subject in right {
        if !left.iter().any(|known| known.at == subject.at) {
            left.push(subject);
        }
    }
    left
}

fn coalesced<'a, 's>(sets: &[Set<'a, 's>]) -> Set<'a, 's> {
    let mut spans = sets.iter().fold(Vec::new(), |all, set| union(all, &set.spans));
    spans.sort_by_key(|subject| subject.at);
    Set { spans, attributes: Vec::new() }
}

fn split<'a, 's>(expr: &FieldExpr, set: &Set<'a, 's>) -> Vec<Set<'a, 's>> {
    let mut parts: Vec<(Val, Spans<'a, 's>)> = Vec::new();
    for subject in &set.spans {
        let value = value_of(subject, expr);
        match parts.iter_mut().find(|(known, _)| *known == value) {
            Some((_, spans)) => spans.push(subject),
            None => parts.push((value, vec![subject])),
        }
    }
    let part = |(value, spans)| {
        let mut attributes = set.attributes.clone();
        attributes.push((format!("by({expr})"), shown(value).unwrap_or_else(|| Value::from("nil"))));
        Set { spans, attributes }
    };
    parts.into_iter().map(part).collect()
}

/// Adds an attribute, or replaces the one of this name.
fn put(attributes: &mut Vec<(String, Value)>, name: String, value: Value) {
    match attributes.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => attributes.push((name, value)),
    }
}

fn scalar_filter<'a, 's>(filter: &ScalarFilter, mut set: Set<'a, 's>) -> Option<Set<'a, 's>> {
    let (ScalarExpr::Aggregate(aggregate), ScalarExpr::Literal(literal)) = (&filter.left, &filter.right)
    else {
        panic!("`{filter}` does not pass validation")
    };
    let value = aggregated(aggregate, &set.spans)?;
    if !compare(filter.op, &value, &Val::of_static(literal)) {
        return None;
    }
    put(&mut set.attributes, aggregate.to_string(), shown(value)?);
    Some(set)
}

/// [`None`] when no span has a number.
fn aggregated(aggregate: &Aggregate, spans: &Spans<'_, '_>) -> Option<Val> {
    let numbers = |expr| -> Vec<Val> {
        let values = spans.iter().map(|subject| value_of(subject, expr));
        values.filter(|value| matches!(value, Val::Int(_) | Val::Float(_) | Val::Duration(_))).collect()
    };
    match aggregate {
        Aggregate::Count => Some(Val::Int(i64::try_from(spans.len()).expect("test traces are small"))),
        Aggregate::Min(expr) => extreme(numbers(expr), BinaryOp::Lt),
        Aggregate::Max(expr) => extreme(numbers(expr), BinaryOp::Gt),
        Aggregate::Sum(expr) => sum(&numbers(expr)),
        Aggregate::Avg(expr) => average(&numbers(expr)),
    }
}

fn extreme(numbers: Vec<Val>, better: BinaryOp) -> Option<Val> {
    numbers.into_iter().reduce(|best, next| if compare(better, &next, &best) { next } else { best })
}

/// Of the numbers of the first one's type, which add up to its type.
fn sum(numbers: &[Val]) -> Option<Val> {
    Some(match numbers.first()? {
        Val::Int(_) => Val::Int(ints(numbers).into_iter().fold(0, i64::wrapping_add)),
        Val::Duration(_) => Val::Duration(durations(numbers).into_iter().fold(0, i64::wrapping_add)),
        _ => number(Exact::sum_of_floats(&floats(numbers)))?,
    })
}

fn average(numbers: &[Val]) -> Option<Val> {
    match numbers.first()? {
        Val::Int(_) => number(mean(&ints(numbers)).to_f64()),
        Val::Duration(_) => {
            let (all, count) = (durations(numbers), durations(numbers).len() as i128);
            let average = all.into_iter().map(i128::from).sum::<i128>() / count;
            Some(Val::Duration(i64::try_from(average).expect("between the least and the greatest")))
        }
        _ => number(Exact::mean_of_floats(&floats(numbers))),
    }
}

fn mean(ints: &[i64]) -> Exact {
    let total = ints.iter().fold(Exact::of_int(0), |total, next| total.plus(&Exact::of_int(*next)));
    total.over(&Exact::of_int(ints.len() as i64))
}

fn number(float: f64) -> Option<Val> {
    (!float.is_nan()).then_some(Val::Float(float))
}

fn ints(numbers: &[Val]) -> Vec<i64> {
    numbers.iter().filter_map(|n| if let Val::Int(n) = n { Some(*n) } else { None }).collect()
}

fn durations(numbers: &[Val]) -> Vec<i64> {
    numbers.iter().filter_map(|n| if let Val::Duration(n) = n { Some(*n) } else { None }).collect()
}

fn floats(numbers: &[Val]) -> Vec<f64> {
    numbers.iter().filter_map(|n| if let Val::Float(n) = n { Some(*n) } else { None }).collect()
}
