//! A backend that answers what a test tells it to.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use vivace_base::{ByteSize, Holder, MemoryBudget, SystemClock};
use vivace_ingest::{Accepted, IngestError, IngestStats};
use vivace_model::{TenantId, Tenants, Trace, TraceId};
use vivace_query::{
    MetricsRequest, MetricsResponse, Progress, QueryError, QueryStats, SearchRequest, SearchResponse,
    ServiceGraph, ServiceGraphRequest, TagNames, TagNamesRequest, TagValues, TagValuesRequest, TracePortions,
    TraceResponse,
};
use vivace_storage::{CompactionStats, Snapshot, WalStats};

use super::Backend;
use crate::config::{Config, ConfigArgs};
use crate::limits::TenantLimits;
use crate::state::{App, AppState};

#[derive(Debug, Default)]
pub(crate) struct FakeBackend {
    /// What came in.
    pub(crate) received: Mutex<Vec<(TenantId, ExportTraceServiceRequest)>>,
    /// What was asked.
    pub(crate) searched: Mutex<Vec<SearchRequest>>,
    /// The outcome of an export.
    pub(crate) accepted: Accepted,
    /// The answer to a search.
    pub(crate) found: SearchResponse,
    /// The metrics asked for.
    pub(crate) measured: Mutex<Vec<MetricsRequest>>,
    /// The answer to a metrics query.
    pub(crate) series: MetricsResponse,
    /// The service graphs asked for.
    pub(crate) graphed: Mutex<Vec<ServiceGraphRequest>>,
    /// The answer to a question for one.
    pub(crate) graph: ServiceGraph,
    /// The one trace there is.
    pub(crate) trace: Option<Trace>,
    /// Why it is not complete.
    pub(crate) incomplete: Option<String>,
    pub(crate) names: TagNames,
    pub(crate) values: TagValues,
    /// Set to fail for want of memory.
    pub(crate) full: bool,
    /// Set to panic.
    pub(crate) defect: bool,
}

impl FakeBackend {
    fn admit(&self) -> Result<(), vivace_base::MemoryRefused> {
        assert!(!self.defect, "a defect");
        if !self.full {
            return Ok(());
        }
        MemoryBudget::new(ByteSize::from_bytes(1)).reserve(Holder::Head, 2).map(drop)
    }
}

/// State of a server that is ready, with the default configuration as `adjust` changes it.
pub(crate) fn app(backend: FakeBackend, adjust: impl FnOnce(&mut Config)) -> (App, Arc<FakeBackend>) {
    let backend = Arc::new(backend);
    let app = starting(adjust);
    app.ready(Arc::clone(&backend) as Arc<dyn Backend>);
    (app, backend)
}

/// State of a server that is not ready.
pub(crate) fn starting(adjust: impl FnOnce(&mut Config)) -> App {
    let mut config = Config::load(&ConfigArgs::default()).unwrap();
    config.memory_limit = ByteSize::from_mib(256);
    adjust(&mut config);
    let budget = MemoryBudget::new(config.memory_limit);
    let limits = TenantLimits::load(&config).unwrap();
    AppState::new(config, limits, budget, Arc::new(SystemClock::default()))
}

#[async_trait]
impl Backend for FakeBackend {
    async fn export(&self, tenant: &TenantId, request: Bytes) -> Result<Accepted, IngestError> {
        let request = ExportTraceServiceRequest::decode(request)
            .map_err(|error| IngestError::Malformed { format: "protobuf", reason: error.to_string() })?;
        self.admit()?;
        self.received.lock().unwrap().push((tenant.clone(), request));
        Ok(self.accepted.clone())
    }

    async fn search(
        &self,
        _: &Tenants,
        request: &SearchRequest,
        progress: Progress<'_, SearchResponse>,
    ) -> Result<SearchResponse, QueryError> {
        self.admit()?;
        self.searched.lock().unwrap().push(request.clone());
        progress(&|| self.found.clone());
        Ok(self.found.clone())
    }

    async fn metrics(
        &self,
        _: &Tenants,
        request: &MetricsRequest,
        progress: Progress<'_, MetricsResponse>,
    ) -> Result<MetricsResponse, QueryError> {
        self.admit()?;
        self.measured.lock().unwrap().push(request.clone());
        progress(&|| MetricsResponse { metrics: self.series.metrics, ..MetricsResponse::default() });
        Ok(self.series.clone())
    }

    async fn service_graph(
        &self,
        _: &Tenants,
        request: &ServiceGraphRequest,
    ) -> Result<ServiceGraph, QueryError> {
        self.admit()?;
        self.graphed.lock().unwrap().push(*request);
        Ok(self.graph.clone())
    }

    async fn trace(&self, _: &Tenants, id: TraceId) -> Result<TraceResponse, QueryError> {
        self.admit()?;
        let trace = self.trace.clone().filter(|trace| trace.id() == id);
        let trace = trace.map(|trace| TracePortions::of(trace, None));
        Ok(TraceResponse { trace, partial: self.incomplete.clone() })
    }

    async fn tag_names(
        &self,
        _: &Tenants,
        _: &TagNamesRequest,
        progress: Progress<'_, TagNames>,
    ) -> Result<TagNames, QueryError> {
        progress(&|| self.names.clone());
        Ok(self.names.clone())
    }

    async fn tag_values(
        &self,
        _: &Tenants,
        _: &TagValuesRequest,
        progress: Progress<'_, TagValues>,
    ) -> Result<TagValues, QueryError> {
        progress(&|| self.values.clone());
        Ok(self.values.clone())
    }

    async fn shutdown(&self) -> Result<(), IngestError> {
        Ok(())
    }

    fn stats(&self) -> IngestStats {
        IngestStats::default()
    }

    fn query_stats(&self) -> QueryStats {
        QueryStats::default()
    }

    fn wal_stats(&self) -> WalStats {
        WalStats::default()
    }

    fn compaction_stats(&self) -> CompactionStats {
        CompactionStats::default()
    }

    fn stored(&self) -> Vec<(TenantId, Arc<Snapshot>)> {
        Vec::new()
    }
}
