//! Any request, binary or JSON, is read or refused at a place within it, and what is read goes out and in as the same.
#![no_main]

#[path = "../../crates/ingest/tests/fuzz/otlp.rs"]
mod otlp;

use vivace_testkit::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| otlp::TARGET.check(&MEMORY, bytes));
