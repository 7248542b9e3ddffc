use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vivace_base::{AppendFile, FileSystem, Lock, ReadFile};

use crate::{Fault, Fuse, SeededRandomness};

/// A file system in memory that tells apart what processes see and what is on disk. It fails at random, and when the
/// power goes, what no sync has made durable comes back whole, in part, as zeros, as anything, or not at all.
#[derive(Debug, Clone)]
pub struct SimulatedFiles(Arc<Disk>);

#[derive(Debug)]
struct Disk {
    fuse: Arc<Fuse>,
    random: SeededRandomness,
    state: Mutex<State>,
}

type Inode = usize;

#[derive(Debug, Default)]
struct State {
    /// In how many of a hundred calls it fails.
    percent: u64,
    inodes: Vec<Content>,
    /// As processes see them.
    names: BTreeMap<PathBuf, Inode>,
    durable_names: BTreeMap<PathBuf, Inode>,
    /// What is not durable yet, in order.
    renames: Vec<NameChange>,
    locked: BTreeSet<PathBuf>,
    refused_truncations: u64,
}

/// Names that change together, all in one directory.
#[derive(Debug, Clone)]
struct NameChange(Vec<(PathBuf, Option<Inode>)>);

#[derive(Debug, Default, Clone)]
struct Content {
    /// As processes see it.
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// A sync failed: the system takes what was written before for clean, whether it is on disk or not.
    lost_pages: bool,
}

impl SimulatedFiles {
    /// An empty file system that does not fail yet.
    pub fn new(fuse: Arc<Fuse>, random: SeededRandomness) -> Self {
        Self(Arc::new(Disk { fuse, random, state: Mutex::default() }))
    }

    /// From now on so many of a hundred calls fail, before, in the middle of, or after their effect.
    pub fn fail_at_random(&self, percent: u64) {
        self.0.lock().percent = percent;
    }

    /// The power goes and comes back.
    pub fn cut_power(&self) {
        let disk = &self.0;
        let mut state = disk.lock();
        let changes = std::mem::take(&mut state.renames);
        // A journal keeps the order of changes; other file systems may not.
        let ordered = disk.random.chance(50);
        let kept = disk.random.index(changes.len() + 1);
        for (at, change) in changes.into_iter().enumerate() {
            if if ordered { at < kept } else { disk.random.chance(50) } {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        state.locked.clear();
        for content in &mut state.inodes {
            content.cut_power(&disk.random);
        }
    }

    /// The process is gone, the machine is not. That it takes pages of a failed sync for clean is forgotten here: whoever
    /// reads them later cannot know.
    pub fn kill(&self) {
        let mut state = self.0.lock();
        state.locked.clear();
        state.inodes.iter_mut().for_each(|content| content.lost_pages = false);
    }

    /// How many files could not be cut off so far.
    pub fn refused_truncations(&self) -> u64 {
        self.0.lock().refused_truncations
    }

    /// Puts a file there, durably, in the place of whatever had its name.
    pub fn write(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.0.lock();
        state.inodes.push(Content { seen: bytes.to_vec(), durable: bytes.to_vec(), lost_pages: false });
        let inode = state.inodes.len() - 1;
        state.names.insert(path.to_owned(), inode);
        state.durable_names.insert(path.to_owned(), inode);
    }

    /// What processes see, by name.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.0.lock();
        state.names.iter().map(|(path, inode)| (path.clone(), state.inodes[*inode].seen.clone())).collect()
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, Inode>) {
        for (path, inode) in self.0 {
            match inode {
                Some(inode) => names.insert(path, inode),
                None => names.remove(&path),
            };
        }
    }

    fn is_in(&self, dir: &Path) -> bool {
        self.0.iter().any(|(path, _)| path.parent() == Some(dir))
    }
}

impl Content {
    fn cut_power(&mut self, random: &SeededRandomness) {
        let left = match self.seen.strip_prefix(self.durable.as_slice()) {
            Some(tail) => [&self.durable, &*garble(tail, random)].concat(),
            None if random.chance(50) => self.durable.clone(),
            // Cut off, and then perhaps written to.
            None => garble(&self.seen, random),
        };
        *self = Self { seen: left.clone(), durable: left, lost_pages: false };
    }

