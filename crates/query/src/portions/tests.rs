use std::collections::{HashMap, HashSet};

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use vivace_base::{BlockId, ByteSize};
use vivace_model::{SpanId, SpanKind, TenantId};
use vivace_storage::block::{SPANS_FILE, SortedSpans, build_block, store_block};
use vivace_storage::columns::SpanBatchBuilder;
use vivace_storage::{BlockReader, paths};
use vivace_testkit::{FaultingStore, Operation, SeededRandomness, SpanBuilder, TraceGenerator, seeds};

use super::*;
use crate::source::{Damage, Piece};
use crate::spread::SpreadCache;

/// Spans in pieces.
pub(crate) struct World {
    store: FaultingStore,
    pub(crate) budget: Arc<MemoryBudget>,
    pieces: Vec<Piece>,
    blocks: Vec<BlockId>,
}

impl World {
    fn new(limit: ByteSize) -> Self {
        let store = FaultingStore::new(Arc::new(InMemory::new()), 1);
        Self { store, budget: MemoryBudget::new(limit), pieces: Vec::new(), blocks: Vec::new() }
    }

    /// Each list of spans in the head or a block of its own.
    pub(crate) async fn of(pieces: &[(Vec<Span>, bool)], limit: ByteSize) -> Self {
        let mut world = Self::new(limit);
        for (spans, in_block) in pieces {
            let mut builder = SpanBatchBuilder::default();
            spans.iter().for_each(|span| builder.push(span));
            let batch = builder.finish();
            let piece = if *in_block {
                world.block(&batch).await
            } else {
                Piece::Live(SortedSpans::new(&[batch]).expect("sorts"))
            };
            world.pieces.push(piece);
        }
        world
    }

    async fn block(&mut self, batch: &arrow::array::RecordBatch) -> Piece {
        let (tenant, id) =
            (TenantId::single(), format!("{:032x}", self.blocks.len()).parse().expect("an id"));
        let built = build_block(std::slice::from_ref(batch)).expect("builds");
        let meta = store_block(&self.store, &tenant, id, built, None).await.expect("stores");
        self.blocks.push(id);
        let store: Arc<dyn ObjectStore> = Arc::new(self.store.clone());
        Piece::Block(BlockReader::open(store, &tenant, &meta).await.expect("opens"))
    }

    pub(crate) async fn source(&self) -> Source {
        let (tenants, damage) = (TenantId::single().into(), Damage::default());
        let spread = SpreadCache::default().find(&tenants, &self.pieces, &damage, &self.budget).await;
        Source::new(self.pieces.clone(), spread.expect("finds"), damage, 0, 0)
    }

    async fn find(&self, id: TraceId) -> Result<Option<TracePortions>, QueryError> {
        TracePortions::find(&Arc::new(self.source().await), &self.budget, id).await
    }

    async fn all(&self, id: TraceId) -> Vec<Vec<Span>> {
        let mut portions = self.find(id).await.expect("finds").expect("has spans");
        let mut all = Vec::new();
        while let Some(portion) = portions.next().await.expect("reads") {
            all.push(portion);
        }
        assert_eq!(portions.partial(), None);
        all
    }
}

pub(crate) const PLENTY: ByteSize = ByteSize::from_mib(512);

/// What a trace is, told from all its spans at once.
fn expected(spans: Vec<Span>) -> Vec<Span> {
    let trace = Trace::assemble(spans).expect("has spans");
    let of_kind = |kind| trace.spans().iter().filter(move |span| span.kind == kind).map(|span| span.span_id);
    let clients: HashSet<SpanId> = of_kind(SpanKind::Client).collect();
    let shared: Vec<SpanId> = of_kind(SpanKind::Server).filter(|id| clients.contains(id)).collect();
    let used: HashSet<SpanId> = trace.spans().iter().map(|span| span.span_id).collect();
    let free = (1..=u64::MAX).map(|number| SpanId(number.to_be_bytes())).filter(|id| !used.contains(id));
    let fresh: HashMap<SpanId, SpanId> = shared.into_iter().zip(free).collect();
    let mut spans = trace.into_spans();
    for span in &mut spans {
        let of_parent = span.parent_span_id.and_then(|parent| fresh.get(&parent));
        match (fresh.get(&span.span_id), span.kind) {
            (Some(own), SpanKind::Server) => {
                span.parent_span_id = Some(span.span_id);
                span.span_id = *own;
            }
            _ if span.parent_span_id == Some(span.span_id) => {}
            _ => span.parent_span_id = of_parent.copied().or(span.parent_span_id),
        }
    }
    Trace::assemble(spans).expect("has spans").into_spans()
}

