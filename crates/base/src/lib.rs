//! The few things every other crate stands on: clock, randomness, byte sizes, counted durations, error kinds with retry
//! advice, and memory reservations. No async runtime, no Arrow, no protocol types.

mod clock;
mod error;
mod histogram;
mod memory;
mod rng;
mod size;

pub use clock::{Clock, SystemClock, UnixNanos};
pub use error::{ErrorKind, Retry};
pub use histogram::DurationHistogram;
pub use memory::{Holder, MemoryBudget, MemoryRefused, Pressure, Relief, Reservation, ShareTerms};
pub use rng::{BlockId, ParseBlockIdError, Randomness, SystemRandomness};
pub use size::{ByteSize, ParseByteSizeError};
