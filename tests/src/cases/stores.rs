//! The same spans, stored in different ways.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tempfile::TempDir;
use vivace_base::{ByteSize, MemoryBudget, Randomness, SystemClock, SystemRandomness};
use vivace_ingest::otlp::encode;
use vivace_ingest::{Ingest, IngestContext, IngestOptions};
use vivace_model::{Span, TenantId};
use vivace_query::{
    MetricsRequest, QueryContext, QueryEngine, QueryOptions, SearchRequest, Series, ServiceGraph,
    ServiceGraphRequest, TraceMatch,
};
use vivace_storage::Catalogs;
use vivace_storage::index::INDEX_FILE;
use vivace_testkit::SeededRandomness;

use crate::oracle::sort_attributes;

/// Far more than a test needs: nothing is cut, refused or out of time unless the test says so.
const AMPLE: ByteSize = ByteSize::from_mib(64);
const NEVER: Duration = Duration::from_secs(3600);

/// How spans are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All in the live head.
    Head,
    /// All in one block.
    Block,
    /// All in one block, whose index was lost.
    LostIndex,
    /// Every third span of a trace in one block, the next in another, the rest in the head.
    Split,
    /// Each span in one of two blocks or the head, as the seed has it, a fifth of them in two places at once.
    Scattered(u64),
}

impl Way {
    /// Every way but the random one.
    pub const ALL: [Self; 3] = [Self::Head, Self::Block, Self::Split];

    /// What goes into each block, in the order they are cut, and what stays in the head.
    fn layout(self, spans: &[Span]) -> (Vec<Vec<Span>>, Vec<Span>) {
        match self {
            Self::Head => (Vec::new(), spans.to_vec()),
            Self::Block | Self::LostIndex => (vec![spans.to_vec()], Vec::new()),
            Self::Split => {
                let part =
                    |number: usize| -> Vec<Span> { spans.iter().skip(number).step_by(3).cloned().collect() };
                (vec![part(0), part(1)], part(2))
            }
            Self::Scattered(seed) => {
                let random = SeededRandomness::new(seed);
                let mut parts = [Vec::new(), Vec::new(), Vec::new()];
                for span in spans {
                    let first = random.index(3);
                    parts[first].push(span.clone());
                    if random.chance(20) {
                        parts[(first + 1 + random.index(2)) % 3].push(span.clone());
                    }
                }
                let [one, two, head] = parts;
                (vec![one, two], head)
            }
        }
    }
}

/// Ingest and query as the server puts them together, over an object store in memory.
pub struct Store {
    way: Way,
    ingest: Arc<Ingest>,
    engine: QueryEngine,
    objects: Arc<dyn ObjectStore>,
    _directory: TempDir,
}

impl Store {
    /// Takes the spans in as OTLP and lays them out.
    pub async fn open(way: Way, spans: &[Span]) -> Self {
        let store = Self::empty(way).await;
        let (blocks, head) = way.layout(spans);
        for block in blocks.iter().filter(|block| !block.is_empty()) {
            store.send(block).await;
            store.cut().await;
        }
        if way == Way::LostIndex {
            store.lose_indexes().await;
        }
        store.send(&head).await;
        let blocks = blocks.iter().filter(|block| !block.is_empty()).count();
        store.check_layout(head.len(), blocks);
        store
    }

