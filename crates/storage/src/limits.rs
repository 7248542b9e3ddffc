//! The stated maxima of what this crate keeps, reads or tries.

use vivace_base::ByteSize;

/// Largest catalog snapshot that is read, so that a damaged object cannot fill memory; room for some 200 000 blocks.
pub const MAX_SNAPSHOT: ByteSize = ByteSize::from_mib(64);
/// How many of a tenant's newest catalog snapshots are kept; older ones are deleted after a commit.
pub const SNAPSHOTS_KEPT: u64 = 16;
/// How many old snapshots one commit deletes at most.
pub const SNAPSHOTS_PRUNED_PER_COMMIT: u64 = 32;
/// How often a commit is built anew because another writer was faster.
pub const MAX_COMMIT_TRIES: u32 = 32;
/// How many tenants one process serves.
pub const MAX_TENANTS: usize = 10_000;
/// How many tenants' catalogs are opened at once at start.
pub const TENANTS_OPENED_AT_ONCE: usize = 16;

/// How many removed blocks a catalog remembers until their objects are deleted.
pub const MAX_TOMBSTONES: usize = 50_000;

/// Rows of a batch read from a block that is being compacted.
pub const COMPACTION_READ_ROWS: usize = 1_024;
/// Rows that compaction writes at once.
pub const COMPACTION_WRITE_ROWS: usize = 2_048;
/// Rows of small traces with parts in several blocks that are put in order in memory at once; a trace with more is
/// merged as it is read.
pub const COMPACTION_GROUP_ROWS: usize = 2_048;
/// Bytes of a compacted block that are sent to the object store at once.
pub const COMPACTION_UPLOAD_PART: usize = 5 << 20;
/// How many such parts are under way at once.
pub const COMPACTION_UPLOADS: usize = 1;
/// Compaction begins nothing that would not leave one part in so many of the memory limit to others.
pub const COMPACTION_LEAVES: u64 = 6;
/// How many attributes are counted at once to find those that get a column; the rarest are forgotten.
pub const COMPACTION_COUNTED_ATTRIBUTES: usize = 32_768;
/// How many removed blocks of a tenant are deleted in a row.
pub const DELETED_AT_ONCE: usize = 100;
/// How many damaged blocks are remembered to be left alone.
pub const MAX_DAMAGED: usize = 10_000;

/// One row in this many must have an attribute for it to get a column of its own: about one percent.
pub const ROWS_PER_COLUMN_VALUE: usize = 100;
/// One row in this many for batches in memory, where a column costs four bytes for each row that has nothing.
pub const ROWS_PER_HEAD_COLUMN_VALUE: usize = 20;
/// No attribute that fewer rows have gets a column, unless all rows have it.
pub const FEWEST_COLUMN_VALUES: usize = 4;
/// How many attribute columns a block has at most.
pub const MAX_ATTRIBUTE_COLUMNS: usize = 512;
/// How many rows are rearranged at once while a block is written.
pub const BLOCK_WRITE_ROWS: usize = 16_384;
/// Rows after which a block's row group ends with its trace.
pub const ROW_GROUP_ROWS: usize = 131_072;
/// So many spans of one trace are remembered while a block is written; what comes behind them is written without being
/// looked at: spans may be there twice in a trace with more rows.
pub const REMEMBERED_SPANS: usize = 1 << 18;
/// Rows of a block's data page.
pub const PAGE_ROWS: usize = 8_192;
/// Bytes after which a page of a column without a dictionary ends: whoever wants a few of its rows unpacks all of it.
pub const PAGE_BYTES: usize = 16 << 10;
/// A text column has a dictionary when each of its texts stands in so many rows on average.
pub const DICTIONARY_REPEATS: usize = 4;
/// zstd level of blocks.
pub const BLOCK_ZSTD_LEVEL: i32 = 3;
/// zstd level of blocks made of others, which stay.
pub const COMPACTED_ZSTD_LEVEL: i32 = 6;
/// Bytes read from the end of a block in the hope that they hold the whole footer.
pub const FOOTER_PREFETCH: usize = 64 * 1024;
/// Rows of a batch of rows that were picked from a block.
pub const SELECTED_BATCH_ROWS: usize = 65_536;
/// Pages of at most so many rows are in memory when rows are read a little at a time.
pub const TRICKLED_ROWS: usize = 2 * PAGE_ROWS;
/// Rows of a batch read from a block.
pub const READ_BATCH_ROWS: usize = 8_192;

/// How many values of one key a block's index lists; more are "many", and are read from the spans.
pub const MAX_INDEXED_VALUES: usize = 10_000;
/// How many bytes of text the listed values of one key have at most.
pub const MAX_INDEXED_VALUE_BYTES: usize = 256 << 10;
/// Memory for the keys and values of an index under construction.
pub const INDEX_MEMORY: usize = 3 << 20;
/// How many hashes of values the zone under way has at most, all columns together.
pub const ZONE_HASHES: usize = 1 << 18;
/// A hash in a table that may have doubled just now.
const ZONE_HASH_BYTES: u64 = 18;
/// Bytes that the zones of the same rows take at most, all columns together.
pub const ZONE_BYTES: usize = 256 << 10;
/// Rows of a chunk of summaries.
pub const SUMMARY_ROWS: usize = 1 << 14;
/// Bytes of all summaries of a block; the largest tables go when they are more.
pub const SUMMARY_BYTES: usize = 1 << 20;
/// Memory for summaries under construction: a chunk's rows, sorted and packed, names and groups, and the bytes so far,
/// twice when they become part of the index.
pub const SUMMARY_MEMORY: u64 = 5 << 20;
/// Memory that making an index needs beside [`INDEX_ROW`]: what is collected, and the bytes made of it.
pub const INDEX_BUILD: u64 = 2 * INDEX_MEMORY as u64 + ZONE_HASHES as u64 * ZONE_HASH_BYTES + SUMMARY_MEMORY;
/// What an index under construction has of each row at most: its share of [`ZONE_BYTES`], twice when it becomes part of
/// the index.
pub const INDEX_ROW: u64 = 2 * (ZONE_BYTES / crate::index::ZONE_ROWS) as u64;
/// What it has of each trace: id, first row, range and root, in tables that may have doubled just now.
pub const INDEX_TRACE: u64 = 2 * (8 + 4 + 16 + 4);
/// Bytes of values after which a page of the index is full.
pub const INDEX_PAGE: usize = 32 << 10;
/// Bytes from the beginning of an index that are kept in memory with an open block.
pub const INDEX_PREFIX: u64 = 64 << 10;
/// No chunk of an index is larger than this, packed or not: keys and values share [`INDEX_MEMORY`].
pub const MAX_INDEX_CHUNK: u32 = 16 << 20;
/// How many sections an index has at most.
pub const MAX_INDEX_SECTIONS: usize = 256;
