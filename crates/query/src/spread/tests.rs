use std::collections::{BTreeMap, BTreeSet};

use vivace_base::ByteSize;
use vivace_model::{Span, TenantId, TraceId};
use vivace_storage::block::SortedSpans;
use vivace_storage::columns::SpanBatchBuilder;
use vivace_testkit::SpanBuilder;

use super::*;

fn piece(traces: &[u8]) -> Piece {
    let mut builder = SpanBatchBuilder::default();
    for trace in traces {
        let span: Span = SpanBuilder::new("span").trace(u128::from_be_bytes([*trace; 16])).id(1).build();
        builder.push(&span);
    }
    Piece::Live(SortedSpans::new(&[builder.finish()]).expect("sorts"))
}

/// Which traces are in several pieces, by looking.
fn naive(pieces: &[&[u8]]) -> BTreeMap<u8, BTreeSet<usize>> {
    let mut places: BTreeMap<u8, BTreeSet<usize>> = BTreeMap::new();
    for (at, traces) in pieces.iter().enumerate() {
        traces.iter().for_each(|trace| {
            places.entry(*trace).or_default().insert(at);
        });
    }
    places.retain(|_, pieces| pieces.len() > 1);
    places
}

async fn check(cache: &SpreadCache, pieces: &[(&[u8], Piece)]) {
    let tenants = TenantId::single().into();
    let budget = MemoryBudget::new(ByteSize::from_mib(16));
    let all: Vec<Piece> = pieces.iter().map(|(_, piece)| piece.clone()).collect();
    let spread = cache.find(&tenants, &all, &Damage::default(), &budget).await.expect("finds");
    let expected = naive(&pieces.iter().map(|(traces, _)| *traces).collect::<Vec<_>>());
    assert_eq!(spread.traces().count(), expected.len());
    for (trace, at) in &expected {
        for piece in at {
            let Piece::Live(spans) = &all[*piece] else { panic!("live") };
            let entry = spans.ids().find(TraceHash::of(&TraceId([*trace; 16]))).next().expect("is there");
            assert!(spread.contains(Place { piece: *piece, entry }), "trace {trace} in piece {piece}");
        }
    }
    let marked: usize = (0..all.len()).map(|at| spread.by_piece[at].len()).sum();
    assert_eq!(marked, expected.values().map(BTreeSet::len).sum::<usize>(), "and no others");
}

#[tokio::test]
async fn finds_what_is_in_several_pieces_while_pieces_come_and_go() {
    let cache = SpreadCache::default();
    let sets: [&[u8]; 6] = [&[1, 2, 3], &[3, 4], &[5], &[1, 2, 3, 4, 5], &[2, 9], &[]];
    let pieces: Vec<_> = sets.into_iter().map(|traces| (traces, piece(traces))).collect();
    check(&cache, &pieces[..1]).await;
    check(&cache, &pieces[..3]).await;
    check(&cache, &pieces).await;
    check(&cache, &pieces[1..5]).await;
    check(&cache, &[pieces[4].clone(), pieces[0].clone()]).await;
    check(&cache, &[]).await;
    check(&cache, &pieces).await;
}
