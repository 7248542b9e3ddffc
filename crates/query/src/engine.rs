use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use vivace_base::MemoryBudget;
use vivace_model::{TenantId, Tenants, TraceId};
use vivace_storage::{Catalogs, LiveSpans, Snapshot};

use crate::blocks::OpenBlocks;
use crate::graph::{CorrectionsCache, CorrectionsOf, service_graph};
use crate::metrics::metrics;
use crate::repeats::{RepeatsCache, RepeatsOf};
use crate::search::{SearchContext, search};
use crate::source::{Damage, Piece, Source};
use crate::spread::SpreadCache;
use crate::tags;
use crate::{
    MetricsRequest, MetricsResponse, Progress, QueryError, SearchRequest, SearchResponse, ServiceGraph,
    ServiceGraphRequest, TagNames, TagNamesRequest, TagValues, TagValuesRequest, TracePortions,
    TraceResponse,
};

/// How queries run.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// At most this many queries run at once; others wait.
    pub max_concurrent: usize,
    /// At most this many wait; more are refused.
    pub max_waiting: usize,
    /// How long a query may take, waiting included.
    pub deadline: Duration,
    /// On how many threads one query runs.
    pub parallelism: usize,
}

/// What queries stand on.
#[derive(Debug, Clone)]
pub struct QueryContext {
    /// Where blocks are.
    pub store: Arc<dyn ObjectStore>,
    /// Which there are.
    pub catalogs: Arc<Catalogs>,
    /// What is in no block yet.
    pub live: Arc<dyn LiveSpans>,
    /// Where memory comes from.
    pub budget: Arc<MemoryBudget>,
}

/// Answers questions over the live head and the blocks of a tenant.
pub struct QueryEngine {
    context: QueryContext,
    options: QueryOptions,
    running: Semaphore,
    waiting: Semaphore,
    blocks: Arc<OpenBlocks>,
    spread: SpreadCache,
    repeats: RepeatsCache,
    corrections: CorrectionsCache,
}

impl QueryEngine {
    /// An engine over the given head and blocks.
    pub fn new(options: QueryOptions, context: QueryContext) -> Self {
        let running = Semaphore::new(options.max_concurrent.max(1));
        let waiting = Semaphore::new(options.max_waiting);
        let blocks = OpenBlocks::new(Arc::clone(&context.store), Arc::clone(&context.budget));
        Self {
            context,
            options,
            running,
            waiting,
            blocks,
            spread: SpreadCache::default(),
            repeats: RepeatsCache::default(),
            corrections: CorrectionsCache::default(),
        }
    }

