//! What holds of any request. The fuzz target (`fuzz/fuzz_targets/otlp.rs`) runs the checks as they are; here they run on
//! the stable compiler, over requests and mutations of them.

#![expect(clippy::panic, reason = "it tells that a promise is broken")]

mod otlp;

use vivace_testkit::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;
