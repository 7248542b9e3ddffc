//! The write-ahead log: what is acknowledged before it is in a block. One log per process, for all tenants.
//! `docs/formats/wal.md` tells the format.

mod commit;
mod format;
mod inspect;
mod log;
mod reader;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use vivace_base::{ByteSize, Clock, DurationHistogram, FileSystem, Randomness, SystemFiles};
use vivace_model::TenantId;

use crate::WalError;
use crate::damage::{self, Damaged};
use commit::{Committer, Pending};
use log::Log;

pub use format::FORMAT;
pub use inspect::{Inspection, inspect};
pub use reader::{Replay, Replayed};

/// The number of a record: from 1, strictly increasing over the log's life, across restarts and releases too. Numbers
/// of failed appends are not used again.
pub type Seq = u64;

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct WalOptions {
    /// Its directory, made if missing; no other process may have it open.
    pub dir: PathBuf,
    /// Where that is.
    pub files: Arc<dyn FileSystem>,
    /// A segment that has reached this many bytes is followed by a new one.
    pub segment_bytes: u64,
    /// Largest payload accepted, in bytes.
    pub max_record_bytes: u32,
    /// How many records may wait for the commit thread; further appends wait for room.
    pub queue_records: usize,
    /// A group is synced to disk once it has reached this many payload bytes, or when nothing more is waiting.
    pub batch_bytes: u64,
    /// Times the syncs.
    pub clock: Arc<dyn Clock>,
    /// Makes the writer id.
    pub randomness: Arc<dyn Randomness>,
}

/// What is appended. The attachment stays in memory and is handed to the [`CommitSink`] when the record is durable.
#[derive(Debug)]
pub struct Record<T> {
    /// Whose it is.
    pub tenant: TenantId,
    /// What the payload is; free for the caller to define, kept and given back on replay.
    pub format: u8,
    /// The bytes to keep.
    pub payload: Bytes,
    /// Goes to the sink.
    pub attachment: T,
}

/// Takes over what has become durable.
pub trait CommitSink<T>: Send + 'static {
    /// Called in the order of `seq`, on the commit thread, after the sync and before the appender is told. It must not
    /// wait for an append, and holds up every append while it runs.
    fn committed(&mut self, seq: Seq, tenant: &TenantId, attachment: T);
}

/// Figures about a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalStats {
    /// Files on disk, the active one included.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Syncs since the log was opened.
    pub fsyncs: DurationHistogram,
    /// Groups that could not be written or synced since the log was opened.
    pub failed_groups: u64,
    /// The first record that may still be on disk.
    pub oldest_seq: Seq,
}

/// A write-ahead log; appends from any number of tasks share its syncs.
#[derive(Debug)]
pub struct Wal<T> {
    writer_id: String,
    max_record_bytes: u32,
    queue: mpsc::Sender<Pending<T>>,
    shared: Arc<Shared>,
    closing: Mutex<Option<Closing>>,
}

#[derive(Debug)]
struct Closing {
    signal: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What the commit thread and the handle have in common.
#[derive(Debug)]
struct Shared {
    log: Mutex<Log>,
    /// A copy, so that reading it never waits for the disk.
    stats: Mutex<WalStats>,
    last_committed: AtomicU64,
}

impl WalOptions {
    /// Options for `dir` on the machine's file system with the default sizes: segments of 16 MiB, records up to 64 MiB, 1024 records waiting, groups of
    /// 4 MiB.
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>) -> Self {
        Self {
            dir: dir.into(),
            files: Arc::new(SystemFiles),
            segment_bytes: ByteSize::from_mib(16).bytes(),
            max_record_bytes: 64 << 20,
            queue_records: 1024,
            batch_bytes: ByteSize::from_mib(4).bytes(),
            clock,
            randomness,
        }
    }
}

