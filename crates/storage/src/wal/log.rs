use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vivace_base::{AppendFile, Clock, DurationHistogram, FileSystem, Lock, Randomness};
use vivace_model::TenantId;

use super::format::{self, HEADER_BYTES};
use super::reader::{Replay, SegmentReader, Stop};
use super::{Seq, WalOptions, WalStats};
use crate::WalError;

/// The file with the writer id is shorter; of a longer one that is damaged no more is read.
const MAX_WRITER_BYTES: u64 = 1024;

/// The segments of a log and the one that is written to.
#[derive(Debug)]
pub(super) struct Log {
    files: Arc<dyn FileSystem>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    segment_bytes: u64,
    next_seq: Seq,
    /// Oldest first.
    sealed: VecDeque<Sealed>,
    /// [`None`] after a failure, until the next group makes a new one.
    active: Option<Active>,
    fsyncs: DurationHistogram,
    failed_groups: u64,
    /// Held until the log is dropped.
    _lock: Lock,
}

#[derive(Debug)]
struct Sealed {
    path: PathBuf,
    first: Seq,
    last: Seq,
    bytes: u64,
    /// Kept when it is released, for whoever can make something of it.
    damaged: bool,
}

#[derive(Debug)]
struct Active {
    file: Box<dyn AppendFile>,
    path: PathBuf,
    first: Seq,
    /// Up to here everything is durable.
    bytes: u64,
}

/// A record's payload format, tenant and payload.
pub(super) type Entry<'a> = (u8, &'a TenantId, &'a [u8]);

/// A log just opened.
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) writer_id: String,
    pub(super) replay: Replay,
}

/// Locks the directory, cuts the torn end off the last segment, and starts a new segment after it.
pub(super) fn open(options: &WalOptions) -> Result<Opened, WalError> {
    let (dir, files) = (&options.dir, &options.files);
    files.create_dir_all(dir).map_err(|e| WalError::io("create", dir, e))?;
    let lock = lock(files.as_ref(), dir)?;
    let writer_id = writer_id(files.as_ref(), dir, options.randomness.as_ref())?;
    let firsts = list(files.as_ref(), dir)?;
    for first in &firsts {
        refuse_newer(files.as_ref(), &format::segment_path(dir, *first))?;
    }
    let next_seq = match firsts.last() {
        Some(last) => recover_last(files.as_ref(), &format::segment_path(dir, *last), *last)?,
        None => 1,
    };
    if next_seq >= format::NO_SEQ {
        return Err(WalError::Corrupt {
            path: format::segment_path(dir, firsts.last().copied().unwrap_or(1)),
            offset: 0,
            reason: format!("it leads to record {next_seq}, and no log has so many"),
            lost: "restore the file, or move it away to start without what it holds".to_owned(),
        });
    }
    let sealed = sealed(files.as_ref(), dir, &firsts, next_seq)?;
    let segments = sealed.iter().map(|segment| (segment.path.clone(), segment.last));
    let replay = Replay::new(Arc::clone(files), segments);
    let mut log = Log {
        files: Arc::clone(files),
        clock: Arc::clone(&options.clock),
        dir: dir.clone(),
        segment_bytes: options.segment_bytes,
        next_seq,
        sealed,
        active: None,
        fsyncs: DurationHistogram::default(),
        failed_groups: 0,
        _lock: lock,
    };
    log.ensure_active()?;
    Ok(Opened { log, writer_id, replay })
}

