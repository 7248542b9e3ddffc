use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder,
    ParquetMetaDataReader, RowGroupMetaData,
};
use vivace_base::{BlockId, Holder, MemoryBudget, MemoryRefused};
use vivace_model::schema::{self, AttributeColumn, AttributeScope};
use vivace_model::{TenantId, TimeRange};

use super::checked::{CHECKSUMS_KEY, Checksums, FileCheck, Tail};
use super::damage::{check_footer, contained, contained_stream};
use super::lineage::Parents;
use super::object::{ObjectFile, ReadMeter, TooMuchRead};
use super::pages::PagesWanted;
use super::tables::Tables;
use super::{BlockError, SPANS_FILE};
use crate::damage::{self, Damaged};
use crate::index::{BlockIndex, INDEX_FILE, IndexBuilder, IndexScope};
use crate::{BlockMeta, limits, paths};

/// Batches of a block, in its order.
pub type SpanStream = BoxStream<'static, Result<RecordBatch, BlockError>>;

/// Which columns are wanted. Attributes are resolved per block: own columns of every type, and the list.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    /// Fixed columns by name.
    pub fixed: Vec<&'static str>,
    /// Attributes by scope and key, where they have columns of their own.
    pub attributes: Vec<(AttributeScope, String)>,
    /// Attributes by scope and key, where they stand in lists: of spans, resources, scopes, events, links.
    pub listed: Vec<(IndexScope, String)>,
    /// All columns, whatever the rest says.
    pub everything: bool,
}

impl Projection {
    /// Every column.
    pub fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Adds an attribute, wherever it stands.
    pub fn attribute(&mut self, scope: AttributeScope, key: &str) {
        self.attributes.push((scope, key.to_owned()));
        self.listed.push((scope.into(), key.to_owned()));
    }

    /// Positions of the wanted columns in a block's or the head's schema.
    pub fn indices(&self, schema: &Schema) -> Vec<usize> {
        let wanted = |name: &str| self.wants(name);
        schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| wanted(field.name()))
            .map(|(at, _)| at)
            .collect()
    }

    fn wants(&self, name: &str) -> bool {
        if self.everything || self.fixed.contains(&name) {
            return true;
        }
        // Parents are found through these.
        if matches!(name, schema::PARENT_OFFSET | schema::SPAN_ID)
            && self.fixed.contains(&schema::PARENT_SPAN_ID)
        {
            return true;
        }
        if let Some(own) = AttributeColumn::from_column_name(name) {
            return self.attributes.iter().any(|(scope, key)| *scope == own.scope && *key == own.key);
        }
        self.listed.iter().any(|(scope, _)| list_of(*scope) == Some(name))
    }
}

/// The column that has a scope's lists.
fn list_of(scope: IndexScope) -> Option<&'static str> {
    match scope {
        IndexScope::Intrinsic => None,
        IndexScope::Resource => Some(schema::RESOURCE_ATTRIBUTES),
        IndexScope::Span => Some(schema::SPAN_ATTRIBUTES),
        IndexScope::Instrumentation => Some(schema::SCOPE_ATTRIBUTES),
        IndexScope::Event => Some(schema::EVENTS),
        IndexScope::Link => Some(schema::LINKS),
    }
}

/// A block opened for reading: its footer is in memory. Cheap to clone and to keep.
#[derive(Clone)]
pub struct BlockReader {
    file: ObjectFile,
    id: BlockId,
    index_path: Path,
    metadata: ArrowReaderMetadata,
    range: TimeRange,
    bytes: u64,
    footer_bytes: u64,
    /// Shared by clones, so that they are read once.
    pub(super) tables: Arc<Tables>,
}

