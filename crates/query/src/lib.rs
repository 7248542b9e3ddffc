//! Answers: TraceQL over the live head and the blocks, executed by DataFusion inside the memory budget. The only crate
//! that knows DataFusion; knows no HTTP and no protocol.

mod api;
mod engine;
mod error;

pub use api::{
    MatchedSpan, SearchMetrics, SearchRequest, SearchResponse, ServiceStats, SpanSet, TagNames,
    TagNamesRequest, TagScope, TagValue, TagValueKind, TagValues, TagValuesRequest, TraceMatch,
};
pub use engine::{QueryEngine, QueryOptions};
pub use error::QueryError;
