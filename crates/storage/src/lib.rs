//! What is kept and where: the write-ahead log, the object store, the catalog of blocks. Knows neither queries nor
//! protocols.

pub mod block;
pub mod catalog;
pub mod check;
pub mod columns;
pub mod compaction;
mod damage;
mod durable;
mod error;
pub mod index;
pub mod limits;
mod live;
pub mod object;
pub mod paths;
mod varint;
pub mod wal;

pub use block::{BlockError, BlockReader, Projection};
pub use catalog::{BlockMeta, Catalog, Catalogs, Snapshot, Tombstone, WalRange};
pub use columns::ColumnError;
pub use compaction::{
    CompactionContext, CompactionOptions, CompactionStats, Compactor, LevelStats, TenantBacklog,
    TenantPolicies, TenantPolicy,
};
pub use damage::{Damaged, damaged};
pub use error::{CatalogError, StoreError, WalError};
pub use index::IndexError;
pub use live::{LiveBatch, LiveSnapshot, LiveSpans};
pub use object::{open_store, probe_put_if_absent};
pub use wal::{CommitSink, Record, Replay, Replayed, Seq, Wal, WalOptions, WalStats};
