//! The section of summaries: how many spans began when, by service, name, kind and status, and how long they took, so
//! that rates, quantiles and histograms need no spans. All of it is exact, durations up to their slots.

use bytes::Buf;

use super::format::{ChunkRef, get_reference};
use crate::columns::ValueRef;
use crate::varint::get_varint;

mod build;
pub(super) use build::SummariesBuilder;

/// Section of summaries.
pub(super) const KIND: u32 = 5;
/// The service of spans without any.
const NO_SERVICE: u8 = u8::MAX;

/// What the rows of a table are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions(u8);

impl Dimensions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// `service.name` of the resource.
    pub const SERVICE: Self = Self(1);
    /// Span name.
    pub const NAME: Self = Self(2);
    /// Span kind.
    pub const KIND: Self = Self(4);
    /// Span status.
    pub const STATUS: Self = Self(8);
    /// The slot of the duration: see [`super::bucket_of_slot`].
    pub const DURATION: Self = Self(16);

    /// Whether all of the other are among these.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Spans that a table does not tell apart. What it does not say is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SummaryGroup {
    /// Position in [`Summaries::service`].
    pub service: u32,
    /// Position in [`Summaries::name`].
    pub name: u32,
    /// OTLP's number.
    pub kind: u8,
    /// OTLP's number.
    pub status: u8,
}

/// A section's root: what there is.
#[derive(Debug)]
pub struct Summaries {
    services: Vec<(u8, Box<str>)>,
    names: Vec<Box<str>>,
    tables: Vec<SummaryTable>,
}

/// Which chunks there are of a table.
#[derive(Debug)]
pub struct SummaryTable {
    /// What it tells apart.
    pub dimensions: Dimensions,
    /// Cell n is of the spans that began in seconds `(n * seconds, (n + 1) * seconds]`.
    pub seconds: u32,
    chunks: Vec<ChunkOf>,
}

#[derive(Debug, Clone, Copy)]
struct ChunkOf {
    /// The first and last cell.
    first: u32,
    last: u32,
    /// How many counts.
    counts: u32,
    reference: ChunkRef,
}

impl Summaries {
    /// The value of `service.name` at a position; [`None`] where spans have none.
    pub fn service(&self, at: u32) -> Option<ValueRef<'_>> {
        let (code, text) = self.services.get(at as usize)?;
        (*code != NO_SERVICE).then(|| ValueRef::read(code.cast_signed(), text))
    }

    /// The span name at a position.
    pub fn name(&self, at: u32) -> &str {
        self.names.get(at as usize).map_or("", AsRef::as_ref)
    }

    /// The tables.
    pub fn tables(&self) -> &[SummaryTable] {
        &self.tables
    }

    pub(crate) fn memory(&self) -> u64 {
        let texts = self.services.iter().map(|(_, text)| text).chain(&self.names);
        let texts: usize = texts.map(|text| text.len() + size_of::<(u8, Box<str>)>()).sum();
        let chunks: usize = self.tables.iter().map(|table| table.chunks.len() * size_of::<ChunkOf>()).sum();
        (texts + chunks) as u64
    }
}

impl SummaryTable {
    /// The chunks that have cells in the range, both inclusive.
    pub fn chunks(&self, first: u64, last: u64) -> impl Iterator<Item = usize> {
        let overlaps = move |chunk: &ChunkOf| u64::from(chunk.first) <= last && first <= chunk.last.into();
        self.chunks.iter().enumerate().filter(move |(_, chunk)| overlaps(chunk)).map(|(at, _)| at)
    }

    /// How many counts there are in all chunks.
    pub fn counts(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.counts)).sum()
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn reference(&self, chunk: usize) -> Option<&ChunkRef> {
        self.chunks.get(chunk).map(|chunk| &chunk.reference)
    }

    fn has_slots(&self) -> bool {
        self.dimensions.has(Dimensions::DURATION)
    }
}

/// Some of a table's cells, as they are stored.
#[derive(Debug)]
pub struct SummaryChunk {
    bytes: Box<[u8]>,
    has_slots: bool,
}

