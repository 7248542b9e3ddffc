use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::Arc;

use arrow::array::{FixedSizeBinaryArray, Int8Array, RecordBatch};
use futures::TryStreamExt;
use rustc_hash::FxHasher;
use vivace_base::{ErrorKind, Holder};
use vivace_model::TimeRange;
use vivace_model::schema;

use super::repeats::Repeats;
use super::{CheckContext, CheckError, CheckOptions, Finding, Report, repair};
use crate::block::SPANS_FILE;
use crate::columns::column;
use crate::index::{BlockIndex, INDEX_FILE, TraceIds, TraceRuns, TracesBuilder};
use crate::{BlockError, BlockMeta, BlockReader, Catalog, IndexError, Projection, limits, paths};

/// What was read of a block.
struct Rows {
    ids: TraceIds,
    runs: TraceRuns,
}

/// Reads a block and its index, and holds them against the catalog and each other.
pub(super) async fn check(
    options: &CheckOptions,
    context: &CheckContext,
    catalog: &Catalog,
    meta: &BlockMeta,
    repeats: &mut Repeats,
    report: &mut Report,
) -> Result<(), CheckError> {
    let folder = paths::block_prefix(catalog.tenant(), meta.id);
    let traces = meta.traces.saturating_mul(limits::INDEX_TRACE);
    let _traces = context.budget.reserve(Holder::Query, traces)?;
    let opened = BlockReader::open(Arc::clone(&context.store), catalog.tenant(), meta).await;
    let read = match opened {
        Ok(reader) => rows(context, &reader, meta, repeats).await.map(|rows| (reader, rows)),
        Err(error) => Err(error),
    };
    let (reader, rows) = match read {
        Ok(read) => read,
        Err(BlockError::NoMemory(refused)) => return Err(refused.into()),
        Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error.into()),
        Err(error) => {
            let finding = Finding::damage(folder.join(SPANS_FILE), error).losing(contents(meta));
            report.add(match options.repair {
                true => finding.done(repair::put_aside(context, catalog, meta).await?),
                false => finding,
            });
            return Ok(());
        }
    };
    report.counts.spans += rows.runs.row_count() as u64;
    let place = folder.join(INDEX_FILE);
    if let Some(problem) = index_problem(context, &reader, &rows).await? {
        let finding = Finding::damage(place, problem).losing("nothing but speed: it is made of the block");
        report.add(match options.repair {
            true => finding.done(repair::rebuild_index(context, &reader, meta).await?),
            false => finding,
        });
    }
    Ok(())
}

/// What is lost with a block.
fn contents(meta: &BlockMeta) -> String {
    let TimeRange { start, end } = meta.range;
    format!(
        "{} spans of {} traces between {start} and {end} (nanoseconds since 1970)",
        meta.rows, meta.traces
    )
}

/// Reads everything, a little at a time.
async fn rows(
    context: &CheckContext,
    reader: &BlockReader,
    meta: &BlockMeta,
    repeats: &mut Repeats,
) -> Result<Rows, BlockError> {
    let (count, batch_rows) = (reader.row_count(), limits::READ_BATCH_ROWS);
    let needed = reader.trickle_memory(count, batch_rows);
    let _batch = context.budget.reserve(Holder::Query, needed)?;
    let mut traces = TracesBuilder::default();
    let mut range: Option<TimeRange> = None;
    if count > 0 {
        let whole = 0..count;
        let mut batches =
            reader.trickle_rows(std::slice::from_ref(&whole), &Projection::everything(), batch_rows)?;
        while let Some(batch) = batches.try_next().await? {
            traces.add(&batch)?;
            count_repeats(&batch, repeats)?;
        }
    }
    let (ids, runs) = traces.finish();
    for entry in 0..runs.len() {
        let of = runs.range(entry);
        range = Some(range.map_or(of, |known| known.union(&of)));
    }
    let corrupt = |reason: String| BlockError::Corrupt { path: reader.path().to_string(), reason };
    if runs.row_count() as u64 != meta.rows || runs.len() as u64 != meta.traces {
        let (rows, traces) = (runs.row_count(), runs.len());
        let told = format!(
            "it has {rows} spans of {traces} traces, the catalog says {} of {}",
            meta.rows, meta.traces
        );
        return Err(corrupt(told));
    }
    if range.is_some_and(|range| range != meta.range) {
        return Err(corrupt("its spans are of other times than the catalog says".to_owned()));
    }
    Ok(Rows { ids, runs })
}

fn count_repeats(batch: &RecordBatch, repeats: &mut Repeats) -> Result<(), BlockError> {
    let traces: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
    let spans: &FixedSizeBinaryArray = column(batch, schema::SPAN_ID)?;
    let kinds: &Int8Array = column(batch, schema::KIND)?;
    let hasher = BuildHasherDefault::<FxHasher>::default();
    for row in 0..batch.num_rows() {
        repeats.add(hasher.hash_one((traces.value(row), spans.value(row), kinds.value(row))));
    }
    Ok(())
}

/// What is wrong with a block's index.
async fn index_problem(
    context: &CheckContext,
    reader: &BlockReader,
    rows: &Rows,
) -> Result<Option<String>, CheckError> {
    let checked = async {
        let path = reader.index_path().clone();
        let index = BlockIndex::open(Arc::clone(&context.store), path, &context.budget).await?;
        index.check(&context.budget).await?;
        Ok::<_, IndexError>((
            index.trace_ids(&context.budget).await?,
            index.trace_runs(&context.budget).await?,
        ))
    };
    let (ids, runs) = match checked.await {
        Ok(found) => found,
        Err(IndexError::NoMemory(refused)) => return Err(refused.into()),
        Err(error) if error.is_lasting() => return Ok(Some(error.to_string())),
        Err(error) => {
            let path = reader.index_path().to_string();
            let source = object_store::Error::Generic { store: "object store", source: error.into() };
            return Err(CheckError::Store { operation: "read", path, source });
        }
    };
    let other_ids = ids.is_some_and(|ids| !ids.iter().eq(rows.ids.iter()));
    let other_runs = runs.is_some_and(|runs| !same_runs(&runs, &rows.runs));
    Ok((other_ids || other_runs).then(|| "it tells other traces than the block has".to_owned()))
}

fn same_runs(one: &TraceRuns, other: &TraceRuns) -> bool {
    let of = |runs: &TraceRuns, entry| (runs.rows(entry), runs.range(entry), runs.root(entry));
    one.len() == other.len() && (0..one.len()).all(|entry| of(one, entry) == of(other, entry))
}
