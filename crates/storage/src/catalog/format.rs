//! The snapshot as JSON; `docs/formats/catalog.md`. Fields this program does not know are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vivace_base::{BlockId, ParseBlockIdError, UnixNanos};
use vivace_model::TimeRange;

use super::{BlockMeta, Snapshot, Tombstone, WalRange};
use crate::block::FileCheck;
use crate::damage::{self, Damaged};
use crate::{CatalogError, Seq};

/// The newest format of catalog snapshots that is read, and the one that is written.
pub const FORMAT: u32 = 3;

/// How a snapshot ends since format 3: with the CRC-32 of everything before this, in eight hex digits.
const CHECKSUM: (&str, &str) = (",\"crc32\":\"", "\"}");
const CRC_DIGITS: usize = 8;

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
    /// Since format 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct File {
    length: u64,
    tail: u64,
    crc32: u32,
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
    let mut bytes = serde_json::to_vec(&document)
        .expect("strings, integers and maps with string keys always have a JSON form");
    // The brace that ends the document comes after the checksum.
    bytes.pop();
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(format!("{}{crc:08x}{}", CHECKSUM.0, CHECKSUM.1).as_bytes());
    bytes
}

/// Whether the checksum at the end is that of what stands before it; [`None`] when there is none.
fn checks_out(bytes: &[u8]) -> Option<bool> {
    let bytes = bytes.strip_suffix(CHECKSUM.1.as_bytes())?;
    let (bytes, digits) = bytes.split_at_checked(bytes.len().checked_sub(CRC_DIGITS)?)?;
    let document = bytes.strip_suffix(CHECKSUM.0.as_bytes())?;
    let expected = format!("{:08x}", crc32fast::hash(document));
    Some(digits == expected.as_bytes())
}

pub(super) fn decode(bytes: &[u8], version: u64, path: &str) -> Result<Stored, CatalogError> {
    let corrupt = |reason: String| {
        damage::found(Damaged::Catalog, path, &reason);
        CatalogError::Corrupt { path: path.to_owned(), reason }
    };
    let head: Head = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
    if head.format > u64::from(FORMAT) {
        let path = path.to_owned();
        return Err(CatalogError::UnsupportedFormat { path, found: head.format, known: FORMAT });
    }
    match checks_out(bytes) {
        Some(true) => {}
        None if head.format < 3 => {}
        Some(false) => return Err(corrupt("its CRC does not match".to_owned())),
        None => return Err(corrupt("it does not end with its CRC".to_owned())),
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
    if document.version != version {
        return Err(corrupt(format!("it says it is version {}", document.version)));
    }
    if version == u64::MAX {
        return Err(corrupt("no version can follow it".to_owned()));
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
            file: meta.file.map(|file| File { length: file.length, tail: file.tail, crc32: file.crc }),
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
            file: block.file.map(|file| FileCheck { length: file.length, tail: file.tail, crc: file.crc32 }),
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
