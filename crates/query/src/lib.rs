//! Answers: TraceQL over the live head and the blocks, executed by DataFusion inside the memory budget. The only crate
//! that knows DataFusion; knows no HTTP and no protocol.

mod api;
mod engine;
mod error;
mod eval;
mod fetch;
mod metrics;
mod pipeline;
mod plan;
mod pool;
mod scan;
mod search;
mod source;
mod tags;
pub mod trace;

pub use api::{
    Exemplar, MatchedSpan, MetricsRequest, MetricsResponse, MetricsWindow, Progress, Sample, SearchMetrics,
    SearchRequest, SearchResponse, Series, ServiceStats, SpanSet, TagNames, TagNamesRequest, TagScope,
    TagValue, TagValueKind, TagValues, TagValuesRequest, TraceMatch, TraceResponse,
};
pub use engine::{QueryContext, QueryEngine, QueryOptions};
pub use error::QueryError;
