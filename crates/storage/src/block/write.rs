use std::sync::Arc;

use arrow::array::{FixedSizeBinaryArray, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use vivace_base::BlockId;
use vivace_model::schema::{self, AttributeColumn, block_schema};
use vivace_model::{TenantId, TimeRange};

use super::checked::FileCheck;
use super::conform::conform;
use super::file::{BlockFile, Packing};
use super::layout::{choose_columns, row_order};
use super::lineage::Lineage;
use super::{BlockError, SPANS_FILE};
use crate::columns::{column, gather_batches};
use crate::index::{INDEX_FILE, IndexBuilder};
use crate::{BlockMeta, WalRange, limits, paths};

/// What is left of a block when its last row is written, and what the catalog will say about it.
#[derive(Debug, Clone)]
pub struct BuiltBlock {
    /// The Parquet file, or what of it [`BlockWriter::take_bytes`] has not taken.
    pub bytes: Bytes,
    /// What tells the file from any other.
    pub file: FileCheck,
    /// The sidecar index.
    pub index: Bytes,
    /// Number of spans.
    pub rows: u64,
    /// Number of distinct trace ids.
    pub traces: u64,
    /// From the first start to the last end.
    pub range: TimeRange,
}

/// Sorts spans and writes them as a block, in memory: the caller bounds and reserves for the input.
///
/// # Errors
/// [`BlockError::Build`], a defect of ours: the batches are of the span schema.
pub fn build_block(batches: &[RecordBatch]) -> Result<BuiltBlock, BlockError> {
    let columns = choose_columns(batches)?;
    let mut writer = BlockWriter::new(columns)?;
    let batches: Vec<_> = batches.iter().map(|batch| writer.conform(batch)).collect::<Result<_, _>>()?;
    let order = row_order(&batches)?;
    for rows in order.chunks(limits::BLOCK_WRITE_ROWS) {
        writer.write(&gather_batches(&batches, rows)?)?;
    }
    writer.finish()
}

/// Writes a block row by row, in the order of its rows, holding no more than a row group.
pub struct BlockWriter {
    columns: Vec<AttributeColumn>,
    schema: SchemaRef,
    file: Option<BlockFile>,
    packing: Packing,
    lineage: Lineage,
    index: IndexBuilder,
    counts: Counts,
}

/// What the catalog will know.
#[derive(Debug, Default)]
struct Counts {
    rows: u64,
    traces: u64,
    last_trace: Option<[u8; 16]>,
    range: Option<TimeRange>,
}

impl BlockWriter {
    /// A block in which these attributes have columns of their own.
    ///
    /// # Errors
    /// [`BlockError::Build`], a defect of ours.
    pub fn new(columns: Vec<AttributeColumn>) -> Result<Self, BlockError> {
        let schema: SchemaRef = Arc::new(block_schema(&columns));
        Ok(Self {
            columns,
            schema,
            file: None,
            packing: Packing::default(),
            lineage: Lineage::default(),
            index: IndexBuilder::default(),
            counts: Counts::default(),
        })
    }

    /// Packs the block as well as is worth it for one that stays.
    #[must_use]
    pub fn for_good(self) -> Self {
        let packing = Packing { zstd_level: limits::COMPACTED_ZSTD_LEVEL, ..self.packing };
        Self { packing, ..self }
    }

    /// Ends a row group with the trace that its row `group_rows` is in, and pages after `page_rows`, neither of them 0.
    /// What is written in earnest has [`limits::ROW_GROUP_ROWS`] and [`limits::PAGE_ROWS`]; this is how readers are
    /// tested with few rows.
    #[must_use]
    pub fn with_rows(self, group_rows: usize, page_rows: usize) -> Self {
        Self { packing: Packing { group_rows, page_rows, ..self.packing }, ..self }
    }

    /// A batch of any layout of the span schema in this block's layout, so that batches can be mixed.
    ///
    /// # Errors
    /// [`BlockError::Build`] when the batch is not one of spans.
    pub fn conform(&self, spans: &RecordBatch) -> Result<RecordBatch, BlockError> {
        conform(spans, &self.columns, &self.schema)
    }

    /// Adds rows, which must come in the order of a block's rows. A span that was there already is left out.
    ///
    /// # Errors
    /// [`BlockError::Build`] when the batch is not one of spans.
    pub fn write(&mut self, spans: &RecordBatch) -> Result<(), BlockError> {
        let followed = if spans.schema_ref() == &self.schema {
            self.lineage.follow(spans)?
        } else {
            self.lineage.follow(&self.conform(spans)?)?
        };
        self.index.add(&followed.spans)?;
        let starts = self.counts.add(&followed.spans)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BlockFile::create(&self.columns, &followed.spans, self.packing)?),
        };
        file.write(&followed, &starts)
    }

    /// How many rows there are so far.
    pub fn rows(&self) -> u64 {
        self.counts.rows
    }

    /// The bytes of the file that are final, to be sent off before more is written.
    pub fn take_bytes(&mut self) -> Bytes {
        self.file.as_mut().map(BlockFile::take_bytes).unwrap_or_default()
    }

    /// Ends the block.
    ///
    /// # Errors
    /// [`BlockError::Build`], a defect of ours.
    pub fn finish(self) -> Result<BuiltBlock, BlockError> {
        let file = match self.file {
            Some(file) => file,
            None => BlockFile::create(&self.columns, &RecordBatch::new_empty(self.schema), self.packing)?,
        };
        let (bytes, file) = file.finish()?;
        Ok(BuiltBlock {
            bytes,
            file,
            index: self.index.finish()?.into(),
            rows: self.counts.rows,
            traces: self.counts.traces,
            range: self.counts.range.unwrap_or(TimeRange { start: 0, end: 0 }),
        })
    }
}

