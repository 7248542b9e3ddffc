//! Lives of a server that end in crashes, in one process and on a virtual clock: the real ingest, catalog, compaction and
//! queries over a disk and an object store that fail. Each life takes batches in, cuts and merges blocks, drops old ones,
//! and dies at some call to disk or store; an auditor then looks whether what was acknowledged is there, once.
//!
//! The same seed gives the same calls, unless senders are concurrent.

mod audit;
mod corruption;
mod ledger;
mod life;
mod process;
mod world;

pub use corruption::Corruption;
pub use life::{End, Simulation};
pub use world::Options;