impl<T: Send + 'static> Wal<T> {
    /// Opens the log, making it if need be, and gives what it holds. Blocks on the disk. The replay may run while records
    /// are appended, but not while they are released.
    ///
    /// # Errors
    /// [`WalError::Locked`], [`WalError::Io`], or [`WalError::UnsupportedFormat`] when a newer program wrote a segment.
    /// Damage is no error here; the replay reports it.
    pub fn open(options: WalOptions, sink: impl CommitSink<T>) -> Result<(Arc<Self>, Replay), WalError> {
        let opened = log::open(&options)?;
        let shared = Arc::new(Shared {
            stats: Mutex::new(opened.log.stats()),
            last_committed: AtomicU64::new(opened.log.next_seq() - 1),
            log: Mutex::new(opened.log),
        });
        let (queue, waiting) = mpsc::channel(options.queue_records.max(1));
        let (signal, closed) = oneshot::channel();
        let committer = Committer::new(Arc::clone(&shared), sink, options.batch_bytes);
        let thread = std::thread::Builder::new()
            .name("wal-commit".to_owned())
            .spawn(move || committer.run(waiting, closed))
            .map_err(|e| WalError::io("start the commit thread for", &options.dir, e))?;
        let wal = Self {
            writer_id: opened.writer_id,
            max_record_bytes: options.max_record_bytes,
            queue,
            shared,
            closing: Mutex::new(Some(Closing { signal, thread })),
        };
        Ok((Arc::new(wal), opened.replay))
    }

    /// Names this log among all that write to an object store; kept in its directory.
    pub fn writer_id(&self) -> &str {
        &self.writer_id
    }

    /// Appends a record and waits until it is on disk and the sink has it. Waits for room first when the queue is full.
    /// A caller that stops waiting cannot know whether the record was kept.
    ///
    /// # Errors
    /// [`WalError::TooLarge`], [`WalError::Closed`], or [`WalError::Io`] when the disk refused: then the record is not
    /// kept and may be appended again.
    pub async fn append(&self, record: Record<T>) -> Result<Seq, WalError> {
        let size = record.payload.len();
        if u32::try_from(size).map_or(true, |size| size > self.max_record_bytes) {
            let limit = ByteSize::from_bytes(u64::from(self.max_record_bytes));
            return Err(WalError::TooLarge { size: ByteSize::from_bytes(size as u64), limit });
        }
        let (reply, done) = oneshot::channel();
        self.queue.send(Pending { record, reply }).await.map_err(|_| WalError::Closed)?;
        done.await.map_err(|_| WalError::Closed)?
    }

    /// Deletes the segments whose records are all covered by `through`, and returns how many. Blocks on the disk, for as
    /// long as one group's sync at worst.
    ///
    /// # Errors
    /// [`WalError::Io`]; what could not be deleted is tried again by the next release.
    pub fn release(&self, through: Seq) -> Result<usize, WalError> {
        let mut log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        let released = log.release(through);
        self.shared.publish(log.stats());
        released
    }

    /// Notes what the replay found damaged: it is counted, and its segment is not deleted when it is released but put aside
    /// under another name.
    pub fn quarantine(&self, error: &WalError) {
        let WalError::Corrupt { path, offset, reason, lost } = error else { return };
        damage::found(Damaged::Log, &format!("{}:{offset}", path.display()), &format!("{reason}; {lost}"));
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).quarantine(path);
    }

    /// The newest record the sink has; after opening, the newest on disk. 0 if there never was one.
    pub fn last_committed(&self) -> Seq {
        self.shared.last_committed.load(Ordering::Acquire)
    }

    /// Current figures; never waits for the disk.
    pub fn stats(&self) -> WalStats {
        *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Wal<T> {
    /// Commits what is waiting, then stops. Blocks until then. Appends after it fail with [`WalError::Closed`].
    pub fn close(&self) {
        let closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Closing { signal, thread }) = closing else { return };
        // A thread that is gone already has nothing left to commit.
        let _ = signal.send(());
        if thread.join().is_err() {
            tracing::error!("the write-ahead log's commit thread panicked");
        }
    }
}

impl<T> Drop for Wal<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn publish(&self, stats: WalStats) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}

#[cfg(test)]
mod tests;
