use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use ahash::RandomState;
use arrow::array::{ArrayRef, BinaryArray, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Int32Type;
use hashbrown::HashTable;

/// Code of a row that has no text.
pub(super) const NONE: u32 = u32::MAX;

/// Distinct texts, numbered in the order they were first seen. Texts of different tags are different. Each is hashed once
/// when it is looked up, and never again.
#[derive(Debug, Default)]
pub(super) struct Texts {
    hasher: RandomState,
    table: HashTable<Slot>,
    tags: Vec<u32>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    code: u32,
}

impl Slot {
    /// The table takes its place from the low bits and its check from the highest.
    fn spread(self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl Texts {
    /// The text's number.
    pub(super) fn code(&mut self, tag: u32, text: &[u8]) -> u32 {
        let hash = self.hash(tag, text);
        let Self { table, tags, ends, bytes, .. } = self;
        let slot = Slot { hash, code: tags.len() as u32 };
        let same = |known: &Slot| {
            known.hash == hash
                && tags[known.code as usize] == tag
                && text_at(ends, bytes, known.code as usize) == text
        };
        if let Some(known) = table.find(slot.spread(), same) {
            return known.code;
        }
        table.insert_unique(slot.spread(), slot, |known| known.spread());
        tags.push(tag);
        bytes.extend_from_slice(text);
        ends.push(u32::try_from(bytes.len()).expect("a batch has far less than 4 GiB of text"));
        slot.code
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tags.len()
    }

    pub(super) fn tag(&self, code: usize) -> u32 {
        self.tags[code]
    }

    pub(super) fn get(&self, code: usize) -> &[u8] {
        text_at(&self.ends, &self.bytes, code)
    }

    fn hash(&self, tag: u32, text: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text);
        let hash = hasher.finish();
        (hash ^ hash >> 32) as u32 ^ tag.wrapping_mul(0x9e37_79b9)
    }

    /// The texts, trimmed to size.
    fn into_parts(mut self) -> (OffsetBuffer<i32>, Buffer) {
        let mut offsets = Vec::with_capacity(self.ends.len() + 1);
        offsets.push(0);
        offsets.extend(self.ends.iter().map(|end| end.cast_signed()));
        self.bytes.shrink_to_fit();
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(self.bytes))
    }

    /// A dictionary array of texts.
    pub(super) fn into_array(self, codes: impl ExactSizeIterator<Item = u32>) -> ArrayRef {
        let (offsets, bytes) = self.into_parts();
        dictionary(codes, Arc::new(StringArray::new(offsets, bytes, None)))
    }

    /// A dictionary array of bytes.
    pub(super) fn into_binary_array(self, codes: impl ExactSizeIterator<Item = u32>) -> ArrayRef {
        let (offsets, bytes) = self.into_parts();
        dictionary(codes, Arc::new(BinaryArray::new(offsets, bytes, None)))
    }
}

fn text_at<'a>(ends: &[u32], bytes: &'a [u8], code: usize) -> &'a [u8] {
    let start = code.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &bytes[start..ends[code] as usize]
}

/// Codes into `values`; [`NONE`] is null.
pub(super) fn dictionary(codes: impl ExactSizeIterator<Item = u32>, values: ArrayRef) -> ArrayRef {
    let mut kept = Vec::with_capacity(codes.len());
    let mut missing = 0_usize;
    kept.extend(codes.map(|code| {
        missing += usize::from(code == NONE);
        code.cast_signed()
    }));
    let nulls = (missing > 0).then(|| kept.iter().map(|code| *code >= 0).collect::<NullBuffer>());
    if missing > 0 {
        kept.iter_mut().for_each(|code| *code = (*code).max(0));
    }
    let keys = Int32Array::new(ScalarBuffer::from(kept), nulls);
    let array = DictionaryArray::<Int32Type>::try_new(keys, values);
    Arc::new(array.expect("every code was given out by the dictionary"))
}

/// The keys of attributes, row by row. Exporters send the same keys in the same order, so the key that followed the last
/// time is tried before the table.
#[derive(Debug, Default)]
pub(super) struct Keys {
    texts: Texts,
    known: Vec<Known>,
    first: Option<u32>,
    last: Option<u32>,
    row: u32,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// The key that came after this one.
    next: u32,
    /// One more than the last row that has it.
    seen: u32,
}

impl Keys {
    /// The key's number; [`None`] when the row has it already.
    pub(super) fn code(&mut self, key: &str) -> Option<u32> {
        let expected = match self.last {
            Some(last) => Some(self.known[last as usize].next).filter(|next| *next != NONE),
            None => self.first,
        };
        let code = match expected {
            Some(code) if self.texts.get(code as usize) == key.as_bytes() => code,
            _ => self.find(key),
        };
        let known = &mut self.known[code as usize];
        if known.seen == self.row + 1 {
            return None;
        }
        known.seen = self.row + 1;
        self.last = Some(code);
        Some(code)
    }

    #[inline(never)]
    fn find(&mut self, key: &str) -> u32 {
        let code = self.texts.code(0, key.as_bytes());
        if code as usize == self.known.len() {
            self.known.push(Known { next: NONE, seen: 0 });
        }
        match self.last {
            Some(last) => self.known[last as usize].next = code,
            None => self.first = Some(code),
        }
        code
    }

    /// Ends the current row.
    pub(super) fn end_row(&mut self) {
        self.row += 1;
        self.last = None;
    }

    pub(super) fn get(&self, code: usize) -> &str {
        std::str::from_utf8(self.texts.get(code)).unwrap_or_default()
    }

    pub(super) fn into_array(self, codes: impl ExactSizeIterator<Item = u32>) -> ArrayRef {
        self.texts.into_array(codes)
    }
}

/// One text per row, coded.
#[derive(Debug, Default)]
pub(super) struct TextRows {
    texts: Texts,
    pub(super) codes: Vec<u32>,
}

impl TextRows {
    /// Adds a row.
    pub(super) fn push(&mut self, text: &str) {
        if let Some(last) = self.codes.last().filter(|last| **last != NONE)
            && self.texts.get(*last as usize) == text.as_bytes()
        {
            self.codes.push(*last);
            return;
        }
        let code = self.texts.code(0, text.as_bytes());
        self.codes.push(code);
    }

    /// Adds a row, without a text when it is empty.
    pub(super) fn push_non_empty(&mut self, text: &str) {
        if text.is_empty() { self.codes.push(NONE) } else { self.push(text) }
    }

    /// The column, whose rows are these rows in the order given.
    pub(super) fn finish(self, rows: impl ExactSizeIterator<Item = usize>) -> ArrayRef {
        let codes = self.codes;
        self.texts.into_array(rows.map(|row| codes[row]))
    }
}
