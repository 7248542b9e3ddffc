use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use vivace_base::{BlockId, DurationHistogram, Holder, Reservation};
use vivace_model::TenantId;
use vivace_storage::block::{build_block, store_block};
use vivace_storage::{Wal, WalRange, limits};

use crate::IngestError;
use crate::head::{Frozen, Head, Prepared};
use crate::pipeline::{IngestContext, IngestOptions};

/// How often heads are looked at for age.
const TICK: Duration = Duration::from_millis(500);
/// How long a failed cut is left alone: doubling from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// Queries that hold what a block's build needs are waited for so often, so long each time.
const ROOM_LOOKS: u32 = 40;
const ROOM_PAUSE: Duration = Duration::from_millis(25);
/// Building a block takes about the head's arrays again, sorted, and the file's bytes.
const BUILD_FACTOR: u64 = 2;

/// What building a block of so many bytes of head takes. The index is made before the second copy of the head; what it
/// keeps of rows and traces ([`limits::INDEX_ROW`], [`limits::INDEX_TRACE`]) is less than a row takes in the head.
fn build_memory(head_bytes: u64) -> u64 {
    let with_index = head_bytes.saturating_add(limits::INDEX_BUILD);
    head_bytes.saturating_mul(BUILD_FACTOR).max(with_index)
}

/// Makes blocks of heads: one at a time, so that what builds need is bounded.
#[derive(Debug)]
pub(crate) struct Cutter {
    context: IngestContext,
    head: Arc<Head>,
    wal: Arc<Wal<Prepared>>,
    max_age: Duration,
    one_at_a_time: Mutex<()>,
    /// Someone needs room: cut everything, whatever its size and age.
    pressure: AtomicBool,
    release_allowed: AtomicBool,
    due_bytes: u64,
    stats: std::sync::Mutex<CutStats>,
}

/// How many cuts there were since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CutStats {
    /// Begun because the head was large enough.
    pub by_size: u64,
    /// Begun because its oldest span had waited long enough.
    pub by_age: u64,
    /// Begun for neither reason: memory was short, or the server was stopping.
    pub at_once: u64,
    /// Ended with a block in the catalog, and how long they took.
    pub completed: DurationHistogram,
    /// Failed; their spans stay in the head and are tried again.
    pub failed: u64,
}

impl Cutter {
    pub(crate) fn new(
        options: &IngestOptions,
        context: IngestContext,
        head: Arc<Head>,
        wal: Arc<Wal<Prepared>>,
    ) -> Self {
        Self {
            context,
            head,
            wal,
            max_age: options.max_block_age,
            one_at_a_time: Mutex::default(),
            pressure: AtomicBool::new(false),
            release_allowed: AtomicBool::new(false),
            due_bytes: options.max_block_bytes.bytes(),
            stats: std::sync::Mutex::default(),
        }
    }

