//! The program from outside.

mod bad_input;
mod bench;
mod check;
mod compaction;
mod crash;
mod duckdb;
mod giant;
mod graceful;
mod grafana;
mod grpc;
mod ingest_and_find;
mod kiali;
mod limits;
mod mcp;
mod memory;
mod metrics;
mod pprof;
mod pressure;
mod prometheus;
mod s3;
mod sdk;
mod self_tracing;
mod tenants;
mod trace_by_id;
mod vulture;

use vivace_base::{Clock, SystemClock};
use vivace_e2e::spans::SECOND;

/// A moment that all traces of a test fit after, and that queries over recent time see.
fn ten_minutes_ago() -> u64 {
    now() - 600 * SECOND
}

fn now() -> u64 {
    SystemClock::default().now()
}

/// Seconds around now that hold every trace of a test.
fn recent() -> (u64, u64) {
    let now = now() / SECOND;
    (now - 3600, now + 3600)
}
