use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use vivace_base::{ErrorKind, Holder, MemoryBudget, Reservation};

use super::IndexError;
use super::edges::{self, EdgeChunk, Edges};
use super::format::{ChunkRef, FORMAT, Header, Section, read_header, unpack};
use super::summaries::{self, Summaries, SummaryChunk};
use super::tags::{self, Entry, IndexScope};
use super::traces::{self, TraceIds, TraceRuns};
use super::zones::{self, ZoneColumn, ZoneColumns};
use crate::columns::ValueRef;
use crate::damage::{self, Damaged};
use crate::limits;

/// What is decoded from a chunk takes at most this many times its bytes, the chunk included.
const DECODED_FACTOR: u64 = 8;

/// An index opened for reading: its first [`limits::INDEX_PREFIX`] bytes stay in memory, reserved; what lies behind
/// them is read when it is asked for.
pub struct BlockIndex {
    store: Arc<dyn ObjectStore>,
    path: Path,
    prefix: Bytes,
    sections: Vec<Section>,
    _reserved: Reservation,
}

impl BlockIndex {
    /// Reads and checks an index's header.
    ///
    /// # Errors
    /// [`IndexError`] says why there is none.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        path: Path,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Self, IndexError> {
        let mut reserved = budget.reserve(Holder::Cache, limits::INDEX_PREFIX)?;
        let prefix = read(&*store, &path, 0..limits::INDEX_PREFIX).await?;
        // Giving back is never refused.
        let _ = reserved.resize(prefix.len() as u64);
        let sections = match read_header(&prefix) {
            Header::Valid(sections) => sections,
            Header::Newer(found) => {
                return Err(IndexError::TooNew { path: path.to_string(), found, known: FORMAT });
            }
            Header::Damaged => {
                return Err(damaged(&path, "the header is not one"));
            }
        };
        Ok(Self { store, path, prefix, sections, _reserved: reserved })
    }

    /// What the index says about tags; [`None`] when the block has too many keys, or when whoever wrote it did not
    /// know of tags.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub async fn tags(&self, budget: &Arc<MemoryBudget>) -> Result<Option<Tags<'_>>, IndexError> {
        let Some(section) = self.sections.iter().find(|section| section.kind == tags::KIND) else {
            return Ok(None);
        };
        let (root, reserved) = self.chunk(&section.root, 0, budget).await?;
        let (pages, entries) = tags::decode(&root).ok_or_else(|| self.damaged("the tags are not tags"))?;
        let base = section.root.offset.saturating_add(section.root.length.into());
        Ok(Some(Tags { index: self, base, root, pages, entries, _reserved: reserved }))
    }

    /// Which traces the block has; [`None`] when the index does not say.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub async fn trace_ids(&self, budget: &Arc<MemoryBudget>) -> Result<Option<TraceIds>, IndexError> {
        self.section(traces::IDS, traces::decode_ids, budget).await
    }

    /// Rows and times of the block's traces; [`None`] when the index does not say.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub async fn trace_runs(&self, budget: &Arc<MemoryBudget>) -> Result<Option<TraceRuns>, IndexError> {
        self.section(traces::RUNS, traces::decode_runs, budget).await
    }

    /// Which columns have zones; [`None`] when the index does not say.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub(crate) async fn zone_columns(
        &self,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<ZoneColumns>, IndexError> {
        self.section(zones::KIND, zones::decode_root, budget).await
    }

    /// The zones of a column; [`None`] when it has none.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub(crate) async fn zones(
        &self,
        columns: &ZoneColumns,
        column: &str,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<ZoneColumn>, IndexError> {
        let section = self.sections.iter().find(|section| section.kind == zones::KIND);
        let (Some(section), Some(reference)) = (section, columns.chunk(column)) else { return Ok(None) };
        let base = section.root.offset.saturating_add(section.root.length.into());
        let (chunk, _reserved) = self.chunk(reference, base, budget).await?;
        zones::decode(&chunk).map(Some).ok_or_else(|| self.damaged("the zones of a column are none"))
    }

    /// What summaries there are; [`None`] when the index has none.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub(crate) async fn summaries(
        &self,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<Summaries>, IndexError> {
        self.section(summaries::KIND, summaries::decode_root, budget).await
    }

    /// A chunk of a table of summaries.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub(crate) async fn summary_chunk(
        &self,
        summaries: &Summaries,
        (table, chunk): (usize, usize),
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<SummaryChunk>, IndexError> {
        let section = self.sections.iter().find(|section| section.kind == summaries::KIND);
        let table = summaries.tables().get(table);
        let reference = table.and_then(|table| table.reference(chunk));
        let (Some(section), Some(table), Some(reference)) = (section, table, reference) else {
            return Ok(None);
        };
        let base = section.root.offset.saturating_add(section.root.length.into());
        let (bytes, _reserved) = self.chunk(reference, base, budget).await?;
        let damaged = || self.damaged("a chunk of summaries is none");
        SummaryChunk::decode(bytes, table).map(Some).ok_or_else(damaged)
    }

    /// Which edges there are; [`None`] when the index does not say.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub(crate) async fn edges(&self, budget: &Arc<MemoryBudget>) -> Result<Option<Edges>, IndexError> {
        self.section(edges::KIND, edges::decode_root, budget).await
    }

    /// A chunk of edges.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub(crate) async fn edge_chunk(
        &self,
        edges: &Edges,
        chunk: usize,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<EdgeChunk>, IndexError> {
        let section = self.sections.iter().find(|section| section.kind == edges::KIND);
        let (Some(section), Some(reference)) = (section, edges.reference(chunk)) else { return Ok(None) };
        let base = section.root.offset.saturating_add(section.root.length.into());
        let (bytes, _reserved) = self.chunk(reference, base, budget).await?;
        EdgeChunk::decode(bytes).map(Some).ok_or_else(|| self.damaged("a chunk of edges is none"))
    }

    /// Reads every chunk that this version knows of.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub(crate) async fn check(&self, budget: &Arc<MemoryBudget>) -> Result<(), IndexError> {
        if let Some(tags) = self.tags(budget).await? {
            for page in &tags.pages {
                self.chunk(page, tags.base, budget).await?;
            }
        }
        if let Some(columns) = self.zone_columns(budget).await? {
            for column in columns.names() {
                self.zones(&columns, column, budget).await?;
            }
        }
        if let Some(summaries) = self.summaries(budget).await? {
            for (at, table) in summaries.tables().iter().enumerate() {
                for chunk in 0..table.chunk_count() {
                    self.summary_chunk(&summaries, (at, chunk), budget).await?;
                }
            }
        }
        if let Some(edges) = self.edges(budget).await? {
            for chunk in 0..edges.chunk_count() {
                self.edge_chunk(&edges, chunk, budget).await?;
            }
        }
        Ok(())
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> u64 {
        self.prefix.len() as u64
    }

    /// A section that is one chunk.
    async fn section<T>(
        &self,
        kind: u32,
        decode: fn(&[u8]) -> Option<T>,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Option<T>, IndexError> {
        let Some(section) = self.sections.iter().find(|section| section.kind == kind) else {
            return Ok(None);
        };
        let (root, _reserved) = self.chunk(&section.root, 0, budget).await?;
        decode(&root).map(Some).ok_or_else(|| self.damaged("a section is not what it says"))
    }

    /// A chunk's content, whose reference counts from `base`, and the memory for it and what is decoded from it.
    async fn chunk(
        &self,
        reference: &ChunkRef,
        base: u64,
        budget: &Arc<MemoryBudget>,
    ) -> Result<(Vec<u8>, Reservation), IndexError> {
        if reference.unpacked.max(reference.length) > limits::MAX_INDEX_CHUNK {
            return Err(self.damaged("a chunk is larger than any is written"));
        }
        let needed = u64::from(reference.unpacked) * DECODED_FACTOR + u64::from(reference.length);
        let reserved = budget.reserve(Holder::Query, needed)?;
        let start = reference.offset.saturating_add(base);
        let stored = self.bytes(start..start.saturating_add(reference.length.into())).await?;
        let chunk = unpack(reference, &stored).ok_or_else(|| self.damaged("a chunk's CRC does not match"))?;
        Ok((chunk, reserved))
    }

    async fn bytes(&self, range: Range<u64>) -> Result<Bytes, IndexError> {
        if range.end <= self.prefix.len() as u64 {
            return Ok(self.prefix.slice(range.start as usize..range.end as usize));
        }
        read(&*self.store, &self.path, range).await
    }

    fn damaged(&self, reason: &'static str) -> IndexError {
        damaged(&self.path, reason)
    }
}

