use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vivace_base::{DurationHistogram, UnixNanos};
use vivace_model::TenantId;

use super::Job;
use super::job::Done;
use crate::Snapshot;

/// Levels counted one by one; see [`CompactionStats::levels`].
const LEVELS: usize = 3;

/// What compaction, retention and collection of garbage have done since the start.
#[derive(Debug, Clone, Default)]
pub struct CompactionStats {
    /// By the highest level of a job's inputs.
    pub levels: [LevelStats; LEVELS],
    /// Jobs that failed; they are tried again.
    pub errors: u64,
    /// Jobs that had to wait for memory.
    pub waits_for_memory: u64,
    /// Jobs that were given up since queries needed the memory.
    pub gave_way: u64,
    /// Jobs whose inputs were gone when they were done.
    pub jobs_in_vain: u64,
    /// Time spent on jobs.
    pub busy: Duration,
    /// Turns in which what is kept no longer was dropped and deleted.
    pub retention: DurationHistogram,
    /// Blocks that retention took out of the catalog.
    pub blocks_expired: u64,
    /// Blocks whose objects were deleted, whatever took them out.
    pub blocks_deleted: u64,
    /// Blocks deleted that no catalog named.
    pub orphans_deleted: u64,
    /// Deletions that failed; they are tried again.
    pub delete_errors: u64,
    /// What there is to do, per tenant.
    pub backlog: Vec<TenantBacklog>,
}

/// Jobs of one level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LevelStats {
    /// Blocks that were merged.
    pub blocks: u64,
    /// Bytes of the blocks made of them.
    pub bytes_written: u64,
    /// Spans read.
    pub rows_read: u64,
    /// Spans written.
    pub rows_written: u64,
    /// Traces written.
    pub traces_written: u64,
    /// Traces that had parts in several blocks.
    pub traces_joined: u64,
}

/// A tenant's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantBacklog {
    /// Whose.
    pub tenant: TenantId,
    /// How many there are.
    pub blocks: u64,
    /// How many of them wait to be merged.
    pub outstanding: u64,
    /// When the one that waits longest was stored; [`None`] when none waits.
    pub oldest: Option<UnixNanos>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    levels: Mutex<[LevelStats; LEVELS]>,
    pub(super) errors: AtomicU64,
    pub(super) waits_for_memory: AtomicU64,
    pub(super) gave_way: AtomicU64,
    pub(super) jobs_in_vain: AtomicU64,
    busy_nanos: AtomicU64,
    retention: Mutex<DurationHistogram>,
    pub(super) blocks_expired: AtomicU64,
    pub(super) blocks_deleted: AtomicU64,
    pub(super) orphans_deleted: AtomicU64,
    pub(super) delete_errors: AtomicU64,
    /// One entry per tenant with blocks.
    backlog: Mutex<BTreeMap<TenantId, TenantBacklog>>,
}

impl Counters {
    pub(super) fn job_done(&self, job: &Job, done: &Done) {
        let level = job.inputs.iter().map(|block| block.level).max().unwrap_or_default() as usize;
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let level = &mut levels[level.min(LEVELS - 1)];
        level.blocks += job.inputs.len() as u64;
        level.bytes_written += done.meta.bytes;
        level.rows_read += done.rows_read;
        level.rows_written += done.meta.rows;
        level.traces_written += done.meta.traces;
        level.traces_joined += done.joined;
    }

    pub(super) fn busy(&self, time: Duration) {
        self.busy_nanos.fetch_add(super::plan::nanos(time), Ordering::Relaxed);
    }

    pub(super) fn retained(&self, time: Duration) {
        self.retention.lock().unwrap_or_else(PoisonError::into_inner).record(time);
    }

    pub(super) fn planned(&self, tenant: &TenantId, snapshot: &Snapshot, jobs: &[Job]) {
        let inputs = || jobs.iter().flat_map(|job| &job.inputs);
        let entry = TenantBacklog {
            tenant: tenant.clone(),
            blocks: snapshot.blocks.len() as u64,
            outstanding: inputs().count() as u64,
            oldest: inputs().map(|block| block.stored).min(),
        };
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), entry);
    }

    pub(super) fn read(&self) -> CompactionStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CompactionStats {
            levels: *self.levels.lock().unwrap_or_else(PoisonError::into_inner),
            errors: read(&self.errors),
            waits_for_memory: read(&self.waits_for_memory),
            gave_way: read(&self.gave_way),
            jobs_in_vain: read(&self.jobs_in_vain),
            busy: Duration::from_nanos(read(&self.busy_nanos)),
            retention: *self.retention.lock().unwrap_or_else(PoisonError::into_inner),
            blocks_expired: read(&self.blocks_expired),
            blocks_deleted: read(&self.blocks_deleted),
            orphans_deleted: read(&self.orphans_deleted),
            delete_errors: read(&self.delete_errors),
            backlog: self.backlog.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect(),
        }
    }
}