/// A trace with shared ids, small ids, spans that start together, and its spans dealt out, some to several pieces,
/// some of those changed.
fn dealt(seed: u64, spans: usize) -> (Vec<Span>, Vec<(Vec<Span>, bool)>) {
    let random = SeededRandomness::new(seed);
    let mut trace = TraceGenerator::new(seed).trace(spans);
    let start = trace[0].start;
    for at in 1..trace.len() {
        let before = trace[random.index(at)].span_id;
        let span = &mut trace[at];
        match random.below(12) {
            0 => (span.span_id, span.kind) = (before, SpanKind::Server),
            1 => (span.span_id, span.kind) = (before, SpanKind::Client),
            2 => (span.start, span.end) = (start, start + 5),
            3 => span.span_id = SpanId(random.below(9).to_be_bytes()),
            _ => continue,
        }
        // Which of two with equal id, kind, start and end comes first would be anybody's guess.
        span.end = span.end.max(span.start) + 10 * at as u64;
    }
    let mut pieces: Vec<(Vec<Span>, bool)> =
        (0..1 + random.index(5)).map(|_| (vec![], random.chance(50))).collect();
    let mut all = Vec::new();
    for span in trace {
        for _ in 0..=random.below(10) / 8 {
            let mut copy = span.clone();
            if random.chance(20) {
                copy.start += random.below(3);
                copy.end = copy.end.max(copy.start) + random.below(3);
            }
            all.push(copy.clone());
            let at = random.index(pieces.len());
            pieces[at].0.push(copy);
        }
    }
    // Another trace in each piece.
    let mut others = TraceGenerator::new(seed + 1);
    pieces.iter_mut().for_each(|(spans, _)| spans.extend(others.trace(3)));
    (all, pieces)
}

#[tokio::test]
async fn a_trace_is_the_same_whatever_pieces_it_is_in() {
    for seed in seeds(60) {
        let size = 1 + SeededRandomness::new(seed).index(120);
        let (spans, pieces) = dealt(seed, size);
        let id = spans[0].trace_id;
        let found = World::of(&pieces, PLENTY).await.all(id).await;
        assert_eq!(found.len(), 1, "seed {seed}");
        assert_eq!(found[0], expected(spans), "seed {seed}, {size} spans");
    }
}

#[tokio::test]
async fn a_large_trace_comes_in_portions_and_is_the_same() {
    for seed in seeds(4) {
        let (spans, pieces) = dealt(seed, PORTION_SPANS + SeededRandomness::new(seed).index(PORTION_SPANS));
        let id = spans[0].trace_id;
        let found = World::of(&pieces, PLENTY).await.all(id).await;
        assert!(found.len() > 1 && found.iter().all(|portion| portion.len() <= PORTION_SPANS), "seed {seed}");
        for (before, after) in found.iter().zip(&found[1..]) {
            assert!(
                before.last().map(|span| span.start) <= after.first().map(|span| span.start),
                "seed {seed}"
            );
        }
        let key = |span: &Span| (span.start, span.span_id, span.kind as u8);
        assert!(found.iter().all(|portion| portion.is_sorted_by_key(key)), "seed {seed}");
        let mut found = found.concat();
        found.sort_by_key(key);
        for (found, expected) in found.iter().zip(&expected(spans.clone())) {
            assert_eq!(found, expected, "seed {seed}");
        }
        assert_eq!(found.len(), expected(spans).len(), "seed {seed}");
    }
}

#[tokio::test]
async fn the_first_spans_are_those_that_come_first() {
    let (spans, pieces) = dealt(5, PORTION_SPANS + 100);
    let (id, world) = (spans[0].trace_id, World::of(&pieces, PLENTY).await);
    let all = world.all(id).await.concat();
    for count in [1, PORTION_SPANS - 1, PORTION_SPANS, PORTION_SPANS + 7, all.len(), usize::MAX] {
        let mut portions = world.find(id).await.expect("reads").expect("is there").first_spans(count);
        let mut first = Vec::new();
        while let Some(portion) = portions.next().await.expect("reads") {
            assert!(!portion.is_empty(), "first {count}");
            first.extend(portion);
        }
        assert_eq!(first, all[..count.min(all.len())], "first {count}");
    }
}

#[tokio::test]
async fn spans_that_are_large_make_small_portions() {
    let text = "x".repeat(1 << 20);
    let span =
        |id| SpanBuilder::new("s").trace(7).id(id).start_ms(id).attribute("text", text.as_str()).build();
    let spans: Vec<Span> = (1..=20).map(span).collect();
    let world = World::of(&[(spans[..9].to_vec(), true), (spans[9..].to_vec(), false)], PLENTY).await;
    let found = world.all(spans[0].trace_id).await;
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 4]);
    assert_eq!(found.concat(), spans);
}

#[tokio::test]
async fn what_does_not_fit_whole_comes_in_portions() {
    let mut generator = TraceGenerator::new(3);
    let spans = generator.trace(4 * PORTION_SPANS);
    let id = spans[0].trace_id;
    let pieces: Vec<_> = spans.chunks(PORTION_SPANS).map(|part| (part.to_vec(), true)).collect();
    let world = World::of(&pieces, ByteSize::from_mib(36)).await;
    let found: usize = world.all(id).await.iter().map(Vec::len).sum();
    assert_eq!(found, spans.len());
    let portions = world.find(id).await.expect("finds").expect("has spans");
    let refused = portions.whole(&world.budget).await.expect_err("too large").to_string();
    assert!(refused.starts_with(&format!("trace {id} does not fit into memory all at once")), "{refused}");
    assert!(refused.contains("36MiB"), "{refused}");
}

