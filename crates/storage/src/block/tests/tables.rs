//! Traces, zones, parents and picked rows of a block against its spans.

use std::collections::BTreeMap;

use vivace_model::{SpanId, SpanKind, Trace};

use super::*;
use crate::index::{LISTED_KEYS, ZONE_ROWS};

fn budget() -> Arc<MemoryBudget> {
    MemoryBudget::new(ByteSize::from_mib(256))
}

/// `traces` traces of 1 to 40 spans: trees, missing parents, shared and repeated ids; rare and unique values.
fn mesh(traces: u64) -> Vec<Span> {
    let mut spans = Vec::new();
    for trace in 0..traces {
        for at in 0..1 + trace * 7 % 40 {
            let mut span = rich_span(1);
            span.trace_id.0[..8].copy_from_slice(&(trace.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_be_bytes());
            span.span_id = SpanId(((trace << 16) | (at + 1)).to_be_bytes());
            let parent = if at % 11 == 10 { 0xdead } else { trace << 16 | (at / 2 + 1) };
            span.parent_span_id = (at > 0).then(|| SpanId(parent.to_be_bytes()));
            span.kind = SpanKind::Server;
            span.start = 1_000_000 * trace + at * 100;
            span.end = span.start + 50 + trace % 7 * 1_000;
            span.name = format!("name {}", (trace + at) % 5);
            span.attributes.push(Attribute::new("request", format!("request {trace}")));
            spans.push(span);
        }
        if trace % 5 == 3 {
            let twin = spans.last().expect("one").clone();
            spans.push(Span { kind: SpanKind::Client, ..twin.clone() });
            spans.push(Span { start: twin.start + 1, ..twin });
        }
    }
    spans
}

fn by_trace(spans: &[Span]) -> BTreeMap<TraceId, Trace> {
    let mut traces: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
    spans.iter().for_each(|span| traces.entry(span.trace_id).or_default().push(span.clone()));
    traces.into_iter().filter_map(|(id, spans)| Some((id, Trace::assemble(spans)?))).collect()
}

async fn block(spans: &[Span]) -> (Arc<dyn ObjectStore>, TenantId, BlockMeta) {
    let batches: Vec<_> = spans.chunks(1_000).map(batch).collect();
    put(build_block(&batches).expect("builds")).await
}

async fn picked(reader: &BlockReader, rows: &[std::ops::Range<usize>]) -> Vec<Span> {
    decoded(reader.read_rows(rows, &Projection::everything(), &budget()).expect("opens")).await
}

#[tokio::test]
async fn tables_say_what_the_spans_say_with_an_index_and_without() {
    let spans = mesh(1_500);
    let traces = by_trace(&spans);
    let (store, tenant, meta) = block(&spans).await;
    let kept: usize = traces.values().map(|trace| trace.spans().len()).sum();
    assert_eq!((meta.rows, meta.traces), (kept as u64, 1_500), "duplicates are left out");
    let indexed = BlockReader::open(Arc::clone(&store), &tenant, &meta).await.expect("opens");
    let path = crate::paths::block_prefix(&tenant, meta.id).join(INDEX_FILE);
    let (ids, runs) = (
        indexed.trace_ids(&budget()).await.expect("ids").clone(),
        indexed.trace_runs(&budget()).await.expect("runs").clone(),
    );
    store.delete(&path).await.expect("deletes");
    let lost = BlockReader::open(Arc::clone(&store), &tenant, &meta).await.expect("opens");
    assert_eq!(&ids, lost.trace_ids(&budget()).await.expect("ids"));
    assert_eq!(&runs, lost.trace_runs(&budget()).await.expect("runs"));
    assert!(!lost.has_zones(&budget()).await.expect("memory"));
    assert!(
        (0..runs.len()).all(|entry| runs.is_distinct(entry))
            && runs.row_count() == kept
            && runs.len() == 1_500
            && ids.len() == 1_500
    );

    for (id, trace) in &traces {
        let entries: Vec<_> = ids.find(TraceHash::of(id)).collect();
        assert_eq!(entries.len(), 1, "{id}");
        let entry = entries[0];
        assert_eq!(runs.range(entry), trace.range());
        assert_eq!(runs.rows(entry).len(), trace.spans().len());
        let root = trace.spans().iter().rposition(|span| span.parent_span_id.is_none());
        assert_eq!(runs.root(entry), root.map(|at| runs.rows(entry).start + at));
    }
    let absent = TraceHash::of(&TraceId([9; 16]));
    assert_eq!(ids.find(absent).count(), 0);
    // Every seventh trace, beginning with the third.
    let wanted: Vec<_> = (3..1_500).step_by(7).collect();
    let rows: Vec<_> = wanted.iter().map(|entry| runs.rows(*entry)).collect();
    let ordered: Vec<&Trace> = traces.values().collect();
    let in_order = {
        let mut ordered = ordered;
        ordered.sort_by_key(|trace| (trace.range().start, trace.id()));
        ordered
    };
    let expected: Vec<Span> = wanted.iter().flat_map(|entry| in_order[*entry].spans().to_vec()).collect();
    assert_eq!(picked(&indexed, &rows).await, expected, "parents come back from distances");
    assert_eq!(
        read_all(&indexed).await,
        in_order.iter().flat_map(|t| t.spans().to_vec()).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn zones_never_hide_a_value() {
    let mut spans = mesh(1_500);
    spans[17].attributes.push(Attribute::new("rare", 7_i64));
    let (store, tenant, meta) = block(&spans).await;
    let reader = BlockReader::open(store, &tenant, &meta).await.expect("opens");
    let (read, budget) = (read_all(&reader).await, budget());
    let zones = read.len().div_ceil(ZONE_ROWS);
    assert!(zones >= 2, "{} rows", read.len());
    let request = reader.zones("span.request:str", &budget).await.expect("memory").expect("known");
    let names = reader.zones("name", &budget).await.expect("memory").expect("known");
    let durations = reader.zones("duration_nano", &budget).await.expect("memory").expect("known");
    let keys = reader.zones(LISTED_KEYS, &budget).await.expect("memory").expect("known");
    let rare = ValueHash::of_key(crate::index::IndexScope::Span, "rare");
    let mut hits = 0;
    for (row, span) in read.iter().enumerate() {
        let zone = row / ZONE_ROWS;
        let Some(Value::String(id)) = span.attributes.iter().find(|a| a.key == "request").map(|a| &a.value)
        else {
            panic!("{span:?}")
        };
        assert!(request.may_have(zone, ValueHash::of(id)) && names.may_have(zone, ValueHash::of(&span.name)));
        hits += usize::from(request.may_have(1 - zone.min(1), ValueHash::of(id)));
        let nanos = span.duration() as i64;
        assert!(durations.may_overlap(zone, &(nanos..=nanos), &(0.0..=0.0)));
        if span.attributes.iter().any(|a| a.key == "rare") {
            assert!(keys.may_have(zone, rare));
        }
    }
    assert!(hits < read.len() / 50, "{hits} of {} look as if they were in the other zone too", read.len());
    assert!(!names.may_have(0, ValueHash::of("nobody")));
    assert!(!durations.may_overlap(0, &(1 << 40..=i64::MAX), &(0.0..=0.0)));
    assert!(reader.zones("span.nothing:str", &budget).await.expect("memory").is_none());
    assert!(reader.has_zones(&budget).await.expect("memory"));
}
