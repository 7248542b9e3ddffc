use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use vivace_base::{BlockId, ByteSize, MemoryBudget};
use vivace_model::{Attribute as KeyValue, Span, TenantId, Trace, TraceId, Value};
use vivace_storage::block::{SPANS_FILE, SortedSpans, build_block, store_block};
use vivace_storage::columns::SpanBatchBuilder;
use vivace_storage::index::INDEX_FILE;
use vivace_storage::{BlockReader, paths};
use vivace_testkit::{BASE_TIME, SpanBuilder, TraceGenerator, seeds};
use vivace_traceql::{Intrinsic, Scope, parse_attribute, parse_tag_filter};

use super::collected::Collected;
use super::*;
use crate::eval::rows;
use crate::source::{Damage, Source};
use crate::spread::SpreadCache;
use crate::{TagScope, TagValue, TagValueKind};

const FILTERS: [&str; 8] = [
    "{ span.http.status_code >= 400 }",
    "{ name = \"GET /\" || .retry = true }",
    "{ event:name = \"exception\" && status = error }",
    "{ rootName = \"select\" && kind = client }",
    "{ rootServiceName != \"ratings\" || .retry = true }",
    "{ traceDuration > 1s }",
    "{ nestedSetParent > 0 }",
    "{ span:childCount > 1 && duration > 10ms }",
];

const INTRINSICS: [&str; 12] = [
    "name",
    "statusMessage",
    "rootName",
    "rootServiceName",
    "event:name",
    "instrumentation:name",
    "instrumentation:version",
    "trace:id",
    "span:id",
    "span:parentID",
    "link:spanID",
    "status",
];

/// Where spans are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Head,
    Block,
    /// Its index is lost.
    BareBlock,
    /// Its index is damaged behind the header.
    DamagedIndex,
}

struct World {
    store: Arc<dyn ObjectStore>,
    budget: Arc<MemoryBudget>,
    pieces: Vec<Piece>,
    blocks: Vec<BlockId>,
}

impl World {
    fn new() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            budget: MemoryBudget::new(ByteSize::from_mib(256)),
            pieces: Vec::new(),
            blocks: Vec::new(),
        }
    }

    async fn with(mut self, spans: &[Span], place: Place) -> Self {
        let mut builder = SpanBatchBuilder::default();
        spans.iter().for_each(|span| builder.push(span));
        let batch = builder.finish();
        if place == Place::Head {
            self.pieces.push(Piece::Live(SortedSpans::new(&[batch]).expect("sorts")));
            return self;
        }
        let (tenant, id) = (TenantId::single(), format!("{:032x}", self.pieces.len()).parse().expect("id"));
        let block = build_block(&[batch]).expect("builds");
        let mut damaged = block.index.to_vec();
        let meta = store_block(&*self.store, &tenant, id, block, None).await.expect("stores");
        let index = paths::block_prefix(&tenant, id).join(INDEX_FILE);
        match place {
            Place::BareBlock => self.store.delete(&index).await.expect("deletes"),
            Place::DamagedIndex => {
                damaged[60..].fill(7);
                self.store.put(&index, damaged.into()).await.expect("puts");
            }
            Place::Block | Place::Head => {}
        }
        let reader = BlockReader::open(Arc::clone(&self.store), &tenant, &meta).await.expect("opens");
        self.pieces.push(Piece::Block(reader));
        self.blocks.push(id);
        self
    }

    /// The same spans, dealt out in turn.
    async fn split(spans: &[Span], places: &[Place]) -> Self {
        let mut world = Self::new();
        for (at, place) in places.iter().enumerate() {
            let part: Vec<_> = spans.iter().skip(at).step_by(places.len()).cloned().collect();
            world = world.with(&part, *place).await;
        }
        world
    }

    /// From now on spans in blocks cannot be read.
    async fn lose_spans(&self) {
        for id in &self.blocks {
            let path = paths::block_prefix(&TenantId::single(), *id).join(SPANS_FILE);
            self.store.delete(&path).await.expect("deletes");
        }
    }

    async fn context(&self) -> SearchContext<'_> {
        let (tenants, damage) = (TenantId::single().into(), Damage::default());
        let spread =
            SpreadCache::default().find(&tenants, &self.pieces, &damage, &self.budget).await.expect("finds");
        let source = Source::new(self.pieces.clone(), spread, damage, self.blocks.len() as u32, 1);
        SearchContext {
            budget: &self.budget,
            source: Arc::new(source),
            parallelism: 2,
            work: crate::slots::Slots::new(2).work(),
        }
    }

    async fn names(&self, filter: Option<&str>, range: TimeRange, limit: usize) -> TagNames {
        let filter = filter.map(|text| parse_tag_filter(text).expect(text));
        let request = TagNamesRequest { scope: None, filter, range, limit };
        names(&self.context().await, &request, &mut |_| {}).await.expect("an answer")
    }

    async fn values(&self, attribute: &Attribute, filter: Option<&str>, range: TimeRange) -> TagValues {
        let filter = filter.map(|text| parse_tag_filter(text).expect(text));
        let request = TagValuesRequest { attribute: attribute.clone(), filter, range, limit: 0 };
        values(&self.context().await, &request, &mut |_| {}).await.expect("an answer")
    }
}

