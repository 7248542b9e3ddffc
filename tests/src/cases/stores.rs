//! The same spans, stored in different ways.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tempfile::TempDir;
use vivace_base::{ByteSize, MemoryBudget, Randomness, SystemClock, SystemFiles, SystemRandomness};
use vivace_ingest::otlp::encode;
use vivace_ingest::{Accepted, Ingest, IngestContext, IngestOptions, IngestPolicy};
use vivace_model::{Span, TenantId};
use vivace_query::{
    MetricsRequest, QueryContext, QueryEngine, QueryOptions, QueryPolicy, SearchRequest, Series,
    ServiceGraph, ServiceGraphRequest, TraceMatch,
};
use vivace_storage::columns::SpanDecoder;
use vivace_storage::{
    BlockMeta, Catalogs, CompactionContext, CompactionOptions, Compactor, TenantPolicy, limits,
};
use vivace_testkit::SeededRandomness;

use super::blocks::{self, IndexPart};
use crate::oracle::sort_attributes;

/// Far more than a test needs: nothing is cut, refused or out of time unless the test says so.
const AMPLE: ByteSize = ByteSize::from_mib(64);
const NEVER: Duration = Duration::from_secs(3600);
/// Longer than any span is away from another, whatever a case says.
const ALWAYS: Duration = Duration::from_secs(u64::MAX / 1_000_000_000);

/// How spans are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All in the live head.
    Head,
    /// All in one block.
    Block,
    /// Every third span of a trace in one block, the next in another, the rest in the head.
    Split,
    /// The three parts in a block each, which were merged into one.
    Compacted,
    /// As [`Way::Split`], but one of the blocks has no index.
    IndexLost,
    /// As [`Way::Split`], but no block has an index that checks out: of one the header, of one the rest is damaged.
    IndexDamaged,
    /// In one block, each attribute in columns of its own, a column for each type; pages of one row, and row groups that
    /// end with the trace of their second row.
    Promoted,
    /// In one block without attribute columns; pages of one row.
    Residual,
    /// As [`Way::Split`], with columns for every other attribute and type, so that values of one key may stand in both.
    Mixed,
    /// As [`Way::Split`], in blocks of format 1 that have spans twice. One has an index.
    FormatOne,
    /// Each span in one of two blocks or the head, as the seed has it, a fifth of them in two places at once.
    Scattered(u64),
}

impl Way {
    /// Every way but the random one.
    pub const ALL: [Self; 10] = [
        Self::Head,
        Self::Block,
        Self::Split,
        Self::Compacted,
        Self::IndexLost,
        Self::IndexDamaged,
        Self::Promoted,
        Self::Residual,
        Self::Mixed,
        Self::FormatOne,
    ];

