//! Operands from a trace in memory.

use vivace_model::Attribute as KeyValue;
use vivace_model::{Event, Link, Span, Trace};
use vivace_traceql::{Attribute, Intrinsic, Scope};

use super::filter::{of_events, of_links, unscoped};
use super::{Filter, Operand, Operands};

/// How many pairs of an event and a link of one span are tried at most.
pub(crate) const MAX_BINDINGS: usize = 10_000;

/// Whether the filter holds for the span at `index`: for some choice of one event and one link, if it looks at those.
pub(crate) fn holds(filter: &Filter, trace: &Trace, index: usize) -> bool {
    any_binding(filter, trace, index, |row| filter.holds(row).then_some(())).is_some()
}

/// The value of an expression for the span at `index`; of several events or links the first that gives one.
pub(crate) fn evaluate(expr: &Filter, trace: &Trace, index: usize) -> Operand<'static> {
    let value = |row: &Row<'_>| Some(expr.value(row).into_owned()).filter(|value| !value.is_nil());
    any_binding(expr, trace, index, value).unwrap_or(Operand::Nil)
}

fn any_binding<T>(
    filter: &Filter,
    trace: &Trace,
    index: usize,
    mut test: impl FnMut(&Row<'_>) -> Option<T>,
) -> Option<T> {
    let span = trace.spans().get(index)?;
    let attributes = filter.attributes();
    let events =
        bindings(&span.events, attributes.iter().any(|a| of_events(a) || found_in(a, span, event_has)));
    let links = bindings(&span.links, attributes.iter().any(|a| of_links(a) || found_in(a, span, link_has)));
    let pairs = events.iter().flat_map(|event| links.iter().map(move |link| (*event, *link)));
    pairs
        .take(MAX_BINDINGS)
        .find_map(|(event, link)| test(&Row { attributes, trace, index, span, event, link }))
}

/// The value of an attribute on the span at `index`, for output. Of several events or links the first that has it.
pub(crate) fn value<'a>(attribute: &Attribute, trace: &'a Trace, index: usize) -> Operand<'a> {
    let Some(span) = trace.spans().get(index) else { return Operand::Nil };
    let events = bindings(&span.events, true);
    let links = bindings(&span.links, true);
    let pairs = events.iter().flat_map(|event| links.iter().map(move |link| (*event, *link)));
    let values =
        pairs.take(MAX_BINDINGS).map(|(event, link)| operand(attribute, trace, index, span, event, link));
    let needs_binding = of_events(attribute) || of_links(attribute) || unscoped(attribute).is_some();
    let tried = if needs_binding { usize::MAX } else { 1 };
    values.take(tried).find(|value| !value.is_nil()).unwrap_or(Operand::Nil)
}

/// Each item, or once none.
fn bindings<T>(items: &[T], wanted: bool) -> Vec<Option<&T>> {
    if !wanted || items.is_empty() { vec![None] } else { items.iter().map(Some).collect() }
}

/// Whether an attribute without scope is to be looked for in events or links.
fn found_in(attribute: &Attribute, span: &Span, has: fn(&Span, &str) -> bool) -> bool {
    let elsewhere =
        |key| find(&span.attributes, key).is_some() || find(&span.resource.attributes, key).is_some();
    unscoped(attribute).is_some_and(|key| !elsewhere(key) && has(span, key))
}

fn event_has(span: &Span, key: &str) -> bool {
    span.events.iter().any(|event| find(&event.attributes, key).is_some())
}

fn link_has(span: &Span, key: &str) -> bool {
    span.links.iter().any(|link| find(&link.attributes, key).is_some())
}

struct Row<'a> {
    attributes: &'a [Attribute],
    trace: &'a Trace,
    index: usize,
    span: &'a Span,
    event: Option<&'a Event>,
    link: Option<&'a Link>,
}

impl Operands for Row<'_> {
    fn get(&self, attribute: usize) -> Operand<'_> {
        operand(&self.attributes[attribute], self.trace, self.index, self.span, self.event, self.link)
    }
}