/// Spans of one group and cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SummaryCounts<'a> {
    /// How many.
    Spans(u64),
    /// How many in each slot of durations, in their order.
    Slots(&'a [(u16, u64)]),
}

impl SummaryChunk {
    /// [`None`] when the bytes are not a chunk of such a table.
    pub(super) fn decode(bytes: Vec<u8>, table: &SummaryTable) -> Option<Self> {
        let chunk = Self { bytes: bytes.into(), has_slots: table.has_slots() };
        chunk.walk(|_, _, _| {})?;
        Some(chunk)
    }

    pub(crate) fn memory(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Calls `visit` with the group, cell and counts of every cell, group by group.
    pub fn for_each(&self, visit: impl FnMut(&SummaryGroup, u64, SummaryCounts<'_>)) {
        // It was walked once when it was decoded.
        let walked = self.walk(visit);
        debug_assert!(walked.is_some(), "a chunk that was walked can be walked");
    }

    fn walk(&self, mut visit: impl FnMut(&SummaryGroup, u64, SummaryCounts<'_>)) -> Option<()> {
        let mut header = &*self.bytes;
        let base = u64::from(header.try_get_u32_le().ok()?);
        let groups = header.try_get_u32_le().ok()?;
        let mut streams = [&[][..]; 4];
        let mut lengths = [0; 4];
        for length in &mut lengths {
            *length = header.try_get_u32_le().ok()? as usize;
        }
        for (stream, length) in streams.iter_mut().zip(lengths) {
            (*stream, header) = header.split_at_checked(length)?;
        }
        let [mut keys, mut cells, mut slots, mut counts] = streams;
        let mut of_cell: Vec<(u16, u64)> = Vec::new();
        for _ in 0..groups {
            let small = |keys: &mut &[u8]| u32::try_from(get_varint(keys)?).ok();
            let group = SummaryGroup {
                service: small(&mut keys)?,
                name: small(&mut keys)?,
                kind: keys.try_get_u8().ok()?,
                status: keys.try_get_u8().ok()?,
            };
            let mut cell = base;
            for _ in 0..get_varint(&mut keys)? {
                cell = cell.checked_add(get_varint(&mut cells)?)?;
                if !self.has_slots {
                    visit(&group, cell, SummaryCounts::Spans(get_varint(&mut counts)?));
                    continue;
                }
                of_cell.clear();
                let mut slot = 0_u64;
                for _ in 0..get_varint(&mut cells)? {
                    slot = slot.checked_add(get_varint(&mut slots)?)?;
                    of_cell.push((u16::try_from(slot).ok()?, get_varint(&mut counts)?.checked_add(1)?));
                }
                visit(&group, cell, SummaryCounts::Slots(&of_cell));
            }
        }
        Some(())
    }
}

/// Reads a root back; [`None`] when it is not one.
pub(super) fn decode_root(mut root: &[u8]) -> Option<Summaries> {
    let mut services = Vec::new();
    for _ in 0..root.try_get_u32_le().ok()? {
        services.push((root.try_get_u8().ok()?, text(&mut root)?));
    }
    let mut names = Vec::new();
    for _ in 0..root.try_get_u32_le().ok()? {
        names.push(text(&mut root)?);
    }
    let mut tables = Vec::new();
    for _ in 0..root.try_get_u32_le().ok()? {
        let dimensions = Dimensions(root.try_get_u8().ok()?);
        let seconds = root.try_get_u32_le().ok().filter(|seconds| *seconds > 0)?;
        let mut chunks = Vec::new();
        for _ in 0..root.try_get_u32_le().ok()? {
            chunks.push(ChunkOf {
                first: root.try_get_u32_le().ok()?,
                last: root.try_get_u32_le().ok()?,
                counts: root.try_get_u32_le().ok()?,
                reference: get_reference(&mut root)?,
            });
        }
        tables.push(SummaryTable { dimensions, seconds, chunks });
    }
    Some(Summaries { services, names, tables })
}

fn text(from: &mut &[u8]) -> Option<Box<str>> {
    let length = from.try_get_u32_le().ok()? as usize;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(std::str::from_utf8(text).ok()?.into())
}

#[cfg(test)]
mod tests;
