//! The main job: 2,000 traces in over OTLP, each found by id and by Kiali's query, at once and after `kill -9`.

use futures::{StreamExt, stream};
use vivace_e2e::kiali::{self, Hit};
use vivace_e2e::spans::SECOND;
use vivace_e2e::traffic::{all_spans, range_of};
use vivace_e2e::{
    Client, Compression, Encoding, FlatSpan, Otlp, SentTrace, ServerBuilder, Traffic, answers, flatten, otlp,
};

use crate::ten_minutes_ago;

const TRACES: usize = 2000;
/// Where each lookup costs much more: in a debug build 2,000 would take minutes and show nothing else.
pub(crate) const FEWER_TRACES: usize = 600;
const TRACES_PER_REQUEST: usize = 50;
const LOOKUPS_AT_ONCE: usize = 8;
const SEED: u64 = 2;
const WAYS: [(Encoding, Compression); 5] = [
    (Encoding::Protobuf, Compression::None),
    (Encoding::Json, Compression::None),
    (Encoding::Protobuf, Compression::Gzip),
    (Encoding::Protobuf, Compression::Zstd),
    (Encoding::Json, Compression::Gzip),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_trace_is_found_at_once_and_after_a_kill() {
    scenario(ServerBuilder::new(), TRACES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trace_is_found_while_blocks_are_cut_all_the_time() {
    scenario(ServerBuilder::new().tiny_blocks(), FEWER_TRACES).await;
}

pub(crate) async fn scenario(builder: ServerBuilder, count: usize) {
    let server = builder.start().await;
    let traces = Traffic::new(SEED, ten_minutes_ago()).traces(count);
    send(&server.otlp(), &traces).await;
    check(&server.client(), &traces).await;
    let server = server.kill().start().await;
    check(&server.client(), &traces).await;
}

/// Every seventh trace arrives in two parts, its last service when all others are there.
async fn send(otlp: &Otlp, traces: &[SentTrace]) {
    let mut late = Vec::new();
    for (number, chunk) in traces.chunks(TRACES_PER_REQUEST).enumerate() {
        let mut now = chunk.to_vec();
        for trace in now.iter_mut().step_by(7).filter(|trace| trace.resource_spans.len() > 1) {
            late.extend(trace.resource_spans.pop());
        }
        let (encoding, compression) = WAYS[number % WAYS.len()];
        otlp.send_as(&otlp::request(all_spans(&now)), encoding, compression).await;
    }
    assert!(late.len() > traces.len() / 20, "too few traces in two parts to mean anything");
    otlp.export_grpc(otlp::request(late), Compression::Gzip).await.expect("gRPC takes the late spans");
}

async fn check(client: &Client, traces: &[SentTrace]) {
    stream::iter(traces.iter().enumerate())
        .for_each_concurrent(LOOKUPS_AT_ONCE, |(number, trace)| look_up(client, number, trace))
        .await;
    check_kiali(client, traces).await;
    check_limits(client, traces).await;
    check_windows(client, traces).await;
}

/// By one of the four ways, turn by turn.
async fn look_up(client: &Client, number: usize, trace: &SentTrace) {
    let id = trace.hex();
    let found = match number % 4 {
        0 => client.trace(&id).await.expect("the trace is found").resource_spans,
        1 => answers::v1(&client.trace_json(&id).await.ok().json()),
        2 => client.trace_v2(&id).await.trace.expect("the trace is found").resource_spans,
        _ => answers::v2(&client.trace_v2_json(&id).await),
    };
    assert_same(&flatten(&found), &flatten(&trace.resource_spans));
}

fn assert_same(found: &[FlatSpan], sent: &[FlatSpan]) {
    assert_eq!(found.len(), sent.len(), "spans of the trace");
    for (found, sent) in found.iter().zip(sent) {
        assert_eq!(found, sent);
    }
}

/// Kiali's query for a service finds exactly the traces that pass it, newest first, with what Kiali shows of them.
async fn check_kiali(client: &Client, traces: &[SentTrace]) {
    for service in ["productpage", "reviews"] {
        let hits = kiali_hits(client, traces, service, traces.len() * 2).await;
        let expected: Vec<&SentTrace> =
            traces.iter().rev().filter(|trace| trace.has_service(service)).collect();
        assert_eq!(hits.len(), expected.len(), "traces of {service}");
        for (hit, trace) in hits.iter().zip(expected) {
            check_hit(hit, trace);
        }
    }
    assert!(kiali_hits(client, traces, "nobody", traces.len()).await.is_empty());
}

fn check_hit(hit: &Hit, trace: &SentTrace) {
    assert_eq!(hit.trace_id, trace.short());
    assert_eq!(hit.root_name, "productpage.default.svc.cluster.local:9080/*");
    assert_eq!(hit.matched, trace.span_count() as u64);
    assert_eq!(hit.span_ids.len(), trace.span_count().min(kiali::SPANS_PER_TRACE));
    let sent: Vec<String> = trace.spans().map(|span| hex::encode(&span.span_id)).collect();
    assert!(hit.span_ids.iter().all(|id| sent.contains(id)), "{hit:?} has spans of another trace");
    assert!(!hit.service.is_empty(), "the first span says no service.name: {hit:?}");
}

async fn kiali_hits(client: &Client, traces: &[SentTrace], service: &str, limit: usize) -> Vec<Hit> {
    let answer = client.search(&kiali::query(service), limit, kiali::SPANS_PER_TRACE, range_of(traces)).await;
    kiali::search(&answer)
}

/// A smaller limit gives the same list, cut off; asking again gives the same answer.
async fn check_limits(client: &Client, traces: &[SentTrace]) {
    let newest = kiali_hits(client, traces, "details", 300).await;
    assert_eq!(newest.len(), 300);
    for limit in [1, 20, 100, 300] {
        let fewer = kiali_hits(client, traces, "details", limit).await;
        assert_eq!(fewer, newest[..limit], "the {limit} newest");
    }
}

/// A time range holds the traces inside it and none outside. Traces take less than a second, so a margin of one at
/// each end leaves no doubt on which side one is.
async fn check_windows(client: &Client, traces: &[SentTrace]) {
    let (first, last) = (traces[0].start / SECOND, traces[traces.len() - 1].start / SECOND);
    let step = (last - first) / 4;
    for from in (first..last).step_by(step as usize) {
        let to = from + step;
        let answer =
            client.search("{ span.istio.cluster_id = \"Kubernetes\" }", traces.len(), 1, (from, to)).await;
        let found: Vec<String> = kiali::search(&answer).into_iter().map(|hit| hit.trace_id).collect();
        for trace in traces {
            let (is_found, start) = (found.contains(&trace.short()), trace.start);
            if start >= (from + 1) * SECOND && start < (to - 1) * SECOND {
                assert!(is_found, "{} starts at {start}, inside {from} to {to}, and is missing", trace.hex());
            }
            if start < (from - 1) * SECOND || start >= (to + 1) * SECOND {
                assert!(!is_found, "{} starts at {start}, outside {from} to {to}, and is found", trace.hex());
            }
        }
    }
}
