//! Protobuf's wire format, as much of it as OTLP needs, written front to back into one buffer.

use std::ops::{Deref, DerefMut};

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Fields of `KeyValue` and `AnyValue`.
const KEY: u32 = 1;
const VALUE: u32 = 2;
const STRING: u32 = 1;
const BOOL: u32 = 2;
const INT: u32 = 3;
const DOUBLE: u32 = 4;

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// Writes a nested message: its length is put in front of it once it is known.
    pub(super) fn message(&mut self, field: u32, body: impl FnOnce(&mut Self)) {
        self.tag(field, BYTES);
        self.0.push(0);
        let start = self.0.len();
        body(self);
        let length = self.0.len() - start;
        let more = varint_len(length as u64) - 1;
        if more > 0 {
            let end = self.0.len();
            self.0.resize(end + more, 0);
            self.0.copy_within(start..end, start + more);
        }
        put_varint(&mut self.0, start - 1, length as u64);
    }

    /// Writes bytes or text.
    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// Writes a number as a varint.
    pub(super) fn number(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes an attribute that is a string.
    pub(super) fn text(&mut self, field: u32, key: &str, value: &str) {
        let inner = 1 + varint_len(value.len() as u64) + value.len();
        self.attribute(field, key, inner);
        self.bytes(STRING, value.as_bytes());
    }

    /// Writes an attribute that is an integer.
    pub(super) fn integer(&mut self, field: u32, key: &str, value: u64) {
        self.attribute(field, key, 1 + varint_len(value));
        self.number(INT, value);
    }

    /// Writes an attribute that is a truth value.
    pub(super) fn truth(&mut self, field: u32, key: &str, value: bool) {
        self.attribute(field, key, 2);
        self.number(BOOL, u64::from(value));
    }

    /// Writes an attribute that is a double.
    pub(super) fn double(&mut self, field: u32, key: &str, value: f64) {
        self.attribute(field, key, 9);
        self.fixed64(DOUBLE, value.to_bits());
    }

    /// All of a `KeyValue` but the `inner` bytes of its `AnyValue`.
    fn attribute(&mut self, field: u32, key: &str, inner: usize) {
        let key_len = 1 + varint_len(key.len() as u64) + key.len();
        self.tag(field, BYTES);
        self.varint((key_len + 1 + varint_len(inner as u64) + inner) as u64);
        self.bytes(KEY, key.as_bytes());
        self.tag(VALUE, BYTES);
        self.varint(inner as u64);
    }

    fn tag(&mut self, field: u32, wire: u32) {
        self.varint(u64::from(field << 3 | wire));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

impl Deref for Writer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Overwrites the bytes from `at`; there are enough.
fn put_varint(buffer: &mut [u8], at: usize, value: u64) {
    let length = varint_len(value);
    for (i, byte) in buffer.iter_mut().skip(at).take(length).enumerate() {
        let more = if i + 1 < length { 0x80 } else { 0 };
        *byte = (value >> (7 * i)) as u8 & 0x7f | more;
    }
}