    /// What goes into each block, in the order they are cut, and what stays in the head.
    fn layout(self, spans: &[Span]) -> (Vec<Vec<Span>>, Vec<Span>) {
        let third = |number: usize| -> Vec<Span> { spans.iter().skip(number).step_by(3).cloned().collect() };
        match self {
            Self::Head => (Vec::new(), spans.to_vec()),
            Self::Block | Self::Promoted | Self::Residual => (vec![spans.to_vec()], Vec::new()),
            Self::Split | Self::IndexLost | Self::IndexDamaged | Self::Mixed | Self::FormatOne => {
                (vec![third(0), third(1)], third(2))
            }
            Self::Compacted => (vec![third(0), third(1), third(2)], Vec::new()),
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
    object_store: Arc<dyn ObjectStore>,
    catalogs: Arc<Catalogs>,
    budget: Arc<MemoryBudget>,
    ingest: Arc<Ingest>,
    engine: QueryEngine,
    _directory: TempDir,
}

impl Store {
    /// Takes the spans in as OTLP and lays them out.
    pub async fn open(way: Way, spans: &[Span]) -> Self {
        let store = Self { way, ..Self::empty().await };
        let (blocks, head) = way.layout(spans);
        for block in blocks.iter().filter(|block| !block.is_empty()) {
            store.send(block).await;
            store.cut().await;
        }
        store.send(&head).await;
        let blocks = blocks.iter().filter(|block| !block.is_empty()).count();
        store.check_layout(head.len(), blocks);
        store.arrange(spans).await;
        store
    }

    /// Nothing has been sent to it.
    pub async fn empty() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let budget = MemoryBudget::new(ByteSize::from_mib(1024));
        let object_store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let randomness: Arc<dyn Randomness> = Arc::new(SystemRandomness);
        let catalogs = Catalogs::open_all(Arc::clone(&object_store), Arc::clone(&randomness)).await;
        let catalogs = Arc::new(catalogs.expect("an empty store opens"));
        let options = IngestOptions {
            wal_dir: directory.path().join("wal"),
            max_wal_bytes: ByteSize::from_mib(1024),
            max_block_bytes: AMPLE,
            max_block_age: NEVER,
        };
        let context = IngestContext {
            files: Arc::new(SystemFiles),
            store: Arc::clone(&object_store),
            catalogs: Arc::clone(&catalogs),
            budget: Arc::clone(&budget),
            clock: Arc::new(SystemClock::default()),
            randomness,
            policies: Arc::new(IngestPolicy { max_attribute_bytes: usize::MAX }),
        };
        let ingest = Ingest::open(options, context).await.expect("ingest opens");
        ingest.start();
        let options = QueryOptions { max_concurrent: 4, max_waiting: 4, parallelism: 2 };
        let policy = QueryPolicy { deadline: NEVER, max_bytes_scanned: None, max_concurrent: 4 };
        let context = QueryContext {
            store: Arc::clone(&object_store),
            catalogs: Arc::clone(&catalogs),
            live: ingest.live(),
            budget: Arc::clone(&budget),
            policies: Arc::new(policy),
        };
        let engine = QueryEngine::new(options, context);
        Self { way: Way::Head, object_store, catalogs, budget, ingest, engine, _directory: directory }
    }

    async fn send(&self, spans: &[Span]) {
        let request = ExportTraceServiceRequest { resource_spans: encode(spans) };
        let accepted = self.export(&request).await;
        assert_eq!(accepted.accepted, spans.len() as u64, "{}", accepted.message);
    }

    /// Takes a request in.
    pub async fn export(&self, request: &ExportTraceServiceRequest) -> Accepted {
        let bytes = request.encode_to_vec().into();
        self.ingest.export(&TenantId::single(), bytes).await.expect("spans are taken")
    }

    /// Makes a block of what is in the head.
    pub async fn cut(&self) {
        self.ingest.flush().await.expect("blocks are stored");
    }

    /// The ways differ only if the spans are where they should be.
    fn check_layout(&self, in_head: usize, blocks: usize) {
        let stats = self.ingest.stats();
        assert_eq!(
            (stats.head_spans(), stats.cuts.completed.count()),
            (in_head as u64, blocks as u64),
            "{:?}",
            self.way
        );
    }

    /// Makes the blocks what the way says.
    async fn arrange(&self, spans: &[Span]) {
        let (store, blocks) = (&self.object_store, self.blocks().await);
        match self.way {
            Way::Head | Way::Block | Way::Split | Way::Scattered(_) => {}
            Way::Compacted => self.compact().await,
            Way::IndexLost => {
                for block in blocks.iter().take(1) {
                    blocks::lose_index(store, block).await;
                }
            }
            Way::IndexDamaged => {
                for (block, part) in blocks.iter().zip([IndexPart::Header, IndexPart::Body]) {
                    blocks::damage_index(store, block, part).await;
                }
            }
            Way::Promoted => {
                let columns = blocks::all_columns(spans);
                for block in &blocks {
                    self.rewritten(blocks::rewrite(store, block, &columns, Some((2, 1))).await).await;
                }
            }
            Way::Residual => {
                for block in &blocks {
                    let rows = Some((limits::ROW_GROUP_ROWS, 1));
                    self.rewritten(blocks::rewrite(store, block, &[], rows).await).await;
                }
            }
            Way::Mixed => {
                let columns: Vec<_> = blocks::all_columns(spans).into_iter().step_by(2).collect();
                for block in &blocks {
                    self.rewritten(blocks::rewrite(store, block, &columns, None).await).await;
                }
            }
            Way::FormatOne => {
                for (block, indexed) in blocks.iter().zip([true, false]) {
                    self.rewritten(blocks::rewrite_in_format_1(store, block, indexed).await).await;
                }
            }
        }
    }

    /// Tells the catalog of a block that was written anew.
    async fn rewritten(&self, block: BlockMeta) {
        let catalog = self.catalogs.get_or_create(&TenantId::single()).await.expect("the catalog opens");
        let commit = catalog.commit(|snapshot| {
            let mut next = snapshot.clone();
            next.blocks.iter_mut().find(|known| known.id == block.id)?.clone_from(&block);
            Some(next)
        });
        commit.await.expect("the catalog takes it");
    }

    /// What the catalog names.
    async fn blocks(&self) -> Vec<BlockMeta> {
        let catalog = self.catalogs.get_or_create(&TenantId::single()).await.expect("the catalog opens");
        catalog.snapshot().blocks.clone()
    }

    /// Merges all blocks into one.
    ///
    /// # Panics
    /// When blocks are left.
    pub async fn compact(&self) {
        let before = self.blocks().await.len();
        let policy = TenantPolicy {
            block_retention: ALWAYS,
            max_stored_bytes: None,
            compaction_window: ALWAYS,
            compaction_disabled: false,
        };
        let options = CompactionOptions { min_inputs: 2, ..CompactionOptions::default() };
        let context = CompactionContext {
            store: Arc::clone(&self.object_store),
            catalogs: Arc::clone(&self.catalogs),
            budget: Arc::clone(&self.budget),
            clock: Arc::new(SystemClock::default()),
            randomness: Arc::new(SystemRandomness),
        };
        let compactor = Compactor::new(options, Arc::new(policy), context);
        while compactor.round().await {}
        let levels: Vec<u32> = self.blocks().await.iter().map(|block| block.level).collect();
        assert!(before < 2 || levels.len() == 1 && levels[0] > 0, "blocks of levels {levels:?}");
    }

    /// The spans of all blocks.
    pub async fn stored_spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for block in self.blocks().await {
            for batch in blocks::read(&self.object_store, &block).await {
                let mut decoder = SpanDecoder::new(&batch).expect("columns of spans");
                spans.extend((0..batch.num_rows()).map(|row| decoder.span(row)));
            }
        }
        spans
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
        let response = response.map_err(|error| error.to_string())?;
        if let Some(reason) = response.partial {
            return Err(format!("partial: {reason}"));
        }
        let mut traces: Vec<TraceMatch> = response.traces.into_iter().map(Arc::unwrap_or_clone).collect();
        let sets = traces.iter_mut().flat_map(|trace| &mut trace.span_sets);
        sets.flat_map(|set| &mut set.spans).for_each(|span| sort_attributes(&mut span.attributes));
        Ok(traces)
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

    /// How many spans the engine looks at for the series.
    ///
    /// # Errors
    /// Says why there is no answer.
    pub async fn inspected_spans(&self, request: &MetricsRequest) -> Result<u64, String> {
        let response = self.engine.metrics(&TenantId::single().into(), request, &mut |_| {}).await;
        Ok(response.map_err(|error| error.to_string())?.metrics.inspected_spans)
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
