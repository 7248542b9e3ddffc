//! Counts what is asked of a backend and what comes of it, for every protocol alike.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tracing::{Instrument, trace_span};
use vivace_base::{Clock, SPANS};
use vivace_ingest::{Accepted, IngestError, IngestStats};
use vivace_model::{TenantId, Tenants, TraceId};
use vivace_query::{
    MetricsRequest, MetricsResponse, Progress, QueryError, QueryStats, SearchRequest, SearchResponse,
    ServiceGraph, ServiceGraphRequest, TagNames, TagNamesRequest, TagValues, TagValuesRequest, TraceResponse,
};
use vivace_storage::{CompactionStats, Snapshot, WalStats};

use super::Backend;
use crate::metrics::{Operation, Queries, Told};

/// See the module.
#[derive(Debug)]
pub(crate) struct Observed {
    inner: Arc<dyn Backend>,
    queries: Queries,
    clock: Arc<dyn Clock>,
}

impl Observed {
    pub(crate) fn new(inner: Arc<dyn Backend>, queries: Queries, clock: Arc<dyn Clock>) -> Self {
        Self { inner, queries, clock }
    }

    async fn count<T>(
        &self,
        operation: Operation,
        tenants: &Tenants,
        question: impl Future<Output = Result<T, QueryError>>,
        told: impl FnOnce(&T) -> Told<'_>,
    ) -> Result<T, QueryError> {
        let running = self.queries.begin(operation, tenants, self.clock.as_ref());
        let span = trace_span!(target: SPANS, "query", otel.name = operation.name());
        let answer = question.instrument(span).await;
        running.end(answer.as_ref().map(told));
        answer
    }
}

#[async_trait]
impl Backend for Observed {
    async fn export(&self, tenant: &TenantId, request: Bytes) -> Result<Accepted, IngestError> {
        let span = trace_span!(target: SPANS, "push", bytes = request.len());
        self.inner.export(tenant, request).instrument(span).await
    }

    async fn search(
        &self,
        tenants: &Tenants,
        request: &SearchRequest,
        progress: Progress<'_, SearchResponse>,
    ) -> Result<SearchResponse, QueryError> {
        let question = self.inner.search(tenants, request, progress);
        self.count(Operation::Search, tenants, question, |found| Told {
            inspected: found.metrics.inspected_bytes,
            partial: found.partial.as_deref(),
        })
        .await
    }

    async fn metrics(
        &self,
        tenants: &Tenants,
        request: &MetricsRequest,
        progress: Progress<'_, MetricsResponse>,
    ) -> Result<MetricsResponse, QueryError> {
        let question = self.inner.metrics(tenants, request, progress);
        self.count(Operation::Metrics, tenants, question, |measured| Told {
            inspected: measured.metrics.inspected_bytes,
            partial: measured.partial.as_deref(),
        })
        .await
    }

    async fn service_graph(
        &self,
        tenants: &Tenants,
        request: &ServiceGraphRequest,
    ) -> Result<ServiceGraph, QueryError> {
        let question = self.inner.service_graph(tenants, request);
        self.count(Operation::ServiceGraph, tenants, question, |graph| Told {
            inspected: 0,
            partial: graph.partial.as_deref(),
        })
        .await
    }

    async fn trace(&self, tenants: &Tenants, id: TraceId) -> Result<TraceResponse, QueryError> {
        let question = self.inner.trace(tenants, id);
        self.count(Operation::Traces, tenants, question, |found| Told {
            inspected: 0,
            partial: found.partial.as_deref(),
        })
        .await
    }

    async fn tag_names(
        &self,
        tenants: &Tenants,
        request: &TagNamesRequest,
        progress: Progress<'_, TagNames>,
    ) -> Result<TagNames, QueryError> {
        let question = self.inner.tag_names(tenants, request, progress);
        self.count(Operation::Metadata, tenants, question, |names| Told {
            inspected: names.inspected_bytes,
            partial: names.partial.as_deref(),
        })
        .await
    }

    async fn tag_values(
        &self,
        tenants: &Tenants,
        request: &TagValuesRequest,
        progress: Progress<'_, TagValues>,
    ) -> Result<TagValues, QueryError> {
        let question = self.inner.tag_values(tenants, request, progress);
        self.count(Operation::Metadata, tenants, question, |values| Told {
            inspected: values.inspected_bytes,
            partial: values.partial.as_deref(),
        })
        .await
    }

    async fn shutdown(&self) -> Result<(), IngestError> {
        self.inner.shutdown().await
    }

    fn stats(&self) -> IngestStats {
        self.inner.stats()
    }

    fn query_stats(&self) -> QueryStats {
        self.inner.query_stats()
    }

    fn wal_stats(&self) -> WalStats {
        self.inner.wal_stats()
    }

    fn compaction_stats(&self) -> CompactionStats {
        self.inner.compaction_stats()
    }

    fn stored(&self) -> Vec<(TenantId, Arc<Snapshot>)> {
        self.inner.stored()
    }
}
