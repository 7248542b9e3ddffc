//! The snapshot as JSON; `docs/formats/catalog.md`. Fields this program does not know are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vivace_base::{BlockId, ParseBlockIdError, UnixNanos};
use vivace_model::TimeRange;

use super::{BlockMeta, Snapshot, Tombstone, WalRange};
use crate::{CatalogError, Seq};

/// The newest format of catalog snapshots that is read, and the one that is written.
pub const FORMAT: u32 = 2;

/// A snapshot and who wrote it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) commit: String,
    pub(super) snapshot: Snapshot,
}

/// Read first and alone, for a newer format may have changed everything else.
#[derive(Deserialize)]
struct Head {
    format: u64,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    version: u64,
    commit: String,
    blocks: Vec<Block>,
    covered: BTreeMap<String, Seq>,
    /// Since format 2.
    #[serde(default)]
    tombstones: Vec<Gone>,
}

#[derive(Serialize, Deserialize)]
struct Block {
    id: String,
    rows: u64,
    traces: u64,
    bytes: u64,
    start_unix_nano: u64,
    end_unix_nano: u64,
    format: u32,
    level: u32,
    /// Since format 2; before, when the block was made.
    #[serde(default)]
    stored_unix_nano: Option<UnixNanos>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wal: Option<Wal>,
}

#[derive(Serialize, Deserialize)]
struct Gone {
    id: String,
    removed_unix_nano: UnixNanos,
}

#[derive(Serialize, Deserialize)]
struct Wal {
    writer: String,
    first: Seq,
    last: Seq,
}

pub(super) fn encode(snapshot: &Snapshot, commit: &str) -> Vec<u8> {
    let document = Document {
        format: FORMAT,
        version: snapshot.version,
        commit: commit.to_owned(),
        blocks: snapshot.blocks.iter().map(Block::from).collect(),
        covered: snapshot.covered.clone(),
        tombstones: snapshot.tombstones.iter().map(Gone::from).collect(),
    };
    serde_json::to_vec(&document)
        .expect("strings, integers and maps with string keys always have a JSON form")
}

pub(super) fn decode(bytes: &[u8], version: u64, path: &str) -> Result<Stored, CatalogError> {
    let corrupt = |reason: String| CatalogError::Corrupt { path: path.to_owned(), reason };
    let head: Head = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
    if head.format > u64::from(FORMAT) {
        let path = path.to_owned();
        return Err(CatalogError::UnsupportedFormat { path, found: head.format, known: FORMAT });
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
    if document.version != version {
        return Err(corrupt(format!("it says it is version {}", document.version)));
    }
    let blocks = document.blocks.into_iter().map(BlockMeta::try_from).collect::<Result<_, _>>();
    let tombstones = document.tombstones.into_iter().map(Tombstone::try_from).collect::<Result<_, _>>();
    let snapshot = Snapshot {
        version,
        blocks: blocks.map_err(corrupt)?,
        covered: document.covered,
        tombstones: tombstones.map_err(corrupt)?,
    };
    Ok(Stored { commit: document.commit, snapshot })
}

impl From<&BlockMeta> for Block {
    fn from(meta: &BlockMeta) -> Self {
        let wal =
            |range: &WalRange| Wal { writer: range.writer.clone(), first: range.first, last: range.last };
        Self {
            id: meta.id.to_string(),
            rows: meta.rows,
            traces: meta.traces,
            bytes: meta.bytes,
            start_unix_nano: meta.range.start,
            end_unix_nano: meta.range.end,
            format: meta.format,
            level: meta.level,
            stored_unix_nano: Some(meta.stored),
            wal: meta.wal.as_ref().map(wal),
        }
    }
}

impl TryFrom<Block> for BlockMeta {
    type Error = String;

    fn try_from(block: Block) -> Result<Self, String> {
        let id = parse(&block.id)?;
        Ok(Self {
            id,
            rows: block.rows,
            traces: block.traces,
            bytes: block.bytes,
            range: TimeRange { start: block.start_unix_nano, end: block.end_unix_nano },
            format: block.format,
            wal: block.wal.map(|wal| WalRange { writer: wal.writer, first: wal.first, last: wal.last }),
            level: block.level,
            stored: block.stored_unix_nano.unwrap_or(id.created()),
        })
    }
}

impl From<&Tombstone> for Gone {
    fn from(tombstone: &Tombstone) -> Self {
        Self { id: tombstone.id.to_string(), removed_unix_nano: tombstone.removed }
    }
}

impl TryFrom<Gone> for Tombstone {
    type Error = String;

    fn try_from(gone: Gone) -> Result<Self, String> {
        Ok(Self { id: parse(&gone.id)?, removed: gone.removed_unix_nano })
    }
}

fn parse(id: &str) -> Result<BlockId, String> {
    id.parse().map_err(|error: ParseBlockIdError| error.to_string())
}