impl BlockReader {
    /// Reads and checks a block's footer.
    ///
    /// # Errors
    /// [`BlockError`] names the object and what is wrong.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        tenant: &TenantId,
        meta: &BlockMeta,
    ) -> Result<Self, BlockError> {
        let prefix = paths::block_prefix(tenant, meta.id);
        let (path, index_path) = (prefix.clone().join(SPANS_FILE), prefix.join(INDEX_FILE));
        if meta.format > schema::FORMAT {
            return Err(BlockError::TooNew {
                path: path.to_string(),
                found: meta.format,
                known: schema::FORMAT,
            });
        }
        let mut file = ObjectFile { store, path, meter: None, checksums: None };
        let metadata = contained(async {
            let footer = match &meta.file {
                Some(check) => read_checked(&mut file, check).await?,
                None => read_unchecked(&mut file).await?,
            };
            ArrowReaderMetadata::try_new(Arc::new(footer), ArrowReaderOptions::new())
        });
        let metadata = metadata.await.map_err(|error| unreadable(&file.path, &error))?;
        let checksums = file.checksums.as_ref().map_or(0, |checksums| checksums.memory());
        let (tables, footer_bytes) = (Arc::default(), metadata.metadata().memory_size() as u64 + checksums);
        Ok(Self {
            file,
            id: meta.id,
            index_path,
            metadata,
            range: meta.range,
            bytes: meta.bytes,
            footer_bytes,
            tables,
        })
    }

    /// The same block, what is read of whose spans is counted.
    pub fn metered(mut self, meter: &Arc<ReadMeter>) -> Self {
        self.file.meter = Some(Arc::clone(meter));
        self
    }

    /// The block's name.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// The columns of the block's file.
    pub fn schema(&self) -> &Schema {
        self.metadata.schema()
    }

    /// The object, for messages.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// The object of its index.
    pub(crate) fn index_path(&self) -> &Path {
        &self.index_path
    }

    /// From the first span's start to the last span's end.
    pub fn range(&self) -> TimeRange {
        self.range
    }

    /// Size of the block's objects.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes in memory: the footer, and what of the index has been read.
    pub fn memory(&self) -> u64 {
        self.footer_bytes + self.tables.memory()
    }

    /// The block's index; [`None`] when it has none that can be read, which costs only speed. It is opened once and
    /// kept, up to [`limits::INDEX_PREFIX`] bytes of it, for as long as the reader or a clone of it lives.
    ///
    /// # Errors
    /// [`MemoryRefused`] when there is no memory to keep it in.
    pub async fn index(&self, budget: &Arc<MemoryBudget>) -> Result<Option<&BlockIndex>, MemoryRefused> {
        self.tables.index(&self.file.store, &self.index_path, budget).await
    }

    /// Makes the block's index anew from its spans and stores it, for blocks that lost theirs. Needs
    /// [`limits::INDEX_BUILD`], a share for each row and trace, and a batch of memory, which the caller reserves. Readers that are open do not see it.
    ///
    /// # Errors
    /// [`BlockError`] when the block cannot be read or the index not be written.
    pub async fn rebuild_index(&self) -> Result<(), BlockError> {
        let mut index = IndexBuilder::default();
        if !self.written_without_duplicates() {
            index.may_repeat();
        }
        let mut batches = self.read(&Projection::everything())?;
        while let Some(batch) = batches.try_next().await? {
            index.add(&batch)?;
        }
        let written = self.file.store.put(&self.index_path, index.finish()?.into()).await;
        written.map(|_| ()).map_err(|error| BlockError::store("write index", &self.index_path, &error))
    }

    /// Streams the wanted columns of all rows.
    ///
    /// # Errors
    /// [`BlockError`] when the read cannot begin; the stream ends with one when it cannot go on.
    pub fn read(&self, projection: &Projection) -> Result<SpanStream, BlockError> {
        let builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(self.file.clone(), self.metadata.clone());
        let roots = ProjectionMask::roots(builder.parquet_schema(), projection.indices(self.schema()));
        let builder = builder.with_projection(roots).with_batch_size(limits::READ_BATCH_ROWS);
        Ok(self.resolved(builder.build().map_err(|error| unreadable(&self.file.path, &error))?))
    }

    /// Streams the wanted columns of some rows: ascending ranges that do not overlap, each beginning with a trace. What
    /// the pages and the batch made of them take is reserved before they are read, and until the next are.
    ///
    /// # Errors
    /// As [`BlockReader::read`]; [`BlockError::NoMemory`] ends the stream.
    pub fn read_rows(
        &self,
        rows: &[Range<usize>],
        projection: &Projection,
        budget: &Arc<MemoryBudget>,
    ) -> Result<SpanStream, BlockError> {
        let groups = selected_groups(self.metadata.metadata(), rows);
        self.read_selected(groups, projection, limits::SELECTED_BATCH_ROWS, Some(Arc::clone(budget)))
    }

    /// The same in batches of so many rows, for who has reserved what it takes.
    pub(crate) fn read_rows_in(
        &self,
        rows: &[Range<usize>],
        projection: &Projection,
        batch_rows: usize,
    ) -> Result<SpanStream, BlockError> {
        self.read_selected(selected_groups(self.metadata.metadata(), rows), projection, batch_rows, None)
    }

    /// The same a little at a time, in batches of so many rows: for many rows that are all wanted, but not at once.
    /// [`BlockReader::trickle_memory`] tells what it takes.
    ///
    /// # Errors
    /// As [`BlockReader::read`].
    pub fn trickle_rows(
        &self,
        rows: &[Range<usize>],
        projection: &Projection,
        batch_rows: usize,
    ) -> Result<SpanStream, BlockError> {
        let groups = selected_groups(self.metadata.metadata(), rows).into_iter();
        let pieces = groups.flat_map(|(group, rows)| pieces(rows).into_iter().map(move |rows| (group, rows)));
        self.read_selected(pieces.collect(), projection, batch_rows, None)
    }

    fn read_selected(
        &self,
        groups: Vec<(usize, RowSelection)>,
        projection: &Projection,
        batch_rows: usize,
        budget: Option<Arc<MemoryBudget>>,
    ) -> Result<SpanStream, BlockError> {
        let metadata = Arc::clone(self.metadata.metadata());
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), projection.indices(self.schema()));
        let (schema, hint) = (self.metadata.parquet_schema(), Some(self.metadata.schema().fields()));
        let levels = parquet_to_arrow_field_levels(schema, mask.clone(), hint)
            .map_err(|error| unreadable(&self.file.path, &error))?;
        let (file, levels) = (self.file.clone(), Arc::new(levels));
        let batches = stream::iter(groups).then(move |(group, selection)| {
            let (file, metadata) = (file.clone(), Arc::clone(&metadata));
            let (mask, levels, budget) = (mask.clone(), Arc::clone(&levels), budget.clone());
            async move {
                let wanted = PagesWanted::new(&metadata, group, &mask, &selection);
                let memory = wanted.memory(selection.row_count().min(batch_rows));
                let reserved = budget.map(|budget| budget.reserve(Holder::Query, memory)).transpose();
                let reserved = reserved.map_err(|refused| ParquetError::External(Box::new(refused)))?;
                let pages = wanted.fetch(&file).await?;
                let batches = pages.read(&levels, selection, batch_rows)?;
                let each = batches.map(move |batch| {
                    let _until_the_last = &reserved;
                    batch.map_err(ParquetError::from)
                });
                Ok::<_, ParquetError>(stream::iter(each))
            }
        });
        Ok(self.resolved(batches.try_flatten()))
    }

    /// Number of rows.
    pub fn row_count(&self) -> usize {
        usize::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// The attributes that have columns of their own, and in how many rows each is.
    pub(crate) fn attribute_columns(&self) -> Vec<(AttributeColumn, u64)> {
        let metadata = self.metadata.metadata();
        let leaves = metadata.file_metadata().schema_descr();
        let own = (0..leaves.num_columns())
            .filter_map(|leaf| Some((leaf, AttributeColumn::from_column_name(leaves.column(leaf).name())?)));
        let present = |leaf: usize| {
            let chunks = metadata.row_groups().iter().map(|group| group.column(leaf));
            let counts = chunks.map(|chunk| {
                let nulls = chunk.statistics().and_then(|statistics| statistics.null_count_opt());
                u64::try_from(chunk.num_values())
                    .unwrap_or_default()
                    .saturating_sub(nulls.unwrap_or_default())
            });
            counts.sum()
        };
        own.map(|(leaf, column)| (column, present(leaf))).collect()
    }

    /// About how many bytes of memory all rows would take: what the pages hold, and for each value of each column where
    /// it is: four bytes and a bit.
    pub(crate) fn decoded_bytes(&self) -> u64 {
        const WHERE: u64 = 5;
        let metadata = self.metadata.metadata();
        let pages =
            metadata.row_groups().iter().map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0));
        let leaves = metadata.file_metadata().schema_descr().num_columns() as u64;
        pages.sum::<u64>().saturating_add((self.row_count() as u64).saturating_mul(leaves * WHERE))
    }

    /// About how many bytes of memory [`BlockReader::trickle_rows`] takes for so many rows, in batches of so many, when
    /// all columns are wanted: pages, dictionaries and a batch.
    pub fn trickle_memory(&self, rows: usize, batch_rows: usize) -> u64 {
        /// What a dictionary takes unpacked, with a reference to each of its texts.
        const UNPACKED: u64 = 4;
        let pages = |group: &RowGroupMetaData| {
            let dictionary = |chunk: &ColumnChunkMetaData| {
                let first = u64::try_from(chunk.data_page_offset()).unwrap_or_default();
                first.saturating_sub(chunk.byte_range().0)
            };
            let dictionaries: u64 = group.columns().iter().map(dictionary).sum();
            let packed = u64::try_from(group.compressed_size()).unwrap_or_default();
            let count = u64::try_from(group.num_rows()).unwrap_or_default().max(1);
            let at_once = (rows.min(limits::TRICKLED_ROWS) as u64).min(count);
            dictionaries.saturating_mul(UNPACKED).saturating_add(packed / count * at_once)
        };
        let largest = self.metadata.metadata().row_groups().iter().map(pages).max().unwrap_or_default();
        let row_bytes = self.decoded_bytes() / (self.row_count() as u64).max(1);
        largest.saturating_add(row_bytes.saturating_mul(rows.min(batch_rows) as u64))
    }

    /// Whether whoever wrote the block left out spans that were there already.
    pub(super) fn written_without_duplicates(&self) -> bool {
        self.schema().column_with_name(schema::PARENT_OFFSET).is_some()
    }

    /// Batches as they are in memory: with parents in place of distances.
    fn resolved(
        &self,
        batches: impl Stream<Item = Result<RecordBatch, ParquetError>> + Send + 'static,
    ) -> SpanStream {
        let path = self.file.path.clone();
        let mut parents = Parents::default();
        let resolve = move |batch: Result<RecordBatch, ParquetError>| {
            let batch = batch.map_err(|error| unreadable(&path, &error))?;
            parents
                .resolve(&batch)
                .map_err(|error| BlockError::Corrupt { path: path.to_string(), reason: error.to_string() })
        };
        contained_stream(batches).map(resolve).boxed()
    }
}

