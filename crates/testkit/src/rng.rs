use std::sync::{Mutex, PoisonError};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vivace_base::Randomness;

/// Set to a seed, it makes seeded tests run that one only.
pub const SEED_VARIABLE: &str = "VIVACE_TEST_SEED";

/// Randomness that repeats itself for the same seed. When a test panics while it has one, the seed is printed.
#[derive(Debug)]
pub struct SeededRandomness {
    seed: u64,
    /// Whether it is a part of another, whose seed is the one to know.
    is_part: bool,
    rng: Mutex<ChaCha8Rng>,
}

/// The seeds a seeded test runs with: `count` fixed ones, or the one in [`SEED_VARIABLE`], which must be a number.
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => vec![text.parse().expect("VIVACE_TEST_SEED is set, so it must be a number")],
        Err(_) => (1..=count).collect(),
    }
}

impl SeededRandomness {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, is_part: false, rng: Mutex::new(ChaCha8Rng::seed_from_u64(seed)) }
    }

    /// Another sequence, which repeats itself when this one does.
    pub fn part(&self) -> Self {
        let mut part = Self::new(self.next_u64());
        part.is_part = true;
        part
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A number from 0 up to but not including `limit`; 0 when `limit` is 0.
    pub fn below(&self, limit: u64) -> u64 {
        self.next_u64().checked_rem(limit).unwrap_or(0)
    }

    /// The same for indexes.
    pub fn index(&self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<'a, T>(&self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    /// `length` random bytes.
    pub fn bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }
}

impl Randomness for SeededRandomness {
    fn next_u64(&self) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}

impl Drop for SeededRandomness {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.is_part {
            eprintln!("this failure repeats with {SEED_VARIABLE}={}", self.seed);
        }
    }
}

#[cfg(test)]
mod tests;
