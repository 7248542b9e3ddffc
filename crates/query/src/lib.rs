//! Answers: TraceQL over the live head and the blocks, inside the memory budget. Knows no HTTP and no protocol.

mod admission;
mod api;
mod blocks;
mod decode;
mod engine;
mod error;
mod eval;
mod flights;
mod graph;
mod hits;
mod look;
mod metrics;
mod pipeline;
mod plan;
mod policy;
mod portions;
mod prune;
mod repeats;
mod search;
mod slots;
mod source;
mod spread;
mod tags;
pub mod trace;
mod walk;

pub use admission::AdmissionStats;
pub use api::{
    Exemplar, Held, MatchedSpan, MetricsRequest, MetricsResponse, MetricsWindow, Progress, Sample,
    SearchMetrics, SearchRequest, SearchResponse, Series, ServiceStats, SpanSet, TagNames, TagNamesRequest,
    TagScope, TagValue, TagValueKind, TagValues, TagValuesRequest, TraceMatch, TraceResponse,
};
pub use engine::{QueryContext, QueryEngine, QueryOptions, QueryStats};
pub use error::QueryError;
pub use graph::{Latency, ServiceEdge, ServiceGraph, ServiceGraphRequest, ServiceNode};
pub use policy::{QueryPolicies, QueryPolicy};
pub use portions::{TracePortions, WholeTrace};
