//! What is known of calls so far, mergeable in any order.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};
use vivace_model::TimeRange;
use vivace_storage::index::{Call, Connection, Names, wide_bucket, wide_middle};

/// How many edges are told apart.
const MAX_EDGES: usize = 65_536;
/// What an edge, a service and a bucket take.
const EDGE_BYTES: u64 = 192;
const NAME_BYTES: u64 = 192;
const BUCKET_BYTES: u64 = 32;

/// See the module. Names and counts are apart so that calls can be added while names are read.
#[derive(Debug)]
pub(super) struct Tally {
    names: Names,
    counts: Counts,
    reserved: Reservation,
}

/// Calls by who called whom, and entries by service.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) edges: FxHashMap<(u32, u32, Connection), EdgeCounts>,
    pub(super) entries: FxHashMap<u32, EntryCounts>,
    overflown: bool,
    buckets: usize,
}

#[derive(Debug, Default)]
pub(super) struct EdgeCounts {
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) client: Latencies,
    pub(super) server: Latencies,
}

impl EdgeCounts {
    /// By how many buckets it grew.
    pub(super) fn merge(&mut self, other: &Self) -> usize {
        self.calls += other.calls;
        self.errors += other.errors;
        self.client.merge(&other.client) + self.server.merge(&other.server)
    }
}

#[derive(Debug, Default)]
pub(super) struct EntryCounts {
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) latencies: Latencies,
}

/// Durations by wide bucket, ascending.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<(u16, u64)>);

impl Latencies {
    /// By how many buckets it grew.
    pub(super) fn add(&mut self, bucket: u16, count: u64) -> usize {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.0[at].1 += count,
            Err(at) => {
                self.0.insert(at, (bucket, count));
                return 1;
            }
        }
        0
    }

    pub(super) fn merge(&mut self, other: &Self) -> usize {
        other.0.iter().map(|(bucket, count)| self.add(*bucket, *count)).sum()
    }

    /// In seconds; [`None`] when there are none.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        let total: u64 = self.0.iter().map(|(_, count)| count).sum();
        let rank = ((quantile * total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        found.map(|(bucket, _)| wide_middle(*bucket) / 1e9)
    }
}

impl Tally {
    pub(super) fn new(budget: &Arc<MemoryBudget>) -> Result<Self, MemoryRefused> {
        let reserved = budget.reserve(Holder::Query, 0)?;
        Ok(Self { names: Names::default(), counts: Counts::default(), reserved })
    }

    pub(super) fn parts(&mut self) -> (&mut Names, &mut Counts) {
        (&mut self.names, &mut self.counts)
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether there were more names or edges than are told apart.
    pub(super) fn overflown(&self) -> bool {
        self.counts.overflown || self.names.overflown()
    }

    /// Reserves for what has come.
    pub(super) fn account(&mut self) -> Result<(), MemoryRefused> {
        let counts = &self.counts;
        let edges = (counts.edges.len() + counts.entries.len()) as u64 * EDGE_BYTES;
        let names = self.names.texts().len() as u64 * NAME_BYTES;
        let needed = edges + names + counts.buckets as u64 * BUCKET_BYTES;
        if needed > self.reserved.bytes() { self.reserved.resize(needed) } else { Ok(()) }
    }

    pub(super) fn merge(&mut self, other: Self) -> Result<(), MemoryRefused> {
        let numbers: Vec<Option<u32>> =
            other.names.texts().iter().map(|text| self.names.number(text)).collect();
        let number = |theirs: u32| numbers.get(theirs as usize).copied().flatten();
        for ((client, server, connection), theirs) in other.counts.edges {
            let (Some(client), Some(server)) = (number(client), number(server)) else { continue };
            self.counts.merge_edge((client, server, connection), theirs);
        }
        for (service, theirs) in other.counts.entries {
            let Some(service) = number(service) else { continue };
            let ours = self.counts.entries.entry(service).or_default();
            ours.calls += theirs.calls;
            ours.errors += theirs.errors;
            self.counts.buckets += ours.latencies.merge(&theirs.latencies);
        }
        self.counts.overflown |= other.counts.overflown;
        self.account()
    }
}

impl Counts {
    /// Adds what began in the range.
    pub(super) fn add(&mut self, call: Call, range: &TimeRange) {
        match call {
            Call::Edge(edge) if (range.start..=range.end).contains(&edge.at) => {
                let latencies = |nanos: Option<u64>| {
                    Latencies(nanos.map(|nanos| (wide_bucket(nanos), 1)).into_iter().collect())
                };
                let (client, server) = (latencies(edge.client_nanos), latencies(edge.server_nanos));
                let one = EdgeCounts { calls: 1, errors: u64::from(edge.failed), client, server };
                self.merge_edge((edge.client, edge.server, edge.connection), one);
            }
            Call::Entry(entry) if (range.start..=range.end).contains(&entry.at) => {
                let counts = self.entries.entry(entry.service).or_default();
                counts.calls += 1;
                counts.errors += u64::from(entry.failed);
                self.buckets += counts.latencies.add(wide_bucket(entry.nanos), 1);
            }
            Call::Edge(_) | Call::Entry(_) => {}
        }
    }

    fn merge_edge(&mut self, key: (u32, u32, Connection), theirs: EdgeCounts) {
        let room = self.edges.len() < MAX_EDGES;
        let ours = match self.edges.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if room => new.insert(EdgeCounts::default()),
            Entry::Vacant(_) => {
                self.overflown = true;
                return;
            }
        };
        self.buckets += ours.merge(&theirs);
    }
}
