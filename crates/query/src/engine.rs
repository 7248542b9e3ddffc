use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use tokio::time::timeout;
use vivace_base::{ByteSize, MemoryBudget};
use vivace_model::{TenantId, Tenants, TraceId};
use vivace_storage::block::ReadMeter;
use vivace_storage::{BlockReader, Catalogs, LiveSpans, Snapshot};

use crate::admission::{Admission, AdmissionStats, Claim};
use crate::blocks::OpenBlocks;
use crate::flights::{Flights, Joined};
use crate::graph::{CorrectionsCache, CorrectionsOf, service_graph};
use crate::metrics::metrics;
use crate::repeats::{RepeatsCache, RepeatsOf};
use crate::search::{SearchContext, search};
use crate::slots::Slots;
use crate::source::{Damage, Piece, Source};
use crate::spread::SpreadCache;
use crate::tags;
use crate::{
    MetricsRequest, MetricsResponse, Progress, QueryError, QueryPolicies, QueryPolicy, SearchRequest,
    SearchResponse, ServiceGraph, ServiceGraphRequest, TagNames, TagNamesRequest, TagValues,
    TagValuesRequest, TracePortions, TraceResponse,
};

/// How queries run.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// At most this many queries run at once; others wait.
    pub max_concurrent: usize,
    /// At most this many wait; more are refused.
    pub max_waiting: usize,
    /// On how many threads one query runs.
    pub parallelism: usize,
}

/// Memory a query is thought to need for what it reads at a time, on each of its threads.
const ESTIMATE_PER_THREAD: u64 = 1 << 20;

/// Runs a query in its turn, anew for as long as memory is refused and there may be more, within the deadline. The body may
/// run several times. A macro, since the compiler cannot tell of an asynchronous closure that its future may be sent.
macro_rules! in_turn {
    ($engine:expr, $policy:expr, $claim:expr, |$memory:ident| $body:block) => {
        within($policy.deadline, async {
            let mut turn = $engine.admission.turn($claim);
            loop {
                let $memory = turn.begin().await?;
                let outcome = async { $body }.await;
                if let Some(outcome) = turn.end(outcome) {
                    break outcome;
                }
            }
        })
        .await
    };
}

/// What becomes of queries, for `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Of those that came.
    pub admission: AdmissionStats,
    /// How many were answered by the answer to the same question under way.
    pub shared: u64,
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
    /// What each tenant may ask.
    pub policies: Arc<dyn QueryPolicies>,
}

/// Answers questions over the live head and the blocks of a tenant.
pub struct QueryEngine {
    context: QueryContext,
    options: QueryOptions,
    admission: Admission,
    slots: Arc<Slots>,
    searches: Flights<SearchResponse>,
    measurements: Flights<MetricsResponse>,
    blocks: Arc<OpenBlocks>,
    spread: SpreadCache,
    repeats: RepeatsCache,
    corrections: CorrectionsCache,
}

impl QueryEngine {
    /// An engine over the given head and blocks.
    pub fn new(options: QueryOptions, context: QueryContext) -> Self {
        let budget = Arc::clone(&context.budget);
        let slots = Slots::new(options.parallelism);
        let admission = Admission::new(budget, options.max_concurrent, options.max_waiting);
        let blocks = OpenBlocks::new(Arc::clone(&context.store), Arc::clone(&context.budget));
        Self {
            context,
            options,
            admission,
            slots,
            searches: Flights::default(),
            measurements: Flights::default(),
            blocks,
            spread: SpreadCache::default(),
            repeats: RepeatsCache::default(),
            corrections: CorrectionsCache::default(),
        }
    }

