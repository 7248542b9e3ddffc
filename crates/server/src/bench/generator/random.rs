//! Random numbers that are the same for ever: data sets are compared over years, so no library's stream is used.

use std::fmt::Write as _;

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The stream `stream` of `seed`; streams have nothing to do with each other.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream)))
    }

    /// Sixty-four uniform bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform below `bound`; 0 when that is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `range`.
    pub(super) fn within(&mut self, range: std::ops::Range<usize>) -> usize {
        range.start + self.below(range.len() as u64) as usize
    }

    /// True `permille` times in a thousand.
    pub(super) fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// Log-normal around `median`, sigma 0.5: one in twenty is beyond 2.3 times that.
    pub(super) fn around(&mut self, median: u64) -> u64 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum();
        // mean and standard deviation of the sum of four uniform 16-bit numbers
        let normal = (sum as f64 - 131_070.0) / 37_837.2;
        (median as f64 * (0.5 * normal).exp()) as u64
    }
}

/// Two numbers as one that looks random.
pub(super) fn hash(a: u64, b: u64) -> u64 {
    mix(a ^ mix(b))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A version 4 UUID made of random bits.
pub(super) fn uuid([high, low]: [u64; 2]) -> String {
    let (high, low) = (high & !0xf000 | 0x4000, low & !(0x3 << 62) | (0x2 << 62));
    let mut text = String::with_capacity(36);
    // writing to a String cannot fail
    let _ = write!(
        text,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    );
    text
}
