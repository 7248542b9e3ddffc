//! Any snapshot is read or refused, and what is read is written and read as the same.
#![no_main]

#[path = "../../crates/storage/tests/fuzz/catalog.rs"]
mod catalog;

use vivace_testkit::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| catalog::TARGET.check(&MEMORY, bytes));
