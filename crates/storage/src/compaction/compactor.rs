use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use vivace_base::{BlockId, ErrorKind, UnixNanos};
use vivace_model::TenantId;

use super::collect::{collect, sweep};
use super::job::{Done, Told, discard, run};
use super::plan::nanos;
use super::stats::Counters;
use super::{
    CompactionContext, CompactionError, CompactionOptions, CompactionStats, Job, TenantPolicies,
    TenantPolicy, expired, plan,
};
use crate::{BlockMeta, Catalog, limits};

/// How often is looked for work that time alone brings.
const TICK: Duration = Duration::from_secs(30);
/// How long a tenant with trouble is left alone: doubling from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(300);

/// Merges, drops and deletes blocks in the background: one job at a time, each tenant in turn.
#[derive(Debug)]
pub struct Compactor {
    options: CompactionOptions,
    policies: Arc<dyn TenantPolicies>,
    context: CompactionContext,
    counters: Counters,
    /// One entry per tenant at most.
    tenants: Mutex<HashMap<TenantId, TenantState>>,
    /// Blocks that cannot be read are left as they are.
    damaged: Mutex<HashSet<BlockId>>,
    told: Told,
    /// The job before gave way to queries: the next one does not, so that blocks are merged however much is asked.
    gave_way: AtomicBool,
    stopped: Notify,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Clone, Default)]
struct TenantState {
    /// Times of the monotonic clock.
    left_alone_until: Duration,
    next_sweep: Duration,
    pause: Duration,
    /// There was nothing to do at this version of the catalog, and time alone brings nothing before then.
    idle: Option<(u64, Duration)>,
}

impl Compactor {
    /// A compactor that does nothing until [`Compactor::start`] or [`Compactor::round`].
    pub fn new(
        options: CompactionOptions,
        policies: Arc<dyn TenantPolicies>,
        context: CompactionContext,
    ) -> Arc<Self> {
        let compactor = Arc::new(Self {
            options,
            policies,
            context,
            counters: Counters::default(),
            tenants: Mutex::default(),
            damaged: Mutex::default(),
            told: Told::default(),
            gave_way: AtomicBool::new(false),
            stopped: Notify::new(),
            task: Mutex::default(),
        });
        let give_way = Arc::clone(&compactor.told.give_way);
        let relief = move |_| give_way.store(true, Ordering::Relaxed);
        compactor.context.budget.on_shortage(Box::new(relief));
        compactor
    }

    /// Works in the background from now on: when blocks come, and now and then.
    pub fn start(self: &Arc<Self>) {
        let compactor = Arc::clone(self);
        let task = tokio::spawn(async move { compactor.work().await });
        *lock(&self.task) = Some(task);
    }

