use std::io;
use std::path::{Path, PathBuf};

use vivace_base::FileSystem;
use vivace_model::TenantId;

use super::format;
use super::log::{list, read_writer_id};
use super::reader::{SegmentReader, Stop};
use super::{Replayed, Seq};
use crate::WalError;

/// What a log holds, looked at from outside.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Its segments.
    pub segments: u64,
    /// Their records.
    pub records: u64,
    /// The last segment, when it ends in bytes that are no record, and how many.
    pub torn: Option<(PathBuf, u64)>,
    /// What does not check out.
    pub damaged: Vec<WalError>,
    /// Segments that were put aside for damage.
    pub put_aside: Vec<PathBuf>,
}

/// How many damaged places are told.
const MAX_DAMAGED: usize = 1000;

/// Reads every record of a log and changes nothing; a server may be writing to it. `each` hears of the records, with the log's
/// writer id. [`None`] when there is no log.
///
/// # Errors
/// [`WalError::Io`], or [`WalError::UnsupportedFormat`].
pub fn inspect(
    files: &dyn FileSystem,
    dir: &Path,
    mut each: impl FnMut(&str, &TenantId, Seq),
) -> Result<Option<Inspection>, WalError> {
    let mut found = Inspection::default();
    let firsts = match list(files, dir) {
        Ok(firsts) => firsts,
        Err(WalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let writer = match read_writer_id(files, dir) {
        Ok(writer) => writer.unwrap_or_default(),
        Err(error @ WalError::Corrupt { .. }) => {
            found.damaged.push(error);
            String::new()
        }
        Err(error) => return Err(error),
    };
    found.segments = firsts.len() as u64;
    for (at, first) in firsts.iter().enumerate() {
        let path = format::segment_path(dir, *first);
        match found
            .segment(files, &path, at + 1 == firsts.len(), |record| each(&writer, &record.tenant, record.seq))
        {
            // A server has released it meanwhile.
            Err(WalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            read => read?,
        }
    }
    let all = files.list(dir).map_err(|error| WalError::io("list", dir, error))?;
    found.put_aside = all.into_iter().filter(|path| format::is_damaged_segment(path)).collect();
    found.put_aside.sort();
    Ok(Some(found))
}

impl Inspection {
    fn segment(
        &mut self,
        files: &dyn FileSystem,
        path: &Path,
        is_last: bool,
        mut each: impl FnMut(&Replayed),
    ) -> Result<(), WalError> {
        let mut reader = match SegmentReader::open(files, path) {
            Ok(reader) => reader,
            Err(Stop::Damaged(_)) if is_last && is_unfinished(files, path)? => return Ok(()),
            Err(stop) => return self.note(stop.into_error(path, 0)),
        };
        loop {
            let start = reader.offset();
            match reader.next_replayed() {
                Ok(None) => return Ok(()),
                Ok(Some(record)) => {
                    self.records += 1;
                    each(&record);
                }
                Err(WalError::Corrupt { .. }) if is_last && !reader.can_go_on() => {
                    self.torn = Some((path.to_owned(), reader.length() - start));
                    return Ok(());
                }
                Err(error) => {
                    let ends = !reader.can_go_on();
                    self.note(error)?;
                    if ends {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn note(&mut self, error: WalError) -> Result<(), WalError> {
        match error {
            WalError::Corrupt { .. } if self.damaged.len() < MAX_DAMAGED => self.damaged.push(error),
            WalError::Corrupt { .. } => {}
            other => return Err(other),
        }
        Ok(())
    }
}

/// Whether a segment was just being made.
fn is_unfinished(files: &dyn FileSystem, path: &Path) -> Result<bool, WalError> {
    let length = files.open(path).and_then(|file| file.length());
    length
        .map(|length| length <= format::HEADER_BYTES as u64)
        .map_err(|error| WalError::io("read", path, error))
}
