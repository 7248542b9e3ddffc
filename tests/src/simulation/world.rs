//! What outlives a process: disk, store, clock, and what was sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use vivace_storage::{CompactionOptions, TenantPolicy};
use vivace_testkit::{
    BASE_TIME, FaultingStore, Fuse, ManualClock, Operation, SeededRandomness, SimulatedFiles,
};

use super::ledger::Ledger;

const FOREVER: Duration = Duration::from_secs(u64::MAX / 1_000_000_000);

/// What a run is like.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many processes live one after the other.
    pub lives: u64,
    /// How many steps a life has at most.
    pub steps: u64,
    /// Whether several requests are sent at once. Then the same seed does not give the same calls.
    pub concurrent: bool,
}

/// What outlives a process.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) random: Arc<SeededRandomness>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) fuse: Arc<Fuse>,
    pub(super) files: SimulatedFiles,
    /// As processes reach it.
    pub(super) store: Arc<FaultingStore>,
    /// What is in it, whatever fails.
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) retention: Option<Duration>,
    pub(super) ledger: Ledger,
    story: Story,
}

/// What happened, told when the run fails.
#[derive(Debug, Default)]
struct Story(Mutex<Vec<String>>);

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
            lines.iter().for_each(|line| eprintln!("  {line}"));
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        let random = Arc::new(SeededRandomness::new(seed));
        let fuse = Arc::new(Fuse::default());
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let store = FaultingStore::with_fuse(Arc::clone(&objects), Arc::clone(&fuse), random.part());
        let retention = random.chance(50).then_some(Duration::from_secs(3 * 3600));
        Self {
            options,
            clock: Arc::new(ManualClock::new(BASE_TIME)),
            files: SimulatedFiles::new(Arc::clone(&fuse), random.part()),
            fuse,
            store: Arc::new(store),
            objects,
            retention,
            ledger: Ledger::new(),
            random,
            story: Story::default(),
        }
    }

    /// Notes what happens.
    pub(super) fn note(&self, what: impl Into<String>) {
        self.story.0.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
    }

    /// Late writes land before time goes on: no request is under way for hours.
    pub(super) async fn advance(&self, by: Duration) {
        self.store.land_late_writes().await;
        self.clock.advance(by);
        self.note(format!("time goes on by {by:?}"));
    }

    /// Disk and store fail now and then, or do not.
    pub(super) fn draw_faults(&self) {
        let random = &self.random;
        let of_files = *random.pick(&[0, 0, 1, 5, 20]);
        self.files.fail_at_random(of_files);
        let percent = *random.pick(&[0, 0, 1, 5, 20]);
        for operation in [
            Operation::Put,
            Operation::PutPart,
            Operation::Complete,
            Operation::Get,
            Operation::List,
            Operation::Delete,
        ] {
            self.store.fail_at_random(operation, percent, percent);
        }
        let late = *random.pick(&[0, 0, 5, 20]);
        self.store.delay_at_random(late);
        self.note(format!("of a hundred calls fail: disk {of_files}, store 2 * {percent}, late {late}"));
    }

    /// Nothing fails any more.
    pub(super) fn heal(&self) {
        self.store.heal();
        self.files.fail_at_random(0);
    }

    /// Everything happens sooner than in earnest, for lives are short.
    pub(super) fn compaction(&self) -> (CompactionOptions, TenantPolicy) {
        let options = CompactionOptions {
            target_rows: 400,
            min_inputs: 2,
            settle: Duration::from_secs(300),
            sweep_interval: Duration::from_secs(600),
            orphan_age: Duration::from_secs(2 * 3600),
            ..CompactionOptions::default()
        };
        let policy = TenantPolicy {
            block_retention: self.retention.unwrap_or(FOREVER),
            max_stored_bytes: None,
            compaction_window: Duration::from_secs(3600),
            compaction_disabled: false,
        };
        (options, policy)
    }
}
