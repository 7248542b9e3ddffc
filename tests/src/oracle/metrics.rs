//! Metrics functions (`reference/tempo.md` 4.9, `docs/adr/0005`). Exemplars are not computed.

use num_bigint::BigInt;
use vivace_model::{Span, Value};
use vivace_query::{MetricsRequest, MetricsWindow, Sample, Series};
use vivace_traceql::{
    Attribute, Intrinsic, MetricsFunction, MetricsOp, MetricsSource, Pipeline, Query, Scope, Static,
};

use super::compare::compared;
use super::exact::Exact;
use super::field::{attribute_of, shown};
use super::pipeline::matched;
use super::second::{math, second_stages};
use super::trace::{Subject, subjects, traces};
use super::value::Val;

pub(crate) type Labels = Vec<(String, Value)>;

/// The label of series without others.
pub(crate) const NAME: &str = "__name__";
const NANOS: i64 = 1_000_000_000;

/// The series that answer the request, without exemplars. The number of series is not limited.
///
/// # Panics
/// On a query without metrics or with a [`super::refusal`] of its pipeline.
pub fn metrics(spans: &[Span], request: &MetricsRequest) -> Vec<Series> {
    let question = Question {
        traces: &traces(spans),
        window: request.window,
        extrapolate: extrapolates(&request.query),
    };
    let metrics = request.query.metrics.as_ref().expect("a metrics query");
    let series = match &metrics.source {
        MetricsSource::Function(function) => question.series(&request.query.pipeline, function),
        MetricsSource::Math(expr) => math(expr, &question),
    };
    second_stages(series, &metrics.second)
}

fn extrapolates(query: &Query) -> bool {
    query.hints.iter().any(|hint| hint.key == "extrapolate" && hint.value == Static::Bool(true))
}

/// What is asked of which spans.
pub(crate) struct Question<'q> {
    traces: &'q [Vec<Span>],
    window: MetricsWindow,
    extrapolate: bool,
}

/// A span that counts.
pub(crate) struct Counted<'a, 's> {
    pub(crate) subject: &'a Subject<'s>,
    /// Which of the times its value goes to.
    pub(crate) step: usize,
    /// How many spans it stands for.
    pub(crate) weight: Exact,
}

