//! What clients ask, whatever they speak: plain questions become requests the engine takes, or a reason why not. HTTP,
//! gRPC and MCP fill in the questions; every default, limit and check of `reference/tempo.md` 2.3 to 2.5 is here.
//!
//! Two rules differ from Tempo's. Spans are there as soon as they are acknowledged, so no range is cut back from now.
//! A search or tag question without times is about all there is, not about the last quarter of an hour.

mod attributes;
mod graph;
mod legacy;
mod logfmt;
mod metrics;
mod search;
mod when;

use vivace_base::ErrorKind;
use vivace_traceql::{MAX_TEXT, Query, parse_validated};

use crate::config::Limits;

pub(crate) use attributes::{Answer, TagNamesQuestion, TagValuesQuestion};
pub(crate) use graph::ServiceGraphQuestion;
pub(crate) use logfmt::parse as parse_logfmt;
pub(crate) use metrics::{InstantQuestion, MetricsQuestion, parse_step};
pub(crate) use search::SearchQuestion;
pub(crate) use when::{When, parse_timestamp};

/// Why a question cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidQuestion(String);

impl InvalidQuestion {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// More is asked for than the limit of this name allows.
    fn beyond(limit: &'static str, reason: String) -> Self {
        Self(format!("{reason}: ask for less, or {}", Limits::raise(limit)))
    }

    /// Always [`ErrorKind::InvalidInput`].
    pub(crate) fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

/// A TraceQL query that means something.
fn traceql(text: &str) -> Result<Query, InvalidQuestion> {
    parse_validated(text).map_err(|error| InvalidQuestion::new(format!("invalid TraceQL query: {error}")))
}

/// Refuses a filter that is longer than queries may be; what is wrong with a shorter one never is an error.
fn check_length(filter: &str) -> Result<(), InvalidQuestion> {
    if filter.len() <= MAX_TEXT {
        return Ok(());
    }
    let length = filter.len();
    Err(InvalidQuestion::new(format!("query of {length} bytes is longer than {MAX_TEXT}; shorten it")))
}

#[cfg(test)]
mod tests;