impl Counts {
    /// Counts rows; which of them begin a trace.
    fn add(&mut self, spans: &RecordBatch) -> Result<Vec<usize>, BlockError> {
        let traces: &FixedSizeBinaryArray = column(spans, schema::TRACE_ID)?;
        let starts: &UInt64Array = column(spans, schema::START)?;
        let durations: &Int64Array = column(spans, schema::DURATION)?;
        let mut begun = Vec::new();
        for row in 0..spans.num_rows() {
            let trace: Option<[u8; 16]> = traces.value(row).try_into().ok();
            if trace != self.last_trace {
                self.last_trace = trace;
                begun.push(row);
            }
            let start = starts.value(row);
            let end = start.wrapping_add(durations.value(row).cast_unsigned()).max(start);
            let range = TimeRange { start, end };
            self.range = Some(self.range.map_or(range, |known| known.union(&range)));
        }
        self.rows += spans.num_rows() as u64;
        self.traces += begun.len() as u64;
        Ok(begun)
    }
}

impl std::fmt::Debug for BlockWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockWriter").field("rows", &self.counts.rows).finish_non_exhaustive()
    }
}

/// Puts a block and its index into the object store. It exists for readers only once a catalog commit names what is returned.
///
/// # Errors
/// [`BlockError::Store`]; nothing refers to what may have been written.
pub async fn store_block(
    store: &dyn ObjectStore,
    tenant: &TenantId,
    id: BlockId,
    block: BuiltBlock,
    wal: Option<WalRange>,
) -> Result<BlockMeta, BlockError> {
    let prefix = paths::block_prefix(tenant, id);
    let meta = BlockMeta {
        id,
        rows: block.rows,
        traces: block.traces,
        bytes: (block.bytes.len() + block.index.len()) as u64,
        range: block.range,
        format: schema::FORMAT,
        wal,
        level: 0,
        stored: id.created(),
        file: Some(block.file),
    };
    for (file, bytes) in [(INDEX_FILE, block.index), (SPANS_FILE, block.bytes)] {
        let path = prefix.clone().join(file);
        let written = store.put(&path, PutPayload::from_bytes(bytes)).await;
        written.map_err(|error| BlockError::store("write block", &path, &error))?;
    }
    Ok(meta)
}