    /// Stops between two pieces of work; a job under way is given up.
    pub async fn shutdown(&self) {
        self.told.stop.store(true, Ordering::Relaxed);
        self.stopped.notify_one();
        let task = lock(&self.task).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "compaction ended badly");
        }
    }

    /// What has been done since the start, and what is left.
    pub fn stats(&self) -> CompactionStats {
        self.counters.read()
    }

    async fn work(&self) {
        while !self.is_stopping() {
            if self.round().await {
                continue;
            }
            tokio::select! {
                () = self.stopped.notified() => return,
                () = self.context.catalogs.changed() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Does one job for each tenant that has any, drops what is kept no longer, and deletes what was dropped long ago.
    /// Whether another round may find more to do right away.
    pub async fn round(&self) -> bool {
        let mut busy = false;
        for tenant in self.context.catalogs.tenants() {
            if self.is_stopping() {
                return false;
            }
            if self.is_waiting(&tenant) {
                continue;
            }
            match self.serve(&tenant).await {
                Ok(did) => {
                    busy |= did;
                    self.change(&tenant, |state| state.pause = Duration::ZERO);
                }
                Err(CompactionError::Stopped) => return false,
                Err(error) => self.leave_alone(&tenant, &error).await,
            }
        }
        busy
    }

    /// Whether there is nothing to do for the tenant, or it is left alone after trouble.
    fn is_waiting(&self, tenant: &TenantId) -> bool {
        let now = self.context.clock.monotonic();
        let Some(state) = lock(&self.tenants).get(tenant).cloned() else { return false };
        let known = |version: u64| match self.context.catalogs.get(tenant) {
            Ok(Some(catalog)) => catalog.snapshot().version == version,
            _ => true,
        };
        let is_idle = state.idle.is_some_and(|(version, until)| now < until && known(version));
        is_idle || now < state.left_alone_until
    }

    /// One tenant's turn. A tenant whose catalog is damaged has none; that was logged when it was opened.
    async fn serve(&self, tenant: &TenantId) -> Result<bool, CompactionError> {
        let Ok(Some(catalog)) = self.context.catalogs.get(tenant) else { return Ok(false) };
        let policy = self.policies.policy(tenant);
        let (now, began) = (self.context.clock.now(), self.context.clock.monotonic());
        self.expire(&catalog, &policy, now).await?;
        self.delete(&catalog, now).await?;
        self.counters.retained(self.context.clock.monotonic().saturating_sub(began));
        let snapshot = catalog.snapshot();
        let jobs = match policy.compaction_disabled {
            true => Vec::new(),
            false => plan(&self.readable(&snapshot.blocks), now, policy.compaction_window, &self.options),
        };
        self.counters.planned(tenant, &snapshot, &jobs);
        let began = self.context.clock.monotonic();
        let Some(job) = jobs.into_iter().next() else {
            self.change(tenant, |state| state.idle = Some((snapshot.version, began + TICK)));
            return Ok(false);
        };
        let done = self.compact(&catalog, job).await;
        self.counters.busy(self.context.clock.monotonic().saturating_sub(began));
        done.map(|()| true)
    }

    async fn expire(
        &self,
        catalog: &Catalog,
        policy: &TenantPolicy,
        now: UnixNanos,
    ) -> Result<(), CompactionError> {
        let before = catalog.snapshot();
        if expired(&before.blocks, now, policy).is_empty() {
            return Ok(());
        }
        let gone = AtomicU64::new(0);
        let without = |snapshot: &crate::Snapshot| {
            let ids = expired(&snapshot.blocks, now, policy);
            gone.store(ids.len() as u64, Ordering::Relaxed);
            snapshot.without_blocks(&ids, now)
        };
        catalog.commit(without).await?;
        let gone = gone.into_inner();
        tracing::info!(tenant = %catalog.tenant(), blocks = gone, "blocks are kept no longer");
        self.counters.blocks_expired.fetch_add(gone, Ordering::Relaxed);
        Ok(())
    }

    async fn delete(&self, catalog: &Catalog, now: UnixNanos) -> Result<(), CompactionError> {
        let (store, options) = (&*self.context.store, &self.options);
        let collected = collect(store, catalog, now, options.removed_block_retention).await;
        let collected = collected.inspect_err(|_| self.count(&self.counters.delete_errors))?;
        self.counters.blocks_deleted.fetch_add(collected, Ordering::Relaxed);
        let time = self.context.clock.monotonic();
        let next_sweep = self.change(catalog.tenant(), |state| {
            let due = state.next_sweep;
            if due.is_zero() || due <= time {
                state.next_sweep = time + options.sweep_interval;
            }
            due
        });
        // Nothing is listed at the start of a server, when all tenants come at once.
        if next_sweep.is_zero() || next_sweep > time {
            return Ok(());
        }
        let swept = sweep(store, catalog, now, options.orphan_age).await;
        let swept = swept.inspect_err(|_| self.count(&self.counters.delete_errors))?;
        self.counters.orphans_deleted.fetch_add(swept, Ordering::Relaxed);
        Ok(())
    }

    /// Does a job, or as much of it as there is memory for, and commits what came out.
    async fn compact(&self, catalog: &Arc<Catalog>, mut job: Job) -> Result<(), CompactionError> {
        let id = BlockId::generate(self.context.clock.now(), &*self.context.randomness);
        let done = loop {
            match self.run_aside(catalog.tenant(), &job, id).await {
                Err(CompactionError::NoMemory(refused)) => {
                    job = job.halved().ok_or(CompactionError::NoMemory(refused))?;
                }
                done => break done?,
            }
        };
        let now = self.context.clock.now();
        if now.saturating_sub(id.created()) > nanos(self.options.orphan_age) / 2 {
            return Err(CompactionError::TooSlow);
        }
        let (old, new) = (job.ids(), std::slice::from_ref(&done.meta));
        let snapshot = catalog.commit(|snapshot| snapshot.replacing(&old, new, now)).await?;
        if snapshot.blocks.iter().any(|block| block.id == id) {
            let (blocks, rows) = (old.len(), done.meta.rows);
            tracing::debug!(tenant = %catalog.tenant(), block = %id, blocks, rows, level = job.level, "compacted");
            self.counters.job_done(&job, &done);
        } else {
            tracing::debug!(tenant = %catalog.tenant(), "the inputs of a compaction went away while it ran");
            self.count(&self.counters.jobs_in_vain);
            discard(&*self.context.store, catalog.tenant(), id).await;
        }
        Ok(())
    }

    /// Runs a job on a thread that it may keep busy.
    async fn run_aside(&self, tenant: &TenantId, job: &Job, id: BlockId) -> Result<Done, CompactionError> {
        let (context, mut told) = (self.context.clone(), self.told.clone());
        told.give_way.store(false, Ordering::Relaxed);
        if self.gave_way.swap(false, Ordering::Relaxed) {
            told.give_way = Arc::default();
        }
        let (tenant, job) = (tenant.clone(), job.clone());
        let runtime = tokio::runtime::Handle::current();
        let work = move || runtime.block_on(run(&context, &told, &tenant, &job, id));
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| CompactionError::Defect(error.to_string()))?
    }

    fn readable(&self, blocks: &[BlockMeta]) -> Vec<BlockMeta> {
        let damaged = lock(&self.damaged);
        blocks.iter().filter(|block| !damaged.contains(&block.id)).cloned().collect()
    }

    /// After trouble: a damaged block is not tried again, a tenant is not for a while.
    async fn leave_alone(&self, tenant: &TenantId, error: &CompactionError) {
        match error {
            CompactionError::GaveWay => {
                self.gave_way.store(true, Ordering::Relaxed);
                self.count(&self.counters.gave_way);
                tracing::debug!(%tenant, "compaction gives its memory to queries");
            }
            CompactionError::NoMemory(refused) => {
                self.count(&self.counters.waits_for_memory);
                tracing::debug!(%tenant, %refused, "compaction waits for memory");
            }
            CompactionError::Input { block, source } if source.kind() == ErrorKind::Corrupt => {
                self.count(&self.counters.errors);
                tracing::error!(%tenant, %block, %error, "a block cannot be compacted; it is left as it is");
                let mut damaged = lock(&self.damaged);
                if damaged.len() < limits::MAX_DAMAGED {
                    damaged.insert(*block);
                }
            }
            _ => {
                self.count(&self.counters.errors);
                tracing::warn!(%tenant, %error, "compaction failed; it is tried again");
            }
        }
        let now = self.context.clock.monotonic();
        self.change(tenant, |state| {
            state.pause = (state.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
            state.left_alone_until = now + state.pause;
        });
        // A commit may have been made without our hearing of it, or the inputs be gone.
        if let Ok(Some(catalog)) = self.context.catalogs.get(tenant)
            && let Err(error) = catalog.refresh().await
        {
            tracing::debug!(%tenant, %error, "the catalog cannot be read either");
        }
    }

    fn change<T>(&self, tenant: &TenantId, change: impl FnOnce(&mut TenantState) -> T) -> T {
        change(lock(&self.tenants).entry(tenant.clone()).or_default())
    }

    fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.told.stop.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
