use std::collections::BTreeSet;

use vivace_base::{ByteSize, MemoryBudget};
use vivace_model::{Span, TenantId};
use vivace_storage::block::SortedSpans;
use vivace_storage::columns::SpanBatchBuilder;
use vivace_testkit::SpanBuilder;

use super::*;
use crate::source::{Damage, Piece};
use crate::spread::SpreadCache;

/// A trace of so many spans, one nanosecond after the other, each of one nanosecond.
fn trace(number: u64, start: u64, spans: u64) -> Vec<Span> {
    let span = |at: u64| {
        let span = SpanBuilder::new("span").trace(u128::from(number + 1) << 3).id(at + 1);
        span.times(start + at, start + at + 1).build()
    };
    (0..spans).map(span).collect()
}

fn piece(spans: &[Span]) -> Piece {
    let mut builder = SpanBatchBuilder::default();
    spans.iter().for_each(|span| builder.push(span));
    Piece::Live(SortedSpans::new(&[builder.finish()]).expect("sorts"))
}

async fn source(pieces: Vec<Piece>, budget: &Arc<MemoryBudget>) -> Source {
    let (tenants, damage) = (TenantId::single().into(), Damage::default());
    let spread = SpreadCache::default().find(&tenants, &pieces, &damage, budget).await.expect("finds");
    Source::new(pieces, spread, damage, 0, 0)
}

fn wanted(range: TimeRange) -> Wanted {
    Wanted { filters: Vec::new(), condition: Condition::Any, range, duration: 0..=u64::MAX, in_pieces: false }
}

/// The starts of the traces of each unit, as the walk gives them, spread ones apart.
async fn walk(source: &Source, wanted: &Wanted, budget: &Arc<MemoryBudget>) -> (Vec<Vec<u64>>, usize) {
    let mut units = Units::new(source, wanted, budget).await.expect("begins");
    let (mut starts, mut spread, mut bound) = (Vec::new(), 0, u64::MAX);
    while let Some(newest) = units.newest() {
        assert!(newest <= bound, "never goes forward");
        let Some(unit) = units.next().await.expect("goes on") else { break };
        bound = newest;
        match unit {
            Unit::Spread(traces) => spread += traces.len(),
            Unit::Run { piece, entries } => {
                let at = &source.pieces()[piece];
                let runs = at.runs(budget).await.expect("live");
                let alive = alive(source, wanted, runs, &Pruning::none(0), (piece, entries));
                let of_unit: Vec<u64> = alive.into_iter().map(|entry| runs.range(entry).start).collect();
                assert!(of_unit.iter().all(|start| *start <= newest), "{of_unit:?} {newest}");
                starts.push(of_unit);
            }
        }
    }
    (starts, spread)
}

#[tokio::test]
async fn every_trace_is_met_once_and_the_newest_first() {
    let budget = MemoryBudget::new(ByteSize::from_mib(256));
    let mut pieces = [Vec::new(), Vec::new(), Vec::new()];
    for number in 0..2_700 {
        pieces[(number % 3) as usize].extend(trace(number, 1_000 * number, 1 + number % 90));
    }
    // Two traces whose spans are in two pieces.
    pieces[0].extend(trace(5_000, 70_500, 3));
    pieces[2].extend(trace(5_000, 70_503, 3).into_iter().map(|mut span| {
        span.span_id.0[0] = 9;
        span
    }));
    let source = source(pieces.iter().map(|spans| piece(spans)).collect(), &budget).await;
    let (units, spread) = walk(&source, &wanted(TimeRange { start: 0, end: u64::MAX }), &budget).await;
    let all: Vec<u64> = units.concat();
    assert_eq!((all.len(), spread), (2_700, 1));
    assert_eq!(all.iter().copied().collect::<BTreeSet<_>>().len(), 2_700);
    assert!(units.len() > 3, "more than one unit of a piece with more than a zone");

    let (some, spread) = walk(&source, &wanted(TimeRange { start: 70_000, end: 80_000 }), &budget).await;
    let some: BTreeSet<u64> = some.concat().into_iter().collect();
    assert_eq!(some, (70..=80).map(|n| n * 1_000).collect(), "those that overlap the range");
    assert_eq!(spread, 1);
    let (none, spread) = walk(&source, &wanted(TimeRange { start: 2, end: 3 }), &budget).await;
    assert_eq!((none.concat().len(), spread), (0, 0));
}