impl Log {
    /// The number the next record gets.
    pub(super) fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// Writes a group of records and syncs it, and returns the number of the first. All of them are durable, or none
    /// counts as written.
    pub(super) fn commit<'a>(&mut self, records: impl Iterator<Item = Entry<'a>>) -> Result<Seq, WalError> {
        let full = |active: &Active| active.bytes >= self.segment_bytes && active.first < self.next_seq;
        if self.active.as_ref().is_some_and(full) {
            self.seal_active();
        }
        let committed = self.ensure_active().and_then(|()| {
            let first = self.next_seq;
            self.write_group(records).map(|()| first)
        });
        if committed.is_err() {
            self.failed_groups += 1;
            self.abandon_active();
        }
        committed
    }

    fn write_group<'a>(&mut self, records: impl Iterator<Item = Entry<'a>>) -> Result<(), WalError> {
        let Some(active) = self.active.as_mut() else { return Ok(()) };
        let mut end = active.bytes;
        for (format, tenant, payload) in records {
            let prefix = format::encode_prefix(self.next_seq, format, tenant, payload);
            // Counted before it is written: a number that may have reached the disk is never given out again.
            self.next_seq += 1;
            let written = active.file.append(&prefix).and_then(|()| active.file.append(payload));
            written.map_err(|e| WalError::io("write", &active.path, e))?;
            end += (prefix.len() + payload.len()) as u64;
        }
        let started = self.clock.monotonic();
        active.file.sync().map_err(|e| WalError::io("sync", &active.path, e))?;
        let took = self.clock.monotonic().saturating_sub(started);
        active.bytes = end;
        self.fsyncs.record(took);
        Ok(())
    }

    /// Deletes the sealed segments covered by `through`, sealing the active one first if it is covered too.
    pub(super) fn release(&mut self, through: Seq) -> Result<usize, WalError> {
        let covered = |active: &Active| active.first < self.next_seq && self.next_seq - 1 <= through;
        if self.active.as_ref().is_some_and(covered) {
            self.seal_active();
        }
        // The file name of the newest segment is what keeps numbers from starting again, so it must be there first.
        self.ensure_active()?;
        let mut released = 0;
        while let Some(oldest) = self.sealed.front().filter(|oldest| oldest.last <= through) {
            let gone = match oldest.damaged {
                true => self.files.rename(&oldest.path, &format::damaged_path(&oldest.path)),
                false => self.files.remove(&oldest.path),
            };
            match gone {
                Ok(()) => released += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(WalError::io("delete", &oldest.path, error)),
            }
            self.sealed.pop_front();
        }
        if released > 0 {
            self.files.sync_dir(&self.dir).map_err(|e| WalError::io("sync", &self.dir, e))?;
        }
        Ok(released)
    }

    /// A segment is to be put aside instead of deleted.
    pub(super) fn quarantine(&mut self, path: &Path) {
        self.sealed
            .iter_mut()
            .filter(|segment| segment.path == path)
            .for_each(|segment| segment.damaged = true);
    }

    pub(super) fn stats(&self) -> WalStats {
        let (oldest, active) = (self.sealed.front(), self.active.as_ref());
        let sealed_bytes: u64 = self.sealed.iter().map(|segment| segment.bytes).sum();
        WalStats {
            segments: (self.sealed.len() + usize::from(active.is_some())) as u64,
            bytes: sealed_bytes + active.map_or(0, |active| active.bytes),
            fsyncs: self.fsyncs,
            failed_groups: self.failed_groups,
            oldest_seq: oldest.map(|s| s.first).or(active.map(|a| a.first)).unwrap_or(self.next_seq),
        }
    }

    /// Must hold a record: a segment without one has the name of the next segment.
    fn seal_active(&mut self) {
        if let Some(Active { path, first, bytes, .. }) = self.active.take() {
            self.sealed.push_back(Sealed { path, first, last: self.next_seq - 1, bytes, damaged: false });
        }
    }

    /// After a failed write or sync nothing is known of the pages beyond the last good sync, so the segment ends there.
    fn abandon_active(&mut self) {
        let Some(active) = self.active.as_ref() else { return };
        if let Err(error) = self.files.truncate(&active.path, active.bytes) {
            // Replay then finds the end damaged, or records whose appenders were told of the failure.
            let path = active.path.display();
            tracing::error!(%path, %error, "the unacknowledged end of a segment cannot be cut off");
        }
        self.seal_active();
    }

    fn ensure_active(&mut self) -> Result<(), WalError> {
        if self.active.is_some() {
            return Ok(());
        }
        let path = format::segment_path(&self.dir, self.next_seq);
        let failed = |e| WalError::io("create", &path, e);
        let mut file = self.files.create(&path).map_err(failed)?;
        file.append(&format::encode_header(self.next_seq)).map_err(failed)?;
        file.sync().map_err(failed)?;
        self.files.sync_dir(&self.dir).map_err(|e| WalError::io("sync", &self.dir, e))?;
        self.active = Some(Active { file, path, first: self.next_seq, bytes: HEADER_BYTES as u64 });
        Ok(())
    }
}

fn lock(files: &dyn FileSystem, dir: &Path) -> Result<Lock, WalError> {
    let path = dir.join("lock");
    let lock = files.lock(&path).map_err(|e| WalError::io("lock", path, e))?;
    lock.ok_or_else(|| WalError::Locked { dir: dir.to_owned() })
}