    async fn empty(way: Way) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let budget = MemoryBudget::new(ByteSize::from_mib(1024));
        let object_store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let randomness: Arc<dyn Randomness> = Arc::new(SystemRandomness);
        let catalogs = Catalogs::open_all(Arc::clone(&object_store), Arc::clone(&randomness)).await;
        let catalogs = Arc::new(catalogs.expect("an empty store opens"));
        let options = IngestOptions {
            wal_dir: directory.path().join("wal"),
            max_block_bytes: AMPLE,
            max_block_age: NEVER,
        };
        let context = IngestContext {
            store: Arc::clone(&object_store),
            catalogs: Arc::clone(&catalogs),
            budget: Arc::clone(&budget),
            clock: Arc::new(SystemClock::default()),
            randomness,
        };
        let ingest = Ingest::open(options, context).await.expect("ingest opens");
        let options = QueryOptions { max_concurrent: 4, max_waiting: 4, deadline: NEVER, parallelism: 2 };
        let objects = Arc::clone(&object_store);
        let context = QueryContext { store: object_store, catalogs, live: ingest.live(), budget };
        let engine = QueryEngine::new(options, context);
        Self { way, ingest, engine, objects, _directory: directory }
    }

    async fn send(&self, spans: &[Span]) {
        let request = ExportTraceServiceRequest { resource_spans: encode(spans) };
        let accepted = self
            .ingest
            .export(&TenantId::single(), request.encode_to_vec().into())
            .await
            .expect("spans are taken");
        assert_eq!(accepted.accepted, spans.len() as u64, "{}", accepted.message);
    }

    async fn cut(&self) {
        self.ingest.flush().await.expect("blocks are stored");
    }

    async fn lose_indexes(&self) {
        let mut objects = self.objects.list(None);
        let mut lost = 0;
        while let Some(object) = objects.next().await {
            let path = object.expect("the store lists").location;
            if path.filename() == Some(INDEX_FILE) {
                self.objects.delete(&path).await.expect("the store deletes");
                lost += 1;
            }
        }
        assert!(lost > 0, "there is an index to lose");
    }

    /// The ways differ only if the spans are where they should be.
    fn check_layout(&self, in_head: usize, blocks: usize) {
        let stats = self.ingest.stats();
        assert_eq!((stats.head_spans, stats.blocks_cut), (in_head as u64, blocks as u64), "{:?}", self.way);
    }

    /// How its spans are laid out.
    pub fn way(&self) -> Way {
        self.way
    }

    /// What the engine finds. The attributes of each span are ordered by key.
    ///
    /// # Errors
    /// Says why there is no answer, or only part of one.
    pub async fn search(&self, request: &SearchRequest) -> Result<Vec<TraceMatch>, String> {
        let response = self.engine.search(&TenantId::single().into(), request, &mut |_| {}).await;
        let mut response = response.map_err(|error| error.to_string())?;
        if let Some(reason) = response.partial {
            return Err(format!("partial: {reason}"));
        }
        let sets = response.traces.iter_mut().flat_map(|trace| &mut trace.span_sets);
        sets.flat_map(|set| &mut set.spans).for_each(|span| sort_attributes(&mut span.attributes));
        Ok(response.traces)
    }

    /// The series the engine makes, without exemplars.
    ///
    /// # Errors
    /// Says why there is no answer, or only part of one.
    pub async fn metrics(&self, request: &MetricsRequest) -> Result<Vec<Series>, String> {
        let mut series = self.metrics_with_exemplars(request).await?;
        series.iter_mut().for_each(|series| series.exemplars.clear());
        Ok(series)
    }

    /// The series the engine makes.
    ///
    /// # Errors
    /// Says why there is no answer, or only part of one.
    pub async fn metrics_with_exemplars(&self, request: &MetricsRequest) -> Result<Vec<Series>, String> {
        let response = self.engine.metrics(&TenantId::single().into(), request, &mut |_| {}).await;
        let response = response.map_err(|error| error.to_string())?;
        match response.partial {
            Some(reason) => Err(format!("partial: {reason}")),
            None => Ok(response.series),
        }
    }

    /// The service graph the engine makes.
    ///
    /// # Errors
    /// Says why there is no answer, or only part of one.
    pub async fn service_graph(&self, request: &ServiceGraphRequest) -> Result<ServiceGraph, String> {
        let graph = self.engine.service_graph(&TenantId::single().into(), request).await;
        let graph = graph.map_err(|error| error.to_string())?;
        match graph.partial {
            Some(reason) => Err(format!("partial: {reason}")),
            None => Ok(graph),
        }
    }
}
