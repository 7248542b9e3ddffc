//! Any index is read or refused, and a block with it answers within its own bounds.
#![no_main]

#[path = "../../crates/storage/tests/fuzz/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "../../crates/storage/tests/fuzz/index.rs"]
mod index;

use vivace_testkit::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| index::TARGET.check(&MEMORY, bytes));
