use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use object_store::ObjectStore;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use vivace_base::{
    ByteSize, Clock, DurationHistogram, ErrorKind, FileSystem, Holder, MemoryBudget, Randomness,
};
use vivace_model::TenantId;
use vivace_storage::columns::AttributeOrder;
use vivace_storage::{Catalogs, LiveSpans, Record, Replay, Replayed, Snapshot, Wal, WalOptions, WalStats};

use crate::IngestError;
use crate::cut::{CutStats, Cutter};
use crate::distance::{Distances, distances};
use crate::head::{Head, HeadSink, HeadStats, Prepared};
use crate::join::Joiner;
use crate::otlp::{self, Columns, Rejections, Truncated};

/// Format tag of write-ahead log records: a binary OTLP `ExportTraceServiceRequest` as it was received. Its spans with bad
/// ids were refused and do not count.
const OTLP_PROTOBUF: u8 = 1;
/// The same, followed by the length at which keys and texts of attributes were cut: four bytes, little endian.
const CUT_OTLP_PROTOBUF: u8 = 2;
/// Requests above this many bytes are converted on a thread of their own, so that they hold up nobody.
const LARGE_REQUEST: usize = 256 * 1024;
/// The log's newest file stays when all of it is in blocks, so a smaller log could be full for good.
const SMALLEST_LOG: ByteSize = ByteSize::from_mib(32);
/// How long a batch waits for room in the head before it is refused: this often, this long.
const ROOM_TRIES: u32 = 20;
const ROOM_PAUSE: Duration = Duration::from_millis(100);

/// How spans are taken in.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// Where the write-ahead log lives.
    pub wal_dir: PathBuf,
    /// Batches are refused while the log has so much: it waits for blocks, which the object store may not take.
    pub max_wal_bytes: ByteSize,
    /// A tenant's head is cut into a block when it holds this much.
    pub max_block_bytes: ByteSize,
    /// A tenant's head is cut into a block when its oldest span has been in it this long.
    pub max_block_age: Duration,
}

/// What ingest stands on.
#[derive(Debug, Clone)]
pub struct IngestContext {
    /// Where the write-ahead log goes.
    pub files: Arc<dyn FileSystem>,
    /// Where blocks go.
    pub store: Arc<dyn ObjectStore>,
    /// What names them.
    pub catalogs: Arc<Catalogs>,
    /// Where memory comes from.
    pub budget: Arc<MemoryBudget>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub randomness: Arc<dyn Randomness>,
    /// What each tenant may send.
    pub policies: Arc<dyn IngestPolicies>,
}

/// What is taken of a tenant's spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IngestPolicy {
    /// Keys and texts of attributes that are longer are cut.
    pub max_attribute_bytes: usize,
}

/// Looks up a tenant's policy, for each request.
pub trait IngestPolicies: Send + Sync + Debug {
    /// What holds for the tenant now.
    fn policy(&self, tenant: &TenantId) -> IngestPolicy;
}

/// The same for every tenant.
impl IngestPolicies for IngestPolicy {
    fn policy(&self, _: &TenantId) -> IngestPolicy {
        *self
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Spans that are durable and queryable now.
    pub accepted: u64,
    /// Spans that were refused for their trace id.
    pub invalid_trace_id: u64,
    /// Spans that were refused for their span id.
    pub invalid_span_id: u64,
    /// Keys and texts of attributes that were cut.
    pub truncated: Truncated,
    /// Which were refused and why, and which attributes were left out or cut; OTLP `error_message`. Empty when all was
    /// taken as it is.
    pub message: String,
    /// How far from now the accepted ones ended.
    pub distances: Distances,
}

impl Accepted {
    /// Spans that were refused; OTLP `rejected_spans`.
    pub fn rejected(&self) -> u64 {
        self.invalid_trace_id + self.invalid_span_id
    }
}

/// What has been taken in since the start, for `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngestStats {
    /// Spans accepted.
    pub spans_received: u64,
    /// Bytes of the OTLP requests they came in.
    pub bytes_received: u64,
    /// Spans refused for a bad trace id.
    pub invalid_trace_id: u64,
    /// Spans refused for a bad span id.
    pub invalid_span_id: u64,
    /// Waits of batches for room in the head.
    pub waits_for_room: DurationHistogram,
    /// What is in the live head now.
    pub heads: Vec<HeadStats>,
    /// Blocks cut.
    pub cuts: CutStats,
}