#[tokio::test]
async fn a_whole_trace_keeps_its_reservation() {
    let (spans, pieces) = dealt(5, 50);
    let world = World::of(&pieces, PLENTY).await;
    let portions = world.find(spans[0].trace_id).await.expect("finds").expect("has spans");
    let whole = portions.whole(&world.budget).await.expect("fits");
    assert_eq!(whole.trace.spans(), expected(spans));
    let reserved = || world.budget.reserved_by(Holder::Query).bytes();
    let (with, own) = (reserved(), whole.reserved.bytes());
    let mut again = TracePortions::of(whole.trace, Some(whole.reserved));
    assert!(again.next().await.expect("reads").is_some() && own > 0);
    assert_eq!(reserved(), with);
    drop(again);
    assert_eq!(reserved(), with - own);
}

/// Three blocks with neighbouring spans, read up to the first portion.
async fn begun() -> (World, TracePortions, usize) {
    let span = |id| SpanBuilder::new("s").trace(7).id(id).start_ms(id).attribute("n", id as i64).build();
    let spans: Vec<Span> = (1..=3 * PORTION_SPANS as u64).map(span).collect();
    let pieces: Vec<_> = spans.chunks(PORTION_SPANS).map(|part| (part.to_vec(), true)).collect();
    let world = World::of(&pieces, PLENTY).await;
    let mut portions = world.find(spans[0].trace_id).await.expect("finds").expect("has spans");
    let first = portions.next().await.expect("reads").expect("has spans").len();
    (world, portions, first)
}

#[tokio::test]
async fn a_store_that_fails_midway_is_an_error() {
    let (world, mut portions, _) = begun().await;
    world.store.fail_at_random(Operation::Get, 100, 0);
    let failed = loop {
        match portions.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it looks complete"),
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, QueryError::Block(_)), "{failed}");
}

#[tokio::test]
async fn a_block_that_turns_out_damaged_midway_is_told() {
    let (world, mut portions, mut found) = begun().await;
    assert_eq!(portions.partial(), None);
    let path = paths::block_prefix(&TenantId::single(), world.blocks[1]).join(SPANS_FILE);
    let bytes = world.store.get(&path).await.expect("is there").bytes().await.expect("reads");
    let mut damaged = bytes.to_vec();
    let length = damaged.len();
    damaged[4..length / 2].fill(7);
    world.store.put(&path, damaged.into()).await.expect("puts");
    while let Some(portion) = portions.next().await.expect("the rest is read") {
        found += portion.len();
    }
    assert!(portions.partial().expect("is told").contains("could not be read"));
    assert!((2 * PORTION_SPANS..3 * PORTION_SPANS).contains(&found), "{found}");
}

fn span(id: u64, parent: u64, kind: SpanKind, start_ms: u64) -> Span {
    let span = SpanBuilder::new("s").trace(7).id(id).kind(kind).start_ms(start_ms);
    if parent == 0 { span.build() } else { span.parent(parent).build() }
}

/// Each span as id, parent and kind.
async fn check_ids(spans: Vec<Span>, expected: &[(u64, u64, SpanKind)]) {
    let id = spans[0].trace_id;
    let found = World::of(&[(spans, false)], PLENTY).await.all(id).await.concat();
    let number = |id: SpanId| u64::from_be_bytes(id.0);
    let told =
        found.iter().map(|span| (number(span.span_id), span.parent_span_id.map_or(0, number), span.kind));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_server_span_gets_an_id_of_its_own() {
    use SpanKind::{Client, Internal, Server};
    check_ids(
        vec![
            span(9, 0, Internal, 0),
            span(5, 9, Client, 1),
            span(5, 9, Server, 2),
            span(6, 5, Internal, 3),
            span(7, 5, Client, 4),
            span(7, 5, Server, 5),
        ],
        &[(9, 0, Internal), (5, 9, Client), (1, 5, Server), (6, 1, Internal), (7, 1, Client), (2, 7, Server)],
    )
    .await;
}

#[tokio::test]
async fn ids_in_use_are_skipped() {
    use SpanKind::{Client, Server};
    check_ids(
        vec![span(1, 0, Client, 0), span(1, 0, Server, 1), span(2, 1, Client, 2)],
        &[(1, 0, Client), (3, 1, Server), (2, 3, Client)],
    )
    .await;
}

#[tokio::test]
async fn other_kinds_may_share() {
    use SpanKind::{Client, Consumer, Producer, Server};
    let kept = [(5, 0, Producer), (5, 0, Consumer), (6, 5, Server), (7, 5, Client)];
    let spans = kept.iter().zip(0..).map(|((id, parent, kind), start)| span(*id, *parent, *kind, start));
    check_ids(spans.collect(), &kept).await;
}