impl Question<'_> {
    /// In the order of results.
    pub(crate) fn series(&self, pipeline: &Pipeline, function: &MetricsFunction) -> Vec<Series> {
        let subjects: Vec<Vec<Subject<'_>>> = self.traces.iter().map(|trace| subjects(trace)).collect();
        let counted: Vec<Counted<'_, '_>> =
            subjects.iter().flat_map(|trace| self.counted(pipeline, trace)).collect();
        let mut series = match &function.op {
            MetricsOp::Compare { selection, top_n, window } => {
                let top_n = usize::try_from(*top_n).expect("validated to be above 0");
                compared(self, &counted, selection, top_n, *window)
            }
            _ => {
                let groups = grouped(counted, &function.by);
                groups
                    .into_iter()
                    .flat_map(|(labels, spans)| self.measured(function, labels, &spans))
                    .collect()
            }
        };
        sort(&mut series);
        series
    }

    /// Those of the trace that the pipeline selects and the window holds.
    fn counted<'a, 's>(&self, pipeline: &Pipeline, trace: &'a [Subject<'s>]) -> Vec<Counted<'a, 's>> {
        let sets = matched(pipeline, trace);
        let selected = |subject: &&Subject<'s>| {
            sets.iter().any(|set| set.spans.iter().any(|other| other.at == subject.at))
        };
        let counted = |subject: &'a Subject<'s>| {
            let step = self.step(subject.span.start)?;
            Some(Counted { subject, step, weight: self.weight(subject.span) })
        };
        trace.iter().filter(selected).filter_map(counted).collect()
    }

    fn step(&self, at: u64) -> Option<usize> {
        match self.window {
            MetricsWindow::Range { start, end, step } => {
                (at > start && at <= end).then(|| ((at - start - 1) / step) as usize)
            }
            MetricsWindow::Instant { start, end } => (start..=end).contains(&at).then_some(0),
        }
    }

    pub(crate) fn times(&self) -> Vec<u64> {
        match self.window {
            MetricsWindow::Range { start, end, step } => {
                (1..).map(|n| start + n * step).take_while(|t| *t <= end).collect()
            }
            MetricsWindow::Instant { end, .. } => vec![end],
        }
    }

    fn seconds_per_step(&self) -> Exact {
        let nanos = match self.window {
            MetricsWindow::Range { step, .. } => step,
            MetricsWindow::Instant { start, end } => end - start,
        };
        Exact::fraction(BigInt::from(nanos), BigInt::from(NANOS))
    }

    fn weight(&self, span: &Span) -> Exact {
        let threshold = self.extrapolate.then(|| threshold(&span.trace_state)).flatten().unwrap_or(0);
        let all = 1_u64 << THRESHOLD_BITS;
        Exact::fraction(BigInt::from(all), BigInt::from(all - threshold))
    }

    /// A series of the values that are there; [`None`] without any.
    pub(crate) fn one(&self, labels: Labels, values: &[Option<f64>]) -> Option<Series> {
        let sample = |(time, value): (u64, &Option<f64>)| {
            let value = value.filter(|value| !value.is_nan())?;
            Some(Sample { timestamp_ms: (time / 1_000_000) as i64, value })
        };
        let samples: Vec<Sample> = self.times().into_iter().zip(values).filter_map(sample).collect();
        (!samples.is_empty()).then_some(Series { labels, samples, exemplars: Vec::new() })
    }

    fn measured(&self, function: &MetricsFunction, labels: Labels, spans: &[Counted<'_, '_>]) -> Vec<Series> {
        let steps = 0..self.times().len();
        let of_step = |step: usize| -> Vec<&Counted<'_, '_>> {
            spans.iter().filter(|span| span.step == step).collect()
        };
        let values: Vec<Option<f64>> = match &function.op {
            MetricsOp::Rate => {
                let per_second = |step| weight(&of_step(step)).over(&self.seconds_per_step()).to_f64();
                steps.map(|step| Some(per_second(step))).collect()
            }
            MetricsOp::CountOverTime => steps.map(|step| Some(weight(&of_step(step)).to_f64())).collect(),
            MetricsOp::MinOverTime(attribute) => {
                let least = |step| {
                    numbers(&of_step(step), attribute, Unit::of(attribute))
                        .into_iter()
                        .map(|(n, _)| n)
                        .reduce(f64::min)
                };
                steps.map(least).collect()
            }
            MetricsOp::MaxOverTime(attribute) => {
                let greatest = |step| {
                    numbers(&of_step(step), attribute, Unit::of(attribute))
                        .into_iter()
                        .map(|(n, _)| n)
                        .reduce(f64::max)
                };
                steps.map(greatest).collect()
            }
            MetricsOp::SumOverTime(attribute) => steps.map(|step| sum(&of_step(step), attribute)).collect(),
            MetricsOp::AvgOverTime(attribute) => {
                steps.map(|step| average(&of_step(step), attribute)).collect()
            }
            MetricsOp::QuantileOverTime { attribute, quantiles } => {
                return quantiles
                    .iter()
                    .filter_map(|q| self.quantile(&labels, spans, attribute, *q))
                    .collect();
            }
            MetricsOp::HistogramOverTime(attribute) => return self.histogram(&labels, spans, attribute),
            MetricsOp::Compare { .. } => panic!("compare() is not grouped"),
        };
        let labels =
            if labels.is_empty() { vec![(NAME.to_owned(), name(&function.op).into())] } else { labels };
        self.one(labels, &values).into_iter().collect()
    }

    fn quantile(
        &self,
        labels: &Labels,
        spans: &[Counted<'_, '_>],
        attribute: &Attribute,
        q: f64,
    ) -> Option<Series> {
        let of_step = |step: usize| -> Vec<&Counted<'_, '_>> {
            spans.iter().filter(|span| span.step == step).collect()
        };
        let all: Vec<&Counted<'_, '_>> = spans.iter().collect();
        if numbers(&all, attribute, Unit::Seconds).is_empty() {
            return None;
        }
        let value = |step| ranked(numbers(&of_step(step), attribute, Unit::Seconds), q);
        let values: Vec<Option<f64>> = (0..self.times().len()).map(|step| Some(value(step))).collect();
        self.one(with(labels, "p", q), &values)
    }

    fn histogram(&self, labels: &Labels, spans: &[Counted<'_, '_>], attribute: &Attribute) -> Vec<Series> {
        let of_span: Vec<(&Counted<'_, '_>, Option<f64>)> =
            spans.iter().map(|span| (span, bucket(attribute_of(span.subject, attribute)))).collect();
        let mut buckets: Vec<f64> = of_span.iter().filter_map(|(_, bucket)| *bucket).collect();
        buckets.sort_by(f64::total_cmp);
        buckets.dedup();
        let series = |of: f64| {
            let count = |step| {
                let inside = of_span.iter().filter(|(span, bucket)| span.step == step && *bucket == Some(of));
                weight(&inside.map(|(span, _)| *span).collect::<Vec<_>>()).to_f64()
            };
            let counts: Vec<Option<f64>> = (0..self.times().len()).map(|step| Some(count(step))).collect();
            self.one(with(labels, "__bucket", of), &counts)
        };
        buckets.into_iter().filter_map(series).collect()
    }
}

