//! Queries of a case file, and their hand-written answers.

use vivace_model::TimeRange;
use vivace_query::{MetricsRequest, MetricsWindow, SearchRequest};
use vivace_testkit::BASE_TIME;

use super::{ExpectedAnswer, ExpectedTraces};

/// A query and its answer.
#[derive(Debug)]
pub struct Question {
    /// Line of the file, from 1.
    pub line: usize,
    /// TraceQL.
    pub text: String,
    /// What is asked, and what is answered.
    pub ask: Ask,
}

/// What is asked, and what is answered.
#[derive(Debug)]
pub enum Ask {
    /// A search, and the traces it finds.
    Search(SearchRequest, ExpectedTraces),
    /// A metrics query, and its series.
    Metrics(MetricsRequest, ExpectedAnswer),
    /// A search that is refused with an error that contains this text.
    RefusedSearch(String),
    /// A metrics query that is refused with an error that contains this text.
    RefusedMetrics(String),
}

/// A search without bounds.
///
/// # Errors
/// Says why the query is not valid.
pub fn unbounded(text: &str) -> Result<SearchRequest, String> {
    let query = vivace_traceql::parse_validated(text).map_err(|error| error.to_string())?;
    Ok(SearchRequest {
        query,
        limit: 100,
        spans_per_span_set: 100,
        range: TimeRange::ALL,
        min_duration: None,
        max_duration: None,
    })
}

/// A metrics query over ten seconds from [`BASE_TIME`], a value every two.
///
/// # Errors
/// Says why the query is not valid, or that it is no metrics query.
pub fn aligned(text: &str) -> Result<MetricsRequest, String> {
    const SECOND: u64 = 1_000_000_000;
    let query = vivace_traceql::parse_validated(text).map_err(|error| error.to_string())?;
    if query.metrics.is_none() {
        return Err("not a metrics query".to_owned());
    }
    let window = MetricsWindow::Range { start: BASE_TIME, end: BASE_TIME + 10 * SECOND, step: 2 * SECOND };
    Ok(MetricsRequest { query, window, exemplars: 0, max_series: 0 })
}
