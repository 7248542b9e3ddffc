//! Large traces: the same answers whatever pieces they are in, and what does not fit into memory costs no other trace.

use vivace_base::{ByteSize, Holder};
use vivace_model::{Span, TenantId, Tenants};
use vivace_testkit::{BASE_TIME, SpanBuilder, TraceGenerator, seeds};
use vivace_traceql::parse_validated;

use super::*;
use crate::metrics::metrics;
use crate::portions::tests::{PLENTY, World};
use crate::repeats::{RepeatsCache, RepeatsOf};
use crate::{MetricsRequest, MetricsWindow};

const SECOND: u64 = 1_000_000_000;
const LARGE: usize = 5_000;

fn request(query: &str) -> SearchRequest {
    SearchRequest {
        query: parse_validated(query).expect("TraceQL"),
        limit: 20,
        spans_per_span_set: 5,
        range: TimeRange { start: 0, end: u64::MAX / 2 },
        min_duration: None,
        max_duration: None,
    }
}

async fn found(world: &World, query: &str) -> SearchResponse {
    let source = world.source().await;
    let context = SearchContext {
        budget: &world.budget,
        source: Arc::new(source),
        parallelism: 2,
        work: crate::slots::Slots::new(2).work(),
    };
    let mut response = SearchResponse::default();
    search(&context, &request(query), &mut response, &mut |_| {}).await.expect("searches");
    response.partial = context.source.partial();
    response
}

async fn measured(world: &World, query: &str) -> crate::MetricsResponse {
    let source = world.source().await;
    let context = SearchContext {
        budget: &world.budget,
        source: Arc::new(source),
        parallelism: 2,
        work: crate::slots::Slots::new(2).work(),
    };
    let window =
        MetricsWindow::Range { start: BASE_TIME - SECOND, end: BASE_TIME + 100 * SECOND, step: SECOND };
    let query = parse_validated(query).expect("TraceQL");
    let request = MetricsRequest { query, window, exemplars: 0, max_series: 0 };
    let (cache, tenants) = (RepeatsCache::default(), Tenants::from(TenantId::single()));
    let repeats = RepeatsOf { cache: &cache, tenants: &tenants };
    metrics(&context, repeats, &request, &mut |_| {}).await.expect("measures")
}

/// Whole in one piece, and dealt out to three of them.
async fn whole_and_dealt(spans: &[Span]) -> (World, World) {
    let whole = World::of(&[(spans.to_vec(), true)], PLENTY).await;
    let part = |at| spans.iter().skip(at).step_by(3).cloned().collect::<Vec<_>>();
    let dealt = World::of(&[(part(0), true), (part(1), false), (part(2), true)], PLENTY).await;
    (whole, dealt)
}

#[tokio::test]
async fn a_large_trace_is_found_the_same_whatever_pieces_it_is_in() {
    for seed in seeds(2) {
        let mut generator = TraceGenerator::new(seed);
        let spans = [generator.trace(LARGE), generator.trace(40)].concat();
        let (whole, dealt) = whole_and_dealt(&spans).await;
        for query in [
            "{ }",
            "{ status = error }",
            "{ span.http.status_code = 200 } && { }",
            "{ kind = server } || { resource.service.name = \"reviews\" }",
            "{ span.retry = true } && { name = \"select\" }",
            "{ name = \"nothing has this\" }",
            "{ name = \"nothing has this\" } || { kind = client }",
            "{ } | count() > 100",
            "{ status = error } | count() >= 1 | count() < 1000000",
            "{ status = error } | count() > 1000000",
        ] {
            let (expected, found) = (found(&whole, query).await, found(&dealt, query).await);
            assert_eq!(found.traces, expected.traces, "seed {seed}: {query}");
            assert_eq!(found.partial, None, "seed {seed}: {query}");
        }
        for query in
            ["{ } | rate() by (resource.service.name)", "{ status = error } | avg_over_time(duration)"]
        {
            let (expected, found) = (measured(&whole, query).await, measured(&dealt, query).await);
            assert!(!expected.series.is_empty());
            assert_eq!(found.series, expected.series, "seed {seed}: {query}");
        }
    }
}

#[tokio::test]
async fn a_span_that_two_pieces_have_counts_once() {
    let mut generator = TraceGenerator::new(1);
    let spans = generator.trace(LARGE);
    let whole = World::of(&[(spans.clone(), true)], PLENTY).await;
    let pieces = [(spans[..3_000].to_vec(), true), (spans[2_000..].to_vec(), true)];
    let dealt = World::of(&pieces, PLENTY).await;
    assert_eq!(found(&dealt, "{ }").await.traces, found(&whole, "{ }").await.traces);
    let query = "{ } | count_over_time()";
    assert_eq!(measured(&dealt, query).await.series, measured(&whole, query).await.series);
}

#[tokio::test]
async fn a_trace_that_does_not_fit_costs_no_other() {
    let child = |trace: u128, id: u64| {
        let span = SpanBuilder::new("call").trace(trace).id(id).start_ms(id);
        if id == 1 { span.build() } else { span.parent(1).build() }
    };
    let mut spans: Vec<Span> = (1..=40_000).map(|id| child(7, id)).collect();
    spans.extend((1..=3).map(|id| child(8, id)));
    let id = spans[0].trace_id;
    for pieces in [
        vec![(spans.clone(), true)],
        vec![(spans[..20_000].to_vec(), true), (spans[20_000..].to_vec(), true)],
    ] {
        let world = World::of(&pieces, ByteSize::from_mib(12)).await;
        let told = found(&world, "{ } >> { name = \"call\" }").await;
        assert_eq!(told.traces.len(), 1);
        assert_eq!(told.traces[0].trace_id, spans[40_000].trace_id);
        let partial = told.partial.expect("is told");
        assert!(partial.contains(&format!("left out: trace {id} does not fit into memory")), "{partial}");
        let whole = found(&world, "{ name = \"call\" }").await;
        assert_eq!((whole.traces.len(), whole.partial), (2, None));
        assert_eq!(whole.traces.iter().map(|trace| trace.span_sets[0].matched).max(), Some(40_000));
        assert!(world.budget.reserved_by(Holder::Query) < ByteSize::from_mib(1));
    }
}