/// By number of labels, then by the labels in order: key, then value as text, then type.
pub(crate) fn sort(series: &mut [Series]) {
    series.sort_by_cached_key(|series| {
        let labels: Vec<(String, (String, u8))> =
            series.labels.iter().map(|(key, value)| (key.clone(), label_order(value))).collect();
        (labels.len(), labels)
    });
}

/// Values are ordered by their text, then by their type.
pub(crate) fn label_order(value: &Value) -> (String, u8) {
    (text(value), kind(value))
}

/// A label's value as text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(text).collect();
            format!("[{}]", elements.join(","))
        }
        Value::Empty | Value::Bytes(_) | Value::Map(_) => panic!("{value:?} is no value of a label"),
    }
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Empty => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Int(_) => 3,
        Value::Float(_) => 4,
        Value::Bytes(_) => 5,
        Value::Array(_) => 6,
        Value::Map(_) => 7,
    }
}

fn grouped<'a, 's>(counted: Vec<Counted<'a, 's>>, by: &[Attribute]) -> Vec<(Labels, Vec<Counted<'a, 's>>)> {
    let mut groups: Vec<(Labels, Vec<Counted<'a, 's>>)> = Vec::new();
    for span in counted {
        let labels = labels(span.subject, by);
        match groups.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, spans)) => spans.push(span),
            None => groups.push((labels, vec![span])),
        }
    }
    groups
}

fn labels(subject: &Subject<'_>, by: &[Attribute]) -> Labels {
    let label =
        |attribute: &Attribute| Some((attribute.to_string(), shown(group_value(subject, attribute))?));
    let labels: Labels = by.iter().filter_map(label).collect();
    match by.first() {
        Some(first) if labels.is_empty() => vec![(first.to_string(), Value::from("nil"))],
        _ => labels,
    }
}

/// Without scope: of the span, then of the resource, and nowhere else.
fn group_value(subject: &Subject<'_>, attribute: &Attribute) -> Val {
    let Attribute::Named { scope: Scope::None, name, parent } = attribute else {
        return attribute_of(subject, attribute);
    };
    let scoped =
        |scope| attribute_of(subject, &Attribute::Named { scope, name: name.clone(), parent: *parent });
    match scoped(Scope::Span) {
        Val::Nil => scoped(Scope::Resource),
        found => found,
    }
}

fn with(labels: &Labels, key: &str, value: f64) -> Labels {
    let mut labels = labels.clone();
    labels.push((key.to_owned(), Value::Float(value)));
    labels
}

fn name(op: &MetricsOp) -> &'static str {
    match op {
        MetricsOp::Rate => "rate",
        MetricsOp::CountOverTime => "count_over_time",
        MetricsOp::MinOverTime(_) => "min_over_time",
        MetricsOp::MaxOverTime(_) => "max_over_time",
        MetricsOp::SumOverTime(_) => "sum_over_time",
        MetricsOp::AvgOverTime(_) => "avg_over_time",
        other => panic!("{other} has labels of its own"),
    }
}

fn weight(spans: &[&Counted<'_, '_>]) -> Exact {
    spans.iter().fold(Exact::of_int(0), |total, span| total.plus(&span.weight))
}

/// What durations are given in.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Seconds,
    Nanos,
}

impl Unit {
    /// Of all durations only the span's own is in seconds.
    fn of(attribute: &Attribute) -> Self {
        match attribute {
            Attribute::Intrinsic(Intrinsic::Duration) => Unit::Seconds,
            _ => Unit::Nanos,
        }
    }

    fn divisor(self) -> i64 {
        if self == Unit::Seconds { NANOS } else { 1 }
    }
}

