//! The frame of an index: header, and chunks that are compressed and checked one by one. All numbers are little endian.

use bytes::{Buf, BufMut};

use crate::BlockError;
use crate::limits;

/// The newest format of indexes that is read, and the one that is written.
pub(super) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"vivaceix";
/// Magic, format, number of sections.
const HEADER_FIXED: usize = 8 + 4 + 4;
/// Kind and reference of a section.
const SECTION_BYTES: usize = 4 + REFERENCE_BYTES;
const REFERENCE_BYTES: usize = 8 + 4 + 4 + 4;
const CRC_BYTES: usize = 4;

/// Where a chunk is and what it must be: bytes are never trusted, nor unpacked, before they match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkRef {
    /// From the place that the holder of the reference counts from.
    pub(super) offset: u64,
    /// Stored bytes.
    pub(super) length: u32,
    /// Bytes once unpacked.
    pub(super) unpacked: u32,
    /// CRC-32 of the stored bytes.
    pub(super) crc: u32,
}

/// A section: its first chunk, and through that the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: u32,
    /// Counted from the beginning of the object.
    pub(super) root: ChunkRef,
}

/// A section's bytes: the root chunk, then the chunks it refers to, counted from its own end.
pub(super) struct SectionBytes {
    pub(super) kind: u32,
    pub(super) root: Vec<u8>,
    pub(super) rest: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    Valid(Vec<Section>),
    Newer(u32),
    Damaged,
}

/// The whole object.
pub(super) fn assemble(sections: Vec<SectionBytes>) -> Result<Vec<u8>, BlockError> {
    let mut header = Vec::new();
    header.put_slice(MAGIC);
    header.put_u32_le(FORMAT);
    header.put_u32_le(to_u32(sections.len())?);
    let first = HEADER_FIXED + sections.len() * SECTION_BYTES + CRC_BYTES;
    let mut body = Vec::new();
    for section in sections {
        let root = pack(&section.root, first + body.len(), &mut body)?;
        body.extend_from_slice(&section.rest);
        header.put_u32_le(section.kind);
        put_reference(&mut header, root);
    }
    header.put_u32_le(crc32fast::hash(&header));
    header.append(&mut body);
    Ok(header)
}

/// Reads the header out of the beginning of the object.
pub(super) fn read_header(start: &[u8]) -> Header {
    let Some(mut rest) = start.strip_prefix(MAGIC) else { return Header::Damaged };
    let (Ok(format), Ok(count)) = (rest.try_get_u32_le(), rest.try_get_u32_le()) else {
        return Header::Damaged;
    };
    if format > FORMAT {
        return Header::Newer(format);
    }
    let count = count as usize;
    let checked = HEADER_FIXED + count.min(limits::MAX_INDEX_SECTIONS) * SECTION_BYTES;
    let Some((checked, mut crc)) = start.split_at_checked(checked) else { return Header::Damaged };
    let intact = crc.try_get_u32_le() == Ok(crc32fast::hash(checked));
    let section = |_| Some(Section { kind: rest.try_get_u32_le().ok()?, root: get_reference(&mut rest)? });
    match (0..count).map(section).collect() {
        Some(sections) if intact && count <= limits::MAX_INDEX_SECTIONS => Header::Valid(sections),
        _ => Header::Damaged,
    }
}

/// Compresses a chunk onto the end of `out`; it will stand at `offset`.
pub(super) fn pack(chunk: &[u8], offset: usize, out: &mut Vec<u8>) -> Result<ChunkRef, BlockError> {
    let packed = zstd::bulk::compress(chunk, limits::BLOCK_ZSTD_LEVEL)
        .map_err(|error| BlockError::Build(error.to_string()))?;
    out.extend_from_slice(&packed);
    Ok(ChunkRef {
        offset: offset as u64,
        length: to_u32(packed.len())?,
        unpacked: to_u32(chunk.len())?,
        crc: crc32fast::hash(&packed),
    })
}

/// A chunk's content; [`None`] when the bytes are not what the reference says.
pub(super) fn unpack(reference: &ChunkRef, stored: &[u8]) -> Option<Vec<u8>> {
    if stored.len() != reference.length as usize || crc32fast::hash(stored) != reference.crc {
        return None;
    }
    let chunk = zstd::bulk::decompress(stored, reference.unpacked as usize).ok()?;
    (chunk.len() == reference.unpacked as usize).then_some(chunk)
}

pub(super) fn put_reference(out: &mut Vec<u8>, reference: ChunkRef) {
    out.put_u64_le(reference.offset);
    out.put_u32_le(reference.length);
    out.put_u32_le(reference.unpacked);
    out.put_u32_le(reference.crc);
}

pub(super) fn get_reference(from: &mut &[u8]) -> Option<ChunkRef> {
    Some(ChunkRef {
        offset: from.try_get_u64_le().ok()?,
        length: from.try_get_u32_le().ok()?,
        unpacked: from.try_get_u32_le().ok()?,
        crc: from.try_get_u32_le().ok()?,
    })
}

/// Lengths are bounded far below 4 GiB by what a build may hold.
pub(super) fn to_u32(length: usize) -> Result<u32, BlockError> {
    u32::try_from(length).map_err(|_| BlockError::Build(format!("{length} bytes do not fit an index")))
}
