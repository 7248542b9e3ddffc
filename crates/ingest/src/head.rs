use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use tokio::sync::Notify;
use vivace_base::{Clock, Reservation};
use vivace_model::TenantId;
use vivace_storage::block::SortedSpans;
use vivace_storage::{CommitSink, LiveBatch, LiveSnapshot, LiveSpans, Seq};

/// Two neighbouring batches are joined while together they have no more rows than this: many small requests must not
/// leave many small arrays behind.
const JOINED_ROWS: usize = 16_384;

/// Spans of one request as columns, and the memory they take.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) spans: RecordBatch,
    pub(crate) reservation: Reservation,
}

/// The live head: spans that are durable in the write-ahead log and not yet in a block, per tenant, as columns.
#[derive(Debug)]
pub(crate) struct Head {
    writer: OnceLock<String>,
    clock: Arc<dyn Clock>,
    tenants: Mutex<Tenants>,
    /// Told when a batch arrives that makes a tenant due.
    pub(crate) due: Notify,
    due_bytes: u64,
}

#[derive(Debug, Default)]
struct Tenants {
    by_id: BTreeMap<TenantId, TenantHead>,
    last_seen: Seq,
}

#[derive(Debug, Default)]
struct TenantHead {
    /// Being made into a block. Stays until the catalog has that block.
    frozen: Vec<HeadBatch>,
    active: Vec<HeadBatch>,
    /// When the oldest active batch came, on the monotonic clock.
    since: Duration,
}

#[derive(Debug)]
struct HeadBatch {
    first: Seq,
    last: Seq,
    spans: RecordBatch,
    reservation: Reservation,
    sorted: Arc<OnceLock<SortedSpans>>,
}

/// What is to become a block.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) bytes: u64,
    pub(crate) batches: Vec<RecordBatch>,
}

/// What the head holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HeadSize {
    pub(crate) spans: u64,
    pub(crate) bytes: u64,
}

impl Head {
    /// An empty head. A tenant is due for a block once it has `due_bytes`.
    pub(crate) fn new(clock: Arc<dyn Clock>, due_bytes: u64) -> Arc<Self> {
        let tenants = Mutex::default();
        Arc::new(Self { writer: OnceLock::new(), clock, tenants, due: Notify::new(), due_bytes })
    }

    /// Names the write-ahead log, once it is open.
    pub(crate) fn set_writer(&self, writer: &str) {
        self.writer.get_or_init(|| writer.to_owned());
    }

    /// Adds a durable batch; sequence numbers must grow.
    pub(crate) fn push(&self, seq: Seq, tenant: &TenantId, prepared: Prepared) {
        let mut tenants = self.lock();
        tenants.last_seen = seq;
        let head = tenants.by_id.entry(tenant.clone()).or_default();
        if head.active.is_empty() {
            head.since = self.clock.monotonic();
        }
        let Prepared { spans, reservation } = prepared;
        head.active.push(HeadBatch { first: seq, last: seq, spans, reservation, sorted: Arc::default() });
        head.join_small();
        if head.active_bytes() >= self.due_bytes {
            self.due.notify_one();
        }
    }

    /// Notes a record that needs no place in the head.
    pub(crate) fn skip(&self, seq: Seq) {
        self.lock().last_seen = seq;
    }

    /// Tenants whose head should become a block: too large, too old, or left over from a failed try.
    pub(crate) fn due(&self, max_age: Duration) -> Vec<TenantId> {
        let now = self.clock.monotonic();
        let is_due = |head: &TenantHead| {
            let old = !head.active.is_empty() && now.saturating_sub(head.since) >= max_age;
            !head.frozen.is_empty() || old || head.active_bytes() >= self.due_bytes
        };
        self.lock().by_id.iter().filter(|(_, head)| is_due(head)).map(|(tenant, _)| tenant.clone()).collect()
    }

