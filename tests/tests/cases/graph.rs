//! The service graph: what a naive evaluator finds, and the very same however the spans are laid out.

use std::collections::{BTreeMap, BTreeSet};

use vivace_e2e::cases::{Store, Way};
use vivace_model::{Attribute, Span, SpanKind, StatusCode, Trace, TraceId, Value};
use vivace_query::{ServiceGraph, ServiceGraphRequest};
use vivace_testkit::{BASE_TIME, SeededRandomness, TraceGenerator, seeds};

const SEEDS: u64 = 4;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const PEERS: [(&str, &str); 8] = [
    ("peer.service", "bank"),
    ("peer.service", "reviews"),
    ("peer.service", ""),
    ("db.system", "redis"),
    ("db.namespace", "orders"),
    ("db.name", "orders"),
    ("server.address", "db.local"),
    ("network.peer.address", "10.0.0.7"),
];

/// `client server type` to calls, errors, and how long they took for client and server.
type Edges = BTreeMap<(String, String, &'static str), (u64, u64, Vec<u64>, Vec<u64>)>;
/// Service to requests, errors, and how long they took.
type Nodes = BTreeMap<String, (u64, u64, Vec<u64>)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphs_are_the_same_in_every_way() {
    for seed in seeds(SEEDS) {
        let spans = spans(seed);
        let mut stores = Vec::new();
        for way in Way::ALL.into_iter().chain([Way::Scattered(seed)]) {
            stores.push(Store::open(way, &spans).await);
        }
        for (start, end) in [(0, 10), (0, 1), (1, 2), (2, 5), (7, 9)] {
            let request = ServiceGraphRequest::new(minute(start), minute(end));
            let (nodes, edges) = by_rule(&spans, &request);
            assert!(!edges.is_empty() || start == 7, "seed {seed}: nobody calls from {start} to {end}");
            let first = stores[0].service_graph(&request).await.expect("there is an answer");
            check(&first, &nodes, &edges, &format!("seed {seed}, minutes {start} to {end}"));
            for store in &stores[1..] {
                let found = store.service_graph(&request).await.expect("there is an answer");
                assert_eq!(first, found, "seed {seed}, {:?}, minutes {start} to {end}", store.way());
            }
        }
    }
}

fn minute(number: u64) -> u64 {
    BASE_TIME - BASE_TIME % MINUTE + number * MINUTE
}

/// Random traces over four minutes, with peers and databases, some ids shared as Zipkin does.
fn spans(seed: u64) -> Vec<Span> {
    let random = SeededRandomness::new(seed);
    let mut spans = TraceGenerator::new(seed).starting_at(minute(0)).traces(40, 12);
    let mut delays: BTreeMap<TraceId, u64> = BTreeMap::new();
    for span in &mut spans {
        let delay = *delays.entry(span.trace_id).or_insert_with(|| random.below(4 * MINUTE));
        (span.start, span.end) = (span.start + delay, span.end + delay);
        for (key, value) in PEERS {
            if random.chance(15) && !span.attributes.iter().any(|attribute| attribute.key == key) {
                span.attributes.push(Attribute::new(key, Value::from(value)));
            }
        }
        if random.chance(30) && span.attributes.iter().all(|attribute| attribute.key != "network.peer.port") {
            span.attributes.push(Attribute::new("network.peer.port", Value::from(6379_i64)));
        }
        if span.kind == SpanKind::Server
            && random.chance(20)
            && let Some(parent) = span.parent_span_id
        {
            span.span_id = parent;
        }
    }
    let mut seen = BTreeSet::new();
    spans.retain(|span| seen.insert((span.trace_id, span.span_id, span.kind as u8)));
    spans
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.as_str();
    value.filter(|text| !text.is_empty())
}

fn database(span: &Span) -> Option<String> {
    let keys = ["db.namespace", "db.name", "db.system", "db.system.name"];
    let named = keys.iter().find_map(|key| text(span, key))?;
    let port = span.attributes.iter().find(|attribute| attribute.key == "network.peer.port");
    let known = text(span, "peer.service").or_else(|| text(span, "server.address")).map(str::to_owned);
    known
        .or_else(|| {
            let address = text(span, "network.peer.address")?;
            Some(port.map_or(address.to_owned(), |_| format!("{address}:6379")))
        })
        .or_else(|| Some(named.to_owned()))
}

fn by_rule(spans: &[Span], request: &ServiceGraphRequest) -> (Nodes, Edges) {
    let mut by_trace: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
    spans.iter().for_each(|span| by_trace.entry(span.trace_id).or_default().push(span.clone()));
    let (mut nodes, mut edges) = (Nodes::new(), Edges::new());
    for spans in by_trace.into_values() {
        let trace = Trace::assemble(spans).expect("a trace has spans");
        of_trace(&trace, request, &mut nodes, &mut edges);
    }
    (nodes, edges)
}

fn of_trace(trace: &Trace, request: &ServiceGraphRequest, nodes: &mut Nodes, edges: &mut Edges) {
    let inside = |at: u64| (request.range().start..=request.range().end).contains(&at);
    let serves = |span: &Span| matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
    let asks = |span: &Span| matches!(span.kind, SpanKind::Client | SpanKind::Producer);
    let failed = |span: &Span| span.status == StatusCode::Error;
    let service =
        |span: &Span| span.resource.service_name().filter(|name| !name.is_empty()).map(str::to_owned);
    let mut edge = |(client, server, connection): (Option<String>, String, &'static str),
                    (above, below): (Option<&Span>, Option<&Span>)| {
        let at = above.or(below).map_or(0, |span| span.start);
        let (Some(client), true) = (client, inside(at)) else { return };
        let counts = edges.entry((client, server, connection)).or_default();
        counts.0 += 1;
        counts.1 += u64::from(above.is_some_and(failed) || below.is_some_and(failed));
        counts.2.extend(above.map(Span::duration));
        let below = if connection == "database" { above } else { below };
        counts.3.extend(below.map(Span::duration));
    };
    let all = trace.spans();
    for (at, span) in all.iter().enumerate() {
        let parent = trace.parent(at).map(|parent| &all[parent]);
        if let (true, Some(name)) = (serves(span), service(span)) {
            if !parent.is_some_and(|parent| serves(parent) && service(parent).as_ref() == Some(&name))
                && inside(span.start)
            {
                let node = nodes.entry(name.clone()).or_default();
                node.0 += 1;
                node.1 += u64::from(failed(span));
                node.2.push(span.duration());
            }
            match parent {
                Some(parent) if asks(parent) => {
                    let messages = parent.kind == SpanKind::Producer || span.kind == SpanKind::Consumer;
                    let connection = if messages { "messaging_system" } else { "" };
                    edge((service(parent), name, connection), (Some(parent), Some(span)));
                }
                Some(parent) if service(parent).as_ref() != Some(&name) => {
                    edge((service(parent), name, ""), (None, Some(span)));
                }
                None if span.parent_span_id.is_none() && span.kind == SpanKind::Server => {
                    let client = text(span, "peer.service").unwrap_or("user").to_owned();
                    edge((Some(client), name, "virtual_node"), (None, Some(span)));
                }
                _ => {}
            }
        }
        let below =
            || (0..all.len()).filter(|below| trace.parent(*below) == Some(at)).map(|below| &all[below]);
        if asks(span) && !below().any(|below| serves(below) && service(below).is_some()) {
            if let Some(database) = database(span) {
                edge((service(span), database, "database"), (Some(span), None));
            } else if let Some(peer) = text(span, "peer.service")
                && !below().any(|below| serves(below) || asks(below))
            {
                edge((service(span), peer.to_owned(), "virtual_node"), (Some(span), None));
            }
        }
    }
}

fn check(found: &ServiceGraph, nodes: &Nodes, edges: &Edges, which: &str) {
    assert_eq!(found.partial, None, "{which}");
    let near = |found: Option<f64>, nanos: &[u64], quantile: f64| {
        let mut nanos = nanos.to_vec();
        nanos.sort_unstable();
        let rank = (quantile * nanos.len() as f64).ceil().max(1.0) as usize;
        let expected = nanos.get(rank - 1).map(|nanos| *nanos as f64 / 1e9);
        let is_near = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() <= expected * 0.041,
            (found, expected) => found == expected,
        };
        assert!(is_near, "{which}: p{quantile} {found:?} is not {expected:?}");
    };
    let entered: Nodes = nodes.clone();
    for node in &found.nodes {
        match entered.get(&node.service) {
            Some((requests, errors, nanos)) => {
                assert_eq!((node.requests, node.errors), (*requests, *errors), "{which}: {}", node.service);
                assert!(!node.is_virtual, "{which}: {}", node.service);
                near(node.latency.map(|latency| latency.p50), nanos, 0.5);
                near(node.latency.map(|latency| latency.p99), nanos, 0.99);
            }
            None => {
                let named = edges.keys().any(|(a, b, _)| *a == node.service || *b == node.service);
                assert!(named, "{which}: {}", node.service);
            }
        }
    }
    let names: BTreeSet<&str> = found.nodes.iter().map(|node| node.service.as_str()).collect();
    let expected: BTreeSet<&str> = (nodes.keys())
        .chain(edges.keys().flat_map(|(client, server, _)| [client, server]))
        .map(String::as_str)
        .collect();
    assert_eq!(names, expected, "{which}");
    assert_eq!(found.edges.len(), edges.len(), "{which}: {:#?} {edges:#?}", found.edges);
    for edge in &found.edges {
        let key = (edge.client.clone(), edge.server.clone(), edge.connection_type);
        let (calls, errors, client, server) = edges.get(&key).unwrap_or_else(|| panic!("{which}: {key:?}"));
        assert_eq!((edge.calls, edge.errors), (*calls, *errors), "{which}: {key:?}");
        near(edge.client_latency.map(|latency| latency.p50), client, 0.5);
        near(edge.client_latency.map(|latency| latency.p95), client, 0.95);
        near(edge.server_latency.map(|latency| latency.p99), server, 0.99);
    }
}
