//! Spans in: OTLP to columns, validation, the write-ahead log, the live head, and cutting the head into blocks.
//! Knows no HTTP and no query engine.

mod cut;
mod distance;
mod error;
mod head;
mod join;
pub mod otlp;
mod pipeline;

pub use cut::CutStats;
pub use distance::{Distance, Distances};
pub use error::IngestError;
pub use head::HeadStats;
pub use pipeline::{
    Accepted, Ingest, IngestContext, IngestOptions, IngestPolicies, IngestPolicy, IngestStats,
};
