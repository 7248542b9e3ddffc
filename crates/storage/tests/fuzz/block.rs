//! A block's file of spans is read or refused. What was read can be written as a block, which is read as the same.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use vivace_base::{BlockId, ByteSize, MemoryBudget};
use vivace_model::schema::AttributeScope;
use vivace_model::{Span, TenantId, TimeRange};
use vivace_storage::block::{FileCheck, SPANS_FILE, SpanStream, build_block, store_block};
use vivace_storage::columns::SpanDecoder;
use vivace_storage::{BlockError, BlockMeta, BlockReader, Projection, paths};
use vivace_testkit::fuzz::Target;

pub(crate) const TARGET: Target = Target { name: "block", check, memory: 64 << 20, memory_per_byte: 256 };

/// Rows that are written again: the rest is read only.
const WRITTEN_ROWS: usize = 1_000;

/// How much of the example's end is no pages, as a catalog has it.
const TAIL: u64 = 14_876;

/// As a file of a format without checksums, and as one whose catalog has that of its end.
fn check(file: &[u8]) {
    let meta = meta(file.len());
    block_on(check_block(file, &BlockMeta { format: 2, ..meta.clone() }));
    let (length, tail) = (file.len() as u64, TAIL.min(file.len() as u64));
    let crc = crc32fast::hash(&file[(length - tail) as usize..]);
    block_on(check_block(file, &BlockMeta { file: Some(FileCheck { length, tail, crc }), ..meta }));
}

async fn check_block(file: &[u8], meta: &BlockMeta) {
    let (store, tenant): (Arc<dyn ObjectStore>, _) = (Arc::new(InMemory::new()), TenantId::single());
    let path = paths::block_prefix(&tenant, meta.id).join(SPANS_FILE);
    store.put(&path, PutPayload::from(file.to_vec())).await.expect("memory takes it");
    let read = async {
        let reader = BlockReader::open(store, &tenant, meta).await?;
        in_other_ways(&reader).await;
        drain(reader.read(&Projection::everything())?).await
    };
    match read.await {
        Ok(batches) => writes_what_it_read(&batches).await,
        Err(error) => assert!(error.to_string().contains(path.as_ref()), "{error} does not name {path}"),
    }
}

pub(crate) fn meta(bytes: usize) -> BlockMeta {
    BlockMeta {
        id: "0".repeat(32).parse::<BlockId>().expect("an id"),
        rows: 1,
        traces: 1,
        bytes: bytes as u64,
        range: TimeRange { start: 0, end: u64::MAX },
        format: 3,
        wal: None,
        level: 0,
        stored: 0,
        file: None,
    }
}

async fn drain(batches: SpanStream) -> Result<Vec<RecordBatch>, BlockError> {
    batches.try_collect().await
}

/// Some rows and columns, as queries and compaction want them. That something of the file cannot be read is told by the
/// caller's reading all of it.
async fn in_other_ways(reader: &BlockReader) {
    let budget = MemoryBudget::new(ByteSize::from_mib(32));
    let rows = reader.row_count();
    let some = [0..rows.min(3), rows / 2..rows.saturating_sub(1).max(rows / 2)];
    let some: Vec<_> = some.into_iter().filter(|range| !range.is_empty()).collect();
    let mut projection = Projection { fixed: vec!["name", "parent_span_id"], ..Projection::default() };
    projection.attribute(AttributeScope::Resource, "service.name");
    if some.is_sorted_by(|a, b| a.end <= b.start) {
        quiet(reader.read_rows(&some, &projection, &budget)).await;
        quiet(reader.trickle_rows(&some, &Projection::everything(), 7)).await;
    }
    let _ = reader.trickle_memory(rows, 7);
    let _ = reader.trace_runs(&budget).await.map(|runs| runs.len());
}

async fn quiet(batches: Result<SpanStream, BlockError>) {
    let Ok(mut batches) = batches else { return };
    while let Some(Ok(_)) = batches.next().await {}
}

fn spans(batches: &[RecordBatch]) -> Option<Vec<Span>> {
    let mut spans = Vec::new();
    for batch in batches {
        // Columns of other types than spans have are told by whoever looks at them.
        let mut decoder = SpanDecoder::new(batch).ok()?;
        spans.extend((0..batch.num_rows()).map(|row| decoder.span(row)));
    }
    Some(spans)
}

async fn writes_what_it_read(batches: &[RecordBatch]) {
    let Some(read) = spans(batches) else { return };
    if read.len() > WRITTEN_ROWS {
        return;
    }
    // Blocks of older formats may have spans twice, damaged ones anything in any order: a block is in order, so what it
    // has is what is left of it when it is written again.
    let Ok(built) = build_block(batches) else { return };
    let once = reread(built).await;
    let written = spans(&once).expect("what was written are spans");
    assert!(written.len() <= read.len(), "{} spans of {}", written.len(), read.len());
    let twice = reread(build_block(&once).expect("what was read is built")).await;
    // As text: a NaN is not equal to itself.
    assert_eq!(format!("{:?}", spans(&twice)), format!("{:?}", Some(written)));
}

async fn reread(built: vivace_storage::block::BuiltBlock) -> Vec<RecordBatch> {
    let (store, tenant) = (InMemory::new(), TenantId::single());
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    let meta = store_block(&*store, &tenant, meta(0).id, built, None).await.expect("memory takes it");
    let reader = BlockReader::open(store, &tenant, &meta).await.expect("what was written opens");
    drain(reader.read(&Projection::everything()).expect("reads")).await.expect("what was written is read")
}

#[cfg(test)]
mod tests {
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::{EnabledStatistics, WriterProperties};
    use vivace_storage::columns::SpanBatchBuilder;
    use vivace_testkit::TraceGenerator;

    use super::*;
    use crate::{example, found, run};

    /// Some spans without compression, so that mutations reach what is in the pages.
    fn plain(dictionaries: bool) -> Vec<u8> {
        let (store, tenant) = (InMemory::new(), TenantId::single());
        let mut generated = TraceGenerator::new(1).traces(3, 4);
        generated.iter_mut().for_each(|span| span.attributes.truncate(3));
        let mut builder = SpanBatchBuilder::default();
        generated.iter().for_each(|span| builder.push(span));
        let built = build_block(&[builder.finish()]).expect("builds");
        let batches = block_on(async {
            let meta = store_block(&store, &tenant, meta(0).id, built, None).await.expect("memory takes it");
            let path = paths::block_prefix(&tenant, meta.id).join(SPANS_FILE);
            let file = store.get(&path).await.expect("is there").bytes().await.expect("is there");
            ParquetRecordBatchReaderBuilder::try_new(file).expect("opens").build().expect("reads")
        });
        let batches: Vec<RecordBatch> = batches.map(|batch| batch.expect("reads")).collect();
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(dictionaries)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_key_value_metadata(Some(vec![KeyValue::new("vivace.format".to_owned(), "2".to_owned())]));
        let mut file = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut file, batches[0].schema(), Some(properties.build())).expect("writes");
        batches.iter().for_each(|batch| writer.write(batch).expect("writes"));
        writer.close().expect("writes");
        file
    }

    fn seeds() -> Vec<Vec<u8>> {
        let blocks = ["v1", "v2", "v3"].map(|format| example(&format!("block-{format}/spans.parquet")));
        [blocks.to_vec(), vec![plain(false), plain(true)], found("block")].concat()
    }

    #[test]
    fn mutated_blocks_are_read_or_refused() {
        run(&TARGET, seeds, 600);
    }
}
