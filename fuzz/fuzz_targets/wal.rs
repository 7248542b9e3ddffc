//! Any segment of the log is read as far as it is whole, and what was read stays.
#![no_main]

#[path = "../../crates/storage/tests/fuzz/wal.rs"]
mod wal;

use vivace_testkit::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wal::TARGET.check(&MEMORY, bytes));
