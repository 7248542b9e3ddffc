use std::io;

use vivace_ingest::IngestError;

use crate::config::ConfigError;
use crate::query_cli::QueryError;
use crate::serve::ServeError;

/// Why the demo ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    #[error("cannot make a temporary directory: {0}; name one with --data-dir")]
    DataDir(io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("log_level: {0}")]
    Log(String),
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("the server did not become ready")]
    NotReady,
    #[error("the server does not take the mesh's spans: {0}")]
    Ingest(#[from] IngestError),
    #[error(
        "the server has had no room for the mesh's spans for half a minute; give it a higher --memory-limit"
    )]
    Overloaded,
    #[error("the server refused {count} of the mesh's spans: {message}")]
    Rejected { count: u64, message: String },
    #[error("Kiali's query failed: {0}")]
    Query(#[from] QueryError),
    #[error("Kiali's query found {found} traces where there are at least {expected}")]
    Incomplete { found: u64, expected: u64 },
    #[error("trace {id} was found by the query, but not by its id")]
    TraceLost { id: String },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

impl DemoError {
    /// 2 for wrong flags or configuration, as clap has it; 1 for the rest.
    pub(super) fn exit_code(&self) -> u8 {
        if matches!(self, Self::Config(_) | Self::Log(_)) { 2 } else { 1 }
    }
}