impl IngestStats {
    /// Spans in the live head now.
    pub fn head_spans(&self) -> u64 {
        self.heads.iter().map(|head| head.spans).sum()
    }

    /// Bytes in the live head now.
    pub fn head_bytes(&self) -> u64 {
        self.heads.iter().map(|head| head.bytes).sum()
    }
}

#[derive(Debug, Default)]
struct Counters {
    spans: AtomicU64,
    bytes: AtomicU64,
    invalid_trace_id: AtomicU64,
    invalid_span_id: AtomicU64,
    waits_for_room: std::sync::Mutex<DurationHistogram>,
}

/// Takes spans in.
#[derive(Debug)]
pub struct Ingest {
    wal: Arc<Wal<Prepared>>,
    head: Arc<Head>,
    cutter: Arc<Cutter>,
    catalogs: Arc<Catalogs>,
    budget: Arc<MemoryBudget>,
    max_wal_bytes: ByteSize,
    policies: Arc<dyn IngestPolicies>,
    clock: Arc<dyn Clock>,
    order: Arc<AttributeOrder>,
    counters: Counters,
    joining: JoinHandle<()>,
    stopping: Arc<Notify>,
    cutting: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Ingest {
    /// Opens the write-ahead log and brings what no block has back into the head. Blocks are cut from
    /// [`Ingest::start`] on, or when a [`Ingest::flush`] asks for it.
    ///
    /// # Errors
    /// [`IngestError`] when the log cannot be opened or the budget cannot hold one block.
    pub async fn open(options: IngestOptions, context: IngestContext) -> Result<Arc<Self>, IngestError> {
        let head = Head::new(Arc::clone(&context.clock), options.max_block_bytes.bytes());
        let defaults =
            WalOptions::new(&options.wal_dir, Arc::clone(&context.clock), Arc::clone(&context.randomness));
        let wal_options = WalOptions { files: Arc::clone(&context.files), ..defaults };
        let (wal, replay) = Wal::open(wal_options, HeadSink(Arc::clone(&head)))?;
        head.set_writer(wal.writer_id());
        let IngestContext { catalogs, budget, policies, clock, .. } = context.clone();
        let cutter = Arc::new(Cutter::new(&options, context, Arc::clone(&head), Arc::clone(&wal)));
        let order = Arc::new(AttributeOrder::default());
        let joiner = Joiner::new(Arc::clone(&head), Arc::clone(&budget), Arc::clone(&order));
        let ingest = Arc::new(Self {
            wal,
            head,
            cutter,
            catalogs,
            budget,
            max_wal_bytes: options.max_wal_bytes.max(SMALLEST_LOG),
            policies,
            clock,
            order,
            counters: Counters::default(),
            joining: tokio::spawn(Arc::new(joiner).run()),
            stopping: Arc::new(Notify::new()),
            cutting: std::sync::Mutex::default(),
        });
        ingest.replay(replay).await?;
        Ok(ingest)
    }

    /// Cuts blocks in the background from now on, until [`Ingest::shutdown`].
    pub fn start(&self) {
        let (cutter, stopping) = (Arc::clone(&self.cutter), Arc::clone(&self.stopping));
        let task = tokio::spawn(async move { cutter.run(&stopping).await });
        *self.cutting.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(task);
    }

    /// What is queryable before it is in a block.
    pub fn live(&self) -> Arc<dyn LiveSpans> {
        Arc::clone(&self.head) as Arc<dyn LiveSpans>
    }

    /// Takes a binary `ExportTraceServiceRequest`: valid spans are durable and queryable when this returns, bad ones are
    /// counted and named.
    ///
    /// # Errors
    /// [`IngestError`]: nothing of the batch is acknowledged.
    pub async fn export(
        self: &Arc<Self>,
        tenant: &TenantId,
        payload: Bytes,
    ) -> Result<Accepted, IngestError> {
        let IngestPolicy { max_attribute_bytes } = self.policies.policy(tenant);
        let Columns { spans, rejections } = self.decode(payload.clone(), max_attribute_bytes).await?;
        self.count_rejections(&rejections);
        let outcome = Accepted {
            accepted: spans.num_rows() as u64,
            invalid_trace_id: rejections.invalid_trace_id,
            invalid_span_id: rejections.invalid_span_id,
            truncated: rejections.truncated,
            message: rejections.message(),
            distances: distances(&spans, self.clock.now()),
        };
        if outcome.accepted == 0 {
            return Ok(outcome);
        }
        self.refuse_when_full()?;
        self.catalogs.get_or_create(tenant).await?;
        let attachment = self.prepare(spans).await?;
        let bytes = payload.len() as u64;
        let (format, payload) = match outcome.truncated.total() {
            0 => (OTLP_PROTOBUF, payload),
            _ => (CUT_OTLP_PROTOBUF, with_cut(payload, max_attribute_bytes)),
        };
        let record = Record { tenant: tenant.clone(), format, payload, attachment };
        self.wal.append(record).await?;
        self.counters.spans.fetch_add(outcome.accepted, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(outcome)
    }

    /// The log keeps what no block has; its newest file stays, however much of it is in blocks.
    fn refuse_when_full(&self) -> Result<(), IngestError> {
        let (bytes, limit) = (ByteSize::from_bytes(self.wal.stats().bytes), self.max_wal_bytes);
        if bytes < limit {
            return Ok(());
        }
        self.cutter.relieve();
        Err(IngestError::LogFull { bytes, limit })
    }

    async fn decode(&self, payload: Bytes, max_attribute_bytes: usize) -> Result<Columns, IngestError> {
        if payload.len() <= LARGE_REQUEST {
            return otlp::columns(&payload, &self.order, max_attribute_bytes);
        }
        let order = Arc::clone(&self.order);
        let decode =
            tokio::task::spawn_blocking(move || otlp::columns(&payload, &order, max_attribute_bytes));
        decode.await.map_err(|error| IngestError::Defect(error.to_string()))?
    }

    /// Cuts every head into blocks and waits until they are committed.
    ///
    /// # Errors
    /// [`IngestError`] when a block could not be stored; its spans stay in the write-ahead log.
    pub async fn flush(&self) -> Result<(), IngestError> {
        self.cutter.cut_all().await
    }

    /// Stops taking spans, flushes, closes the write-ahead log.
    ///
    /// # Errors
    /// As [`Ingest::flush`]; the log is closed all the same.
    pub async fn shutdown(&self) -> Result<(), IngestError> {
        self.stopping.notify_one();
        let task = lock(&self.cutting).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "cutting blocks ended badly");
        }
        let wal = Arc::clone(&self.wal);
        let closed = tokio::task::spawn_blocking(move || wal.close()).await;
        let flushed = self.flush().await;
        closed.map_err(|error| IngestError::Defect(error.to_string()))?;
        flushed
    }

