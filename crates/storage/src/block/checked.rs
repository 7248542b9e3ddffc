//! Every byte of a block's file of spans is checked when it is read: what stands before the footer against checksums in the
//! footer, the footer and its surroundings against what the catalog says. `docs/formats/block.md` tells how.

use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BufMut, Bytes};
use crc32fast::Hasher;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::object::{ObjectFile, external};

/// Bytes of the file that one checksum is of.
pub(super) const SECTOR: u64 = 4096;
/// The file's metadata that has the checksums.
pub(super) const CHECKSUMS_KEY: &str = "vivace.checksums";

/// What a catalog knows of a block's file of spans, to tell whether it is the one that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileCheck {
    /// Its bytes.
    pub length: u64,
    /// How many of them, at its end, are no pages.
    pub tail: u64,
    /// CRC-32 of those.
    pub crc: u32,
}

/// CRC-32 of each sector of the pages, the last of which may be shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksums {
    /// Where the pages end.
    pub(super) end: u64,
    sectors: Vec<u32>,
}

/// Checksums of bytes that come a little at a time.
#[derive(Debug, Default)]
pub(super) struct Summing {
    sectors: Vec<u32>,
    under_way: Hasher,
    /// Bytes so far.
    pub(super) length: u64,
}

impl Summing {
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = SECTOR - self.length % SECTOR;
            let (now, later) = bytes.split_at(bytes.len().min(room as usize));
            self.under_way.update(now);
            self.length += now.len() as u64;
            if self.length.is_multiple_of(SECTOR) {
                self.end_sector();
            }
            bytes = later;
        }
    }

    /// The checksums as text, after the last of the bytes.
    pub(super) fn finish(mut self) -> String {
        if !self.length.is_multiple_of(SECTOR) {
            self.end_sector();
        }
        let mut bytes = Vec::with_capacity(self.sectors.len() * 4);
        self.sectors.iter().for_each(|crc| bytes.put_u32_le(*crc));
        STANDARD.encode(bytes)
    }

    fn end_sector(&mut self) {
        self.sectors.push(std::mem::take(&mut self.under_way).finalize());
    }
}

impl Checksums {
    /// Reads what [`Summing::finish`] gave, of so many bytes.
    pub(super) fn parse(text: &str, end: u64) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let sectors: Vec<u32> =
            bytes.chunks(4).map(|mut crc| crc.try_get_u32_le()).collect::<Result<_, _>>().ok()?;
        (sectors.len() as u64 == end.div_ceil(SECTOR)).then_some(Self { end, sectors })
    }

    pub(super) fn memory(&self) -> u64 {
        (self.sectors.len() * size_of::<u32>()) as u64
    }

    /// The sectors that have some ranges, as ranges that do not touch.
    pub(super) fn around(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let sectors = |range: &Range<u64>| {
            range.start / SECTOR * SECTOR..range.end.next_multiple_of(SECTOR).min(self.end)
        };
        let mut around: Vec<Range<u64>> = ranges.iter().map(sectors).collect();
        around.sort_unstable_by_key(|range| range.start);
        around.dedup_by(|next, before| {
            let touches = next.start <= before.end;
            if touches {
                before.end = before.end.max(next.end);
            }
            touches
        });
        around
    }

    /// Whether bytes that begin with a sector are what was written.
    pub(super) fn check(&self, start: u64, bytes: &[u8]) -> Result<(), ParquetError> {
        let first = usize::try_from(start / SECTOR).unwrap_or(usize::MAX);
        for (at, sector) in bytes.chunks(SECTOR as usize).enumerate() {
            if self.sectors.get(first + at) != Some(&crc32fast::hash(sector)) {
                let place = start + at as u64 * SECTOR;
                return Err(ParquetError::General(format!(
                    "the bytes from {place} on do not match their CRC"
                )));
            }
        }
        Ok(())
    }
}

/// The end of a file, which is what the catalog says.
#[derive(Debug)]
pub(super) struct Tail {
    start: u64,
    bytes: Bytes,
}

impl Tail {
    pub(super) async fn read(file: &ObjectFile, check: &FileCheck) -> Result<Self, ParquetError> {
        let start = check.length.saturating_sub(check.tail);
        let bytes = match file.store.get_range(&file.path, start..check.length).await {
            Ok(bytes) => bytes,
            Err(error) => return Err(file.cut_off(check).await.unwrap_or_else(|| external(error))),
        };
        if bytes.len() as u64 != check.tail || crc32fast::hash(&bytes) != check.crc {
            return Err(ParquetError::General("its footer does not match the CRC in the catalog".to_owned()));
        }
        Ok(Self { start, bytes })
    }
}

impl AsyncFileReader for Tail {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        let place = |at: u64| at.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let inside = match (place(range.start), place(range.end)) {
            (Some(start), Some(end)) if start <= end && end <= self.bytes.len() => {
                Ok(self.bytes.slice(start..end))
            }
            _ => Err(ParquetError::General("the footer refers to what stands before it".to_owned())),
        };
        async move { inside }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let refused = "the footer is read once, by BlockReader::open";
        async move { Err(ParquetError::General(refused.to_owned())) }.boxed()
    }
}

#[cfg(test)]
mod tests;
