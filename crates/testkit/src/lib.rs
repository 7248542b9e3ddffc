//! What tests share: a clock and randomness they control, an object store and a file system that fail on demand, and
//! spans to work on.
//! Everything here is deterministic given its seed. Never a dependency of the program.

mod builder;
mod clock;
mod faulting;
mod files;
mod fuse;
pub mod fuzz;
mod generator;
mod mesh;
mod rng;

pub use builder::{BASE_TIME, SpanBuilder};
pub use clock::ManualClock;
pub use faulting::{Fault, FaultingStore, Operation};
pub use files::SimulatedFiles;
pub use fuse::Fuse;
pub use generator::TraceGenerator;
pub use mesh::MeshGenerator;
pub use peak_alloc::PeakAlloc;
pub use rng::{SEED_VARIABLE, SeededRandomness, seeds};
