//! The Parquet file of a block.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use crc32fast::Hasher;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use vivace_model::schema::{self, AttributeColumn, ValueType, block_schema};

use super::BlockError;
use super::checked::{CHECKSUMS_KEY, FileCheck, Summing};
use super::lineage::Followed;
use crate::columns::TextColumn;
use crate::index::distinct_texts;
use crate::limits;

/// How the file is cut and packed. Readers take any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packing {
    pub(super) zstd_level: i32,
    /// Rows after which a row group ends with its trace.
    pub(super) group_rows: usize,
    /// Rows of a page at most.
    pub(super) page_rows: usize,
}

impl Default for Packing {
    fn default() -> Self {
        Self {
            zstd_level: limits::BLOCK_ZSTD_LEVEL,
            group_rows: limits::ROW_GROUP_ROWS,
            page_rows: limits::PAGE_ROWS,
        }
    }
}

/// A file under construction.
pub(super) struct BlockFile {
    writer: ArrowWriter<Sink>,
    sink: Sink,
    schema: SchemaRef,
    packing: Packing,
    /// Rows of the row group under way.
    group_rows: usize,
}

impl BlockFile {
    /// Begins a file; `sample` tells how each column's texts repeat.
    pub(super) fn create(
        columns: &[AttributeColumn],
        sample: &RecordBatch,
        packing: Packing,
    ) -> Result<Self, BlockError> {
        let schema = Arc::new(file_schema(columns, sample));
        let sink = Sink::default();
        let properties = properties(columns, &schema, packing)?;
        let writer = ArrowWriter::try_new(sink.clone(), Arc::clone(&schema), Some(properties))
            .map_err(parquet_error)?;
        Ok(Self { writer, sink, schema, packing, group_rows: 0 })
    }

    /// Adds rows. A row group ends where a trace does, unless the trace is larger than any: `starts` are the rows that
    /// begin one.
    pub(super) fn write(&mut self, followed: &Followed, starts: &[usize]) -> Result<(), BlockError> {
        let rows = self.arrange(followed)?;
        let mut written = 0;
        while written < rows.num_rows() {
            let full = written + self.packing.group_rows.saturating_sub(self.group_rows);
            let next = starts.get(starts.partition_point(|start| *start < full)).copied();
            let end = next.unwrap_or(rows.num_rows()).max(written);
            if end > written {
                self.writer.write(&rows.slice(written, end - written)).map_err(parquet_error)?;
            }
            self.group_rows += end - written;
            written = end;
            if next.is_some() {
                self.writer.flush().map_err(parquet_error)?;
                self.group_rows = 0;
            }
        }
        Ok(())
    }

    pub(super) fn take_bytes(&mut self) -> Bytes {
        self.sink.take()
    }

    /// Ends the file: its bytes that were not taken, and what the catalog is to know of it.
    pub(super) fn finish(mut self) -> Result<(Bytes, FileCheck), BlockError> {
        self.writer.flush().map_err(parquet_error)?;
        self.writer.sync().map_err(|error| BlockError::Build(error.to_string()))?;
        let pages = self.sink.begin_tail();
        let end = pages.length;
        self.writer.append_key_value_metadata(KeyValue::new(CHECKSUMS_KEY.to_owned(), pages.finish()));
        self.writer.close().map_err(parquet_error)?;
        let (tail, crc) = self.sink.tail();
        Ok((self.sink.take(), FileCheck { length: end + tail, tail, crc }))
    }

    fn arrange(&self, followed: &Followed) -> Result<RecordBatch, BlockError> {
        let array = |field: &FieldRef| -> Result<ArrayRef, BlockError> {
            let name = field.name().as_str();
            match (name, followed.spans.column_by_name(name)) {
                (schema::PARENT_OFFSET, _) => Ok(Arc::new(followed.parent_offsets.clone())),
                (schema::PARENT_SPAN_ID, _) => followed.other_parents(),
                (_, Some(array)) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
                (_, Some(array)) => Ok(cast(array, field.data_type())?),
                (_, None) => Err(BlockError::Build(format!("no column {name}"))),
            }
        };
        let arrays = self.schema.fields().iter().map(array).collect::<Result<_, _>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), arrays)?)
    }
}

