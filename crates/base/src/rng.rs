use std::fmt::{self, Debug};
use std::str::FromStr;

use crate::UnixNanos;

/// The only source of randomness, so that tests can control it.
pub trait Randomness: Send + Sync + Debug {
    /// Sixty-four uniform bits.
    fn next_u64(&self) -> u64;
}

/// The operating system's randomness.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads ambient randomness")]
    fn next_u64(&self) -> u64 {
        rand::random()
    }
}

/// The name of an immutable object: milliseconds since the epoch in the upper 48 bits, random below, so that names
/// sort by creation. Printed as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(u128);

/// The text is not 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a block id: 32 hex digits expected")]
pub struct ParseBlockIdError(String);

impl BlockId {
    /// A fresh id.
    pub fn generate(now: UnixNanos, randomness: &dyn Randomness) -> Self {
        let millis = u128::from(now / 1_000_000) << 80;
        let random = u128::from(randomness.next_u64()) << 16 | u128::from(randomness.next_u64() & 0xffff);
        Self(millis | random)
    }

    /// When it was made, in nanoseconds since the epoch, cut to the millisecond.
    pub fn created(self) -> UnixNanos {
        let millis = u64::try_from(self.0 >> 80).unwrap_or(u64::MAX);
        millis.saturating_mul(1_000_000)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlockId {
    type Err = ParseBlockIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        value.map(Self).ok_or_else(|| ParseBlockIdError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
