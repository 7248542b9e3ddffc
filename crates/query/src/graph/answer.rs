//! The service graph as it is answered.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use vivace_storage::index::Connection;

use super::tally::{EdgeCounts, Latencies, Tally};

/// How many services an answer has at most, and how many edges.
const MAX_NODES: usize = 1_000;
const MAX_EDGES: usize = 5_000;

/// Services and the calls between them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceGraph {
    /// Those with the most requests first, then by name.
    pub nodes: Vec<ServiceNode>,
    /// Those with the most calls first, then by names.
    pub edges: Vec<ServiceEdge>,
    /// Why the answer may not be complete; [`None`] when it is.
    pub partial: Option<String>,
}

/// A service, or something that only others tell of.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceNode {
    /// `service.name`
    pub service: String,
    /// How often it was entered.
    pub requests: u64,
    /// How many of these failed.
    pub errors: u64,
    /// How long they took; [`None`] without requests.
    pub latency: Option<Latency>,
    /// Whether it has no spans of its own.
    pub is_virtual: bool,
}

/// The calls of one service to another.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceEdge {
    /// Who asks.
    pub client: String,
    /// Who is asked.
    pub server: String,
    /// As `reference/tempo.md` 5.2 writes it.
    pub connection_type: &'static str,
    /// How many.
    pub calls: u64,
    /// How many of these failed, as either side says.
    pub errors: u64,
    /// How long they took for the client; [`None`] when no client says.
    pub client_latency: Option<Latency>,
    /// How long they took the server; [`None`] when no server says.
    pub server_latency: Option<Latency>,
}

/// Quantiles in seconds, within 4 %.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "named by their rank")]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// What edges say of a node.
#[derive(Default)]
struct Seen {
    /// Some edge shows it with spans of its own.
    is_real: bool,
    calls: u64,
    errors: u64,
    latencies: Latencies,
}

impl Tally {
    pub(super) fn into_graph(self) -> ServiceGraph {
        let mut named: FxHashMap<(u32, u32, &'static str), EdgeCounts> = FxHashMap::default();
        for ((client, server, connection), counts) in &self.counts().edges {
            named.entry((*client, *server, connection.name())).or_default().merge(counts);
        }
        let mut edges: Vec<ServiceEdge> =
            named.into_iter().map(|(key, counts)| self.edge(key, &counts)).collect();
        edges.sort_by(|a, b| {
            let names =
                |edge: &'_ ServiceEdge| (edge.client.clone(), edge.server.clone(), edge.connection_type);
            b.calls.cmp(&a.calls).then_with(|| names(a).cmp(&names(b)))
        });
        let mut nodes = self.nodes();
        nodes.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.service.cmp(&b.service)));
        let too_many = nodes.len() > MAX_NODES || edges.len() > MAX_EDGES || self.overflown();
        let partial = too_many.then(|| {
            format!(
                "there are more than {MAX_NODES} services or {MAX_EDGES} edges: the least used are left out"
            )
        });
        nodes.truncate(MAX_NODES);
        edges.truncate(MAX_EDGES);
        ServiceGraph { nodes, edges, partial }
    }

    fn edge(
        &self,
        (client, server, connection_type): (u32, u32, &'static str),
        counts: &EdgeCounts,
    ) -> ServiceEdge {
        ServiceEdge {
            client: self.names().text(client).to_owned(),
            server: self.names().text(server).to_owned(),
            connection_type,
            calls: counts.calls,
            errors: counts.errors,
            client_latency: latency(&counts.client),
            server_latency: latency(&counts.server),
        }
    }

    /// What is entered has its entries; what others tell of has what they tell.
    fn nodes(&self) -> Vec<ServiceNode> {
        let mut seen: BTreeMap<u32, Seen> = BTreeMap::new();
        for ((client, server, connection), counts) in &self.counts().edges {
            let tells = matches!(connection, Connection::Database | Connection::VirtualServer);
            seen.entry(*client).or_default().is_real |= *connection != Connection::VirtualClient;
            let server = seen.entry(*server).or_default();
            server.is_real |= !tells;
            if tells {
                server.calls += counts.calls;
                server.errors += counts.errors;
                server.latencies.merge(&counts.client);
            }
        }
        self.counts().entries.keys().for_each(|service| {
            seen.entry(*service).or_default().is_real = true;
        });
        let node = |(service, seen): (u32, Seen)| {
            let entries = self.counts().entries.get(&service);
            let (requests, errors, latencies) = match entries {
                Some(entries) => (entries.calls, entries.errors, &entries.latencies),
                None => (seen.calls, seen.errors, &seen.latencies),
            };
            ServiceNode {
                service: self.names().text(service).to_owned(),
                requests,
                errors,
                latency: latency(latencies),
                is_virtual: !seen.is_real,
            }
        };
        seen.into_iter().map(node).collect()
    }
}

fn latency(latencies: &Latencies) -> Option<Latency> {
    Some(Latency {
        p50: latencies.quantile(0.5)?,
        p95: latencies.quantile(0.95)?,
        p99: latencies.quantile(0.99)?,
    })
}
