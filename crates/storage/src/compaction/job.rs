//! One job: some blocks become one, whose objects are in the store when it ends. No catalog names it yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::AsyncWriteExt;
use vivace_base::{BlockId, Clock, Holder, MemoryBudget, UnixNanos};
use vivace_model::TenantId;
use vivace_model::schema::{self, AttributeScope};

use super::density::Densities;
use super::memory::JobMemory;
use super::merge::Merge;
use super::runs::{Runs, SortedRuns};
use super::{CompactionContext, CompactionError, Job};
use crate::block::{BlockWriter, SPANS_FILE};
use crate::index::INDEX_FILE;
use crate::{BlockError, BlockMeta, BlockReader, Projection, limits, paths};

/// How long a job steps back when queries are running.
const STEP_BACK: Duration = Duration::from_millis(5);

/// What a job under way may be told.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// The server is stopping.
    pub(super) stop: Arc<AtomicBool>,
    /// Somebody needs the memory. A job that may not give way has a flag of its own, which nobody sets.
    pub(super) give_way: Arc<AtomicBool>,
}

/// What a job did.
#[derive(Debug)]
pub(super) struct Done {
    /// What the catalog is to say about the block.
    pub(super) meta: BlockMeta,
    /// Rows of the inputs.
    pub(super) rows_read: u64,
    /// Traces that had parts in several blocks.
    pub(super) joined: u64,
}

/// Does a job for a tenant under the block name `id`. CPU work is done where this is polled: on a thread that may be
/// kept busy.
///
/// # Errors
/// [`CompactionError`]; what was written is deleted if that can be done.
pub(super) async fn run(
    context: &CompactionContext,
    told: &Told,
    tenant: &TenantId,
    job: &Job,
    id: BlockId,
) -> Result<Done, CompactionError> {
    let mut memory = JobMemory::for_footers(&context.budget, job.inputs.len())?;
    let mut inputs = Vec::with_capacity(job.inputs.len());
    for meta in &job.inputs {
        let opened = BlockReader::open(Arc::clone(&context.store), tenant, meta).await;
        inputs.push(opened.map_err(CompactionError::input(meta.id))?);
    }
    memory.for_rows(&job.inputs, &inputs)?;
    let mut pace = Pace::new(context, told.clone());
    let (runs, densities) = scan(&inputs, &job.inputs, &mut pace).await?;
    memory.for_traces(runs.longest())?;
    let writer = BlockWriter::new(densities.choose())?.for_good();
    let mut output = Output::new(&context.store, tenant, id, pace);
    match write(&inputs, &runs, writer, &mut output, &mut memory).await {
        Ok((built, joined)) => {
            let rows_read = job.inputs.iter().map(|block| block.rows).sum();
            let meta = BlockMeta { level: job.level, stored: newest(&job.inputs), ..built };
            Ok(Done { meta, rows_read, joined })
        }
        Err(error) => {
            output.discard().await;
            Err(error)
        }
    }
}

fn newest(inputs: &[BlockMeta]) -> UnixNanos {
    inputs.iter().map(|block| block.stored).max().unwrap_or_default()
}

/// The first pass over the inputs.
async fn scan(
    inputs: &[BlockReader],
    metas: &[BlockMeta],
    pace: &mut Pace,
) -> Result<(SortedRuns, Densities), CompactionError> {
    let traces = metas.iter().map(|block| block.traces).sum::<u64>();
    let mut runs = Runs::with_capacity(usize::try_from(traces).unwrap_or_default());
    let mut densities = Densities::default();
    let lists = AttributeScope::ALL.map(AttributeScope::list_column);
    let mut projection = Projection::default();
    projection.fixed.extend([schema::TRACE_ID, schema::START].into_iter().chain(lists));
    for (at, (input, meta)) in inputs.iter().zip(metas).enumerate() {
        let failed = CompactionError::input(meta.id);
        let corrupt = |reason: String| failed(BlockError::Corrupt { path: input.path().to_string(), reason });
        densities.add_input(input);
        runs.begin(u16::try_from(at).map_err(|_| CompactionError::Defect("too many inputs".to_owned()))?);
        let before = runs.len() as u64;
        let mut batches = input.read(&projection).map_err(&failed)?;
        while let Some(batch) = batches.try_next().await.map_err(&failed)? {
            let ordered = runs.add(&batch).map_err(|error| corrupt(error.to_string()))?;
            if !ordered {
                return Err(corrupt("its rows are not in the order of a block's rows".to_owned()));
            }
            if runs.len() as u64 - before > meta.traces {
                return Err(corrupt("it has more traces than the catalog says".to_owned()));
            }
            densities.add_lists(&batch).map_err(|error| corrupt(error.to_string()))?;
            pace.step().await?;
        }
    }
    Ok((runs.sort(), densities))
}

