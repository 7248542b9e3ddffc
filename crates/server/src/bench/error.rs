use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::query_cli::QueryError;

/// Why a benchmark ends early. A query that fails is no such reason: it is reported as a failure.
#[derive(Debug, thiserror::Error)]
pub(super) enum BenchError {
    #[error("{0}")]
    Usage(String),
    #[error("cannot {action} {}: {reason}", .path.display())]
    File { action: &'static str, path: PathBuf, reason: io::Error },
    #[error("cannot start {}: {reason}", .program.display())]
    Spawn { program: PathBuf, reason: io::Error },
    #[error("the server ended ({status}) while {during}; the end of its log:\n{log}")]
    ServerEnded { status: ExitStatus, during: &'static str, log: String },
    #[error("the server was not ready within {seconds} s; the end of its log:\n{log}")]
    NotReady { seconds: u64, log: String },
    #[error("the server does not take spans: {0}")]
    Refused(String),
    #[error("the server has had no room for a batch for {seconds} s: {message}")]
    Overloaded { seconds: u64, message: String },
    #[error("{0}")]
    Signals(String),
    #[error("stopped by a signal")]
    Stopped,
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

impl BenchError {
    /// 2 for wrong flags, as clap has it; 1 for the rest.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Query(QueryError::Usage(_)) => 2,
            _ => 1,
        }
    }
}
