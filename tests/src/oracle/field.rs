//! Expressions over one span.

use vivace_model::{Attribute as Pair, Event, Link, SpanKind, StatusCode, Value};
use vivace_traceql::{
    Attribute, BinaryOp, FieldExpr, Intrinsic, Kind, Scope, Static, Status, UnaryOp, format_duration,
};

use super::trace::Subject;
use super::value::{Val, arithmetic, compare, negated};

/// One choice of an event and a link of the span.
#[derive(Clone, Copy)]
struct Choice<'a> {
    event: Option<&'a Event>,
    link: Option<&'a Link>,
}

/// Whether the filter holds for some choice of one event and one link.
pub(crate) fn holds(subject: &Subject<'_>, filter: &FieldExpr) -> bool {
    choices(subject).into_iter().any(|choice| value(subject, choice, filter).is_true())
}

/// What a result shows of the attribute; the first event or link that has it speaks for all.
pub(crate) fn output(subject: &Subject<'_>, attribute: &Attribute) -> Option<Value> {
    shown(attribute_of(subject, attribute))
}

/// The attribute's value, nil where missing; the first event or link that has it speaks for all.
pub(crate) fn attribute_of(subject: &Subject<'_>, attribute: &Attribute) -> Val {
    first(subject, |choice| lookup(subject, choice, attribute))
}

/// The expression's value, nil where missing, for the first choice of an event and a link that has one.
pub(crate) fn value_of(subject: &Subject<'_>, expr: &FieldExpr) -> Val {
    first(subject, |choice| value(subject, choice, expr))
}

fn first(subject: &Subject<'_>, value: impl Fn(Choice<'_>) -> Val) -> Val {
    let mut values = choices(subject).into_iter().map(value);
    values.find(|value| !matches!(value, Val::Nil | Val::Nowhere)).unwrap_or(Val::Nil)
}

/// As it is seen from outside; [`None`] for nil.
pub(crate) fn shown(value: Val) -> Option<Value> {
    Some(match value {
        Val::Nil | Val::Nowhere => return None,
        Val::Int(number) => Value::Int(number),
        Val::Float(number) => Value::Float(number),
        Val::Str(text) => Value::String(text),
        Val::Bool(truth) => Value::Bool(truth),
        Val::Duration(nanos) => Value::String(format_duration(nanos)),
        Val::Status(status) => Value::from(status.name()),
        Val::Kind(kind) => Value::from(kind.name()),
        Val::Array(elements) => Value::Array(elements.into_iter().filter_map(shown).collect()),
    })
}

fn choices<'a>(subject: &Subject<'a>) -> Vec<Choice<'a>> {
    let span = subject.span;
    let or_none = |count: usize| 0..count.max(1);
    or_none(span.events.len())
        .flat_map(|event| or_none(span.links.len()).map(move |link| (event, link)))
        .map(|(event, link)| Choice { event: span.events.get(event), link: span.links.get(link) })
        .collect()
}

fn value(subject: &Subject<'_>, choice: Choice<'_>, expr: &FieldExpr) -> Val {
    match expr {
        FieldExpr::Literal(literal) => Val::of_static(literal),
        FieldExpr::Attribute(attribute) => lookup(subject, choice, attribute),
        FieldExpr::Unary { op: UnaryOp::Neg, expr } => negated(value(subject, choice, expr)),
        FieldExpr::Unary { op: UnaryOp::Not, expr } => match value(subject, choice, expr) {
            Val::Bool(truth) => Val::Bool(!truth),
            Val::Nowhere => Val::Nowhere,
            _ => Val::Nil,
        },
        FieldExpr::Binary { op, left, right } => {
            let (l, r) = (value(subject, choice, left), value(subject, choice, right));
            match op {
                BinaryOp::And => Val::Bool(l.is_true() && r.is_true()),
                BinaryOp::Or => Val::Bool(l.is_true() || r.is_true()),
                op if op.is_arithmetic() => arithmetic(*op, &l, &r),
                BinaryOp::Eq | BinaryOp::Ne if is_nil(left) => Val::Bool(exists(*op, &r)),
                BinaryOp::Eq | BinaryOp::Ne if is_nil(right) => Val::Bool(exists(*op, &l)),
                op if is_trace_id(left) || is_trace_id(right) => {
                    Val::Bool(compare(*op, &short(l), &if op.is_regex() { r } else { short(r) }))
                }
                op => Val::Bool(compare(*op, &l, &r)),
            }
        }
    }
}

fn is_nil(expr: &FieldExpr) -> bool {
    matches!(expr, FieldExpr::Literal(Static::Nil))
}

fn exists(op: BinaryOp, value: &Val) -> bool {
    match value {
        Val::Nowhere => false,
        Val::Nil => op == BinaryOp::Eq,
        _ => op == BinaryOp::Ne,
    }
}

