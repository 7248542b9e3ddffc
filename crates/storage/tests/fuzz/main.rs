//! What holds of any bytes in place of a file of this crate. Fuzz targets (`fuzz/fuzz_targets/`) run the checks as they
//! are; here they run on the stable compiler, over examples and mutations of them.

#![expect(clippy::panic, reason = "it tells that a promise is broken")]

mod block;
mod catalog;
mod index;
mod wal;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use vivace_testkit::PeakAlloc;
use vivace_testkit::fuzz::Target;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What is allocated is counted for the whole program.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run(target: &Target, seeds: fn() -> Vec<Vec<u8>>, mutations: u64) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    target.check_mutations(&MEMORY, &seeds(), mutations);
}

fn example(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What fuzzers found, by target.
fn found(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz").join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("is listed").path()).collect();
    paths.sort_unstable();
    paths.into_iter().map(|path| std::fs::read(path).expect("is a file")).collect()
}
