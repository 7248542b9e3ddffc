//! What the adapters need from the engine behind them. A trait, so that handlers are tested without one.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use vivace_ingest::{Accepted, IngestError, IngestStats};
use vivace_model::{TenantId, Tenants, TraceId};
use vivace_query::{
    MetricsRequest, MetricsResponse, Progress, QueryError, QueryStats, SearchRequest, SearchResponse,
    ServiceGraph, ServiceGraphRequest, TagNames, TagNamesRequest, TagValues, TagValuesRequest, TraceResponse,
};
use vivace_storage::{CompactionStats, Snapshot, WalStats};

#[cfg(test)]
pub(crate) mod fake;
mod observed;

pub(crate) use observed::Observed;

/// Takes spans in and answers questions about them.
#[async_trait]
pub(crate) trait Backend: Send + Sync + Debug {
    /// Takes a binary OTLP request; what is accepted is durable and queryable when this returns.
    async fn export(&self, tenant: &TenantId, request: Bytes) -> Result<Accepted, IngestError>;

    /// The newest traces that match.
    async fn search(
        &self,
        tenants: &Tenants,
        request: &SearchRequest,
        progress: Progress<'_, SearchResponse>,
    ) -> Result<SearchResponse, QueryError>;

    /// Series over time.
    async fn metrics(
        &self,
        tenants: &Tenants,
        request: &MetricsRequest,
        progress: Progress<'_, MetricsResponse>,
    ) -> Result<MetricsResponse, QueryError>;

    /// Services and the calls between them.
    async fn service_graph(
        &self,
        tenants: &Tenants,
        request: &ServiceGraphRequest,
    ) -> Result<ServiceGraph, QueryError>;

    /// All spans of a trace.
    async fn trace(&self, tenants: &Tenants, id: TraceId) -> Result<TraceResponse, QueryError>;

    /// The names of attributes.
    async fn tag_names(
        &self,
        tenants: &Tenants,
        request: &TagNamesRequest,
        progress: Progress<'_, TagNames>,
    ) -> Result<TagNames, QueryError>;

    /// The values of an attribute.
    async fn tag_values(
        &self,
        tenants: &Tenants,
        request: &TagValuesRequest,
        progress: Progress<'_, TagValues>,
    ) -> Result<TagValues, QueryError>;

    /// Flushes and closes; nothing is accepted afterwards.
    async fn shutdown(&self) -> Result<(), IngestError>;

    /// What has been taken in since the start.
    fn stats(&self) -> IngestStats;

    /// What becomes of queries.
    fn query_stats(&self) -> QueryStats;

    /// Figures about the write-ahead log.
    fn wal_stats(&self) -> WalStats;

    /// What became of blocks since the start, and what there is to do.
    fn compaction_stats(&self) -> CompactionStats;

    /// The blocks of every tenant that has any and whose catalog can be read.
    fn stored(&self) -> Vec<(TenantId, Arc<Snapshot>)>;
}