    /// The newest traces that match. When the deadline passes, those found by then, marked partial.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn search(
        &self,
        tenants: &Tenants,
        request: &SearchRequest,
        progress: Progress<'_, SearchResponse>,
    ) -> Result<SearchResponse, QueryError> {
        let mut response = SearchResponse::default();
        let work = async {
            let _running = self.admit().await?;
            let source = self.source(tenants).await?;
            let context = self.search_context(source);
            search(&context, request, &mut response, progress).await?;
            Ok::<_, QueryError>(context.source.partial())
        };
        match timeout(self.options.deadline, work).await {
            Ok(outcome) => response.partial = outcome?,
            Err(_) => response.partial = Some(format!("deadline of {:?} exceeded", self.options.deadline)),
        }
        Ok(response)
    }

    /// Series over time. When the deadline passes there is no answer: a value over part of the spans is a wrong one.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn metrics(
        &self,
        tenants: &Tenants,
        request: &MetricsRequest,
        progress: Progress<'_, MetricsResponse>,
    ) -> Result<MetricsResponse, QueryError> {
        self.within_deadline(async {
            let _running = self.admit().await?;
            let source = self.source(tenants).await?;
            let repeats = RepeatsOf { cache: &self.repeats, tenants };
            let context = self.search_context(source);
            let answer = metrics(&context, repeats, request, progress).await?;
            // A value over part of the spans is a wrong one.
            match context.source.left_out().into_iter().next() {
                Some((trace, refused)) => Err(QueryError::TooLargeTrace { trace, refused }),
                None => Ok(answer),
            }
        })
        .await
    }

    /// Services and the calls between them.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn service_graph(
        &self,
        tenants: &Tenants,
        request: &ServiceGraphRequest,
    ) -> Result<ServiceGraph, QueryError> {
        self.within_deadline(async {
            let _running = self.admit().await?;
            let source = self.source(tenants).await?;
            let corrections = CorrectionsOf { cache: &self.corrections, tenants };
            service_graph(&self.search_context(source), corrections, request).await
        })
        .await
    }

    /// All spans of a trace, in portions that are read as they are asked for. The deadline is for the first of them.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn trace(&self, tenants: &Tenants, id: TraceId) -> Result<TraceResponse, QueryError> {
        self.within_deadline(async {
            let _running = self.admit().await?;
            let source = self.source(tenants).await?;
            let trace = TracePortions::find(&source, &self.context.budget, id).await?;
            Ok(TraceResponse { trace, partial: source.partial() })
        })
        .await
    }

    /// The names of attributes.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn tag_names(
        &self,
        tenants: &Tenants,
        request: &TagNamesRequest,
        progress: Progress<'_, TagNames>,
    ) -> Result<TagNames, QueryError> {
        self.within_deadline(async {
            let _running = self.admit().await?;
            let source = self.source(tenants).await?;
            let context = self.search_context(source);
            tags::names(&context, request, progress).await
        })
        .await
    }

    /// The values of an attribute.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn tag_values(
        &self,
        tenants: &Tenants,
        request: &TagValuesRequest,
        progress: Progress<'_, TagValues>,
    ) -> Result<TagValues, QueryError> {
        self.within_deadline(async {
            let _running = self.admit().await?;
            let source = self.source(tenants).await?;
            let context = self.search_context(source);
            tags::values(&context, request, progress).await
        })
        .await
    }

    fn search_context(&self, source: Arc<Source>) -> SearchContext<'_> {
        SearchContext { budget: &self.context.budget, source, parallelism: self.options.parallelism.max(1) }
    }

    async fn within_deadline<T>(
        &self,
        work: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        timeout(self.options.deadline, work).await.unwrap_or(Err(QueryError::Deadline))
    }

    async fn admit(&self) -> Result<SemaphorePermit<'_>, QueryError> {
        if let Ok(permit) = self.running.try_acquire() {
            return Ok(permit);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| QueryError::Busy)?;
        self.running.acquire().await.map_err(|_| QueryError::Busy)
    }

    /// What all tenants have, as one. A tenant's head snapshot is taken first and its catalog's second: spans that move
    /// from one to the other in between are seen twice, never missed, and dropped by what the catalog says it covers.
    async fn source(&self, tenants: &Tenants) -> Result<Arc<Source>, QueryError> {
        let damage = Damage::default();
        let (mut pieces, mut count, mut bytes) = (Vec::new(), 0, 0);
        for tenant in tenants.iter() {
            let live = self.context.live.snapshot(tenant);
            let catalog = self.context.catalogs.get(tenant)?;
            let snapshot = catalog.map(|catalog| catalog.snapshot()).unwrap_or_default();
            pieces.extend(self.open(tenant, &snapshot, &damage).await?);
            let covered = snapshot.covered_through(&live.writer);
            for spans in live.uncovered(covered) {
                pieces.push(Piece::Live(spans?));
            }
            bytes += snapshot.blocks.iter().map(|block| block.bytes).sum::<u64>();
            count += u32::try_from(snapshot.blocks.len()).unwrap_or(u32::MAX);
        }
        let spread = self.spread.find(tenants, &pieces, &damage, &self.context.budget).await?;
        Ok(Arc::new(Source::new(pieces, spread, damage, count, bytes)))
    }

    async fn open(
        &self,
        tenant: &TenantId,
        snapshot: &Snapshot,
        damage: &Damage,
    ) -> Result<Vec<Piece>, QueryError> {
        let mut pieces = Vec::with_capacity(snapshot.blocks.len());
        for meta in &snapshot.blocks {
            match self.blocks.open(tenant, meta).await {
                Ok(reader) => pieces.push(Piece::Block(reader)),
                Err(error) if damage.note(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pieces)
    }
}

impl std::fmt::Debug for QueryEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryEngine").field("options", &self.options).finish_non_exhaustive()
    }
}
