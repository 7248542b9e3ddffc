//! What is known of calls so far, mergeable in any order.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};
use vivace_storage::index::{Connection, CountedCall, EdgeCell, Names, wide_middle};

use super::Minutes;

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

/// Client, server and how they are connected; [`None`] and twice the service for entries.
pub(super) type EdgeKey = (u32, u32, Option<Connection>);

/// Calls by who called whom, and entries by service. What is taken away may come before what it is taken from.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) edges: FxHashMap<EdgeKey, EdgeCounts>,
    overflown: bool,
    buckets: usize,
}

#[derive(Debug, Default)]
pub(super) struct EdgeCounts {
    pub(super) calls: i64,
    pub(super) errors: i64,
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

/// Durations by wide bucket, ascending.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<(u16, i64)>);

impl Latencies {
    /// By how many buckets it grew.
    pub(super) fn add(&mut self, bucket: u16, count: i64) -> usize {
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
        let total: i64 = self.0.iter().map(|(_, count)| count).sum();
        let rank = ((quantile * total as f64).ceil() as i64).max(1);
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
        let edges = counts.edges.len() as u64 * EDGE_BYTES;
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
            self.counts.edge((client, server, connection), |ours| ours.merge(&theirs));
        }
        self.counts.overflown |= other.counts.overflown;
        self.account()
    }

    /// Adds differences, whose names have other numbers.
    pub(super) fn correct(
        &mut self,
        names: &Names,
        differences: &[(CountedCall, i64)],
        minutes: &Minutes,
    ) -> Result<(), MemoryRefused> {
        let numbers: Vec<Option<u32>> = names.texts().iter().map(|text| self.names.number(text)).collect();
        let number = |theirs: u32| numbers.get(theirs as usize).copied().flatten();
        for (call, count) in differences {
            let (Some(client), Some(server)) = (number(call.client), number(call.server)) else { continue };
            self.counts.add(&CountedCall { client, server, ..*call }, *count, minutes);
        }
        self.account()
    }
}

impl Counts {
    /// Adds a call so many times, if it began then.
    pub(super) fn add(&mut self, call: &CountedCall, count: i64, minutes: &Minutes) {
        if !minutes.contains(&call.minute.into()) {
            return;
        }
        self.edge((call.client, call.server, call.connection), |ours| {
            ours.calls += count;
            ours.errors += if call.failed { count } else { 0 };
            let client = call.client_latency.map_or(0, |bucket| ours.client.add(bucket, count));
            client + call.server_latency.map_or(0, |bucket| ours.server.add(bucket, count))
        });
    }

    /// Adds what an index says, whose names have other numbers.
    pub(super) fn add_cell(&mut self, cell: &EdgeCell<'_>, numbers: &[Option<u32>]) {
        let number = |theirs: u32| numbers.get(theirs as usize).copied().flatten();
        let (Some(client), Some(server)) = (number(cell.client), number(cell.server)) else { return };
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.edge((client, server, cell.connection), |ours| {
            ours.calls += signed(cell.calls);
            ours.errors += signed(cell.errors);
            let add = |ours: &mut Latencies, theirs: &[(u16, u64)]| -> usize {
                theirs.iter().map(|(bucket, count)| ours.add(*bucket, signed(*count))).sum()
            };
            add(&mut ours.client, cell.client_latencies) + add(&mut ours.server, cell.server_latencies)
        });
    }

    /// Changes an edge; `change` says by how many buckets it grew.
    fn edge(&mut self, key: EdgeKey, change: impl FnOnce(&mut EdgeCounts) -> usize) {
        let room = self.edges.len() < MAX_EDGES;
        let ours = match self.edges.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if room => new.insert(EdgeCounts::default()),
            Entry::Vacant(_) => {
                self.overflown = true;
                return;
            }
        };
        self.buckets += change(ours);
    }
}
