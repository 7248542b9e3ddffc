//! Reading picked rows of a row group: only the pages that have them are fetched, and they are unpacked with one context
//! for all, since making one costs more than unpacking a small page.

use std::cell::RefCell;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups, RowSelection, RowSelector};
use parquet::arrow::{FieldLevels, ProjectionMask};
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length, SerializedPageReader};

use super::checked::SECTOR;
use super::object::ObjectFile;

/// No page is larger once unpacked: they are written with far fewer bytes.
const MAX_PAGE: usize = 256 << 20;
/// Rows that are left out behind the last, so that those that are read seem few and far between.
const FAR: usize = u32::MAX as usize;

thread_local! {
    static CONTEXT: RefCell<zstd::bulk::Decompressor<'static>> =
        RefCell::new(zstd::bulk::Decompressor::new().expect("a context without a dictionary"));
}

/// The pages of some columns of one row group that have the selected rows.
pub(super) struct GroupPages {
    metadata: Arc<ParquetMetaData>,
    group: usize,
    /// By leaf column; none where it was not asked for.
    chunks: Vec<Option<Chunk>>,
    /// Whether pages between others are missing.
    gaps: bool,
}

struct Chunk {
    bytes: Arc<Sparse>,
    metadata: ColumnChunkMetaData,
    locations: Option<Vec<PageLocation>>,
}

/// What of a column chunk is fetched, of an object of so many bytes.
struct Fetch {
    column: usize,
    ranges: Vec<Range<u64>>,
    locations: Option<Vec<PageLocation>>,
}

/// The pages that are to be fetched.
pub(super) struct PagesWanted {
    metadata: Arc<ParquetMetaData>,
    group: usize,
    fetches: Vec<Fetch>,
}

impl PagesWanted {
    pub(super) fn new(
        metadata: &Arc<ParquetMetaData>,
        group: usize,
        mask: &ProjectionMask,
        selection: &RowSelection,
    ) -> Self {
        let fetches = (0..metadata.row_group(group).columns().len())
            .filter(|column| mask.leaf_included(*column))
            .map(|column| Fetch::new(metadata, group, column, selection))
            .collect();
        Self { metadata: Arc::clone(metadata), group, fetches }
    }

    /// About how many bytes of memory reading so many rows at a time takes.
    pub(super) fn memory(&self, rows: usize) -> u64 {
        let group = self.metadata.row_group(self.group);
        let count = u64::try_from(group.num_rows()).unwrap_or_default().max(1);
        let of = |fetch: &Fetch| fetch.memory(group.column(fetch.column), rows as u64, count);
        self.fetches.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Fetches them.
    pub(super) async fn fetch(self, file: &ObjectFile) -> Result<GroupPages> {
        let Self { metadata, group, fetches } = self;
        let ranges: Vec<Range<u64>> = fetches.iter().flat_map(|fetch| fetch.ranges.iter().cloned()).collect();
        let mut fetched = file.ranges(&ranges).await?.into_iter();
        let columns = metadata.row_group(group).columns().len();
        let mut chunks: Vec<Option<Chunk>> = (0..columns).map(|_| None).collect();
        let gaps = fetches.iter().any(Fetch::has_gaps);
        for Fetch { column, ranges, locations } in fetches {
            let parts = ranges.iter().map(|range| range.start).zip(&mut fetched).collect();
            let metadata = metadata.row_group(group).column(column);
            // The reader is to leave compressed pages alone.
            let plain = metadata.clone().into_builder();
            let plain =
                if is_zstd(metadata) { plain.set_compression(Compression::UNCOMPRESSED) } else { plain };
            chunks[column] =
                Some(Chunk { bytes: Arc::new(Sparse(parts)), metadata: plain.build()?, locations });
        }
        Ok(GroupPages { metadata, group, chunks, gaps })
    }
}

impl GroupPages {
    /// Reads the selected rows in batches.
    pub(super) fn read(
        &self,
        levels: &FieldLevels,
        selection: RowSelection,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader> {
        let batch = batch_rows.min(selection.row_count()).max(1);
        // The reader goes through everything between rows that stand close together, and then chooses from it, which
        // needs every page. It steps from row to row where they do not, which this makes it believe.
        let selection = if self.gaps {
            selection.iter().copied().chain([RowSelector::skip(FAR)]).collect()
        } else {
            selection
        };
        ParquetRecordBatchReader::try_new_with_row_groups(levels, self, batch, Some(selection))
    }
}

fn is_zstd(chunk: &ColumnChunkMetaData) -> bool {
    matches!(chunk.compression(), Compression::ZSTD(_))
}

impl Fetch {
    fn new(metadata: &ParquetMetaData, group: usize, column: usize, selection: &RowSelection) -> Self {
        let (start, length) = metadata.row_group(group).column(column).byte_range();
        let whole = start..start + length;
        let index = metadata.offset_index().and_then(|index| index.get(group)?.get(column));
        let Some(locations) = index.map(|index| index.page_locations().clone()) else {
            return Self { column, ranges: Vec::from([whole]), locations: None };
        };
        let first = locations.first().map_or(whole.end, |page| page.offset as u64);
        // What stands before the first page is the dictionary.
        let dictionary = (start < first).then_some(start..first);
        let ranges = dictionary.into_iter().chain(selection.scan_ranges(&locations)).collect();
        Self { column, ranges, locations: Some(locations) }
    }