/// The numbers of those spans that have one, with their weights.
fn numbers(spans: &[&Counted<'_, '_>], attribute: &Attribute, unit: Unit) -> Vec<(f64, Exact)> {
    let number = |span: &&Counted<'_, '_>| {
        let number = match attribute_of(span.subject, attribute) {
            Val::Int(number) => number as f64,
            Val::Float(number) if !number.is_nan() => number,
            Val::Duration(nanos) => nanos as f64 / unit.divisor() as f64,
            _ => return None,
        };
        Some((number, span.weight.clone()))
    };
    spans.iter().filter_map(number).collect()
}

fn sum(spans: &[&Counted<'_, '_>], attribute: &Attribute) -> Option<f64> {
    match total(spans, attribute) {
        Ok(total) => total.map(|(sum, _)| sum.to_f64()),
        Err(infinite) => Some(infinite),
    }
}

fn average(spans: &[&Counted<'_, '_>], attribute: &Attribute) -> Option<f64> {
    match total(spans, attribute) {
        Ok(total) => total.map(|(sum, count)| sum.over(&count).to_f64()),
        Err(infinite) => Some(infinite),
    }
}

/// The weighted sum of the numbers and the sum of their weights; where one is infinite what floats make of it.
fn total(spans: &[&Counted<'_, '_>], attribute: &Attribute) -> Result<Option<(Exact, Exact)>, f64> {
    let divisor = Exact::of_int(Unit::of(attribute).divisor());
    let mut total: Option<(Exact, Exact)> = None;
    let mut infinite: Option<f64> = None;
    for span in spans {
        let number = match attribute_of(span.subject, attribute) {
            Val::Int(number) => Exact::of_int(number),
            Val::Duration(nanos) => Exact::of_int(nanos).over(&divisor),
            Val::Float(number) if number.is_infinite() => {
                infinite = Some(infinite.unwrap_or(0.0) + number);
                continue;
            }
            Val::Float(number) if !number.is_nan() => Exact::of_float(number).expect("finite"),
            _ => continue,
        };
        let (sum, count) = total.unwrap_or((Exact::of_int(0), Exact::of_int(0)));
        total = Some((sum.plus(&number.times(&span.weight)), count.plus(&span.weight)));
    }
    infinite.map_or(Ok(total), Err)
}

/// The value of rank `max(1, ceil(q * n))`; of weighted values the first at which that much weight is reached. 0 of none.
fn ranked(mut numbers: Vec<(f64, Exact)>, q: f64) -> f64 {
    numbers.sort_by(|left, right| left.0.total_cmp(&right.0));
    let total = numbers.iter().fold(Exact::of_int(0), |total, (_, weight)| total.plus(weight));
    let wanted = q * total.to_f64();
    let mut reached = Exact::of_int(0);
    for (number, weight) in &numbers {
        reached = reached.plus(weight);
        if reached.to_f64() >= wanted {
            return *number;
        }
    }
    numbers.last().map_or(0.0, |(number, _)| *number)
}

/// The least power of two that is not less, 0 for 0 and below; of durations in seconds, but a power of two of
/// nanoseconds.
fn bucket(value: Val) -> Option<f64> {
    let (exact, divisor) = match value {
        Val::Int(number) => (Exact::of_int(number), 1),
        Val::Duration(nanos) => (Exact::of_int(nanos), NANOS),
        Val::Float(number) if number.is_nan() => return None,
        Val::Float(f64::INFINITY) => return Some(f64::INFINITY),
        Val::Float(f64::NEG_INFINITY) => return Some(0.0),
        Val::Float(number) => (Exact::of_float(number).expect("finite"), 1),
        _ => return None,
    };
    if exact.compare(&Exact::of_int(0)).is_le() {
        return Some(0.0);
    }
    let about = exact.to_f64().log2().floor() as i32 - 1;
    let power = (about..about + 4).find(|power| exact.compare(&power_of_two(*power)).is_le());
    power.map(|power| power_of_two(power).over(&Exact::of_int(divisor)).to_f64())
}

fn power_of_two(power: i32) -> Exact {
    let one = BigInt::from(1);
    if power < 0 {
        Exact::fraction(one.clone(), one << -power)
    } else {
        Exact::fraction(one.clone() << power, one)
    }
}

const THRESHOLD_BITS: u32 = 56;

/// OpenTelemetry's rejection threshold in a tracestate, `ot=th:c` for instance: digits in hex from the left of 14.
fn threshold(trace_state: &str) -> Option<u64> {
    let ours = trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let digits = ours.split(';').find_map(|field| field.strip_prefix("th:"))?;
    if digits.is_empty() || digits.len() > 14 {
        return None;
    }
    u64::from_str_radix(&format!("{digits:0<14}"), 16).ok()
}