fn damaged(path: &Path, reason: &'static str) -> IndexError {
    damage::found(Damaged::Index, path.as_ref(), reason);
    IndexError::Damaged { path: path.to_string(), reason }
}

impl Debug for BlockIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockIndex({})", self.path)
    }
}

async fn read(store: &dyn ObjectStore, path: &Path, range: Range<u64>) -> Result<Bytes, IndexError> {
    let error = match store.get_range(path, range.clone()).await {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    if matches!(error, object_store::Error::NotFound { .. }) {
        damage::found(Damaged::Index, path.as_ref(), "it is missing");
        let (path, reason) = (path.to_string(), error.to_string());
        return Err(IndexError::Store { path, reason, kind: ErrorKind::Corrupt });
    }
    // Stores refuse to read behind the end of an object as they do for other reasons.
    if store.head(path).await.is_ok_and(|object| object.size <= range.start) {
        return Err(damaged(path, "it is cut off"));
    }
    Err(IndexError::Store { path: path.to_string(), reason: error.to_string(), kind: ErrorKind::Unavailable })
}

/// The section of tags, its keys in memory.
#[derive(Debug)]
pub struct Tags<'a> {
    index: &'a BlockIndex,
    /// Pages count from here.
    base: u64,
    root: Vec<u8>,
    pages: Vec<ChunkRef>,
    entries: Vec<Entry>,
    _reserved: Reservation,
}