/// The matching spans that overlap the range, by the plainest means, each with its trace.
fn matching<'a>(traces: &'a [Trace], filter: Option<&str>, range: TimeRange) -> Vec<(&'a Trace, &'a Span)> {
    let filter = filter.map(|text| Filter::compile(&parse_tag_filter(text).expect(text)).expect(text));
    let spans = traces.iter().flat_map(|trace| (0..trace.spans().len()).map(move |at| (trace, at)));
    let counts = |(trace, at): &(&Trace, usize)| {
        let span = &trace.spans()[*at];
        let time = TimeRange { start: span.start, end: span.end.max(span.start) };
        time.overlaps(&range) && filter.as_ref().is_none_or(|filter| rows::holds(filter, trace, *at))
    };
    spans.filter(counts).map(|(trace, at)| (trace, &trace.spans()[at])).collect()
}

fn expected_names(spans: &[(&Trace, &Span)]) -> BTreeMap<TagScope, BTreeSet<String>> {
    let mut names: BTreeMap<TagScope, BTreeSet<String>> = BTreeMap::new();
    let mut add = |scope, attributes: &[KeyValue]| {
        attributes.iter().for_each(|attribute| {
            names.entry(scope).or_default().insert(attribute.key.clone());
        });
    };
    for (_, span) in spans {
        add(TagScope::Span, &span.attributes);
        add(TagScope::Resource, &span.resource.attributes);
        add(TagScope::Instrumentation, &span.scope.attributes);
        span.events.iter().for_each(|event| add(TagScope::Event, &event.attributes));
        span.links.iter().for_each(|link| add(TagScope::Link, &link.attributes));
    }
    names
}

/// The value TraceQL sees under a key.
fn seen(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let value = &attributes.iter().find(|attribute| attribute.key == key)?.value;
    (!Operand::of_value(value).is_nil()).then(|| value.clone())
}