impl Debug for BlockReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockReader({})", self.file.path)
    }
}

/// The row groups that have some of the rows, and which of theirs those are.
fn selected_groups(metadata: &ParquetMetaData, rows: &[Range<usize>]) -> Vec<(usize, RowSelection)> {
    let (mut selected, mut first) = (Vec::new(), 0);
    for (at, group) in metadata.row_groups().iter().enumerate() {
        let count = usize::try_from(group.num_rows()).unwrap_or_default();
        let group = first..first + count;
        let inside = rows.iter().map(|rows| rows.start.max(group.start)..rows.end.min(group.end));
        let inside: Vec<Range<usize>> = inside
            .filter(|rows| rows.start < rows.end)
            .map(|rows| rows.start - group.start..rows.end - group.start)
            .collect();
        if !inside.is_empty() {
            selected.push((at, RowSelection::from_consecutive_ranges(inside.into_iter(), count)));
        }
        first = group.end;
    }
    selected
}

/// A row group's selection cut where pages end, so that each piece needs the pages of at most
/// [`limits::TRICKLED_ROWS`] rows.
fn pieces(mut rest: RowSelection) -> Vec<RowSelection> {
    let (mut pieces, mut before) = (Vec::new(), 0);
    while rest.selects_any() {
        let piece = rest.split_off(limits::TRICKLED_ROWS);
        if piece.selects_any() {
            let skipped = (before > 0).then(|| RowSelector::skip(before)).into_iter();
            pieces.push(skipped.chain(Vec::from(piece)).collect());
        }
        before += limits::TRICKLED_ROWS;
    }
    pieces
}