/// What the index knows of a key's values.
#[derive(Debug)]
pub enum IndexedValues {
    /// No span of the block has the key.
    Absent,
    /// They are too many to be listed.
    Many,
    /// All of them.
    Listed(ValueList),
}

impl Tags<'_> {
    /// Every key any span of the block has, intrinsics among them.
    pub fn keys(&self) -> impl Iterator<Item = (IndexScope, &str)> {
        self.entries.iter().map(|entry| (entry.scope, text(&self.root, &entry.key)))
    }

    /// The distinct values of a key.
    ///
    /// # Errors
    /// [`IndexError`] names the object and what is wrong.
    pub async fn values(
        &self,
        scope: IndexScope,
        key: &str,
        budget: &Arc<MemoryBudget>,
    ) -> Result<IndexedValues, IndexError> {
        let wanted = |entry: &&Entry| entry.scope == scope && text(&self.root, &entry.key) == key;
        let Some(entry) = self.entries.iter().find(wanted) else { return Ok(IndexedValues::Absent) };
        let Some((page, at)) = entry.values else { return Ok(IndexedValues::Many) };
        let unknown = || self.index.damaged("a key's values are nowhere");
        let page = self.pages.get(page).ok_or_else(unknown)?;
        let (page, reserved) = self.index.chunk(page, self.base, budget).await?;
        let values = tags::decode_list(&page, at).ok_or_else(unknown)?;
        Ok(IndexedValues::Listed(ValueList { page, values, _reserved: reserved }))
    }
}

/// Distinct values, sorted by type and text.
#[derive(Debug)]
pub struct ValueList {
    page: Vec<u8>,
    values: Vec<(i8, Range<usize>)>,
    _reserved: Reservation,
}

impl ValueList {
    /// The values.
    pub fn iter(&self) -> impl Iterator<Item = ValueRef<'_>> {
        self.values.iter().map(|(code, at)| ValueRef::read(*code, text(&self.page, at)))
    }
}

/// A text that was checked when its place was read.
fn text<'a>(bytes: &'a [u8], at: &Range<usize>) -> &'a str {
    bytes.get(at.clone()).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}