fn expected_values(attribute: &Attribute, trace: &Trace, span: &Span, filtered: bool) -> Vec<Value> {
    let text = |text: &str| vec![Value::from(text)];
    let hex = |bytes: &[u8]| Value::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let (scope, key) = match attribute {
        Attribute::Named { scope, name, .. } => (*scope, name.as_str()),
        Attribute::Intrinsic(intrinsic) => {
            let root = if filtered { trace.root() } else { span.parent_span_id.is_none().then_some(span) };
            return match intrinsic {
                Intrinsic::Name => text(&span.name),
                Intrinsic::StatusMessage => text(&span.status_message),
                Intrinsic::RootName => root.map(|root| Value::from(root.name.as_str())).into_iter().collect(),
                Intrinsic::RootServiceName => {
                    root.and_then(|root| root.resource.service_name()).map(Value::from).into_iter().collect()
                }
                Intrinsic::EventName => span.events.iter().map(|e| Value::from(e.name.as_str())).collect(),
                Intrinsic::InstrumentationName => text(&span.scope.name),
                Intrinsic::InstrumentationVersion => text(&span.scope.version),
                Intrinsic::TraceId => text(&span.trace_id.short_hex()),
                Intrinsic::SpanId => text(&span.span_id.to_string()),
                Intrinsic::ParentId => text(&span.parent_span_id.map_or(String::new(), |id| id.to_string())),
                Intrinsic::LinkSpanId => span.links.iter().map(|link| hex(&link.span_id)).collect(),
                other => panic!("{other:?} is not tested"),
            };
        }
    };
    let of_events: Vec<_> = span.events.iter().map(|event| seen(&event.attributes, key)).collect();
    let of_links: Vec<_> = span.links.iter().map(|link| seen(&link.attributes, key)).collect();
    let of_scope = || seen(&span.scope.attributes, key);
    let lacks = |values: &[Option<Value>]| values.is_empty() || values.contains(&None);
    let first = seen(&span.attributes, key).or_else(|| seen(&span.resource.attributes, key));
    match scope {
        Scope::Span => seen(&span.attributes, key).into_iter().collect(),
        Scope::Resource => seen(&span.resource.attributes, key).into_iter().collect(),
        Scope::Instrumentation => of_scope().into_iter().collect(),
        Scope::Event => of_events.into_iter().flatten().collect(),
        Scope::Link => of_links.into_iter().flatten().collect(),
        Scope::None if first.is_some() => first.into_iter().collect(),
        Scope::None => {
            let links = if lacks(&of_events) { of_links.as_slice() } else { &[] };
            let scope = if lacks(&of_events) && lacks(&of_links) { of_scope() } else { None };
            let all = of_events.iter().chain(links).cloned().chain([scope]);
            all.flatten().collect()
        }
    }
}

fn listed(value: Value, into: &mut BTreeSet<TagValue>) {
    let (kind, text) = match value {
        Value::String(text) if text.is_empty() => return,
        Value::String(text) => (TagValueKind::String, text),
        Value::Int(number) => (TagValueKind::Int, number.to_string()),
        Value::Float(number) => (TagValueKind::Float, number.to_string()),
        Value::Bool(truth) => (TagValueKind::Bool, truth.to_string()),
        Value::Array(values) => return values.into_iter().for_each(|value| listed(value, into)),
        other => panic!("{other:?} is nothing that TraceQL sees"),
    };
    into.insert(TagValue { kind, text });
}

fn assembled(spans: &[Span]) -> Vec<Trace> {
    let mut by_id: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
    spans.iter().for_each(|span| by_id.entry(span.trace_id).or_default().push(span.clone()));
    by_id.into_values().filter_map(Trace::assemble).collect()
}

fn attributes(traces: &[Trace]) -> Vec<Attribute> {
    let names = expected_names(&matching(traces, None, TimeRange::ALL));
    let keys: BTreeSet<_> = names.into_values().flatten().chain(["absent".to_owned()]).collect();
    let scopes =
        [Scope::None, Scope::Span, Scope::Resource, Scope::Event, Scope::Link, Scope::Instrumentation];
    let named = keys
        .iter()
        .flat_map(|key| scopes.map(|scope| Attribute::Named { scope, name: key.clone(), parent: false }));
    let intrinsics = INTRINSICS.iter().filter(|name| **name != "status");
    named.chain(intrinsics.map(|name| parse_attribute(name).expect("an intrinsic"))).collect()
}

