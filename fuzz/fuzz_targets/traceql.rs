//! Any text is parsed or refused at a position within it, and what is parsed prints as itself.
#![no_main]

#[path = "../../crates/traceql/tests/conformance/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        invariants::check(text);
    }
});
