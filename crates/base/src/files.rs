use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What the write-ahead log needs of a file system, so that tests can make it fail and cut the power. What is not said to
/// be durable may be lost, in part and in any order, until a sync has succeeded.
pub trait FileSystem: Send + Sync + Debug {
    /// Makes a directory, and those above it that are missing. Its own entry is durable then.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file, which is made if it is missing, until what is returned is dropped; [`None`] when another process
    /// has it locked.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;

    /// An empty file to append to, whatever stood there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// A file to read from its beginning.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;

    /// Cuts a file off, durably; with its own length it makes durable what is in it.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Gives a file another name in the same directory, in the place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// What is in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes creations, renamings and deletions in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// Held as long as a lock is.
pub type Lock = Box<dyn Debug + Send>;

/// A file that is only appended to.
pub trait AppendFile: Send + Debug {
    /// Appends all of it. After a failure any part of it may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was appended durable. After a failure nothing is known of what was not durable before, and a later
    /// sync that succeeds says nothing about it either.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is read.
pub trait ReadFile: Read + Send + Debug {
    /// Its length now.
    fn length(&self) -> io::Result<u64>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl FileSystem for SystemFiles {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        // The one above is often made for this one.
        for above in dir.ancestors().skip(1).take(2) {
            self.sync_dir(above)?;
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = File::create(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl AppendFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl ReadFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
