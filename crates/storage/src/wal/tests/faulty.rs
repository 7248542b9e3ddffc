use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use vivace_base::{AppendFile, FileSystem, Lock, ReadFile, SystemFiles};
use vivace_testkit::SeededRandomness;

/// What the log asks of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Write,
    Sync,
    Truncate,
    Remove,
}

/// The real disk, which fails when told to, or at random, and whose syncs can be held up. Tests play the power cut
/// themselves, so nothing is really synced.
#[derive(Debug, Clone)]
pub(super) struct FaultyDisk(Arc<Plan>);

#[derive(Debug)]
struct Plan {
    random: SeededRandomness,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: Vec<Step>,
    percent: u64,
    syncs_held: bool,
    sync_waiting: bool,
    truncations_failed: u64,
}

/// Syncs wait until it is opened.
pub(super) struct Gate(Arc<Plan>);

impl FaultyDisk {
    pub(super) fn new(seed: u64) -> Self {
        let random = SeededRandomness::new(seed);
        Self(Arc::new(Plan { random, state: Mutex::default(), changed: Condvar::new() }))
    }

    pub(super) fn fail_next(&self, step: Step) {
        self.0.lock().next.push(step);
    }

    pub(super) fn fail_at_random(&self, percent: u64) {
        self.0.lock().percent = percent;
    }

    pub(super) fn truncations_failed(&self) -> u64 {
        self.0.lock().truncations_failed
    }

    pub(super) fn hold_syncs(&self) -> Gate {
        self.0.lock().syncs_held = true;
        Gate(Arc::clone(&self.0))
    }
}

impl Gate {
    pub(super) fn wait_until_reached(&self) {
        let mut state = self.0.lock();
        while !state.sync_waiting {
            state = self.0.changed.wait(state).expect("not poisoned");
        }
    }

    pub(super) fn open(&self) {
        self.0.lock().syncs_held = false;
        self.0.changed.notify_all();
    }
}

impl Plan {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    fn check(&self, step: Step) -> io::Result<()> {
        let mut state = self.lock();
        let scripted = state.next.iter().position(|next| *next == step).map(|at| state.next.remove(at));
        if scripted.is_none() && !self.random.chance(state.percent) {
            return Ok(());
        }
        state.truncations_failed += u64::from(step == Step::Truncate);
        Err(io::Error::other(format!("injected failure of {step:?}")))
    }

    fn pass_gate(&self) {
        let mut state = self.lock();
        while state.syncs_held {
            state.sync_waiting = true;
            self.changed.notify_all();
            state = self.changed.wait(state).expect("not poisoned");
        }
    }
}

impl FileSystem for FaultyDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        SystemFiles.create_dir_all(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        SystemFiles.lock(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.0.check(Step::Create)?;
        Ok(Box::new(FaultyFile { inner: SystemFiles.create(path)?, plan: Arc::clone(&self.0) }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        SystemFiles.open(path)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.0.check(Step::Truncate)?;
        SystemFiles.truncate(path, length)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.check(Step::Remove)?;
        SystemFiles.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        SystemFiles.list(dir)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn AppendFile>,
    plan: Arc<Plan>,
}

impl AppendFile for FaultyFile {
    /// A failed write leaves a part of it behind.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.plan.check(Step::Write) {
            self.inner.append(&bytes[..self.plan.random.index(bytes.len() + 1)])?;
            return Err(error);
        }
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.plan.pass_gate();
        self.plan.check(Step::Sync)
    }
}
