//! Spans in: OTLP to columns, validation, the write-ahead log, the live head, and cutting the head into blocks.
//! Knows no HTTP, no query engine.

mod error;
pub mod otlp;
mod pipeline;

pub use error::IngestError;
pub use pipeline::{Accepted, Ingest, IngestOptions, IngestStats};
