//! What the Parquet reader takes for granted, and damaged files do not have: it panics, where this crate is to say what is
//! wrong.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::{FutureExt, Stream, StreamExt};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

/// Checks the numbers of a footer that others are computed from, for a file of so many bytes.
pub(super) fn check_footer(footer: &ParquetMetaData, size: u64) -> Result<()> {
    let groups = footer.row_groups();
    let rows = groups.iter().try_fold(0_i64, |rows, group| {
        check_group(group, size)?;
        rows.checked_add(group.num_rows()).ok_or_else(|| damaged("row groups have too many rows"))
    })?;
    if rows != footer.file_metadata().num_rows() {
        return Err(damaged("its row groups have other rows than the file"));
    }
    for (group, columns) in groups.iter().zip(footer.offset_index().into_iter().flatten()) {
        for (chunk, index) in group.columns().iter().zip(columns) {
            let (start, length) = chunk.byte_range();
            let mut before = (start, None);
            for page in index.page_locations() {
                let (offset, bytes) =
                    (u64::try_from(page.offset).ok(), u64::try_from(page.compressed_page_size).ok());
                let end = offset.zip(bytes).and_then(|(offset, bytes)| offset.checked_add(bytes));
                let follows = offset.is_some_and(|offset| before.0 <= offset)
                    && before.1.map_or(page.first_row_index == 0, |row| row < page.first_row_index)
                    && page.first_row_index <= group.num_rows();
                before = match end.filter(|end| follows && *end <= start + length) {
                    Some(end) => (end, Some(page.first_row_index)),
                    None => return Err(damaged("its pages are not where they can be")),
                };
            }
        }
    }
    Ok(())
}

fn check_group(group: &RowGroupMetaData, size: u64) -> Result<()> {
    if group.num_rows() < 0 || group.total_byte_size() < 0 {
        return Err(damaged("a row group has negative numbers"));
    }
    group.columns().iter().try_for_each(|chunk| check_chunk(chunk, size))
}

fn check_chunk(chunk: &ColumnChunkMetaData, size: u64) -> Result<()> {
    let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
    let place = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
    let inside = place.and_then(|(start, length)| start.checked_add(length)).is_some_and(|end| end <= size);
    if !inside || chunk.num_values() < 0 || chunk.uncompressed_size() < 0 || chunk.data_page_offset() < start
    {
        return Err(damaged("a column chunk is not where it can be"));
    }
    Ok(())
}

fn damaged(reason: &str) -> ParquetError {
    ParquetError::General(reason.to_owned())
}

/// What a step of the Parquet reader gives, a panic as an error.
pub(super) async fn contained<T>(step: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(step).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// The same of a stream, which ends with it.
pub(super) fn contained_stream<T>(batches: impl Stream<Item = Result<T>>) -> impl Stream<Item = Result<T>> {
    AssertUnwindSafe(batches).catch_unwind().map(|item| item.unwrap_or_else(|panic| Err(panicked(&*panic))))
}

fn panicked(panic: &(dyn Any + Send)) -> ParquetError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic");
    ParquetError::General(format!("reading it broke off: {text}"))
}
