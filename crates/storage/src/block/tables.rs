//! What is known of an open block beside its footer, read from its index when it is first asked for.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;
use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};
use vivace_model::schema;

use super::{BlockError, BlockReader, Projection};
use crate::IndexError;
use crate::index::{
    BlockIndex, EdgeChunk, Edges, Summaries, SummaryChunk, TraceIds, TraceRuns, TracesBuilder, ZoneColumn,
    ZoneColumns,
};

/// See the module. Everything here is reserved.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// [`None`] inside when it is missing or damaged.
    index: OnceCell<Option<BlockIndex>>,
    ids: OnceCell<Kept<TraceIds>>,
    runs: OnceCell<Kept<TraceRuns>>,
    zones: OnceCell<Option<Kept<ZoneColumns>>>,
    zone_columns: Mutex<FxHashMap<String, Option<Arc<Kept<ZoneColumn>>>>>,
    summaries: OnceCell<Option<Kept<Summaries>>>,
    /// By table and chunk.
    summary_chunks: Chunks<(usize, usize), SummaryChunk>,
    edges: OnceCell<Option<Kept<Edges>>>,
    edge_chunks: Chunks<usize, EdgeChunk>,
    bytes: AtomicU64,
}

/// Chunks by their place; [`None`] for one that cannot be read.
type Chunks<K, T> = Mutex<FxHashMap<K, Option<Arc<Kept<T>>>>>;

/// Something and the memory it takes.
#[derive(Debug)]
pub struct Kept<T> {
    value: T,
    _reserved: Reservation,
}

