//! The bytes of a block's spans, as the object store has them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use vivace_base::ByteSize;

use super::checked::{Checksums, FileCheck};

/// Counts the bytes of pages that one query reads from blocks, and refuses those above a limit.
#[derive(Debug)]
pub struct ReadMeter {
    read: AtomicU64,
    limit: Option<ByteSize>,
}

/// So many bytes were read, and more are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {0} would have to be read from blocks")]
pub struct TooMuchRead(pub ByteSize);

impl ReadMeter {
    /// Allows so much; [`None`] for any amount.
    pub fn new(limit: Option<ByteSize>) -> Arc<Self> {
        Arc::new(Self { read: AtomicU64::new(0), limit })
    }

    /// Bytes that were read, and those that were refused.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Counts bytes that are about to be read.
    fn count(&self, bytes: u64) -> Result<(), TooMuchRead> {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match self.limit {
            Some(limit) if read > limit.bytes() => Err(TooMuchRead(limit)),
            _ => Ok(()),
        }
    }
}

/// A block's file of spans for the Parquet reader.
#[derive(Clone)]
pub(super) struct ObjectFile {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    pub(super) meter: Option<Arc<ReadMeter>>,
    /// Of its pages; files of older formats have none.
    pub(super) checksums: Option<Arc<Checksums>>,
}

impl ObjectFile {
    fn count(&self, ranges: &[Range<u64>]) -> Result<(), ParquetError> {
        let Some(meter) = &self.meter else { return Ok(()) };
        let bytes = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        meter.count(bytes).map_err(|refused| ParquetError::External(Box::new(refused)))
    }

    /// Some parts of it, checked if that is possible; then none may be behind the pages.
    pub(super) async fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ParquetError> {
        self.count(ranges)?;
        let Some(checksums) = &self.checksums else {
            return self.store.get_ranges(&self.path, ranges).await.map_err(external);
        };
        if ranges.iter().any(|range| range.start > range.end || range.end > checksums.end) {
            return Err(ParquetError::General("a page stands where none can be".to_owned()));
        }
        let around = checksums.around(ranges);
        let fetched = self.store.get_ranges(&self.path, &around).await.map_err(external)?;
        for (range, bytes) in around.iter().zip(&fetched) {
            checksums.check(range.start, bytes)?;
        }
        let cut = |range: &Range<u64>| {
            let at = around.partition_point(|sectors| sectors.start <= range.start).checked_sub(1)?;
            let start = usize::try_from(range.start - around.get(at)?.start).ok()?;
            let end = start + usize::try_from(range.end - range.start).ok()?;
            let bytes = fetched.get(at)?;
            (end <= bytes.len()).then(|| bytes.slice(start..end))
        };
        let short = || ParquetError::General("the store gave fewer bytes than there should be".to_owned());
        ranges.iter().map(|range| cut(range).ok_or_else(short)).collect()
    }

    /// Says so if the object is shorter than it was written: stores refuse to read behind its end as they do for other
    /// reasons.
    pub(super) async fn cut_off(&self, check: &FileCheck) -> Option<ParquetError> {
        let size = self.store.head(&self.path).await.ok()?.size;
        let told = || ParquetError::General(format!("it has {size} of {} bytes", check.length));
        (size < check.length).then(told)
    }
}

impl AsyncFileReader for ObjectFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let mut bytes = self.ranges(std::slice::from_ref(&range)).await?;
            bytes.pop().ok_or_else(|| ParquetError::General("nothing was read".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.ranges(&ranges).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let refused = "the footer is read once, by BlockReader::open";
        async move { Err(ParquetError::General(refused.to_owned())) }.boxed()
    }
}

pub(super) fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