/// Reads the footer of a file that the catalog knows, and its checksums.
async fn read_checked(file: &mut ObjectFile, check: &FileCheck) -> Result<ParquetMetaData, ParquetError> {
    let mut tail = Tail::read(file, check).await?;
    let footer = footer_reader().load_and_finish(&mut tail, check.length).await?;
    check_footer(&footer, check.length)?;
    let pairs = footer.file_metadata().key_value_metadata();
    let (checksums, others): (Vec<_>, Vec<_>) =
        pairs.into_iter().flatten().cloned().partition(|pair| pair.key == CHECKSUMS_KEY);
    let text = checksums.first().and_then(|pair| pair.value.as_deref());
    let parsed = text.and_then(|text| Checksums::parse(text, check.length - check.tail));
    let missing = || ParquetError::General("it has no checksums of its pages".to_owned());
    file.checksums = Some(Arc::new(parsed.ok_or_else(missing)?));
    Ok(with_pairs(footer, others))
}

/// The same footer with other metadata of the file: checksums are not kept as text.
fn with_pairs(footer: ParquetMetaData, pairs: Vec<KeyValue>) -> ParquetMetaData {
    let known = footer.file_metadata();
    let file = FileMetaData::new(
        known.version(),
        known.num_rows(),
        known.created_by().map(str::to_owned),
        Some(pairs),
        known.schema_descr_ptr(),
        known.column_orders().cloned(),
    );
    let mut parts = footer.into_builder();
    let (groups, offsets) = (parts.take_row_groups(), parts.take_offset_index());
    ParquetMetaDataBuilder::new(file).set_row_groups(groups).set_offset_index(offsets).build()
}

