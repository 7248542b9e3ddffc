//! `vivace`: the binary. Configuration, the HTTP and gRPC adapters, and the commands. The only crate that knows axum,
//! tonic and clap; it holds no storage and no query logic.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

mod api;
mod ask;
mod backend;
mod bench;
mod check;
mod cli;
mod codes;
mod config;
mod console;
mod demo;
mod duration;
mod engine;
mod grpc;
mod limits;
mod logging;
mod metrics;
mod otlp;
mod profiling;
mod query_cli;
mod rfc3339;
mod self_tracing;
mod serve;
mod state;
mod tenant;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Freed pages go back to the system at once, by a thread of the allocator's own: at a hundred thousand spans a second
/// what is freed in a second is more than what is used (`bench/README.md`). Few arenas keep less aside. Allocations can be
/// sampled, and are when a heap profile is taken.
#[expect(unsafe_code, reason = "jemalloc reads its options from this symbol")]
// SAFETY: the symbol is jemalloc's documented option string, a NUL-terminated text that is never written.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_OPTIONS: &[u8; 96] =
    b"narenas:2,background_thread:true,dirty_decay_ms:50,muzzy_decay_ms:0,prof:true,prof_active:false\0";

fn main() -> ExitCode {
    cli::run()
}
