//! Numbers in as many bytes as they need: LEB128, as in protobuf.

use bytes::{Buf, BufMut};

/// Bytes of the longest.
const MAX_BYTES: u32 = 10;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// [`None`] at the end, and for what does not fit 64 bits.
pub(crate) fn get_varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for at in 0..MAX_BYTES {
        let byte = from.try_get_u8().ok()?;
        let bits = u64::from(byte & 0x7f);
        if at + 1 == MAX_BYTES && bits > 1 {
            return None;
        }
        number |= bits << (7 * at);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Small numbers of either sign to small ones without.
pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests;