/// Where the Parquet writer leaves bytes, and the block writer finds them.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    bytes: Vec<u8>,
    pages: Summing,
    /// What comes behind the pages, from when they have ended.
    tail: Option<(u64, Hasher)>,
}

impl Sink {
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Bytes {
        std::mem::take(&mut self.lock().bytes).into()
    }

    /// The pages have ended; their checksums.
    fn begin_tail(&self) -> Summing {
        let mut written = self.lock();
        written.tail = Some((0, Hasher::new()));
        std::mem::take(&mut written.pages)
    }

    /// Length and CRC of what came behind the pages.
    fn tail(&self) -> (u64, u32) {
        let tail = self.lock().tail.take();
        tail.map_or((0, 0), |(length, crc)| (length, crc.finalize()))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.lock();
        written.bytes.extend_from_slice(bytes);
        match &mut written.tail {
            None => written.pages.add(bytes),
            Some((length, crc)) => {
                *length += bytes.len() as u64;
                crc.update(bytes);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The columns of the file: texts that hardly repeat have no dictionary, and parents are distances.
fn file_schema(columns: &[AttributeColumn], sample: &RecordBatch) -> Schema {
    let memory = block_schema(columns);
    let mut fields: Vec<FieldRef> = Vec::with_capacity(memory.fields().len() + 1);
    for field in memory.fields() {
        let repeats = sample.column_by_name(field.name()).is_none_or(|texts| repeats(texts.as_ref()));
        if *field.data_type() == schema::text_type() && !repeats {
            fields.push(Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)));
        } else {
            fields.push(Arc::clone(field));
        }
        if field.name() == schema::PARENT_SPAN_ID {
            fields.push(Arc::new(Field::new(schema::PARENT_OFFSET, DataType::UInt32, true)));
        }
    }
    Schema::new(fields)
}

/// Whether a dictionary of these texts is small beside them.
fn repeats(texts: &dyn Array) -> bool {
    let Some(column) = TextColumn::new(texts) else { return true };
    let present = texts.len() - texts.null_count();
    distinct_texts(column).count() * limits::DICTIONARY_REPEATS <= present.max(limits::DICTIONARY_REPEATS)
}

fn properties(
    columns: &[AttributeColumn],
    schema: &Schema,
    packing: Packing,
) -> Result<WriterProperties, BlockError> {
    let level =
        ZstdLevel::try_new(packing.zstd_level).map_err(|error| BlockError::Build(error.to_string()))?;
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(2 * packing.group_rows))
        .set_data_page_row_count_limit(packing.page_rows)
        .set_write_batch_size(packing.page_rows.div_ceil(4))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(concat!("vivace ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            schema::FORMAT_KEY.to_owned(),
            schema::FORMAT.to_string(),
        )]));
    let path = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let mut plain = vec![path(schema::SPAN_ID), path(schema::PARENT_SPAN_ID)];
    let floats = columns.iter().filter(|own| own.value_type == ValueType::Float);
    plain.extend(floats.map(|own| path(&own.column_name())));
    let texts = schema.fields().iter().filter(|field| *field.data_type() == DataType::Utf8);
    plain.extend(texts.map(|field| path(field.name())));
    for path in plain {
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_data_page_size_limit(path, limits::PAGE_BYTES);
    }
    for (name, encoding) in [
        (schema::TRACE_ID, Encoding::DELTA_BYTE_ARRAY),
        (schema::START, Encoding::DELTA_BINARY_PACKED),
        // The bytes of a duration are alike by their place; its differences are no smaller than itself.
        (schema::DURATION, Encoding::BYTE_STREAM_SPLIT),
    ] {
        builder = builder
            .set_column_dictionary_enabled(path(name), false)
            .set_column_data_page_size_limit(path(name), limits::PAGE_BYTES)
            .set_column_encoding(path(name), encoding);
    }
    // Random bytes do not get smaller.
    builder = builder.set_column_compression(path(schema::SPAN_ID), Compression::UNCOMPRESSED);
    Ok(builder.build())
}

fn parquet_error(error: parquet::errors::ParquetError) -> BlockError {
    BlockError::Build(error.to_string())
}