    /// What reading so many of the group's `count` rows takes: the pages as they are fetched, the dictionary unpacked with
    /// where each of its values is, a page unpacked, and the batch: its values, or four bytes each for where they are.
    fn memory(&self, chunk: &ColumnChunkMetaData, rows: u64, count: u64) -> u64 {
        const WHERE: u64 = 5;
        let size = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
        let (start, packed) = chunk.byte_range();
        // Pages come with the rest of the sectors they are in.
        let fetched: u64 = self.ranges.iter().map(|range| range.end - range.start + 2 * SECTOR).sum();
        let unpacked = |bytes: u64| bytes.saturating_mul(size(chunk.uncompressed_size())) / packed.max(1);
        let dictionary = size(chunk.data_page_offset()).saturating_sub(start);
        let data = unpacked(packed.saturating_sub(dictionary));
        let pages = self.locations.as_ref().map_or(1, |locations| locations.len().max(1) as u64);
        let values = if dictionary > 0 { 0 } else { data / count * rows };
        [fetched, 2 * unpacked(dictionary), data / pages, values, rows * WHERE].into_iter().sum()
    }

    /// Whether a page between others is not fetched.
    fn has_gaps(&self) -> bool {
        let Some(locations) = &self.locations else { return false };
        let place = |range: &Range<u64>| locations.iter().position(|page| page.offset as u64 == range.start);
        // The dictionary is none of the pages.
        let fetched: Vec<usize> = self.ranges.iter().filter_map(place).collect();
        fetched.windows(2).any(|pair| pair[1] > pair[0] + 1)
    }
}

impl RowGroups for GroupPages {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.group).num_rows()).unwrap_or_default()
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let missing = || ParquetError::General(format!("column {column} was not fetched"));
        let chunk = self.chunks.get(column).and_then(Option::as_ref).ok_or_else(missing)?;
        let packed = is_zstd(self.metadata.row_group(self.group).column(column));
        let bytes = Arc::clone(&chunk.bytes);
        let pages =
            SerializedPageReader::new(bytes, &chunk.metadata, self.num_rows(), chunk.locations.clone())?;
        Ok(Box::new(OneChunk(Some(Box::new(Pages { pages, packed })))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

struct OneChunk(Option<Box<dyn PageReader>>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneChunk {}

/// Unpacks the pages of another reader.
struct Pages {
    pages: SerializedPageReader<Sparse>,
    packed: bool,
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        match self.pages.get_next_page()? {
            Some(page) if self.packed => unpacked(page).map(Some),
            page => Ok(page),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

fn unpacked(mut page: Page) -> Result<Page> {
    match &mut page {
        Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = unpack(buf, 0)?,
        // Levels stand before the values and are not packed.
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed: true, .. } => {
            *buf = unpack(buf, (*def_levels_byte_len + *rep_levels_byte_len) as usize)?;
        }
        Page::DataPageV2 { .. } => {}
    }
    Ok(page)
}

/// The bytes from `start` on unpacked, those before as they are.
fn unpack(bytes: &Bytes, start: usize) -> Result<Bytes> {
    let damaged = |reason: &str| ParquetError::General(format!("a page cannot be unpacked: {reason}"));
    let (levels, packed) = bytes.split_at_checked(start).ok_or_else(|| damaged("it is too short"))?;
    if packed.is_empty() {
        return Ok(bytes.clone());
    }
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MAX_PAGE);
    let size = size.ok_or_else(|| damaged("its size is not known, or too large"))?;
    let values = CONTEXT
        .with_borrow_mut(|context| context.decompress(packed, size))
        .map_err(|error| damaged(&error.to_string()))?;
    if levels.is_empty() { Ok(values.into()) } else { Ok([levels, &values].concat().into()) }
}

/// Parts of an object, by where they begin in it.
struct Sparse(Vec<(u64, Bytes)>);

impl Sparse {
    fn from(&self, start: u64) -> Result<Bytes> {
        let at = self.0.partition_point(|(begin, _)| *begin <= start);
        let part = at.checked_sub(1).and_then(|at| self.0.get(at));
        let part = part.and_then(|(begin, bytes)| {
            let skip = usize::try_from(start - begin).ok()?;
            (skip <= bytes.len()).then(|| bytes.slice(skip..))
        });
        part.ok_or_else(|| ParquetError::General(format!("byte {start} was not fetched")))
    }
}

impl Length for Sparse {
    fn len(&self) -> u64 {
        self.0.last().map_or(0, |(begin, bytes)| begin + bytes.len() as u64)
    }
}

impl ChunkReader for Sparse {
    type T = BytesRead;

    fn get_read(&self, start: u64) -> Result<BytesRead> {
        Ok(BytesRead(Cursor::new(self.from(start)?)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::General(format!("{length} bytes at {start} were not fetched")));
        }
        Ok(bytes.slice(..length))
    }
}

/// Bytes as a reader.
struct BytesRead(Cursor<Bytes>);

impl Read for BytesRead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}
