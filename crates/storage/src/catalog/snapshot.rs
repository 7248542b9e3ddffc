use std::collections::BTreeMap;

use vivace_base::BlockId;
use vivace_model::TimeRange;

use crate::Seq;

/// What the catalog knows of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockMeta {
    /// Its name.
    pub id: BlockId,
    /// Number of spans.
    pub rows: u64,
    /// Number of distinct trace ids.
    pub traces: u64,
    /// Size of its objects in bytes.
    pub bytes: u64,
    /// From the first span's start to the last span's end.
    pub range: TimeRange,
    /// Version of the block's file format.
    pub format: u32,
    /// The log records it was cut from; [`None`] once it was made from other blocks.
    pub wal: Option<WalRange>,
    /// How often its spans have been compacted.
    pub level: u32,
}

/// A run of records of one write-ahead log, both ends inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalRange {
    /// [`Wal::writer_id`](crate::Wal::writer_id) of the log.
    pub writer: String,
    /// First record.
    pub first: Seq,
    /// Last record.
    pub last: Seq,
}

/// A tenant's blocks at one moment; immutable once committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Counts commits; 0 is the empty catalog before the first.
    pub version: u64,
    /// The blocks, in the order they were added.
    pub blocks: Vec<BlockMeta>,
    /// Per write-ahead log: every record of this tenant up to and including this one is in a block.
    pub covered: BTreeMap<String, Seq>,
}

impl Snapshot {
    /// Up to which record of a log this tenant's spans are in blocks; 0 if none.
    pub fn covered_through(&self, writer: &str) -> Seq {
        self.covered.get(writer).copied().unwrap_or(0)
    }

    /// This snapshot with one more block, its log range covered; [`None`] when the block is already in.
    pub fn with_block(&self, block: &BlockMeta) -> Option<Self> {
        if self.blocks.iter().any(|known| known.id == block.id) {
            return None;
        }
        let mut next = self.clone();
        next.blocks.push(block.clone());
        if let Some(wal) = &block.wal {
            let covered = next.covered.entry(wal.writer.clone()).or_default();
            *covered = wal.last.max(*covered);
        }
        Some(next)
    }
}