fn is_trace_id(expr: &FieldExpr) -> bool {
    matches!(expr, FieldExpr::Attribute(Attribute::Intrinsic(Intrinsic::TraceId)))
}

/// A trace id without leading zeros.
fn short(value: Val) -> Val {
    match value {
        Val::Str(text) => Val::Str(text.trim_start_matches('0').to_owned()),
        other => other,
    }
}

fn lookup(subject: &Subject<'_>, choice: Choice<'_>, attribute: &Attribute) -> Val {
    let (scope, name) = match attribute {
        Attribute::Intrinsic(intrinsic) => return of_intrinsic(subject, choice, *intrinsic),
        Attribute::Named { scope, name, .. } => (*scope, name),
    };
    if scope != Scope::None {
        return scoped(subject, choice, scope, name);
    }
    use Scope::{Event, Instrumentation, Link, Resource, Span};
    [Span, Resource, Event, Link, Instrumentation]
        .into_iter()
        .map(|scope| scoped(subject, choice, scope, name))
        .find(|found| !matches!(found, Val::Nil | Val::Nowhere))
        .unwrap_or(Val::Nil)
}

fn scoped(subject: &Subject<'_>, choice: Choice<'_>, scope: Scope, name: &str) -> Val {
    let pairs: Option<&[Pair]> = match scope {
        Scope::Span => Some(&subject.span.attributes),
        Scope::Resource => Some(&subject.span.resource.attributes),
        Scope::Instrumentation => Some(&subject.span.scope.attributes),
        Scope::Event => choice.event.map(|event| event.attributes.as_slice()),
        Scope::Link => choice.link.map(|link| link.attributes.as_slice()),
        Scope::None => None,
    };
    let Some(pairs) = pairs else { return Val::Nowhere };
    pairs.iter().find(|pair| pair.key == name).map_or(Val::Nil, |pair| Val::of_stored(&pair.value))
}

fn of_intrinsic(subject: &Subject<'_>, choice: Choice<'_>, intrinsic: Intrinsic) -> Val {
    let span = subject.span;
    let text = |text: &str| Val::Str(text.to_owned());
    match intrinsic {
        Intrinsic::Duration => nanos(span.duration()),
        Intrinsic::Name => text(&span.name),
        Intrinsic::Status => Val::Status(status(span.status)),
        Intrinsic::StatusMessage => text(&span.status_message),
        Intrinsic::Kind => Val::Kind(kind(span.kind)),
        Intrinsic::RootName => text(subject.root.map_or("", |root| &root.name)),
        Intrinsic::RootServiceName => {
            text(subject.root.and_then(|root| root.resource.service_name()).unwrap_or_default())
        }
        Intrinsic::TraceDuration => nanos(subject.trace_duration),
        Intrinsic::TraceId => text(&hex::encode(span.trace_id.0)),
        Intrinsic::SpanId => text(&hex::encode(span.span_id.0)),
        Intrinsic::ParentId => text(&span.parent_span_id.map(|id| hex::encode(id.0)).unwrap_or_default()),
        Intrinsic::ChildCount => Val::Int(i64::from(subject.child_count)),
        Intrinsic::EventName => choice.event.map_or(Val::Nowhere, |event| text(&event.name)),
        Intrinsic::EventTimeSinceStart => {
            choice.event.map_or(Val::Nowhere, |event| nanos(event.time.saturating_sub(span.start)))
        }
        Intrinsic::LinkTraceId => choice.link.map_or(Val::Nowhere, |link| text(&hex::encode(&link.trace_id))),
        Intrinsic::LinkSpanId => choice.link.map_or(Val::Nowhere, |link| text(&hex::encode(&link.span_id))),
        Intrinsic::InstrumentationName => text(&span.scope.name),
        Intrinsic::InstrumentationVersion => text(&span.scope.version),
        Intrinsic::NestedSetLeft => Val::Int(i64::from(subject.nested_set.left)),
        Intrinsic::NestedSetRight => Val::Int(i64::from(subject.nested_set.right)),
        Intrinsic::NestedSetParent => Val::Int(i64::from(subject.nested_set.parent)),
        Intrinsic::Parent => panic!("`parent` does not pass validation"),
    }
}

fn nanos(duration: u64) -> Val {
    Val::Duration(i64::try_from(duration).expect("test spans are short"))
}

fn status(status: StatusCode) -> Status {
    match status {
        StatusCode::Unset => Status::Unset,
        StatusCode::Ok => Status::Ok,
        StatusCode::Error => Status::Error,
    }
}

fn kind(kind: SpanKind) -> Kind {
    match kind {
        SpanKind::Unspecified => Kind::Unspecified,
        SpanKind::Internal => Kind::Internal,
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
        SpanKind::Producer => Kind::Producer,
        SpanKind::Consumer => Kind::Consumer,
    }
}
