use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use vivace_base::BlockId;
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType, block_schema, span_schema};
use vivace_model::{TenantId, TimeRange};

use super::layout::{choose_columns, row_order};
use super::{BlockError, SPANS_FILE};
use crate::columns::{AttributesBuilder, ValueRef, column, list_column};
use crate::index::{INDEX_FILE, IndexBuilder};
use crate::{BlockMeta, WalRange, limits, paths};

/// A block's bytes and what the catalog will say about them.
#[derive(Debug, Clone)]
pub struct BuiltBlock {
    /// The Parquet file.
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
    let spans = concat_batches(&Arc::new(span_schema()), batches)?;
    let index = build_index(&spans)?;
    let order = row_order(&spans)?;
    let columns = choose_columns(&spans)?;
    let file_schema: SchemaRef = Arc::new(block_schema(&columns));
    let to_error = |error: parquet::errors::ParquetError| BlockError::Build(error.to_string());
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&file_schema), Some(properties(&columns)?))
        .map_err(to_error)?;
    for rows in order.rows.chunks(limits::BLOCK_WRITE_ROWS) {
        writer.write(&rearrange(&spans, rows, &columns, &file_schema)?).map_err(to_error)?;
    }
    let bytes = Bytes::from(writer.into_inner().map_err(to_error)?);
    let rows = spans.num_rows() as u64;
    Ok(BuiltBlock { bytes, index, rows, traces: order.traces, range: range(&spans)? })
}

/// Done before the sorted copy exists, so that the two never need memory together.
fn build_index(spans: &RecordBatch) -> Result<Bytes, BlockError> {
    let mut index = IndexBuilder::default();
    index.add(spans)?;
    Ok(index.finish()?.into())
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

fn range(spans: &RecordBatch) -> Result<TimeRange, BlockError> {
    let starts: &UInt64Array = column(spans, schema::START)?;
    let durations: &Int64Array = column(spans, schema::DURATION)?;
    let each = starts.values().iter().zip(durations.values()).map(|(start, duration)| TimeRange {
        start: *start,
        end: start.wrapping_add(duration.cast_unsigned()).max(*start),
    });
    Ok(each.reduce(|a, b| a.union(&b)).unwrap_or(TimeRange { start: 0, end: 0 }))
}

/// The given rows in the given order, with `columns` lifted out of the attribute lists.
fn rearrange(
    spans: &RecordBatch,
    rows: &[u32],
    columns: &[AttributeColumn],
    file_schema: &SchemaRef,
) -> Result<RecordBatch, BlockError> {
    let indices = UInt32Array::from(rows.to_vec());
    let lists: Vec<_> = AttributeScope::ALL
        .into_iter()
        .map(|scope| lift(spans, rows, scope, columns))
        .collect::<Result<_, BlockError>>()?;
    let scope_of_list = |name: &str| AttributeScope::ALL.iter().position(|scope| scope.list_column() == name);
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(file_schema.fields().len());
    for (field, array) in span_schema().fields().iter().zip(spans.columns()) {
        arrays.push(match scope_of_list(field.name()) {
            Some(scope) => Arc::clone(&lists[scope].rest),
            None => take(array, &indices, None)?,
        });
    }
    let mut own: Vec<_> = lists.into_iter().flat_map(|lifted| lifted.own).collect();
    own.sort_by_key(|(at, _)| *at);
    arrays.extend(own.into_iter().map(|(_, array)| array));
    Ok(RecordBatch::try_new(Arc::clone(file_schema), arrays)?)
}

/// One scope's attributes, split.
struct Lifted {
    rest: ArrayRef,
    /// Position in the block's attribute columns, and the column.
    own: Vec<(usize, ArrayRef)>,
}

fn lift(
    spans: &RecordBatch,
    rows: &[u32],
    scope: AttributeScope,
    columns: &[AttributeColumn],
) -> Result<Lifted, BlockError> {
    let list = list_column(spans, scope.list_column())?;
    let of_scope: Vec<_> = columns.iter().enumerate().filter(|(_, own)| own.scope == scope).collect();
    let mut values: Vec<_> =
        of_scope.iter().filter_map(|(_, own)| OwnColumn::new(own.value_type, rows.len())).collect();
    // For each key in the dictionary: the columns, of different types, that take it.
    let takers: Vec<Vec<usize>> = list
        .keys()
        .iter()
        .map(|key| (0..of_scope.len()).filter(|at| Some(of_scope[*at].1.key.as_str()) == key).collect())
        .collect();
    let mut rest = AttributesBuilder::default();
    for (to, from) in rows.iter().enumerate() {
        for entry in list.entries(*from as usize) {
            let takers = &takers[list.key_code(entry)];
            if !takers.iter().any(|at| values[*at].set(to, list.value(entry))) {
                let (type_code, text) = list.raw(entry);
                rest.raw_entry(list.key(entry), type_code, text);
            }
        }
        rest.end_row();
    }
    let own = of_scope.iter().zip(values).map(|((at, _), values)| (*at, values.finish())).collect();
    Ok(Lifted { rest: Arc::new(rest.finish()), own })
}

/// A typed column under construction; each row is set at most once.
enum OwnColumn<'a> {
    String(Vec<Option<&'a str>>),
    Bool(Vec<Option<bool>>),
    Int(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
}

impl<'a> OwnColumn<'a> {
    fn new(value_type: ValueType, rows: usize) -> Option<Self> {
        match value_type {
            ValueType::String => Some(Self::String(vec![None; rows])),
            ValueType::Bool => Some(Self::Bool(vec![None; rows])),
            ValueType::Int => Some(Self::Int(vec![None; rows])),
            ValueType::Float => Some(Self::Float(vec![None; rows])),
            ValueType::Empty | ValueType::Json => None,
        }
    }

    /// Sets a row; false when it is set already or the value is not of the column's type.
    fn set(&mut self, row: usize, value: ValueRef<'a>) -> bool {
        fn fill<T>(slot: &mut Option<T>, value: T) -> bool {
            let free = slot.is_none();
            if free {
                *slot = Some(value);
            }
            free
        }
        match (self, value) {
            (Self::String(rows), ValueRef::String(text)) => fill(&mut rows[row], text),
            (Self::Bool(rows), ValueRef::Bool(truth)) => fill(&mut rows[row], truth),
            (Self::Int(rows), ValueRef::Int(number)) => fill(&mut rows[row], number),
            (Self::Float(rows), ValueRef::Float(number)) => fill(&mut rows[row], number),
            _ => false,
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::String(rows) => Arc::new(StringArray::from(rows)),
            Self::Bool(rows) => Arc::new(BooleanArray::from(rows)),
            Self::Int(rows) => Arc::new(Int64Array::from(rows)),
            Self::Float(rows) => Arc::new(Float64Array::from(rows)),
        }
    }
}
