//! `compare()`: what the selected spans have in common and the others have not (`reference/tempo.md` 4.9).

use std::collections::BTreeMap;

use vivace_model::{Attribute as Pair, Value};
use vivace_query::Series;
use vivace_traceql::{Attribute, FieldExpr, Intrinsic, Scope};

use super::exact::Exact;
use super::field::{attribute_of, holds, shown};
use super::metrics::{Counted, Labels, Question, label_order};
use super::trace::Subject;
use super::value::Val;

/// More different values than this are not told apart.
const MAX_VALUES: usize = 1_000;

/// One attribute of the spans of one side.
#[derive(Default)]
struct Column {
    /// Spans that have it, and when.
    all: Vec<(usize, Exact)>,
    /// The same for each of its values.
    values: Vec<(Value, Vec<(usize, Exact)>)>,
}

/// Series in no order.
pub(crate) fn compared(
    question: &Question<'_>,
    counted: &[Counted<'_, '_>],
    selection: &FieldExpr,
    top_n: usize,
    window: Option<(i64, i64)>,
) -> Vec<Series> {
    let selected = |span: &&Counted<'_, '_>| {
        let start = i64::try_from(span.subject.span.start).expect("test spans start in this century");
        holds(span.subject, selection) && window.is_none_or(|(from, to)| from < start && start <= to)
    };
    let (selection, baseline): (Vec<_>, Vec<_>) = counted.iter().partition(selected);
    let of = |spans: &[&Counted<'_, '_>], side: &str| side_series(question, spans, side, top_n);
    [of(&selection, "selection"), of(&baseline, "baseline")].concat()
}

fn side_series(question: &Question<'_>, spans: &[&Counted<'_, '_>], side: &str, top_n: usize) -> Vec<Series> {
    let mut columns: BTreeMap<String, Column> = BTreeMap::new();
    for span in spans {
        for (key, values) in attributes(span.subject) {
            let column = columns.entry(key).or_default();
            column.all.push((span.step, span.weight.clone()));
            values.into_iter().for_each(|value| column.add(value, span));
        }
    }
    let mut series = Vec::new();
    for (key, column) in columns {
        let labels =
            |kind: &str, value: Value| vec![(META_TYPE.to_owned(), Value::from(kind)), (key.clone(), value)];
        let total = labels(&format!("{side}_total"), Value::from("nil"));
        series.extend(counts(question, total, &column.all));
        if column.values.len() > MAX_VALUES {
            let mut error = labels(side, Value::from("nil"));
            error.insert(1, (META_ERROR.to_owned(), Value::from("__too_many_values__")));
            series.extend(counts(question, error, &[]));
            continue;
        }
        for (value, spans) in column.most_frequent(top_n) {
            series.extend(counts(question, labels(side, value), &spans));
        }
    }
    series
}

const META_TYPE: &str = "__meta_type";
const META_ERROR: &str = "__meta_error";

impl Column {
    fn add(&mut self, value: Value, span: &Counted<'_, '_>) {
        let entry = (span.step, span.weight.clone());
        match self.values.iter_mut().find(|(known, _)| *known == value) {
            Some((_, spans)) => spans.push(entry),
            None => self.values.push((value, vec![entry])),
        }
    }

    fn most_frequent(mut self, n: usize) -> Vec<(Value, Vec<(usize, Exact)>)> {
        let total = |spans: &[(usize, Exact)]| spans.iter().fold(Exact::of_int(0), |sum, (_, w)| sum.plus(w));
        self.values.sort_by(|(left, l), (right, r)| {
            total(r).compare(&total(l)).then_with(|| label_order(left).cmp(&label_order(right)))
        });
        self.values.truncate(n);
        self.values
    }
}

fn counts(question: &Question<'_>, labels: Labels, spans: &[(usize, Exact)]) -> Option<Series> {
    let count = |step: usize| {
        let inside = spans.iter().filter(|(at, _)| *at == step);
        inside.fold(Exact::of_int(0), |sum, (_, weight)| sum.plus(weight)).to_f64()
    };
    let values: Vec<Option<f64>> = (0..question.times().len()).map(|step| Some(count(step))).collect();
    question.one(labels, &values)
}

/// Everything the span has, by the text of the attribute: its different values.
fn attributes(subject: &Subject<'_>) -> BTreeMap<String, Vec<Value>> {
    use Intrinsic::{
        InstrumentationName, InstrumentationVersion, Kind, Name, RootName, RootServiceName, Status,
        StatusMessage,
    };
    let span = subject.span;
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut add = |attribute: &Attribute, value: Val| {
        let Some(value) = shown(value) else { return };
        let values = found.entry(attribute.to_string()).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    };
    for intrinsic in [
        Name,
        Kind,
        Status,
        StatusMessage,
        RootName,
        RootServiceName,
        InstrumentationName,
        InstrumentationVersion,
    ] {
        let attribute = Attribute::Intrinsic(intrinsic);
        add(&attribute, attribute_of(subject, &attribute));
    }
    for event in &span.events {
        add(&Attribute::Intrinsic(Intrinsic::EventName), Val::Str(event.name.clone()));
    }
    let lists: [(Scope, Vec<&[Pair]>); 5] = [
        (Scope::Span, vec![&span.attributes]),
        (Scope::Resource, vec![&span.resource.attributes]),
        (Scope::Instrumentation, vec![&span.scope.attributes]),
        (Scope::Event, span.events.iter().map(|event| event.attributes.as_slice()).collect()),
        (Scope::Link, span.links.iter().map(|link| link.attributes.as_slice()).collect()),
    ];
    for (scope, lists) in lists {
        for pair in lists.into_iter().flatten() {
            let attribute = Attribute::Named { scope, name: pair.key.clone(), parent: false };
            add(&attribute, Val::of_stored(&pair.value));
        }
    }
    found
}