/// One seed: every split answers every question as the plain reading of the spans does.
async fn check(seed: u64) {
    let spans = TraceGenerator::new(seed).traces(16, 8);
    let traces = assembled(&spans);
    let attributes = attributes(&traces);
    let middle = BASE_TIME + 12_000_000_000;
    let ranges = [
        TimeRange::ALL,
        TimeRange { start: BASE_TIME, end: middle },
        TimeRange { start: middle, end: middle + 1_000 },
        TimeRange { start: 0, end: 5 },
    ];
    let splits: [&[Place]; 6] = [
        &[Place::Head],
        &[Place::Head, Place::Head, Place::Head],
        &[Place::Block],
        &[Place::BareBlock, Place::Block],
        &[Place::Block, Place::Block, Place::Head],
        &[Place::DamagedIndex, Place::Block],
    ];
    // Each round asks for a part of the attributes, another one each time.
    let mut round = seed as usize;
    for (number, places) in splits.into_iter().enumerate() {
        let world = World::split(&spans, places).await;
        let filters = FILTERS.iter().map(|filter| Some(*filter)).skip(number % 2).step_by(2);
        for filter in [None].into_iter().chain(filters) {
            let asked = if filter.is_none() { &ranges[..] } else { &ranges[number / 2 % 2..][..1] };
            for range in asked {
                round += 1;
                let what = format!("seed {seed}, {places:?}, {filter:?}, {range:?}");
                let matched = matching(&traces, filter, *range);
                let mut answer = world.names(filter, *range, 0).await;
                assert_eq!(answer.scopes.remove(&TagScope::Intrinsic).map(|names| names.len()), Some(25));
                let found: BTreeMap<_, BTreeSet<_>> = answer
                    .scopes
                    .into_iter()
                    .map(|(scope, names)| (scope, names.into_iter().collect()))
                    .collect();
                assert_eq!((found, answer.partial), (expected_names(&matched), None), "names: {what}");
                let step = if filter.is_some() { 23 } else { 3 };
                for attribute in attributes.iter().skip(round % step).step_by(step) {
                    let mut expected = BTreeSet::new();
                    for (trace, span) in &matched {
                        let values = expected_values(attribute, trace, span, filter.is_some());
                        values.into_iter().for_each(|value| listed(value, &mut expected));
                    }
                    let answer = world.values(attribute, filter, *range).await;
                    let expected: Vec<_> = expected.into_iter().collect();
                    assert_eq!((answer.values, answer.partial), (expected, None), "{attribute}: {what}");
                }
            }
        }
        assert_eq!(used_by_queries(&world), 0, "what is left is kept indexes");
    }
}

/// Reserved bytes beside the indexes that stay open.
fn used_by_queries(world: &World) -> u64 {
    let kept: u64 = world.pieces.len() as u64 * vivace_storage::limits::INDEX_PREFIX;
    world.budget.reserved().bytes().saturating_sub(kept)
}

#[tokio::test]
async fn every_split_answers_as_the_spans_do() {
    for seed in seeds(3) {
        check(seed).await;
    }
}

fn shop() -> Vec<Span> {
    (0..400)
        .map(|at| {
            SpanBuilder::new(&format!("GET /{}", at % 5))
                .trace(at + 1)
                .start_ms(at as u64)
                .service(&format!("svc{}", at % 3))
                .attribute("request", format!("{at:08x}"))
                .attribute("code", (at % 2) as i64)
                .event("retry", 1, vec![KeyValue::new("try", (at % 4) as i64)])
                .event("retry", 2, vec![KeyValue::new("try", 9_i64)])
                .build()
        })
        .collect()
}