    /// Cuts what is due until told to stop.
    pub(crate) async fn run(&self, stopping: &Notify) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = stopping.notified() => return,
                () = self.head.due.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            let due = if self.pressure.swap(false, Ordering::Relaxed) {
                self.head.tenants()
            } else {
                self.head.due(self.max_age)
            };
            match self.cut_each(&due).await {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) => {
                    tracing::warn!(%error, retry_in = ?pause, "could not cut a block; its spans stay in the head");
                    tokio::select! {
                        () = stopping.notified() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }

    /// Where the blocks go.
    #[cfg(test)]
    pub(crate) fn store(&self) -> Arc<dyn object_store::ObjectStore> {
        Arc::clone(&self.context.store)
    }

    /// Asks for room: every head is cut soon.
    pub(crate) fn relieve(&self) {
        self.pressure.store(true, Ordering::Relaxed);
        self.head.due.notify_one();
    }

    /// From now on segments of the write-ahead log may go, and those do that need not be replayed again; not before its
    /// replay is over.
    pub(crate) async fn allow_release(&self) {
        self.release_allowed.store(true, Ordering::Relaxed);
        self.release_wal().await;
    }

    /// Cuts every head: first what an earlier try set apart, then what came since.
    pub(crate) async fn cut_all(&self) -> Result<(), IngestError> {
        self.cut_each(&self.head.tenants()).await?;
        self.cut_each(&self.head.tenants()).await?;
        self.release_wal().await;
        Ok(())
    }

    pub(crate) fn stats(&self) -> CutStats {
        *self.counters()
    }

    fn counters(&self) -> MutexGuard<'_, CutStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One tenant's trouble does not keep the others' spans in memory; the last error is returned.
    async fn cut_each(&self, tenants: &[TenantId]) -> Result<(), IngestError> {
        let mut outcome = Ok(());
        for tenant in tenants {
            if let Err(error) = self.cut(tenant).await {
                self.counters().failed += 1;
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn cut(&self, tenant: &TenantId) -> Result<(), IngestError> {
        let _one = self.one_at_a_time.lock().await;
        let Some(frozen) = self.head.freeze(tenant) else { return Ok(()) };
        self.count_begun(&frozen);
        let began = self.context.clock.monotonic();
        let workspace = self.room_to_build(build_memory(frozen.bytes)).await;
        self.commit_block(tenant, frozen).await?;
        drop(workspace);
        self.head.discard_frozen(tenant);
        self.counters().completed.record(self.context.clock.monotonic().saturating_sub(began));
        self.release_wal().await;
        Ok(())
    }

    /// Cutting is what gives memory back, so it is never refused; but queries that are under way get a moment to leave
    /// room for it.
    async fn room_to_build(&self, bytes: u64) -> Reservation {
        let budget = &self.context.budget;
        let workspace = budget.insist(Holder::BlockBuild, bytes);
        for _ in 0..ROOM_LOOKS {
            let over = budget.reserved().bytes().saturating_sub(budget.limit().bytes());
            if over == 0 || budget.reserved_by(Holder::Query).bytes() == 0 {
                break;
            }
            budget.make_room(over);
            tokio::time::sleep(ROOM_PAUSE).await;
        }
        workspace
    }

    fn count_begun(&self, frozen: &Frozen) {
        let (large, old) = (frozen.bytes >= self.due_bytes, frozen.age >= self.max_age);
        if frozen.fresh {
            let mut counters = self.counters();
            counters.by_size += u64::from(large);
            counters.by_age += u64::from(old);
            counters.at_once += u64::from(!large && !old);
        }
    }

    async fn commit_block(&self, tenant: &TenantId, frozen: Frozen) -> Result<(), IngestError> {
        let Frozen { first, last, batches, .. } = frozen;
        let writer = self.wal.writer_id().to_owned();
        let catalog = self.context.catalogs.get_or_create(tenant).await?;
        // An earlier try may have committed without hearing of it.
        if self.counters().failed > 0 && catalog.refresh().await?.covered_through(&writer) >= last {
            return Ok(());
        }
        let built = tokio::task::spawn_blocking(move || build_block(&batches))
            .await
            .map_err(|error| IngestError::Defect(error.to_string()))??;
        let id = BlockId::generate(self.context.clock.now(), &*self.context.randomness);
        let range = WalRange { writer, first, last };
        let meta = store_block(&*self.context.store, tenant, id, built, Some(range)).await?;
        let snapshot = catalog.commit(|snapshot| snapshot.with_block(&meta)).await?;
        if snapshot.blocks.iter().any(|block| block.id == id) {
            tracing::debug!(%tenant, block = %id, spans = meta.rows, bytes = meta.bytes, "cut a block");
        } else {
            // What this try wrote is found as garbage.
            tracing::debug!(%tenant, block = %id, "an earlier try had been committed after all");
        }
        Ok(())
    }

    async fn release_wal(&self) {
        if !self.release_allowed.load(Ordering::Relaxed) {
            return;
        }
        let through = self.head.releasable();
        let wal = Arc::clone(&self.wal);
        match tokio::task::spawn_blocking(move || wal.release(through)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "write-ahead log segments stay until the next cut"),
            Err(error) => tracing::error!(%error, "releasing the write-ahead log ended badly"),
        }
    }
}
