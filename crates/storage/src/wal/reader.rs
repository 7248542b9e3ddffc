use std::collections::VecDeque;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use vivace_base::{FileSystem, ReadFile};
use vivace_model::TenantId;

use super::Seq;
use super::format::{self, Body, FRAME_BYTES, HEADER_BYTES, Header};
use crate::WalError;

/// A record read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Its number.
    pub seq: Seq,
    /// Whose it is.
    pub tenant: TenantId,
    /// What the payload is, as given to the append.
    pub format: u8,
    /// The bytes kept.
    pub payload: Bytes,
}

/// What the log held when it was opened, oldest first, one record in memory at a time. An error is about one record, or
/// the rest of a segment, which is then skipped: it says which. Log it and go on.
#[derive(Debug)]
pub struct Replay {
    files: Arc<dyn FileSystem>,
    /// Each with the last number that a record of it can have.
    segments: VecDeque<(PathBuf, Seq)>,
    current: Option<SegmentReader>,
}

/// Reads one segment from its beginning.
#[derive(Debug)]
pub(super) struct SegmentReader {
    path: PathBuf,
    file: BufReader<Box<dyn ReadFile>>,
    /// The file's length when it was opened; a record that claims to reach past it is damaged.
    length: u64,
    offset: u64,
    /// No record from here on has a lower number; one that does is left over from another file.
    next_seq: Seq,
    /// No record has a higher one, where that is known.
    last: Seq,
    /// Read already, to see whether the segment can be read behind damage.
    ahead: Option<Body>,
}

/// Why a segment cannot be read on.
#[derive(Debug)]
pub(super) enum Stop {
    /// One record is, and those behind it are read.
    DamagedRecord(String),
    Damaged(String),
    Newer(u32),
    Io(io::Error),
}

impl Replay {
    pub(super) fn new(
        files: Arc<dyn FileSystem>,
        segments: impl IntoIterator<Item = (PathBuf, Seq)>,
    ) -> Self {
        Self { files, segments: segments.into_iter().collect(), current: None }
    }

    fn next_record(&mut self) -> Result<Option<Replayed>, WalError> {
        loop {
            if self.current.is_none() {
                let Some((path, last)) = self.segments.pop_front() else { return Ok(None) };
                let reader = SegmentReader::open(self.files.as_ref(), &path)
                    .map_err(|stop| stop.into_error(&path, 0))?;
                self.current = Some(SegmentReader { last, ..reader });
            }
            let Some(reader) = self.current.as_mut() else { continue };
            match reader.next_replayed() {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => self.current = None,
                Err(error) => {
                    if !reader.can_go_on() {
                        self.current = None;
                    }
                    return Err(error);
                }
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Replayed, WalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

impl SegmentReader {
    pub(super) fn open(files: &dyn FileSystem, path: &Path) -> Result<Self, Stop> {
        let file = files.open(path).map_err(Stop::Io)?;
        let length = file.length().map_err(Stop::Io)?;
        let mut reader = Self {
            path: path.to_owned(),
            file: BufReader::new(file),
            length,
            offset: 0,
            next_seq: 0,
            last: Seq::MAX,
            ahead: None,
        };
        let mut header = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return Err(Stop::Damaged("the segment is shorter than its header".to_owned()));
        }
        reader.read(&mut header)?;
        match format::decode_header(&header) {
            Header::Valid { first } if Some(first) == format::first_seq(path) => {
                reader.next_seq = first;
                Ok(reader)
            }
            Header::Valid { first } => Err(Stop::Damaged(format!(
                "the header is that of the segment that starts with record {first}"
            ))),
            Header::Newer(version) => Err(Stop::Newer(version)),
            Header::Damaged => Err(Stop::Damaged("the header does not check out".to_owned())),
        }
    }

    /// The end of the last record read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The next record; [`None`] at the end of the file.
    pub(super) fn next_body(&mut self) -> Result<Option<Body>, Stop> {
        if let Some(body) = self.ahead.take() {
            return Ok(Some(body));
        }
        let start = self.offset;
        if start == self.length {
            return Ok(None);
        }
        match self.read_body() {
            Ok(body) => Ok(Some(body)),
            Err(Stop::Damaged(reason)) if self.offset > start && self.is_good_behind() => {
                Err(Stop::DamagedRecord(reason))
            }
            Err(stop) => {
                self.offset = start;
                Err(stop)
            }
        }
    }

    /// Whether a record stands where the damaged one before it ends, if its length is not what is damaged. What stands
    /// there has a CRC, and a number that leaves one for the damaged record: no payload passes for it by chance.
    fn is_good_behind(&mut self) -> bool {
        let least = self.next_seq;
        match self.read_body() {
            Ok(body) if body.seq > least => {
                self.ahead = Some(body);
                true
            }
            _ => false,
        }
    }

    fn read_body(&mut self) -> Result<Body, Stop> {
        let left = self.length - self.offset;
        if left < FRAME_BYTES as u64 {
            return Err(Stop::Damaged("the record's frame is cut off".to_owned()));
        }
        let mut frame = [0; FRAME_BYTES];
        self.read(&mut frame)?;
        let (crc, length) = format::decode_frame(&frame);
        if u64::from(length) > left - FRAME_BYTES as u64 {
            return Err(Stop::Damaged("the record is cut off".to_owned()));
        }
        let mut body = vec![0; length as usize];
        self.read(&mut body)?;
        let body = format::decode_body(crc, Bytes::from(body)).map_err(|r| Stop::Damaged(r.to_owned()))?;
        if body.seq < self.next_seq {
            return Err(Stop::Damaged(format!("record {} follows record {}", body.seq, self.next_seq - 1)));
        }
        self.next_seq = body.seq.saturating_add(1);
        Ok(body)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), Stop> {
        self.file.read_exact(into).map_err(Stop::Io)?;
        self.offset += into.len() as u64;
        Ok(())
    }

    /// Whether records behind the damage that was found are read.
    pub(super) fn can_go_on(&self) -> bool {
        self.ahead.is_some()
    }

    pub(super) fn next_replayed(&mut self) -> Result<Option<Replayed>, WalError> {
        let start = self.offset;
        let body = self.next_body().map_err(|stop| stop.into_error(&self.path, start))?;
        let Some(Body { seq, format, tenant, payload }) = body else { return Ok(None) };
        let damaged = |reason: String| Stop::Damaged(reason).into_error(&self.path, start);
        if seq > self.last {
            return Err(damaged(format!("record {seq} stands before record {}", self.last + 1)));
        }
        let tenant = std::str::from_utf8(&tenant).ok().and_then(|text| text.parse().ok());
        let tenant = tenant.ok_or_else(|| damaged("the record's tenant is no tenant id".to_owned()))?;
        Ok(Some(Replayed { seq, tenant, format, payload }))
    }
}

impl Stop {
    pub(super) fn into_error(self, path: &Path, offset: u64) -> WalError {
        match self {
            Stop::Io(source) => WalError::io("read", path, source),
            Stop::Newer(found) => {
                WalError::UnsupportedFormat { path: path.to_owned(), found, known: format::FORMAT }
            }
            Stop::DamagedRecord(reason) => corrupt(path, offset, reason, "the record there is lost"),
            Stop::Damaged(reason) => {
                corrupt(path, offset, reason, "the records from there to the end of this segment are lost")
            }
        }
    }
}

fn corrupt(path: &Path, offset: u64, reason: String, lost: &str) -> WalError {
    WalError::Corrupt { path: path.to_owned(), offset, reason, lost: lost.to_owned() }
}
