//! Bytes of a segment; `docs/formats/wal.md`. All numbers are little endian.

use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use crc32fast::Hasher;
use vivace_model::TenantId;

use super::Seq;

/// The newest format of segments that is read, and the one that is written.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"vivacewl";
pub(super) const HEADER_BYTES: usize = 8 + 4 + 8 + 4;
/// CRC and length of a record's body.
pub(super) const FRAME_BYTES: usize = 4 + 4;
/// Sequence number, payload format and the tenant's length.
const BODY_FIXED_BYTES: usize = 8 + 1 + 1;
/// No record is shorter.
pub(super) const MIN_RECORD_BYTES: usize = FRAME_BYTES + BODY_FIXED_BYTES;
/// No log lives so long that its numbers come near this one.
pub(super) const NO_SEQ: Seq = 1 << 62;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    Valid { first: Seq },
    Newer(u32),
    Damaged,
}

/// A record's frame and the fixed part of its body; what follows is the payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) seq: Seq,
    pub(super) format: u8,
    pub(super) tenant: Bytes,
    pub(super) payload: Bytes,
}

pub(super) fn segment_path(dir: &Path, first: Seq) -> PathBuf {
    dir.join(format!("{first:020}.wal"))
}

/// Where a damaged segment goes once it is released.
pub(super) fn damaged_path(segment: &Path) -> PathBuf {
    segment.with_extension("wal.damaged")
}

/// Whether a file is where a damaged segment goes.
pub(super) fn is_damaged_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "damaged")
        && path.file_stem().is_some_and(|stem| first_seq(Path::new(stem)).is_some())
}

/// The first sequence number in a segment's file name; [`None`] for any other file.
pub(super) fn first_seq(path: &Path) -> Option<Seq> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".wal")?;
    let valid = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| digits.parse().ok()).flatten().filter(|first| *first > 0)
}

pub(super) fn encode_header(first: Seq) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12..20].copy_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
    header
}

pub(super) fn decode_header(header: &[u8; HEADER_BYTES]) -> Header {
    let (checked, mut crc) = header.split_at(20);
    let Some(mut rest) = checked.strip_prefix(MAGIC) else { return Header::Damaged };
    if crc.get_u32_le() != crc32fast::hash(checked) {
        return Header::Damaged;
    }
    match rest.get_u32_le() {
        version if version > FORMAT => Header::Newer(version),
        _ => Header::Valid { first: rest.get_u64_le() },
    }
}

/// Everything of a record that goes before its payload. The CRC covers the length, this and the payload.
pub(super) fn encode_prefix(seq: Seq, format: u8, tenant: &TenantId, payload: &[u8]) -> Vec<u8> {
    let tenant = tenant.as_str().as_bytes();
    let length = BODY_FIXED_BYTES + tenant.len() + payload.len();
    let mut prefix = Vec::with_capacity(FRAME_BYTES + BODY_FIXED_BYTES + tenant.len());
    prefix.extend_from_slice(&[0; 4]);
    prefix.extend_from_slice(&(length as u32).to_le_bytes());
    prefix.extend_from_slice(&seq.to_le_bytes());
    prefix.push(format);
    prefix.push(tenant.len() as u8);
    prefix.extend_from_slice(tenant);
    let mut crc = Hasher::new();
    crc.update(&prefix[4..]);
    crc.update(payload);
    prefix[..4].copy_from_slice(&crc.finalize().to_le_bytes());
    prefix
}

/// The CRC and the length of the body, as the frame says.
pub(super) fn decode_frame(mut frame: &[u8]) -> (u32, u32) {
    let crc = frame.get_u32_le();
    (crc, frame.get_u32_le())
}

/// The body of a record, if CRC and lengths check out.
pub(super) fn decode_body(crc: u32, mut body: Bytes) -> Result<Body, &'static str> {
    let mut hasher = Hasher::new();
    hasher.update(&(body.len() as u32).to_le_bytes());
    hasher.update(&body);
    if hasher.finalize() != crc {
        return Err("the record's CRC does not match");
    }
    if body.len() < BODY_FIXED_BYTES {
        return Err("the record is shorter than its fixed part");
    }
    let (seq, format) = (body.get_u64_le(), body.get_u8());
    let tenant_length = usize::from(body.get_u8());
    if body.len() < tenant_length {
        return Err("the record is shorter than its tenant's name");
    }
    let tenant = body.split_to(tenant_length);
    Ok(Body { seq, format, tenant, payload: body })
}

#[cfg(test)]
mod tests;
