use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::sync::Notify;
use vivace_base::{Clock, Reservation};
use vivace_model::TenantId;
use vivace_storage::block::SortedSpans;
use vivace_storage::{CommitSink, LiveBatch, LiveSnapshot, LiveSpans, Seq};

/// A batch of at least half as many rows is never joined with others.
const JOINED_ROWS: usize = 65_536;
/// Batches that take more than this together are not joined.
const JOINED_BYTES: u64 = 16 << 20;
/// So many batches of about one size are joined at once, and so many times larger is the next size.
const JOINED_AT_ONCE: usize = 4;

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
    /// Told when there may be something to join.
    grown: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Tenants {
    by_id: BTreeMap<TenantId, TenantHead>,
    last_seen: Seq,
    /// The first record that stays in the log although it is in no head.
    held: Option<Seq>,
    /// Those whose batches may have become joinable.
    grown: BTreeSet<TenantId>,
}

#[derive(Debug, Default)]
struct TenantHead {
    /// Being made into a block. Stays until the catalog has that block.
    frozen: Vec<HeadBatch>,
    active: Vec<HeadBatch>,
    /// When the oldest active batch came, on the monotonic clock.
    since: Duration,
    /// When the oldest frozen batch came.
    frozen_since: Duration,
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
    /// How long its oldest span has been in the head.
    pub(crate) age: Duration,
    /// Not left over from an earlier try.
    pub(crate) fresh: bool,
    pub(crate) batches: Vec<RecordBatch>,
}

/// Batches that should be one.
#[derive(Debug)]
pub(crate) struct Joinable {
    pub(crate) tenant: TenantId,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) bytes: u64,
    first: Seq,
    last: Seq,
}

/// What the head holds of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadStats {
    /// Whose.
    pub tenant: TenantId,
    /// Spans that are in no block yet.
    pub spans: u64,
    /// The memory they take.
    pub bytes: u64,
    /// How long the oldest of them has been in the head. After a restart it counts from then.
    pub age: Duration,
    /// Whether some are being made into a block.
    pub cutting: bool,
}

impl Head {
    /// An empty head. A tenant is due for a block once it has `due_bytes`.
    pub(crate) fn new(clock: Arc<dyn Clock>, due_bytes: u64) -> Arc<Self> {
        let (tenants, grown) = Default::default();
        Arc::new(Self { writer: OnceLock::new(), clock, tenants, due: Notify::new(), due_bytes, grown })
    }

    /// Told when [`joinable`](Self::joinable) may have an answer.
    pub(crate) fn grown(&self) -> Arc<Notify> {
        Arc::clone(&self.grown)
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
        if head.active_bytes() >= self.due_bytes {
            self.due.notify_one();
        }
        if head.small_batches().is_some() && tenants.grown.insert(tenant.clone()) {
            self.grown.notify_one();
        }
    }

    /// Batches to join next.
    pub(crate) fn joinable(&self) -> Option<Joinable> {
        let mut tenants = self.lock();
        while let Some(tenant) = tenants.grown.first().cloned() {
            let head = tenants.by_id.get(&tenant);
            if let Some(small) = head.and_then(|head| Some(&head.active[head.small_batches()?])) {
                let (first, last) = (small.first()?.first, small.last()?.last);
                let bytes = small.iter().map(|batch| batch.reservation.bytes()).sum();
                let batches = small.iter().map(|batch| batch.spans.clone()).collect();
                return Some(Joinable { tenant, batches, bytes, first, last });
            }
            tenants.grown.remove(&tenant);
        }
        None
    }

    /// Puts what was joined in the place of its parts, unless they have been set apart to become a block.
    pub(crate) fn put_joined(&self, parts: &Joinable, spans: RecordBatch, reservation: Reservation) {
        let mut tenants = self.lock();
        let Some(head) = tenants.by_id.get_mut(&parts.tenant) else { return };
        let Some(start) = head.active.iter().position(|batch| batch.first == parts.first) else { return };
        let end = start + parts.batches.len();
        if head.active.get(end - 1).is_some_and(|batch| batch.last == parts.last) {
            let (first, last) = (parts.first, parts.last);
            let joined = HeadBatch { first, last, spans, reservation, sorted: Arc::default() };
            head.active.splice(start..end, [joined]);
        }
    }

    /// Gives up on joining a tenant's batches until more come.
    pub(crate) fn leave_apart(&self, tenant: &TenantId) {
        self.lock().grown.remove(tenant);
    }

    /// Notes a record that needs no place in the head.
    pub(crate) fn skip(&self, seq: Seq) {
        self.lock().last_seen = seq;
    }

    /// Keeps a record in the log that cannot be brought back now.
    pub(crate) fn hold(&self, seq: Seq) {
        let mut tenants = self.lock();
        tenants.last_seen = seq;
        tenants.held = tenants.held.or(Some(seq));
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
        let fresh = head.frozen.is_empty();
        if fresh {
            head.frozen = std::mem::take(&mut head.active);
            head.frozen_since = head.since;
        }
        Some(Frozen {
            fresh,
            age: self.clock.monotonic().saturating_sub(head.frozen_since),
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
        let firsts = firsts.map(|batch| batch.first).chain(tenants.held);
        firsts.map(|first| first - 1).min().unwrap_or(tenants.last_seen)
    }

    /// What the head holds of each tenant.
    pub(crate) fn stats(&self) -> Vec<HeadStats> {
        let now = self.clock.monotonic();
        let stats = |(tenant, head): (&TenantId, &TenantHead)| {
            let batches = || head.frozen.iter().chain(&head.active);
            let cutting = !head.frozen.is_empty();
            let since = if cutting { head.frozen_since } else { head.since };
            HeadStats {
                tenant: tenant.clone(),
                spans: batches().map(|batch| batch.spans.num_rows() as u64).sum(),
                bytes: batches().map(|batch| batch.reservation.bytes()).sum(),
                age: now.saturating_sub(since),
                cutting,
            }
        };
        self.lock().by_id.iter().map(stats).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tenants> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantHead {
    fn active_bytes(&self) -> u64 {
        self.active.iter().map(|batch| batch.reservation.bytes()).sum()
    }

    /// The newest batches that should be one: enough of about one size, so that each span is copied a logarithmic number
    /// of times.
    fn small_batches(&self) -> Option<Range<usize>> {
        let rows = |at: usize| self.active[at].spans.num_rows();
        let (mut total, mut largest, mut bytes) = (0, 0, 0);
        for start in (0..self.active.len()).rev() {
            total += rows(start);
            bytes += self.active[start].reservation.bytes();
            largest = largest.max(rows(start));
            if total > JOINED_ROWS || bytes > JOINED_BYTES || largest > JOINED_ROWS / 2 {
                return None;
            }
            let older_is_larger = start == 0 || rows(start - 1) >= JOINED_AT_ONCE * largest;
            let enough = self.active.len() - start >= JOINED_AT_ONCE && total >= 2 * largest;
            if enough && (older_is_larger || total >= JOINED_AT_ONCE * largest) {
                return Some(start..self.active.len());
            }
        }
        None
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

    fn last(&self, tenant: &TenantId) -> Seq {
        let tenants = self.lock();
        let head = tenants.by_id.get(tenant);
        head.and_then(|head| head.active.last().or(head.frozen.last())).map_or(0, |batch| batch.last)
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
