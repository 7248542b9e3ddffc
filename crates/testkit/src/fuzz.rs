//! What fuzz targets share: a check of any input with a bound on memory, which a fuzzer runs on inputs it finds by
//! coverage, and a test on mutations of some seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use peak_alloc::PeakAlloc;

use crate::SeededRandomness;

/// Set to a folder, it makes [`Target::check_mutations`] write the seeds there, for a fuzzer to begin with, and no more.
pub const CORPUS_VARIABLE: &str = "VIVACE_FUZZ_CORPUS";

/// How many changes an input has at most.
const CHANGES: u64 = 4;
/// Numbers that sizes and counts are worst at.
const EDGES: [u64; 8] =
    [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];

/// Something that reads bytes it does not trust, and what it must keep to.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Names it.
    pub name: &'static str,
    /// Panics where a promise about the input is broken.
    pub check: fn(&[u8]),
    /// Bytes of memory that may be in use at once whatever the input is.
    pub memory: usize,
    /// Bytes of memory that each byte of input justifies beside that.
    pub memory_per_byte: usize,
}

impl Target {
    /// Checks one input. `allocator` is the program's.
    ///
    /// # Panics
    /// When a promise is broken.
    #[expect(clippy::panic, reason = "that is how a fuzzer is told")]
    pub fn check(&self, allocator: &PeakAlloc, input: &[u8]) {
        let before = allocator.current_usage();
        allocator.reset_peak_usage();
        (self.check)(input);
        let used = allocator.peak_usage().saturating_sub(before);
        let allowed = self.memory + self.memory_per_byte * input.len();
        if used > allowed {
            panic!(
                "{}: {used} bytes of memory for {} of input; {allowed} are allowed",
                self.name,
                input.len()
            );
        }
    }

    /// Checks the seeds and so many mutations of them. Nothing else may use the allocator meanwhile.
    ///
    /// # Panics
    /// When a promise is broken; the input is printed.
    #[expect(clippy::print_stderr, reason = "a failure is repeated with the input")]
    pub fn check_mutations(&self, allocator: &PeakAlloc, seeds: &[Vec<u8>], count: u64) {
        if let Some(folder) = std::env::var_os(CORPUS_VARIABLE) {
            return write_corpus(PathBuf::from(folder).join(self.name), seeds);
        }
        for seed in crate::seeds(1) {
            let random = SeededRandomness::new(seed);
            let mutations = (0..count).map(|_| mutated(seeds, &random));
            for input in seeds.iter().cloned().chain(mutations) {
                let checked = catch_unwind(AssertUnwindSafe(|| self.check(allocator, &input)));
                if let Err(broken) = checked {
                    eprintln!("{}: the input is {}", self.name, input.escape_ascii());
                    std::panic::resume_unwind(broken);
                }
            }
        }
    }
}

fn write_corpus(folder: PathBuf, seeds: &[Vec<u8>]) {
    std::fs::create_dir_all(&folder).expect("the folder that the variable names can be made");
    for (at, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{at}")), seed).expect("files can be written to it");
    }
}

/// One of the seeds with some changes.
fn mutated(seeds: &[Vec<u8>], random: &SeededRandomness) -> Vec<u8> {
    let mut input = random.pick(seeds).clone();
    for _ in 0..=random.below(CHANGES) {
        let other: &Vec<u8> = random.pick(seeds);
        change(&mut input, other, random);
    }
    input
}

/// Changes a bit, a byte or a number, or leaves out, repeats, cuts off, or puts in a part of another input.
fn change(input: &mut Vec<u8>, other: &[u8], random: &SeededRandomness) {
    let at = random.index(input.len());
    let end = (at + 1 + random.index(32)).min(input.len());
    if end <= at {
        input.push(random.below(256) as u8);
        return;
    }
    match random.below(8) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.below(256) as u8,
        2 => input[at] = input[at].wrapping_add(1),
        3 => {
            let number = random.pick(&EDGES).wrapping_sub(random.below(2)).to_le_bytes();
            let width = (1 << random.below(4)).min(input.len() - at);
            input[at..at + width].copy_from_slice(&number[..width]);
        }
        4 => drop(input.drain(at..end)),
        5 => {
            let part = input[at..end].to_vec();
            drop(input.splice(at..at, part));
        }
        6 => input.truncate(at),
        _ => {
            let start = random.index(other.len());
            let part = other[start..(start + end - at).min(other.len())].to_vec();
            drop(input.splice(at..end, part));
        }
    }
}