/// The writer id; [`None`] when there is none yet.
pub(super) fn read_writer_id(files: &dyn FileSystem, dir: &Path) -> Result<Option<String>, WalError> {
    let path = dir.join("writer");
    match read_text(files, &path) {
        Ok(text) => valid_writer_id(text.trim(), &path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => valid_writer_id("", &path).map(Some),
        Err(error) => Err(WalError::io("read", path, error)),
    }
}

/// Reads the writer id, or makes one; written aside and renamed, so that it is whole or not there.
fn writer_id(files: &dyn FileSystem, dir: &Path, randomness: &dyn Randomness) -> Result<String, WalError> {
    let path = dir.join("writer");
    if let Some(id) = read_writer_id(files, dir)? {
        return Ok(id);
    }
    let id = format!("{:016x}{:016x}", randomness.next_u64(), randomness.next_u64());
    let aside = dir.join("writer.new");
    let write = || {
        let mut file = files.create(&aside)?;
        file.append(format!("{id} {}\n", checksum(&id)).as_bytes())?;
        file.sync()?;
        files.rename(&aside, &path)?;
        files.sync_dir(dir)
    };
    write().map_err(|e| WalError::io("write", &path, e))?;
    Ok(id)
}

fn read_text(files: &dyn FileSystem, path: &Path) -> io::Result<String> {
    let mut text = String::new();
    files.open(path)?.take(MAX_WRITER_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn checksum(writer_id: &str) -> String {
    format!("{:08x}", crc32fast::hash(writer_id.as_bytes()))
}

/// The id, followed by its CRC unless an older version wrote it.
fn valid_writer_id(text: &str, path: &Path) -> Result<String, WalError> {
    let (id, crc) = text.split_once(' ').map_or((text, None), |(id, crc)| (id, Some(crc)));
    let reason = if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        "it is not 32 hex digits"
    } else if crc.is_some_and(|crc| crc != checksum(id)) {
        "its CRC does not match"
    } else {
        return Ok(id.to_owned());
    };
    Err(WalError::Corrupt {
        path: path.to_owned(),
        offset: 0,
        reason: reason.to_owned(),
        lost: "restore the file, or move the directory away to start without what it holds".to_owned(),
    })
}

/// The first sequence numbers of the segments, in order.
pub(super) fn list(files: &dyn FileSystem, dir: &Path) -> Result<Vec<Seq>, WalError> {
    let listed = files.list(dir).map_err(|e| WalError::io("list", dir, e))?;
    let mut firsts: Vec<Seq> = listed.iter().filter_map(|path| format::first_seq(path)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

fn refuse_newer(files: &dyn FileSystem, path: &Path) -> Result<(), WalError> {
    match SegmentReader::open(files, path) {
        Err(stop @ (Stop::Newer(_) | Stop::Io(_))) => Err(stop.into_error(path, 0)),
        Err(Stop::Damaged(_) | Stop::DamagedRecord(_)) | Ok(_) => Ok(()),
    }
}

/// Cuts the last segment off after its last whole record: what follows was never acknowledged, or cannot be read. Returns the number the
/// next record gets.
fn recover_last(files: &dyn FileSystem, path: &Path, first: Seq) -> Result<Seq, WalError> {
    let mut reader = match SegmentReader::open(files, path) {
        Ok(reader) => reader,
        Err(Stop::Damaged(_)) => return past_damaged(files, path, first),
        Err(stop) => return Err(stop.into_error(path, 0)),
    };
    let mut next = first;
    let stop = loop {
        match reader.next_body() {
            Ok(Some(body)) => next = body.seq.saturating_add(1),
            Ok(None) => return Ok(next),
            // Said by the replay.
            Err(Stop::DamagedRecord(_)) => {}
            Err(Stop::Damaged(reason)) => break reason,
            Err(stop) => return Err(stop.into_error(path, reader.offset())),
        }
    };
    let (offset, torn_bytes) = (reader.offset(), reader.length() - reader.offset());
    tracing::warn!(path = %path.display(), offset, torn_bytes, reason = stop, "unacknowledged end of the log cut off");
    files.truncate(path, offset).map_err(|e| WalError::io("cut the torn end off", path, e))?;
    Ok(next)
}

/// A header is synced before the first record is written. Without a good one there are no records, or else they must be
/// kept for whoever can repair the file, and no number in it may be given out again.
fn past_damaged(files: &dyn FileSystem, path: &Path, first: Seq) -> Result<Seq, WalError> {
    let length = length(files, path)?;
    let most_records = length.saturating_sub(HEADER_BYTES as u64).div_ceil(format::MIN_RECORD_BYTES as u64);
    Ok(first.saturating_add(most_records))
}

fn length(files: &dyn FileSystem, path: &Path) -> Result<u64, WalError> {
    files.open(path).and_then(|file| file.length()).map_err(|e| WalError::io("read", path, e))
}

/// The segments with records, durable now: a process that was killed may have left what it never synced, and whoever
/// sees it once must see it after a power cut too. The last one may have none: its name is then the next record's number,
/// and it is written anew.
fn sealed(
    files: &dyn FileSystem,
    dir: &Path,
    firsts: &[Seq],
    next_seq: Seq,
) -> Result<VecDeque<Sealed>, WalError> {
    let nexts = firsts.iter().skip(1).chain([&next_seq]);
    let with_records = firsts.iter().zip(nexts).filter(|(first, next)| first < next);
    with_records
        .map(|(&first, &next)| {
            let path = format::segment_path(dir, first);
            let bytes = length(files, &path)?;
            files.truncate(&path, bytes).map_err(|e| WalError::io("sync", &path, e))?;
            Ok(Sealed { path, first, last: next - 1, bytes, damaged: false })
        })
        .collect()
}
