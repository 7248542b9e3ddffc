//! The few things every other crate stands on: clock, randomness, file system, byte sizes, counted durations, error kinds
//! with retry advice, and memory reservations. No async runtime, no Arrow, no protocol types.

mod clock;
mod error;
mod files;
mod histogram;
mod memory;
mod rng;
mod size;

/// Target of the spans of this process that can be sent over OTLP, at level trace. Nobody else's have it.
pub const SPANS: &str = "vivace::spans";

pub use clock::{Clock, SystemClock, UnixNanos};
pub use error::{ErrorKind, Retry};
pub use files::{AppendFile, FileSystem, Lock, ReadFile, SystemFiles};
pub use histogram::DurationHistogram;
pub use memory::{Holder, MemoryBudget, MemoryRefused, Pressure, Relief, Reservation, ShareTerms};
pub use rng::{BlockId, ParseBlockIdError, Randomness, SystemRandomness};
pub use size::{ByteSize, ParseByteSizeError};
