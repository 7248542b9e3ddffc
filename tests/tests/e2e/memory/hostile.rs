//! Whatever is asked of it or sent to it, and all of that at once.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use vivace_e2e::otlp::{Compression, Encoding, gzip};
use vivace_e2e::spans::{attribute, batch, scope, service, span, text};

use super::*;
use crate::ten_minutes_ago;

/// Path, query and other parameters.
type Question = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What is asked again and again, by several at once.
const QUERIES: [Question; 12] = [
    ("search", "{ }", &[("limit", "262144"), ("spss", "100")]),
    ("search", "{ } && { }", &[("limit", "5000"), ("spss", "100")]),
    (
        "search",
        "{ } | select(.http.url, .user_agent, .node_id, resource.k8s.pod.name)",
        &[("limit", "20000")],
    ),
    ("search", "{ .nothing = 1 || name =~ \".*a.*\" } >> { }", &[("limit", "10000"), ("spss", "100")]),
    ("search", "{ } | by(.http.url) | count() > 0", &[("limit", "10000"), ("spss", "100")]),
    ("metrics/query_range", "{ } | count_over_time() by (span.guid:x-request-id)", &[("step", "15")]),
    ("metrics/query_range", "{ } | rate() by (.http.url)", &[("step", "5")]),
    ("metrics/query_range", "{ } | quantile_over_time(duration, .5, .9, .99) by (name)", &[("step", "5")]),
    ("metrics/query_range", "{ } | compare({ status = error }, 100)", &[("step", "60")]),
    ("metrics/query_range", "{ } >> { } | rate() by (resource.service.name)", &[("step", "60")]),
    ("v2/search/tag/span.guid:x-request-id/values", "{ }", &[]),
    ("v2/search/tag/.http.url/values", "{ status = error }", &[]),
];

/// Answered, refused with a reason, or cut off by a deadline: never a fault of the server.
fn assert_civil(what: &str, reply: &Reply) {
    assert!(matches!(reply.status, 200 | 400 | 413 | 422 | 429 | 503 | 504), "{what}: {}", reply.status);
    if matches!(reply.status, 429 | 503) {
        assert!(!reply.header("retry-after").is_empty(), "{what}: no word of when to try again");
    }
    assert!(reply.status == 200 || !reply.body.is_empty(), "{what}: no reason");
}

async fn ask_without_end(confined: &Confined, first: usize, stop: &AtomicBool) -> usize {
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        let (path, query, others) = QUERIES[(first + asked) % QUERIES.len()];
        let end = now() / SECOND;
        let (start, end) = ((end - 6 * 3600).to_string(), end.to_string());
        let mut parameters = vec![("q", query), ("start", &start), ("end", &end)];
        parameters.extend(others);
        let reply = confined.server.client().get_with(&format!("/api/{path}"), &parameters, &[]).await;
        assert_civil(query, &reply);
        asked += 1;
    }
    asked
}

/// Spans of unusual shape: an attribute of a mebibyte, ten thousand keys, a trace that grows without end.
async fn send_without_end(confined: &Confined, stop: &AtomicBool) -> u64 {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let start = ten_minutes_ago() + sent;
        let mut spans: Vec<_> =
            (0..200).map(|at| span([0xee; 16], 1 + 200 * sent + at, None, "giant", start)).collect();
        spans[0].attributes.push(attribute("large", text(&"x".repeat(1 << 20))));
        for (at, span) in spans.iter_mut().enumerate() {
            let key = |number: usize| format!("key-{}", (at * 50 + number) % 10_000);
            span.attributes.extend((0..50).map(|number| attribute(&key(number), text("value"))));
        }
        let request = vivace_e2e::otlp::request(vec![batch(service("hostile"), scope("x", "1"), spans)]);
        let reply = confined
            .server
            .otlp()
            .export(&request, Encoding::Protobuf, Compression::Gzip)
            .await
            .expect("an answer");
        assert_civil("unusual spans", &reply);
        sent += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sent
}

/// A quarter of a gibibyte of zeros in a quarter of a mebibyte.
async fn send_bombs(confined: &Confined) {
    let bomb = gzip(&vec![0; 256 << 20]);
    for _ in 0..4 {
        let reply = confined.server.otlp().post("application/x-protobuf", Some("gzip"), bomb.clone()).await;
        let reply = reply.expect("an answer");
        assert!(matches!(reply.status, 413 | 429), "{}: {}", reply.status, reply.text());
    }
}

/// Connections that say nothing, that stop in the middle of a request, and that never read the answer.
fn hold_connections(confined: &Confined) -> Vec<TcpStream> {
    let addresses = confined.server.addresses();
    let connect = |address: &str| TcpStream::connect(address).expect("it listens");
    let silent = (0..700).map(|at| connect(if at % 2 == 0 { &addresses.http } else { &addresses.otlp_http }));
    let half = (0..150).map(|_| {
        let mut stream = connect(&addresses.otlp_http);
        let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 4000000\r\n\r\n";
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&[0; 1000])).expect("it reads");
        stream
    });
    let query = "/api/search?q=%7B%7D&limit=5000&spss=100";
    let deaf = (0..150).map(|_| {
        let mut stream = connect(&addresses.http);
        write!(stream, "GET {query} HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
        stream
    });
    silent.chain(half).chain(deaf).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_asked_or_sent_ends_it() {
    let Some(mut confined) = Confined::start(256).await else { return };
    confined.load(number("VIVACE_MEMORY_SPANS", 60_000));
    let stop = AtomicBool::new(false);
    let ordinary = async {
        let mut times = Vec::new();
        for round in 0..number("VIVACE_MEMORY_ROUNDS", 20) {
            let service = CLICK[usize::try_from(round).expect("few") % CLICK.len()];
            let (time, reply) = timed(confined.kiali(service)).await;
            times.push(time);
            assert_civil("an ordinary query", &reply);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.store(true, Ordering::Relaxed);
        times
    };
    let connections = hold_connections(&confined);
    let asking = join_all((0..8).map(|first| ask_without_end(&confined, first, &stop)));
    let (times, asked, sent, ()) =
        futures::join!(ordinary, asking, send_without_end(&confined, &stop), send_bombs(&confined));
    print_times("ordinary queries beside it", times);
    println!("hostile queries: {asked:?}, batches: {sent}");
    drop(connections);
    assert_complete(confined.kiali("cart.shop").await);
    confined.assert_within();
}
