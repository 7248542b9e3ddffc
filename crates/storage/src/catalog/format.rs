//! The snapshot as JSON; `docs/formats/catalog.md`. Fields this program does not know are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vivace_model::TimeRange;

use super::{BlockMeta, Snapshot, WalRange};
use crate::{CatalogError, Seq};

/// The newest format of catalog snapshots that is read, and the one that is written.
pub const FORMAT: u32 = 1;

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wal: Option<Wal>,
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
    let snapshot = Snapshot { version, blocks: blocks.map_err(corrupt)?, covered: document.covered };
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
            wal: meta.wal.as_ref().map(wal),
        }
    }
}

impl TryFrom<Block> for BlockMeta {
    type Error = String;

    fn try_from(block: Block) -> Result<Self, String> {
        Ok(Self {
            id: block.id.parse().map_err(|e: vivace_base::ParseBlockIdError| e.to_string())?,
            rows: block.rows,
            traces: block.traces,
            bytes: block.bytes,
            range: TimeRange { start: block.start_unix_nano, end: block.end_unix_nano },
            format: block.format,
            wal: block.wal.map(|wal| WalRange { writer: wal.writer, first: wal.first, last: wal.last }),
            level: block.level,
        })
    }
}