    /// The newest traces that match. When the deadline passes or too much is read, those found by then, marked partial.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn search(
        &self,
        tenants: &Tenants,
        request: &SearchRequest,
        progress: Progress<'_, SearchResponse>,
    ) -> Result<SearchResponse, QueryError> {
        let lead = match self.searches.join(request.question(tenants), || self.view(tenants)).await {
            Joined::Answered(outcome) => return outcome,
            Joined::Lead(lead) => lead,
        };
        let policy = self.policy(tenants);
        let mut response = SearchResponse::default();
        let mut begun = false;
        let work = async {
            let mut turn = self.admission.turn(self.claim(tenants, policy));
            loop {
                let memory = turn.begin().await?;
                begun = true;
                response = SearchResponse::default();
                lead.looks_at(|| self.view(tenants));
                let outcome =
                    self.search_once(tenants, policy, request, &memory, &mut response, progress).await;
                if let Some(outcome) = turn.end(outcome) {
                    break outcome;
                }
            }
        };
        let outcome = match timeout(policy.deadline, work).await {
            Ok(Ok(partial)) => Ok(partial),
            Ok(Err(error @ QueryError::TooMuchScanned(_))) => Ok(Some(error.to_string())),
            Ok(Err(error)) => Err(error),
            Err(_) if !begun => Err(QueryError::Busy),
            Err(_) => Ok(Some(format!("deadline of {:?} exceeded: `query_deadline`", policy.deadline))),
        };
        lead.land(outcome.map(|partial| SearchResponse { partial, ..response }))
    }

    /// Fills the response; why it may not be complete.
    async fn search_once(
        &self,
        tenants: &Tenants,
        policy: QueryPolicy,
        request: &SearchRequest,
        memory: &Arc<MemoryBudget>,
        response: &mut SearchResponse,
        progress: Progress<'_, SearchResponse>,
    ) -> Result<Option<String>, QueryError> {
        let source = self.source(tenants, memory, policy.max_bytes_scanned).await?;
        let context = self.search_context(source, memory);
        search(&context, request, response, progress).await?;
        Ok(context.source.partial())
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
        let lead = match self.measurements.join(request.question(tenants), || self.view(tenants)).await {
            Joined::Answered(outcome) => return outcome,
            Joined::Lead(lead) => lead,
        };
        let policy = self.policy(tenants);
        let work = async {
            let mut turn = self.admission.turn(self.claim(tenants, policy));
            loop {
                let memory = turn.begin().await?;
                lead.looks_at(|| self.view(tenants));
                let outcome = self.metrics_once(tenants, policy, request, &memory, progress).await;
                if let Some(outcome) = turn.end(outcome) {
                    break outcome;
                }
            }
        };
        let outcome = within(policy.deadline, work).await;
        lead.land(outcome)
    }

    async fn metrics_once(
        &self,
        tenants: &Tenants,
        policy: QueryPolicy,
        request: &MetricsRequest,
        memory: &Arc<MemoryBudget>,
        progress: Progress<'_, MetricsResponse>,
    ) -> Result<MetricsResponse, QueryError> {
        let source = self.source(tenants, memory, policy.max_bytes_scanned).await?;
        let repeats = RepeatsOf { cache: &self.repeats, tenants };
        let context = self.search_context(source, memory);
        let answer = metrics(&context, repeats, request, progress).await?;
        // A value over part of the spans is a wrong one.
        match context.source.left_out().into_iter().next() {
            Some((trace, refused)) => Err(QueryError::TooLargeTrace { trace, refused }),
            None => Ok(answer),
        }
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
        let policy = self.policy(tenants);
        in_turn!(self, policy, self.claim(tenants, policy), |memory| {
            let source = self.source(tenants, &memory, policy.max_bytes_scanned).await?;
            let corrections = CorrectionsOf { cache: &self.corrections, tenants };
            service_graph(&self.search_context(source, &memory), corrections, request).await
        })
    }

    /// All spans of a trace, in portions that are read as they are asked for. The deadline is for the first of them.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn trace(&self, tenants: &Tenants, id: TraceId) -> Result<TraceResponse, QueryError> {
        let policy = self.policy(tenants);
        in_turn!(self, policy, Claim { streams: true, ..self.claim(tenants, policy) }, |memory| {
            let source = self.source(tenants, &memory, None).await?;
            let trace = TracePortions::find(&source, &memory, id).await?;
            Ok(TraceResponse { trace, partial: source.partial() })
        })
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
        let policy = self.policy(tenants);
        in_turn!(self, policy, self.claim(tenants, policy), |memory| {
            let source = self.source(tenants, &memory, policy.max_bytes_scanned).await?;
            tags::names(&self.search_context(source, &memory), request, progress).await
        })
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
        let policy = self.policy(tenants);
        in_turn!(self, policy, self.claim(tenants, policy), |memory| {
            let source = self.source(tenants, &memory, policy.max_bytes_scanned).await?;
            tags::values(&self.search_context(source, &memory), request, progress).await
        })
    }

    /// What becomes of queries.
    pub fn stats(&self) -> QueryStats {
        let shared = self.searches.shared() + self.measurements.shared();
        QueryStats { admission: self.admission.stats(), shared }
    }

    fn policy(&self, tenants: &Tenants) -> QueryPolicy {
        self.context.policies.policy(tenants)
    }

    fn claim<'a>(&self, tenants: &'a Tenants, policy: QueryPolicy) -> Claim<'a> {
        let estimate = ESTIMATE_PER_THREAD * self.options.parallelism.max(1) as u64;
        Claim { tenants, most_of_tenants: policy.max_concurrent, estimate, streams: false }
    }

    fn search_context<'a>(&self, source: Arc<Source>, memory: &'a Arc<MemoryBudget>) -> SearchContext<'a> {
        let parallelism = self.options.parallelism.max(1);
        SearchContext { budget: memory, source, parallelism, work: self.slots.work() }
    }

    /// Which spans there are now: two answers about the same have the same.
    fn view(&self, tenants: &Tenants) -> Vec<u64> {
        let of_tenant = |tenant: &TenantId| {
            let live = self.context.live.last(tenant);
            let catalog = self.context.catalogs.get(tenant).ok().flatten();
            [live, catalog.map(|catalog| catalog.snapshot().version).unwrap_or_default()]
        };
        tenants.iter().flat_map(of_tenant).collect()
    }

    /// What all tenants have, as one. A tenant's head snapshot is taken first and its catalog's second: spans that move
    /// from one to the other in between are seen twice, never missed, and dropped by what the catalog says it covers.
    /// Of blocks' spans at most `max_bytes` can be read.
    async fn source(
        &self,
        tenants: &Tenants,
        memory: &Arc<MemoryBudget>,
        max_bytes: Option<ByteSize>,
    ) -> Result<Arc<Source>, QueryError> {
        let (damage, meter) = (Damage::default(), ReadMeter::new(max_bytes));
        let (mut pieces, mut count, mut bytes) = (Vec::new(), 0, 0);
        for tenant in tenants.iter() {
            let live = self.context.live.snapshot(tenant);
            let catalog = self.context.catalogs.get(tenant)?;
            let snapshot = catalog.map(|catalog| catalog.snapshot()).unwrap_or_default();
            let readers = self.open(tenant, &snapshot, &damage).await?;
            pieces.extend(readers.into_iter().map(|reader| Piece::Block(reader.metered(&meter))));
            let covered = snapshot.covered_through(&live.writer);
            for spans in live.uncovered(covered) {
                pieces.push(Piece::Live(spans?));
            }
            bytes += snapshot.blocks.iter().map(|block| block.bytes).sum::<u64>();
            count += u32::try_from(snapshot.blocks.len()).unwrap_or(u32::MAX);
        }
        let spread = self.spread.find(tenants, &pieces, &damage, memory).await?;
        Ok(Arc::new(Source::new(pieces, spread, damage, count, bytes)))
    }

    async fn open(
        &self,
        tenant: &TenantId,
        snapshot: &Snapshot,
        damage: &Damage,
    ) -> Result<Vec<BlockReader>, QueryError> {
        let mut readers = Vec::with_capacity(snapshot.blocks.len());
        for meta in &snapshot.blocks {
            match self.blocks.open(tenant, meta).await {
                Ok(reader) => readers.push(reader),
                Err(error) if damage.note(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(readers)
    }
}

async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, QueryError>>,
) -> Result<T, QueryError> {
    timeout(deadline, work).await.unwrap_or(Err(QueryError::Deadline(deadline)))
}

impl std::fmt::Debug for QueryEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryEngine").field("options", &self.options).finish_non_exhaustive()
    }
}
