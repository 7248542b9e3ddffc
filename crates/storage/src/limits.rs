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

/// One row in this many must have an attribute for it to get a column of its own: about one percent.
pub const ROWS_PER_COLUMN_VALUE: usize = 100;
/// How many attribute columns a block has at most.
pub const MAX_ATTRIBUTE_COLUMNS: usize = 512;
/// How many rows are rearranged at once while a block is written.
pub const BLOCK_WRITE_ROWS: usize = 16_384;
/// Rows of a block's row group.
pub const ROW_GROUP_ROWS: usize = 131_072;
/// Rows of a block's data page.
pub const PAGE_ROWS: usize = 8_192;
/// zstd level of blocks.
pub const BLOCK_ZSTD_LEVEL: i32 = 3;
/// Bytes read from the end of a block in the hope that they hold the whole footer.
pub const FOOTER_PREFETCH: usize = 64 * 1024;
/// Rows of a batch read from a block.
pub const READ_BATCH_ROWS: usize = 8_192;