fn operand<'a>(
    attribute: &Attribute,
    trace: &'a Trace,
    index: usize,
    span: &'a Span,
    event: Option<&'a Event>,
    link: Option<&'a Link>,
) -> Operand<'a> {
    let (scope, key) = match attribute {
        Attribute::Intrinsic(intrinsic) => {
            return intrinsic_operand(*intrinsic, trace, index, span, event, link);
        }
        Attribute::Named { scope, name, .. } => (scope, name.as_str()),
    };
    let of_event = || event.and_then(|event| find(&event.attributes, key));
    let of_link = || link.and_then(|link| find(&link.attributes, key));
    let or_nil = |found: Option<Operand<'a>>| found.unwrap_or(Operand::Nil);
    match scope {
        Scope::Span => or_nil(find(&span.attributes, key)),
        Scope::Resource => or_nil(find(&span.resource.attributes, key)),
        Scope::Instrumentation => or_nil(find(&span.scope.attributes, key)),
        Scope::Event if event.is_none() => Operand::Unbound,
        Scope::Event => or_nil(of_event()),
        Scope::Link if link.is_none() => Operand::Unbound,
        Scope::Link => or_nil(of_link()),
        Scope::None => or_nil(
            find(&span.attributes, key)
                .or_else(|| find(&span.resource.attributes, key))
                .or_else(of_event)
                .or_else(of_link)
                .or_else(|| find(&span.scope.attributes, key)),
        ),
    }
}

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<Operand<'a>> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(Operand::of_value(&found.value)).filter(|operand| !operand.is_nil())
}

fn intrinsic_operand<'a>(
    intrinsic: Intrinsic,
    trace: &'a Trace,
    index: usize,
    span: &'a Span,
    event: Option<&'a Event>,
    link: Option<&'a Link>,
) -> Operand<'a> {
    use Intrinsic as I;
    let owned = |text: String| Operand::String(text.into());
    let of_event =
        |read: fn(&'a Span, &'a Event) -> Operand<'a>| event.map_or(Operand::Unbound, |e| read(span, e));
    let of_link = |read: fn(&'a Link) -> String| link.map_or(Operand::Unbound, |link| owned(read(link)));
    match intrinsic {
        I::Duration => Operand::nanos(span.duration()),
        I::Name => Operand::text(&span.name),
        I::Status => Operand::Status(span.status),
        I::StatusMessage => Operand::text(&span.status_message),
        I::Kind => Operand::Kind(span.kind),
        I::RootName => Operand::text(trace.root().map_or("", |root| &root.name)),
        I::RootServiceName => {
            Operand::text(trace.root().and_then(|root| root.resource.service_name()).unwrap_or_default())
        }
        I::TraceDuration => Operand::nanos(trace.duration()),
        I::TraceId => owned(span.trace_id.short_hex()),
        I::SpanId => owned(span.span_id.to_string()),
        I::ParentId => owned(span.parent_span_id.map(|id| id.to_string()).unwrap_or_default()),
        I::ChildCount => Operand::Int(trace.child_count(index).into()),
        I::EventName => of_event(|_, event| Operand::text(&event.name)),
        I::EventTimeSinceStart => {
            of_event(|span, event| Operand::nanos(event.time.saturating_sub(span.start)))
        }
        I::LinkTraceId => of_link(|link| hex(&link.trace_id)),
        I::LinkSpanId => of_link(|link| hex(&link.span_id)),
        I::InstrumentationName => Operand::text(&span.scope.name),
        I::InstrumentationVersion => Operand::text(&span.scope.version),
        I::NestedSetLeft => Operand::Int(trace.nested_set(index).left.into()),
        I::NestedSetRight => Operand::Int(trace.nested_set(index).right.into()),
        I::NestedSetParent => Operand::Int(trace.nested_set(index).parent.into()),
        I::Parent => Operand::Nil,
    }
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
