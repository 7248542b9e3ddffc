use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{FixedSizeBinaryArray, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use vivace_base::BlockId;
use vivace_model::schema::{self, AttributeColumn, ValueType, block_schema};
use vivace_model::{TenantId, TimeRange};

use super::conform::conform;
use super::layout::{choose_columns, row_order};
use super::{BlockError, SPANS_FILE};
use crate::columns::column;
use crate::index::{INDEX_FILE, IndexBuilder};
use crate::{BlockMeta, WalRange, limits, paths};

/// What is left of a block when its last row is written, and what the catalog will say about it.
#[derive(Debug, Clone)]
pub struct BuiltBlock {
    /// The Parquet file, or what of it [`BlockWriter::take_bytes`] has not taken.
    pub bytes: Bytes,
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
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    for rows in order.chunks(limits::BLOCK_WRITE_ROWS) {
        writer.write(&interleave_record_batch(&batches, rows)?)?;
    }
    writer.finish()
}

/// Writes a block row by row, in the order of its rows, holding no more than a row group.
pub struct BlockWriter {
    columns: Vec<AttributeColumn>,
    schema: SchemaRef,
    file: ArrowWriter<Sink>,
    sink: Sink,
    index: IndexBuilder,
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
        let sink = Sink::default();
        let file = ArrowWriter::try_new(sink.clone(), Arc::clone(&schema), Some(properties(&columns)?))
            .map_err(parquet_error)?;
        let index = IndexBuilder::default();
        Ok(Self { columns, schema, file, sink, index, rows: 0, traces: 0, last_trace: None, range: None })
    }

    /// A batch of any layout of the span schema in this block's layout, so that batches can be mixed.
    ///
    /// # Errors
    /// [`BlockError::Build`] when the batch is not one of spans.
    pub fn conform(&self, spans: &RecordBatch) -> Result<RecordBatch, BlockError> {
        conform(spans, &self.columns, &self.schema)
    }

    /// Adds rows, which must come in the order of a block's rows.
    ///
    /// # Errors
    /// [`BlockError::Build`] when the batch is not one of spans.
    pub fn write(&mut self, spans: &RecordBatch) -> Result<(), BlockError> {
        let spans = if spans.schema_ref() == &self.schema { spans.clone() } else { self.conform(spans)? };
        self.note(&spans)?;
        self.index.add(&spans)?;
        self.file.write(&spans).map_err(parquet_error)
    }

    /// How many rows there are so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The bytes of the file that are final, to be sent off before more is written.
    pub fn take_bytes(&mut self) -> Bytes {
        self.sink.take()
    }

    /// Ends the block.
    ///
    /// # Errors
    /// [`BlockError::Build`], a defect of ours.
    pub fn finish(self) -> Result<BuiltBlock, BlockError> {
        self.file.close().map_err(parquet_error)?;
        Ok(BuiltBlock {
            bytes: self.sink.take(),
            index: self.index.finish()?.into(),
            rows: self.rows,
            traces: self.traces,
            range: self.range.unwrap_or(TimeRange { start: 0, end: 0 }),
        })
    }

    /// Keeps count.
    fn note(&mut self, spans: &RecordBatch) -> Result<(), BlockError> {
        let traces: &FixedSizeBinaryArray = column(spans, schema::TRACE_ID)?;
        let starts: &UInt64Array = column(spans, schema::START)?;
        let durations: &Int64Array = column(spans, schema::DURATION)?;
        self.rows += spans.num_rows() as u64;
        for row in 0..spans.num_rows() {
            let trace: Option<[u8; 16]> = traces.value(row).try_into().ok();
            self.traces += u64::from(trace != self.last_trace);
            self.last_trace = trace;
            let start = starts.value(row);
            let end = start.wrapping_add(durations.value(row).cast_unsigned()).max(start);
            let range = TimeRange { start, end };
            self.range = Some(self.range.map_or(range, |known| known.union(&range)));
        }
        Ok(())
    }
}

impl std::fmt::Debug for BlockWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockWriter").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// Where the Parquet writer leaves bytes, and the block writer finds them.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parquet_error(error: parquet::errors::ParquetError) -> BlockError {
    BlockError::Build(error.to_string())
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
    };
    for (file, bytes) in [(INDEX_FILE, block.index), (SPANS_FILE, block.bytes)] {
        let path = prefix.clone().join(file);
        let written = store.put(&path, PutPayload::from_bytes(bytes)).await;
        written.map_err(|error| BlockError::store("write block", &path, &error))?;
    }
    Ok(meta)
}

fn properties(columns: &[AttributeColumn]) -> Result<WriterProperties, BlockError> {
    let level =
        ZstdLevel::try_new(limits::BLOCK_ZSTD_LEVEL).map_err(|error| BlockError::Build(error.to_string()))?;
    let plain = [schema::SPAN_ID, schema::PARENT_SPAN_ID];
    let delta = [schema::START, schema::DURATION];
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(limits::ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(limits::PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(concat!("vivace ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            schema::FORMAT_KEY.to_owned(),
            schema::FORMAT.to_string(),
        )]));
    for name in plain {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    let float_columns = columns.iter().filter(|own| own.value_type == ValueType::Float);
    for own in float_columns {
        let path = ColumnPath::new(vec![own.column_name()]);
        builder = builder.set_column_dictionary_enabled(path, false);
    }
    for name in delta {
        let path = ColumnPath::from(name);
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    Ok(builder.build())
}
