use std::collections::{BTreeMap, HashSet};

use vivace_base::{BlockId, UnixNanos};
use vivace_model::TimeRange;

use crate::block::FileCheck;
use crate::{Seq, limits};

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
    /// When the newest of its spans first came into a block; what merging blocks does not change.
    pub stored: UnixNanos,
    /// What tells whether its file of spans is whole; [`None`] for formats before 3.
    pub file: Option<FileCheck>,
}

/// A block that was taken out of the catalog. Its objects stay for a while, for queries that know it from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// The block.
    pub id: BlockId,
    /// When it was taken out.
    pub removed: UnixNanos,
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
    /// Blocks whose objects are still to be deleted, in the order they were taken out.
    pub tombstones: Vec<Tombstone>,
}

impl Snapshot {
    /// Up to which record of a log this tenant's spans are in blocks; 0 if none.
    pub fn covered_through(&self, writer: &str) -> Seq {
        self.covered.get(writer).copied().unwrap_or(0)
    }

    /// This snapshot with one more block, its log range covered; [`None`] when the block is already in, or another one
    /// with its records: an earlier commit of whoever cut them came through after all.
    pub fn with_block(&self, block: &BlockMeta) -> Option<Self> {
        let covers = |wal: &WalRange| self.covered_through(&wal.writer) >= wal.last;
        if self.blocks.iter().any(|known| known.id == block.id) || block.wal.as_ref().is_some_and(covers) {
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

    /// This snapshot with `new` in place of the blocks `old`, which have tombstones from `now` on; [`None`] when one of
    /// `old` is gone: someone else was faster, or it is done already.
    pub fn replacing(&self, old: &[BlockId], new: &[BlockMeta], now: UnixNanos) -> Option<Self> {
        let known: HashSet<BlockId> = self.blocks.iter().map(|block| block.id).collect();
        if old.iter().any(|id| !known.contains(id)) {
            return None;
        }
        let mut next = self.without_blocks(old, now)?;
        next.blocks.extend_from_slice(new);
        Some(next)
    }

    /// This snapshot without those of the blocks that it has; [`None`] when it has none of them.
    pub fn without_blocks(&self, ids: &[BlockId], now: UnixNanos) -> Option<Self> {
        let leaving: HashSet<BlockId> = ids.iter().copied().collect();
        let (gone, blocks): (Vec<_>, Vec<_>) =
            self.blocks.iter().cloned().partition(|block| leaving.contains(&block.id));
        if gone.is_empty() {
            return None;
        }
        let mut next = Self { blocks, ..self.clone() };
        next.tombstones.extend(gone.iter().map(|block| Tombstone { id: block.id, removed: now }));
        // Who is forgotten here is found by listing, as other garbage is.
        let surplus = next.tombstones.len().saturating_sub(limits::MAX_TOMBSTONES);
        next.tombstones.drain(..surplus);
        Some(next)
    }

    /// This snapshot without a block that cannot be read, which gets no tombstone; [`None`] when it is not there.
    pub fn without_damaged(&self, id: BlockId) -> Option<Self> {
        let mut next = self.clone();
        next.blocks.retain(|block| block.id != id);
        (next.blocks.len() < self.blocks.len()).then_some(next)
    }

    /// This snapshot without those of the tombstones that it has; [`None`] when it has none of them.
    pub fn without_tombstones(&self, ids: &[BlockId]) -> Option<Self> {
        let deleted: HashSet<BlockId> = ids.iter().copied().collect();
        let mut next = self.clone();
        next.tombstones.retain(|tombstone| !deleted.contains(&tombstone.id));
        (next.tombstones.len() < self.tombstones.len()).then_some(next)
    }
}
