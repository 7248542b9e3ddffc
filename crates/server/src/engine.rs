//! Builds the engine from the configuration; the only place that knows how its parts are put together.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use vivace_base::{Clock, MemoryBudget, Randomness, SystemFiles, SystemRandomness};
use vivace_ingest::{
    Accepted, Ingest, IngestContext, IngestError, IngestOptions, IngestPolicies, IngestStats,
};
use vivace_model::{TenantId, Tenants, TraceId};
use vivace_query::{
    MetricsRequest, MetricsResponse, Progress, QueryContext, QueryEngine, QueryError, QueryOptions,
    QueryPolicies, QueryStats, SearchRequest, SearchResponse, ServiceGraph, ServiceGraphRequest, TagNames,
    TagNamesRequest, TagValues, TagValuesRequest, TraceResponse,
};
use vivace_storage::{
    CatalogError, Catalogs, CompactionContext, CompactionOptions, CompactionStats, Compactor, Snapshot,
    StoreError, TenantPolicies, WalStats, open_store, probe_put_if_absent,
};

use crate::backend::Backend;
use crate::config::Config;
use crate::limits::TenantLimits;
use crate::metrics::StoreTimes;

/// Queries that wait for one that runs; more are refused.
const WAITING_PER_RUNNING: usize = 64;

/// Ingest and query over the same store.
#[derive(Debug)]
pub(crate) struct Engine {
    ingest: Arc<Ingest>,
    query: QueryEngine,
    catalogs: Arc<Catalogs>,
    compactor: Arc<Compactor>,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("cannot use the directory {}: {reason}; set --data-dir", .path.display())]
    Directory { path: PathBuf, reason: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("cannot start taking spans in: {0}")]
    Ingest(#[from] IngestError),
}

/// Opens store, catalogs and write-ahead log, and replays what was not yet in a block.
///
/// # Errors
/// [`EngineError`] says which part does not start and why.
pub(crate) async fn start_engine(
    config: &Config,
    limits: &Arc<TenantLimits>,
    budget: &Arc<MemoryBudget>,
    clock: &Arc<dyn Clock>,
    store_times: &StoreTimes,
) -> Result<Engine, EngineError> {
    let wal_dir = directory(config, "wal")?;
    let randomness: Arc<dyn Randomness> = Arc::new(SystemRandomness);
    let store = store_times.watch(open_store(&config.storage_url)?, clock);
    probe_put_if_absent(store.as_ref(), &config.storage_url, randomness.as_ref()).await?;
    let catalogs = Arc::new(Catalogs::open_all(Arc::clone(&store), Arc::clone(&randomness)).await?);
    let options = IngestOptions {
        wal_dir,
        max_wal_bytes: config.max_wal_bytes,
        max_block_bytes: config.max_block_bytes,
        max_block_age: config.max_block_age,
    };
    let context = IngestContext {
        files: Arc::new(SystemFiles),
        store: Arc::clone(&store),
        catalogs: Arc::clone(&catalogs),
        budget: Arc::clone(budget),
        clock: Arc::clone(clock),
        randomness: Arc::clone(&randomness),
        policies: Arc::clone(limits) as Arc<dyn IngestPolicies>,
    };
    let ingest = Ingest::open(options, context).await?;
    ingest.start();
    let context = CompactionContext {
        store: Arc::clone(&store),
        catalogs: Arc::clone(&catalogs),
        budget: Arc::clone(budget),
        clock: Arc::clone(clock),
        randomness,
    };
    let compactor = compactor(config, limits, context);
    compactor.start();
    let options = QueryOptions {
        max_concurrent: config.limits.max_concurrent_queries,
        max_waiting: config.limits.max_concurrent_queries.saturating_mul(WAITING_PER_RUNNING),
        parallelism: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let context = QueryContext {
        store,
        catalogs: Arc::clone(&catalogs),
        live: ingest.live(),
        budget: Arc::clone(budget),
        policies: Arc::clone(limits) as Arc<dyn QueryPolicies>,
    };
    let query = QueryEngine::new(options, context);
    Ok(Engine { ingest, query, catalogs, compactor })
}

fn compactor(config: &Config, limits: &Arc<TenantLimits>, context: CompactionContext) -> Arc<Compactor> {
    let removed_block_retention = config.removed_block_retention();
    let settle = config.compaction_settle;
    let options = CompactionOptions { settle, removed_block_retention, ..CompactionOptions::default() };
    Compactor::new(options, Arc::clone(limits) as Arc<dyn TenantPolicies>, context)
}

fn directory(config: &Config, name: &str) -> Result<PathBuf, EngineError> {
    let path = config.data_dir.join(name);
    match std::fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(reason) => Err(EngineError::Directory { path, reason }),
    }
}

#[async_trait]
impl Backend for Engine {
    async fn export(&self, tenant: &TenantId, request: Bytes) -> Result<Accepted, IngestError> {
        self.ingest.export(tenant, request).await
    }

    async fn search(
        &self,
        tenants: &Tenants,
        request: &SearchRequest,
        progress: Progress<'_, SearchResponse>,
    ) -> Result<SearchResponse, QueryError> {
        self.query.search(tenants, request, progress).await
    }

    async fn metrics(
        &self,
        tenants: &Tenants,
        request: &MetricsRequest,
        progress: Progress<'_, MetricsResponse>,
    ) -> Result<MetricsResponse, QueryError> {
        self.query.metrics(tenants, request, progress).await
    }

    async fn service_graph(
        &self,
        tenants: &Tenants,
        request: &ServiceGraphRequest,
    ) -> Result<ServiceGraph, QueryError> {
        self.query.service_graph(tenants, request).await
    }

    async fn trace(&self, tenants: &Tenants, id: TraceId) -> Result<TraceResponse, QueryError> {
        self.query.trace(tenants, id).await
    }

    async fn tag_names(
        &self,
        tenants: &Tenants,
        request: &TagNamesRequest,
        progress: Progress<'_, TagNames>,
    ) -> Result<TagNames, QueryError> {
        self.query.tag_names(tenants, request, progress).await
    }

    async fn tag_values(
        &self,
        tenants: &Tenants,
        request: &TagValuesRequest,
        progress: Progress<'_, TagValues>,
    ) -> Result<TagValues, QueryError> {
        self.query.tag_values(tenants, request, progress).await
    }

    async fn shutdown(&self) -> Result<(), IngestError> {
        self.compactor.shutdown().await;
        self.ingest.shutdown().await
    }

    fn stats(&self) -> IngestStats {
        self.ingest.stats()
    }

    fn query_stats(&self) -> QueryStats {
        self.query.stats()
    }

    fn wal_stats(&self) -> WalStats {
        self.ingest.wal_stats()
    }

    fn compaction_stats(&self) -> CompactionStats {
        self.compactor.stats()
    }

    fn stored(&self) -> Vec<(TenantId, Arc<Snapshot>)> {
        let snapshot =
            |tenant| Some(self.catalogs.get(&tenant).ok()??.snapshot()).map(|found| (tenant, found));
        self.catalogs.tenants().into_iter().filter_map(snapshot).collect()
    }
}