/// Reads the footer of a file of a format without checksums.
async fn read_unchecked(file: &mut ObjectFile) -> Result<ParquetMetaData, ParquetError> {
    let found = file.store.head(&file.path).await;
    let size = found.map_err(|error| ParquetError::External(Box::new(error)))?.size;
    let reader = footer_reader().with_prefetch_hint(Some(limits::FOOTER_PREFETCH));
    let footer = reader.load_and_finish(file, size).await?;
    check_footer(&footer, size)?;
    Ok(footer)
}

fn footer_reader() -> ParquetMetaDataReader {
    ParquetMetaDataReader::new()
        .with_column_index_policy(PageIndexPolicy::Skip)
        .with_offset_index_policy(PageIndexPolicy::Optional)
}

fn unreadable(path: &Path, error: &ParquetError) -> BlockError {
    if let ParquetError::External(source) = error {
        if let Some(store_error) = source.downcast_ref::<object_store::Error>() {
            if matches!(store_error, object_store::Error::NotFound { .. }) {
                damage::found(Damaged::Block, path.as_ref(), "it is missing");
            }
            return BlockError::store("read block", path, store_error);
        }
        if let Some(refused) = source.downcast_ref::<TooMuchRead>() {
            return (*refused).into();
        }
        if let Some(refused) = source.downcast_ref::<MemoryRefused>() {
            return refused.clone().into();
        }
    }
    let (path, reason) = (path.to_string(), error.to_string());
    damage::found(Damaged::Block, &path, &reason);
    BlockError::Corrupt { path, reason }
}