#[tokio::test]
async fn the_index_alone_answers_for_whole_blocks() {
    let world = World::split(&shop(), &[Place::Block, Place::Block]).await;
    world.lose_spans().await;
    let names = world.names(None, TimeRange::ALL, 0).await;
    assert_eq!((names.partial, names.inspected_bytes), (None, 0));
    assert_eq!(names.scopes[&TagScope::Span], ["code", "request"]);
    for (name, count) in [
        (".code", 2),
        ("event.try", 5),
        (".try", 5),
        ("name", 5),
        ("rootServiceName", 3),
        ("event:name", 1),
        (".request", 400),
        ("span.gone", 0),
    ] {
        let attribute = parse_attribute(name).expect(name);
        let found = world.values(&attribute, None, TimeRange::ALL).await;
        assert_eq!((found.values.len(), found.partial, found.inspected_bytes), (count, None, 0), "{name}");
    }
    // What the index cannot know is read from the spans, which are lost.
    let ids = world.values(&parse_attribute("span:id").expect("valid"), None, TimeRange::ALL).await;
    assert!(ids.partial.is_some(), "{ids:?}");
    let code = parse_attribute(".code").expect("valid");
    let filtered = world.values(&code, Some("{ .code = 1 }"), TimeRange::ALL).await;
    assert!(filtered.partial.is_some());
}

#[tokio::test]
async fn spans_are_not_read_when_nothing_new_can_come() {
    let spans = shop();
    let world = World::split(&spans, &[Place::Head, Place::Block]).await;
    world.lose_spans().await;
    let part = TimeRange { start: BASE_TIME + 1, end: u64::MAX };
    let name = parse_attribute("name").expect("valid");
    let found = world.values(&name, None, part).await;
    assert_eq!((found.values.len(), found.partial), (5, None), "the head has them all");
    let outside = TimeRange { start: 0, end: BASE_TIME - 1 };
    assert_eq!(world.values(&name, None, outside).await, TagValues::default());
}

#[tokio::test]
async fn a_limit_keeps_the_first_whatever_the_split() {
    for places in [&[Place::Head][..], &[Place::Block, Place::Head], &[Place::BareBlock, Place::Block]] {
        let world = World::split(&shop(), places).await;
        let attribute = parse_attribute(".request").expect("valid");
        let request = TagValuesRequest { attribute, filter: None, range: TimeRange::ALL, limit: 3 };
        let mut told = 0;
        let mut count = |answer: &dyn Fn() -> TagValues| {
            told += 1;
            assert!(answer().values.len() <= 3);
        };
        let found = values(&world.context().await, &request, &mut count).await.expect("an answer");
        let texts: Vec<_> = found.values.iter().map(|value| value.text.as_str()).collect();
        assert_eq!(texts, ["00000000", "00000001", "00000002"], "{places:?}");
        assert_eq!(found.partial, None, "as many as asked for");
        assert_eq!(told, places.len(), "after each piece");
        assert_eq!(world.names(None, TimeRange::ALL, 1).await.scopes[&TagScope::Span], ["code"]);
    }
}

#[test]
fn a_large_answer_is_cut_at_the_same_place_in_any_order_and_says_so() {
    let budget = MemoryBudget::new(ByteSize::from_mib(64));
    let item = |number: usize| format!("{number:05}{}", "x".repeat(100_000 + number * 7));
    let collect = |order: &mut dyn Iterator<Item = usize>| {
        let mut collected = Collected::new(0, &budget).expect("memory");
        order.for_each(|number| collected.add(item(number)).expect("memory"));
        (collected.to_vec(), collected.partial().is_some())
    };
    let (forward, partial) = collect(&mut (0..60));
    assert!(partial && (30..60).contains(&forward.len()), "{}", forward.len());
    assert_eq!(collect(&mut (0..60).rev()), (forward.clone(), true));
    assert_eq!(collect(&mut (0..60).map(|at| at * 37 % 60)), (forward, true));
    let mut refused = Collected::new(0, &MemoryBudget::new(ByteSize::from_bytes(10))).expect("nothing yet");
    refused.add("more than ten bytes".to_owned()).expect_err("no memory");
}