impl<T> std::ops::Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl Tables {
    pub(super) fn memory(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) async fn index(
        &self,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<&BlockIndex>, MemoryRefused> {
        let open = || async {
            match BlockIndex::open(Arc::clone(store), path.clone(), budget).await {
                Ok(index) => {
                    self.bytes.fetch_add(index.memory(), Ordering::Relaxed);
                    Ok(Some(index))
                }
                Err(error) if error.is_lasting() => {
                    tracing::warn!(%error, "a block has no usable index");
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        match self.index.get_or_try_init(open).await {
            Ok(index) => Ok(index.as_ref()),
            Err(IndexError::NoMemory(refused)) => Err(refused),
            Err(error) => {
                tracing::warn!(%error, "a block is read without its index");
                Ok(None)
            }
        }
    }

    fn keep<T>(&self, value: T, bytes: u64, budget: &Arc<MemoryBudget>) -> Result<Kept<T>, MemoryRefused> {
        let reserved = budget.reserve(Holder::Cache, bytes)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Kept { value, _reserved: reserved })
    }
}

impl BlockReader {
    /// Which traces the block has.
    ///
    /// # Errors
    /// [`BlockError`] when the block must be read for it and cannot be, or there is no memory to keep them.
    pub async fn trace_ids(&self, budget: &Arc<MemoryBudget>) -> Result<&TraceIds, BlockError> {
        let read = || async {
            let indexed = match self.index(budget).await? {
                Some(index) => found(index.trace_ids(budget).await)?,
                None => None,
            };
            let ids = match indexed {
                Some(ids) => ids,
                None => self.scan_traces().await?.finish().0,
            };
            let bytes = ids.memory();
            Ok(self.tables.keep(ids, bytes, budget)?)
        };
        self.tables.ids.get_or_try_init(read).await.map(|kept| &**kept)
    }

    /// Rows and times of the block's traces.
    ///
    /// # Errors
    /// As [`BlockReader::trace_ids`].
    pub async fn trace_runs(&self, budget: &Arc<MemoryBudget>) -> Result<&TraceRuns, BlockError> {
        let read = || async {
            let indexed = match self.index(budget).await? {
                Some(index) => found(index.trace_runs(budget).await)?,
                None => None,
            };
            let rows = self.row_count();
            let runs = match indexed {
                Some(runs) if runs.row_count() == rows => runs,
                _ => self.scan_traces().await?.finish().1,
            };
            let runs = if self.written_without_duplicates() { runs.followed() } else { runs };
            let bytes = runs.memory();
            Ok(self.tables.keep(runs, bytes, budget)?)
        };
        self.tables.runs.get_or_try_init(read).await.map(|kept| &**kept)
    }

    /// What the zones of a column of the file may have, by its name; [`None`] when that is not known. A column that no
    /// row has a value of has no zones: see [`BlockReader::has_zones`].
    ///
    /// # Errors
    /// [`MemoryRefused`] when there is no memory to keep it.
    pub async fn zones(
        &self,
        column: &str,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<Arc<Kept<ZoneColumn>>>, MemoryRefused> {
        let known = |columns: &FxHashMap<_, _>| columns.get(column).cloned();
        if let Some(known) = known(&self.tables.zone_columns.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(known);
        }
        let (Some(index), Some(columns)) = (self.index(budget).await?, self.zone_root(budget).await?) else {
            return Ok(None);
        };
        let zones = match index.zones(columns, column, budget).await {
            Ok(zones) => zones,
            Err(IndexError::NoMemory(refused)) => return Err(refused),
            Err(error) => {
                tracing::warn!(%error, "a block is read without its zones");
                None
            }
        };
        let keep = |zones: ZoneColumn| {
            let bytes = zones.memory();
            self.tables.keep(zones, bytes, budget).map(Arc::new)
        };
        let zones = zones.map(keep).transpose()?;
        let mut columns = self.tables.zone_columns.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(columns.entry(column.to_owned()).or_insert(zones).clone())
    }

    /// Whether zones are known at all, so that a column without any has no values.
    ///
    /// # Errors
    /// As [`BlockReader::zones`].
    pub async fn has_zones(&self, budget: &Arc<MemoryBudget>) -> Result<bool, MemoryRefused> {
        Ok(self.zone_root(budget).await?.is_some())
    }

    /// What summaries the block has; [`None`] when it has none.
    ///
    /// # Errors
    /// [`MemoryRefused`] when there is no memory to keep it.
    pub async fn summaries(
        &self,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<&Kept<Summaries>>, MemoryRefused> {
        let read = || async {
            let Some(index) = self.index(budget).await? else { return Ok(None) };
            let keep = |summaries: Summaries| {
                let bytes = summaries.memory();
                self.tables.keep(summaries, bytes, budget)
            };
            found(index.summaries(budget).await)?.map(keep).transpose()
        };
        Ok(self.tables.summaries.get_or_try_init(read).await?.as_ref())
    }

    /// A chunk of a table of summaries; [`None`] when it cannot be read, so that spans must be.
    ///
    /// # Errors
    /// [`MemoryRefused`] when there is no memory to keep it.
    pub async fn summary_chunk(
        &self,
        at: (usize, usize),
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<Arc<Kept<SummaryChunk>>>, MemoryRefused> {
        if let Some(known) = known(&self.tables.summary_chunks, &at) {
            return Ok(known);
        }
        let (Some(index), Some(summaries)) = (self.index(budget).await?, self.summaries(budget).await?)
        else {
            return Ok(None);
        };
        let read = index.summary_chunk(summaries, at, budget).await;
        self.remember(&self.tables.summary_chunks, at, read, SummaryChunk::memory, budget)
    }

    /// Which edges the block has; [`None`] when its index does not say.
    ///
    /// # Errors
    /// [`MemoryRefused`] when there is no memory to keep it.
    pub async fn edges(&self, budget: &Arc<MemoryBudget>) -> Result<Option<&Kept<Edges>>, MemoryRefused> {
        let read = || async {
            let Some(index) = self.index(budget).await? else { return Ok(None) };
            let keep = |edges: Edges| {
                let bytes = edges.memory();
                self.tables.keep(edges, bytes, budget)
            };
            found(index.edges(budget).await)?.map(keep).transpose()
        };
        Ok(self.tables.edges.get_or_try_init(read).await?.as_ref())
    }

    /// A chunk of edges; [`None`] when it cannot be read, so that spans must be.
    ///
    /// # Errors
    /// [`MemoryRefused`] when there is no memory to keep it.
    pub async fn edge_chunk(
        &self,
        chunk: usize,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<Arc<Kept<EdgeChunk>>>, MemoryRefused> {
        if let Some(known) = known(&self.tables.edge_chunks, &chunk) {
            return Ok(known);
        }
        let (Some(index), Some(edges)) = (self.index(budget).await?, self.edges(budget).await?) else {
            return Ok(None);
        };
        let read = index.edge_chunk(edges, chunk, budget).await;
        self.remember(&self.tables.edge_chunks, chunk, read, EdgeChunk::memory, budget)
    }

    /// Keeps a chunk, or that it cannot be read if another try would find the same.
    fn remember<K: Hash + Eq, T>(
        &self,
        chunks: &Chunks<K, T>,
        at: K,
        read: Result<Option<T>, IndexError>,
        memory: fn(&T) -> u64,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<Arc<Kept<T>>>, MemoryRefused> {
        let passes = read.as_ref().is_err_and(|error| !error.is_lasting());
        let keep = |chunk: T| {
            let bytes = memory(&chunk);
            self.tables.keep(chunk, bytes, budget).map(Arc::new)
        };
        let chunk = found(read)?.map(keep).transpose()?;
        if passes {
            return Ok(chunk);
        }
        let mut chunks = chunks.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(chunks.entry(at).or_insert(chunk).clone())
    }

    async fn zone_root(
        &self,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<&Kept<ZoneColumns>>, MemoryRefused> {
        let read = || async {
            let Some(index) = self.index(budget).await? else { return Ok(None) };
            let columns = match index.zone_columns(budget).await {
                Ok(columns) => columns,
                Err(IndexError::NoMemory(refused)) => return Err(refused),
                Err(error) => {
                    tracing::warn!(%error, "a block is read without its zones");
                    None
                }
            };
            let keep = |columns: ZoneColumns| {
                let bytes = columns.memory();
                self.tables.keep(columns, bytes, budget)
            };
            columns.map(keep).transpose()
        };
        Ok(self.tables.zones.get_or_try_init(read).await?.as_ref())
    }

    async fn scan_traces(&self) -> Result<TracesBuilder, BlockError> {
        let mut traces = TracesBuilder::default();
        if !self.written_without_duplicates() {
            traces.may_repeat();
        }
        let fixed = vec![schema::TRACE_ID, schema::START, schema::DURATION, schema::PARENT_SPAN_ID];
        let mut batches = self.read(&Projection { fixed, ..Projection::default() })?;
        while let Some(batch) = batches.try_next().await? {
            traces.add(&batch)?;
        }
        Ok(traces)
    }
}

fn known<K: Hash + Eq, T>(chunks: &Chunks<K, T>, at: &K) -> Option<Option<Arc<Kept<T>>>> {
    chunks.lock().unwrap_or_else(PoisonError::into_inner).get(at).cloned()
}

/// What does not check out is as good as missing.
fn found<T>(section: Result<Option<T>, IndexError>) -> Result<Option<T>, MemoryRefused> {
    match section {
        Ok(found) => Ok(found),
        Err(IndexError::NoMemory(refused)) => Err(refused),
        Err(error) => {
            tracing::warn!(%error, "a block is read without its index");
            Ok(None)
        }
    }
}