    /// Tenants with spans in the head.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        self.lock().by_id.keys().cloned().collect()
    }

    /// Sets a tenant's spans apart to become a block, or gives again what an earlier try set apart.
    pub(crate) fn freeze(&self, tenant: &TenantId) -> Option<Frozen> {
        let mut tenants = self.lock();
        let head = tenants.by_id.get_mut(tenant)?;
        if head.frozen.is_empty() {
            head.frozen = std::mem::take(&mut head.active);
        }
        Some(Frozen {
            first: head.frozen.first()?.first,
            last: head.frozen.last()?.last,
            bytes: head.frozen.iter().map(|batch| batch.reservation.bytes()).sum(),
            batches: head.frozen.iter().map(|batch| batch.spans.clone()).collect(),
        })
    }

    /// Lets go of what was set apart, now that the catalog has it.
    pub(crate) fn discard_frozen(&self, tenant: &TenantId) {
        let mut tenants = self.lock();
        if let Some(head) = tenants.by_id.get_mut(tenant) {
            head.frozen.clear();
            if head.active.is_empty() {
                tenants.by_id.remove(tenant);
            }
        }
    }

    /// Up to which record the write-ahead log is no longer needed.
    pub(crate) fn releasable(&self) -> Seq {
        let tenants = self.lock();
        let firsts = tenants.by_id.values().filter_map(|head| head.frozen.first().or(head.active.first()));
        firsts.map(|batch| batch.first - 1).min().unwrap_or(tenants.last_seen)
    }

    /// What the head holds over all tenants.
    pub(crate) fn size(&self) -> HeadSize {
        let tenants = self.lock();
        let batches = tenants.by_id.values().flat_map(|head| head.frozen.iter().chain(&head.active));
        batches.fold(HeadSize::default(), |sum, batch| HeadSize {
            spans: sum.spans + batch.spans.num_rows() as u64,
            bytes: sum.bytes + batch.reservation.bytes(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Tenants> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantHead {
    fn active_bytes(&self) -> u64 {
        self.active.iter().map(|batch| batch.reservation.bytes()).sum()
    }

    /// Joins the newest batches as long as the last is not smaller than the one before, so that each span is copied a
    /// logarithmic number of times.
    fn join_small(&mut self) {
        while let [.., before, last] = self.active.as_slice() {
            let (rows_before, rows) = (before.spans.num_rows(), last.spans.num_rows());
            if rows < rows_before || rows + rows_before > JOINED_ROWS {
                return;
            }
            let Ok(spans) = concat_batches(&before.spans.schema(), [&before.spans, &last.spans]) else {
                return;
            };
            let bytes = spans.get_array_memory_size() as u64;
            let (Some(last), Some(before)) = (self.active.pop(), self.active.last_mut()) else { return };
            let both = before.reservation.bytes() + last.reservation.bytes();
            drop(last.reservation);
            // The joined arrays are not larger than the two were; a refusal leaves the smaller share in place.
            let _ = before.reservation.resize(bytes.min(both));
            before.last = last.last;
            before.spans = spans;
            before.sorted = Arc::default();
        }
    }
}

impl LiveSpans for Head {
    fn snapshot(&self, tenant: &TenantId) -> LiveSnapshot {
        let tenants = self.lock();
        let batches = tenants.by_id.get(tenant).map(|head| {
            let all = head.frozen.iter().chain(&head.active);
            all.map(live).collect()
        });
        LiveSnapshot {
            writer: self.writer.get().cloned().unwrap_or_default(),
            batches: batches.unwrap_or_default(),
        }
    }
}

fn live(batch: &HeadBatch) -> LiveBatch {
    LiveBatch { last: batch.last, spans: batch.spans.clone(), sorted: Arc::clone(&batch.sorted) }
}

/// Fills the head in the step that makes a batch durable.
pub(crate) struct HeadSink(pub(crate) Arc<Head>);

impl CommitSink<Prepared> for HeadSink {
    fn committed(&mut self, seq: Seq, tenant: &TenantId, attachment: Prepared) {
        self.0.push(seq, tenant, attachment);
    }
}