    fn sync(&mut self) {
        if !self.lost_pages {
            self.durable.clone_from(&self.seen);
        }
    }
}

fn garble(bytes: &[u8], random: &SeededRandomness) -> Vec<u8> {
    let kept = random.index(bytes.len() + 1);
    let (whole, rest) = bytes.split_at(kept);
    match random.below(4) {
        0 => bytes.to_vec(),
        1 => whole.to_vec(),
        2 => [whole, &vec![0; rest.len()]].concat(),
        _ => [whole, &random.bytes(rest.len())].concat(),
    }
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that happens, or not, or happens and is reported as failed.
    fn call<T>(&self, what: &str, effect: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.lock();
        match self.next(&state) {
            None => effect(&mut state),
            Some(Fault::AfterEffect) => effect(&mut state).and_then(|_| Err(failure(what))),
            Some(Fault::BeforeEffect | Fault::Late) => Err(failure(what)),
        }
    }

    fn next(&self, state: &State) -> Option<Fault> {
        let blown = self.fuse.next();
        let fault = || *self.random.pick(&[Fault::BeforeEffect, Fault::AfterEffect]);
        blown.or_else(|| self.random.chance(state.percent).then(fault))
    }
}

impl State {
    fn find(&self, path: &Path) -> io::Result<Inode> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.renames.push(change);
    }

    fn create(&mut self, path: &Path) -> Inode {
        if let Some(inode) = self.names.get(path).copied() {
            let content = &mut self.inodes[inode];
            content.seen.clear();
            content.lost_pages = false;
            return inode;
        }
        self.inodes.push(Content::default());
        let inode = self.inodes.len() - 1;
        self.change(NameChange(vec![(path.to_owned(), Some(inode))]));
        inode
    }
}

fn failure(what: &str) -> io::Error {
    io::Error::other(format!("injected failure to {what}"))
}

impl FileSystem for SimulatedFiles {
    /// Directories need not be made.
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        self.0.call("make a directory", |_| Ok(()))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let held = self.0.call("lock", |state| Ok(!state.locked.insert(path.to_owned())))?;
        let lock = || -> Lock { Box::new(HeldLock { disk: Arc::clone(&self.0), path: path.to_owned() }) };
        Ok((!held).then(lock))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let inode = self.0.call("create", |state| Ok(state.create(path)))?;
        Ok(Box::new(Appended { disk: Arc::clone(&self.0), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let bytes = self.0.call("open", |state| Ok(state.inodes[state.find(path)?].seen.clone()))?;
        let percent = self.0.lock().percent;
        let fails_at = self.0.random.chance(percent).then(|| self.0.random.index(bytes.len() + 1) as u64);
        Ok(Box::new(Opened { bytes: Cursor::new(bytes), fails_at }))
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let cut = self.0.call("truncate", |state| {
            let inode = state.find(path)?;
            let content = &mut state.inodes[inode];
            content.seen.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            // What was lost is gone for good, or is still to be lost.
            content.lost_pages &= content.seen.len() > content.durable.len();
            content.sync();
            Ok(())
        });
        self.0.lock().refused_truncations += u64::from(cut.is_err());
        cut
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.call("rename", |state| {
            let inode = state.find(from)?;
            state.change(NameChange(vec![(from.to_owned(), None), (to.to_owned(), Some(inode))]));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.call("remove", |state| {
            state.find(path)?;
            state.change(NameChange(vec![(path.to_owned(), None)]));
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let inside = |path: &&PathBuf| path.parent() == Some(dir);
        self.0.call("list", |state| Ok(state.names.keys().filter(inside).cloned().collect()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.call("sync a directory", |state| {
            let (synced, left) =
                std::mem::take(&mut state.renames).into_iter().partition(|change| change.is_in(dir));
            state.renames = left;
            let synced: Vec<NameChange> = synced;
            synced.into_iter().for_each(|change| change.apply(&mut state.durable_names));
            Ok(())
        })
    }
}

#[derive(Debug)]
struct HeldLock {
    disk: Arc<Disk>,
    path: PathBuf,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.disk.lock().locked.remove(&self.path);
    }
}

#[derive(Debug)]
struct Appended {
    disk: Arc<Disk>,
    inode: Inode,
}

impl AppendFile for Appended {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let fault = self.disk.next(&state);
        let written = match fault {
            _ if self.disk.fuse.has_blown() && fault != Some(Fault::AfterEffect) => 0,
            None | Some(Fault::AfterEffect) => bytes.len(),
            // A full disk takes a part.
            Some(_) => self.disk.random.index(bytes.len() + 1),
        };
        state.inodes[self.inode].seen.extend_from_slice(&bytes[..written]);
        if fault.is_none() { Ok(()) } else { Err(failure("write")) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let synced = self.disk.call("sync", |state| {
            state.inodes[self.inode].sync();
            Ok(())
        });
        if synced.is_err() {
            self.disk.lock().inodes[self.inode].lost_pages = true;
        }
        synced
    }
}

#[derive(Debug)]
struct Opened {
    bytes: Cursor<Vec<u8>>,
    fails_at: Option<u64>,
}

impl Read for Opened {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.fails_at.is_some_and(|at| self.bytes.position() + into.len() as u64 > at) {
            return Err(failure("read"));
        }
        self.bytes.read(into)
    }
}

impl ReadFile for Opened {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.get_ref().len() as u64)
    }
}

#[cfg(test)]
mod tests;