    /// What has been taken in since the start.
    pub fn stats(&self) -> IngestStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        IngestStats {
            spans_received: read(&self.counters.spans),
            bytes_received: read(&self.counters.bytes),
            invalid_trace_id: read(&self.counters.invalid_trace_id),
            invalid_span_id: read(&self.counters.invalid_span_id),
            waits_for_room: *lock(&self.counters.waits_for_room),
            heads: self.head.stats(),
            cuts: self.cutter.stats(),
        }
    }

    /// Figures about the write-ahead log.
    pub fn wal_stats(&self) -> WalStats {
        self.wal.stats()
    }

    fn count_rejections(&self, rejections: &Rejections) {
        self.counters.invalid_trace_id.fetch_add(rejections.invalid_trace_id, Ordering::Relaxed);
        self.counters.invalid_span_id.fetch_add(rejections.invalid_span_id, Ordering::Relaxed);
    }

    /// Reserves room in the head. When there is none, heads are cut early and the batch waits a little.
    async fn prepare(&self, spans: RecordBatch) -> Result<Prepared, IngestError> {
        let bytes = spans.get_array_memory_size() as u64;
        let mut tries = 0;
        let outcome = loop {
            match self.budget.reserve(Holder::Head, bytes) {
                Ok(reservation) => break Ok(Prepared { spans, reservation }),
                Err(refused) if tries == ROOM_TRIES => break Err(refused.into()),
                Err(_) => self.cutter.relieve(),
            }
            tries += 1;
            tokio::time::sleep(ROOM_PAUSE).await;
        };
        if tries > 0 {
            lock(&self.counters.waits_for_room).record(ROOM_PAUSE * tries);
        }
        outcome
    }

    /// Brings back what the write-ahead log has and no block has. Blocks are cut on the way when memory asks for it.
    async fn replay(self: &Arc<Self>, mut replay: Replay) -> Result<(), IngestError> {
        let (mut records, mut spans) = (0_u64, 0_u64);
        let mut fenced = BTreeSet::new();
        loop {
            let (next, rest) = tokio::task::spawn_blocking(move || (replay.next(), replay))
                .await
                .map_err(|error| IngestError::Defect(error.to_string()))?;
            replay = rest;
            let record = match next {
                None => break,
                Some(Ok(record)) => record,
                // Another start may read it; going on would have its segment released.
                Some(Err(error)) if error.kind() != ErrorKind::Corrupt => return Err(error.into()),
                Some(Err(error)) => {
                    self.wal.quarantine(&error);
                    continue;
                }
            };
            let covered = match self.is_covered(&record, &mut fenced).await {
                // Its requests get this error too. What the log has waits until the catalog is repaired.
                Err(IngestError::Catalog(error)) if error.kind() == ErrorKind::Corrupt => {
                    self.head.hold(record.seq);
                    continue;
                }
                covered => covered?,
            };
            let batch = if covered { None } else { self.replayed_columns(&record) };
            let Some(batch) = batch.filter(|batch| batch.num_rows() > 0) else {
                self.head.skip(record.seq);
                continue;
            };
            records += 1;
            spans += batch.num_rows() as u64;
            let prepared = self.prepare_replayed(batch).await?;
            self.head.push(record.seq, &record.tenant, prepared);
        }
        if records > 0 {
            tracing::info!(records, spans, "brought back from the write-ahead log");
        }
        self.cutter.allow_release().await;
        Ok(())
    }

    /// Whether a block has the record. Before the first of a tenant that none has, the catalog is fenced: the process
    /// that wrote the log may have died while it committed just that block.
    async fn is_covered(
        &self,
        record: &Replayed,
        fenced: &mut BTreeSet<TenantId>,
    ) -> Result<bool, IngestError> {
        let catalog = self.catalogs.get_or_create(&record.tenant).await?;
        let covers = |snapshot: &Snapshot| snapshot.covered_through(self.wal.writer_id()) >= record.seq;
        if covers(&catalog.snapshot()) {
            return Ok(true);
        }
        if fenced.contains(&record.tenant) {
            return Ok(false);
        }
        let snapshot = catalog.fence().await?;
        fenced.insert(record.tenant.clone());
        Ok(covers(&snapshot))
    }

    async fn prepare_replayed(&self, batch: RecordBatch) -> Result<Prepared, IngestError> {
        let bytes = batch.get_array_memory_size() as u64;
        if let Ok(reservation) = self.budget.reserve(Holder::Head, bytes) {
            return Ok(Prepared { spans: batch, reservation });
        }
        self.cutter.cut_all().await?;
        let reservation = self.budget.reserve(Holder::Head, bytes)?;
        Ok(Prepared { spans: batch, reservation })
    }

    fn replayed_columns(&self, record: &Replayed) -> Option<RecordBatch> {
        let known = match record.format {
            OTLP_PROTOBUF => Some((record.payload.as_ref(), usize::MAX)),
            CUT_OTLP_PROTOBUF => without_cut(&record.payload),
            _ => None,
        };
        let Some((payload, max_attribute_bytes)) = known else {
            tracing::error!(
                seq = record.seq,
                format = record.format,
                "unknown record in the write-ahead log; skipped"
            );
            return None;
        };
        match otlp::columns(payload, &self.order, max_attribute_bytes) {
            Ok(columns) => Some(columns.spans),
            Err(error) => {
                tracing::error!(seq = record.seq, %error, "undecodable record in the write-ahead log; skipped");
                None
            }
        }
    }
}

/// A payload of which attributes were cut at this length, so that replay cuts it there whatever the limit is then.
fn with_cut(payload: Bytes, max_attribute_bytes: usize) -> Bytes {
    // No request is so long that anything is cut at a length that 32 bits cannot say.
    let length = u32::try_from(max_attribute_bytes).unwrap_or(u32::MAX);
    let mut payload = BytesMut::from(payload);
    payload.extend_from_slice(&length.to_le_bytes());
    payload.freeze()
}

fn without_cut(payload: &[u8]) -> Option<(&[u8], usize)> {
    let (payload, length) = payload.split_last_chunk()?;
    Some((payload, usize::try_from(u32::from_le_bytes(*length)).ok()?))
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.joining.abort();
    }
}

#[cfg(test)]
mod tests;