/// The second pass, and the index. What is returned lacks level and age.
async fn write(
    inputs: &[BlockReader],
    runs: &SortedRuns,
    writer: BlockWriter,
    output: &mut Output,
    memory: &mut JobMemory,
) -> Result<(BlockMeta, u64), CompactionError> {
    let (mut writer, joined) = Merge::new(inputs, runs, writer, output, memory).run(runs).await?;
    output.send(writer.take_bytes()).await?;
    let built = writer.finish()?;
    output.send(built.bytes).await?;
    output.finish(built.index).await?;
    let meta = BlockMeta {
        id: output.id,
        rows: built.rows,
        traces: built.traces,
        bytes: output.bytes,
        range: built.range,
        format: schema::FORMAT,
        wal: None,
        level: 0,
        stored: 0,
        file: Some(built.file),
    };
    Ok((meta, joined))
}

/// The objects of the block under construction.
pub(super) struct Output {
    store: Arc<dyn ObjectStore>,
    id: BlockId,
    spans_path: Path,
    index_path: Path,
    upload: Option<BufWriter>,
    bytes: u64,
    pace: Pace,
}

impl Output {
    fn new(store: &Arc<dyn ObjectStore>, tenant: &TenantId, id: BlockId, pace: Pace) -> Self {
        let folder = paths::block_prefix(tenant, id);
        let (spans_path, index_path) = (folder.clone().join(SPANS_FILE), folder.join(INDEX_FILE));
        let upload =
            BufWriter::with_capacity(Arc::clone(store), spans_path.clone(), limits::COMPACTION_UPLOAD_PART);
        let upload = Some(upload.with_max_concurrency(limits::COMPACTION_UPLOADS));
        Self { store: Arc::clone(store), id, spans_path, index_path, upload, bytes: 0, pace }
    }

    /// Sends off bytes of the spans' file.
    pub(super) async fn send(&mut self, bytes: Bytes) -> Result<(), CompactionError> {
        self.bytes += bytes.len() as u64;
        let Some(upload) = self.upload.as_mut().filter(|_| !bytes.is_empty()) else { return Ok(()) };
        upload.put(bytes).await.map_err(|error| unwritten(&self.spans_path, &error))
    }

    /// Between two pieces of work.
    pub(super) async fn pause(&mut self) -> Result<(), CompactionError> {
        self.pace.step().await
    }

    async fn finish(&mut self, index: Bytes) -> Result<(), CompactionError> {
        self.bytes += index.len() as u64;
        if let Some(mut upload) = self.upload.take() {
            let ended = upload.shutdown().await;
            ended.map_err(|error| {
                let source = error.downcast().unwrap_or_else(|error| object_store::Error::Generic {
                    store: "upload",
                    source: error.into(),
                });
                unwritten(&self.spans_path, &source)
            })?;
        }
        let written = self.store.put(&self.index_path, index.into()).await;
        written.map(|_| ()).map_err(|error| unwritten(&self.index_path, &error))
    }

    /// Takes back what can be taken back; the rest is found as garbage.
    async fn discard(mut self) {
        let aborted = match self.upload.take() {
            Some(mut upload) => upload.abort().await,
            None => Ok(()),
        };
        let deleted = delete(&*self.store, [self.spans_path, self.index_path]).await;
        if let Err(error) = aborted.and(deleted) {
            tracing::debug!(block = %self.id, %error, "what a failed compaction wrote stays for a while");
        }
    }
}

/// Deletes the objects of a block that no catalog came to name.
pub(super) async fn discard(store: &dyn ObjectStore, tenant: &TenantId, id: BlockId) {
    let folder = paths::block_prefix(tenant, id);
    let files = [folder.clone().join(SPANS_FILE), folder.join(INDEX_FILE)];
    if let Err(error) = delete(store, files).await {
        tracing::debug!(block = %id, %error, "what a compaction wrote in vain stays for a while");
    }
}

async fn delete(store: &dyn ObjectStore, files: [Path; 2]) -> object_store::Result<()> {
    for path in files {
        match store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn unwritten(path: &Path, error: &object_store::Error) -> CompactionError {
    BlockError::store("write block", path, error).into()
}

/// Keeps a job from being in the way of queries: while any runs, it rests about as long as it works.
pub(super) struct Pace {
    budget: Arc<MemoryBudget>,
    clock: Arc<dyn Clock>,
    told: Told,
    /// When the last rest ended.
    rested: Duration,
}

impl Pace {
    fn new(context: &CompactionContext, told: Told) -> Self {
        let (budget, clock) = (Arc::clone(&context.budget), Arc::clone(&context.clock));
        let rested = clock.monotonic();
        Self { budget, clock, told, rested }
    }

    /// Called after each piece of work.
    async fn step(&mut self) -> Result<(), CompactionError> {
        let worked = self.clock.monotonic().saturating_sub(self.rested);
        let mut rests = worked.as_millis() / STEP_BACK.as_millis();
        while rests > 0 && self.budget.reserved_by(Holder::Query).bytes() > 0 && !self.is_stopping() {
            tokio::time::sleep(STEP_BACK).await;
            rests -= 1;
        }
        self.rested = self.clock.monotonic();
        if self.is_stopping() {
            Err(CompactionError::Stopped)
        } else if self.told.give_way.load(Ordering::Relaxed) {
            Err(CompactionError::GaveWay)
        } else {
            Ok(())
        }
    }

    fn is_stopping(&self) -> bool {
        self.told.stop.load(Ordering::Relaxed)
    }
}
