//! Blocks as only some are: written anew where they are, or with an index that is lost or damaged. To be called before the
//! blocks are read for the first time.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType, block_schema};
use vivace_model::{Attribute, Span, TenantId, Value};
use vivace_storage::block::{BlockWriter, SPANS_FILE, choose_columns, conform};
use vivace_storage::index::{INDEX_FILE, IndexBuilder};
use vivace_storage::{BlockMeta, BlockReader, Projection, paths};

/// Magic, format and number of sections of an index, then for each section its kind and where it is, then a CRC
/// (`docs/formats/index.md`).
const INDEX_FIXED: usize = 8 + 4 + 4;
const INDEX_SECTION: usize = 4 + 20;
const INDEX_CRC: usize = 4;
/// Rows of a row group of format 1.
const GROUP_ROWS: usize = 4;

/// What of an index is damaged.
#[derive(Debug, Clone, Copy)]
pub(super) enum IndexPart {
    /// The index is not taken for one.
    Header,
    /// Every section is there, and none checks out.
    Body,
}

/// A column for each attribute and basic type.
pub(super) fn all_columns(spans: &[Span]) -> Vec<AttributeColumn> {
    let mut columns = BTreeSet::new();
    let mut add = |scope: AttributeScope, attributes: &[Attribute]| {
        for Attribute { key, value } in attributes {
            let value_type = match value {
                Value::String(_) => ValueType::String,
                Value::Bool(_) => ValueType::Bool,
                Value::Int(_) => ValueType::Int,
                Value::Float(_) => ValueType::Float,
                Value::Empty | Value::Bytes(_) | Value::Array(_) | Value::Map(_) => continue,
            };
            columns.insert(AttributeColumn { scope, key: key.clone(), value_type });
        }
    };
    for span in spans {
        add(AttributeScope::Span, &span.attributes);
        add(AttributeScope::Resource, &span.resource.attributes);
        add(AttributeScope::Instrumentation, &span.scope.attributes);
    }
    columns.into_iter().collect()
}

/// Writes a block anew with these columns, and row groups and pages of so many rows. What the catalog is to know of it.
pub(super) async fn rewrite(
    store: &Arc<dyn ObjectStore>,
    block: &BlockMeta,
    columns: &[AttributeColumn],
    rows: Option<(usize, usize)>,
) -> BlockMeta {
    let mut writer = BlockWriter::new(columns.to_vec()).expect("columns of attributes");
    if let Some((group_rows, page_rows)) = rows {
        writer = writer.with_rows(group_rows, page_rows);
    }
    for batch in read(store, block).await {
        writer.write(&batch).expect("rows of a block");
    }
    let built = writer.finish().expect("a block");
    assert_eq!((built.rows, built.traces), (block.rows, block.traces));
    put(store, block, SPANS_FILE, built.bytes.into()).await;
    put(store, block, INDEX_FILE, built.index.into()).await;
    BlockMeta { file: Some(built.file), ..block.clone() }
}

/// Writes a block anew as format 1 is (`docs/formats/block.md`), every third span twice, with an index or without. What the
/// catalog is to know of it.
pub(super) async fn rewrite_in_format_1(
    store: &Arc<dyn ObjectStore>,
    block: &BlockMeta,
    indexed: bool,
) -> BlockMeta {
    let batches = read(store, block).await;
    let columns = choose_columns(&batches).expect("rows of a block");
    let target = Arc::new(block_schema(&columns));
    let conformed = batches.iter().map(|batch| conform(batch, &columns, &target).expect("rows of a block"));
    let spans = with_repeats(&concat_batches(&target, &conformed.collect::<Vec<_>>()).expect("one layout"));
    let later = AttributeScope::ALL.map(AttributeScope::order_column);
    let known = (0..target.fields().len()).filter(|at| !later.contains(&target.field(*at).name().as_str()));
    let spans = spans.project(&known.collect::<Vec<_>>()).expect("columns that are there");
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_key_value_metadata(Some(vec![KeyValue::new(schema::FORMAT_KEY.to_owned(), "1".to_owned())]));
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, spans.schema(), Some(properties.build())).expect("a writer");
    writer.write(&spans).expect("rows are written");
    writer.close().expect("the file ends");
    put(store, block, SPANS_FILE, bytes.into()).await;
    if indexed {
        let mut index = IndexBuilder::default();
        index.may_repeat();
        index.add(&spans).expect("rows of a block");
        put(store, block, INDEX_FILE, index.finish().expect("an index").into()).await;
    } else {
        lose_index(store, block).await;
    }
    BlockMeta { format: 1, file: None, ..block.clone() }
}

fn with_repeats(spans: &RecordBatch) -> RecordBatch {
    let each = (0..spans.num_rows()).flat_map(|row| std::iter::repeat_n(row, 1 + usize::from(row % 3 == 0)));
    let rows: Vec<RecordBatch> = each.map(|row| spans.slice(row, 1)).collect();
    concat_batches(&spans.schema(), &rows).expect("one layout")
}

/// Deletes a block's index.
pub(super) async fn lose_index(store: &Arc<dyn ObjectStore>, block: &BlockMeta) {
    store.delete(&path(block, INDEX_FILE)).await.expect("the index was there");
}

/// Changes every byte of a part of a block's index.
pub(super) async fn damage_index(store: &Arc<dyn ObjectStore>, block: &BlockMeta, part: IndexPart) {
    let read = store.get(&path(block, INDEX_FILE)).await.expect("the index is there");
    let mut bytes = read.bytes().await.expect("the index can be read").to_vec();
    let sections = u32::from_le_bytes(bytes[12..INDEX_FIXED].try_into().expect("four bytes")) as usize;
    let (header, body) = bytes.split_at_mut(INDEX_FIXED + sections * INDEX_SECTION + INDEX_CRC);
    let part = match part {
        IndexPart::Header => header,
        IndexPart::Body => body,
    };
    assert!(!part.is_empty());
    part.iter_mut().for_each(|byte| *byte ^= 0x55);
    put(store, block, INDEX_FILE, bytes.into()).await;
}

pub(super) async fn read(store: &Arc<dyn ObjectStore>, block: &BlockMeta) -> Vec<RecordBatch> {
    let reader = BlockReader::open(Arc::clone(store), &TenantId::single(), block).await.expect("a block");
    let batches = reader.read(&Projection::everything()).expect("the block can be read");
    batches.try_collect().await.expect("the block can be read")
}

async fn put(store: &Arc<dyn ObjectStore>, block: &BlockMeta, file: &str, bytes: PutPayload) {
    store.put(&path(block, file), bytes).await.expect("objects can be written");
}

fn path(block: &BlockMeta, file: &str) -> Path {
    paths::block_prefix(&TenantId::single(), block.id).join(file)
}
