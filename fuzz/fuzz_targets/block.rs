//! Any file of spans is read or refused, and what is read is written and read as the same.
#![no_main]

#[path = "../../crates/storage/tests/fuzz/block.rs"]
mod block;

use std::sync::Once;

use vivace_testkit::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // What the Parquet reader panics at is contained, and is no end of the fuzzer; what is not contained still is.
    static CONTAINED: Once = Once::new();
    CONTAINED.call_once(|| drop(std::panic::take_hook()));
    block::TARGET.check(&MEMORY, bytes);
});
