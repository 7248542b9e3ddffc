//! The section of edges: who called whom when, and how long it took, so that a service graph needs no spans. It counts
//! what [`super::calls`] finds in the traces as the block has them.

use arrow::array::RecordBatch;
use bytes::{Buf, BufMut};

use super::calls::{CallReader, Connection, CountedCall, Names};
use super::format::{ChunkRef, SectionBytes, get_reference, pack, put_reference, to_u32};
use crate::varint::{get_varint, put_varint};
use crate::{BlockError, limits};

/// Section of edges.
pub(super) const KIND: u32 = 6;
/// Minutes of a cell.
pub const EDGE_MINUTES: u64 = 5;
/// Bytes of names; with more there is no section.
const MAX_TEXT_BYTES: usize = 256 << 10;
/// Bytes that there may be per 1,000 spans, and in any case.
const BYTES_PER_1000: usize = 500;
const SMALL: usize = 16 << 10;
/// The code of entries, beside those of connections.
const ENTRY: u8 = u8::MAX;

/// A section's root.
#[derive(Debug)]
pub struct Edges {
    names: Vec<Box<str>>,
    chunks: Vec<ChunkOf>,
}

#[derive(Debug, Clone, Copy)]
struct ChunkOf {
    first: u32,
    last: u32,
    reference: ChunkRef,
}

impl Edges {
    /// Names by the numbers that cells have.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The chunks that have cells in the range, both inclusive.
    pub fn chunks(&self, first: u64, last: u64) -> impl Iterator<Item = usize> {
        let overlaps = move |chunk: &ChunkOf| u64::from(chunk.first) <= last && first <= chunk.last.into();
        self.chunks.iter().enumerate().filter(move |(_, chunk)| overlaps(chunk)).map(|(at, _)| at)
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn reference(&self, chunk: usize) -> Option<&ChunkRef> {
        self.chunks.get(chunk).map(|chunk| &chunk.reference)
    }

    pub(crate) fn memory(&self) -> u64 {
        let names: usize = self.names.iter().map(|name| name.len() + size_of::<Box<str>>()).sum();
        (names + self.chunks.len() * size_of::<ChunkOf>()) as u64
    }
}

/// Calls of one pair of services, or entries of one service, in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeCell<'a> {
    /// [`None`] for entries of the server.
    pub connection: Option<Connection>,
    /// By number; the server's for entries.
    pub client: u32,
    /// By number.
    pub server: u32,
    /// Cell n is of the minutes from `n * EDGE_MINUTES` to before `(n + 1) * EDGE_MINUTES`.
    pub cell: u64,
    /// How many.
    pub calls: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How long they took the client, by wide bucket, ascending.
    pub client_latencies: &'a [(u16, u64)],
    /// How long they took the server, by wide bucket, ascending.
    pub server_latencies: &'a [(u16, u64)],
}

/// Some cells, as they are stored.
#[derive(Debug)]
pub struct EdgeChunk {
    bytes: Box<[u8]>,
}

impl EdgeChunk {
    /// [`None`] when the bytes are not a chunk.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let chunk = Self { bytes: bytes.into() };
        chunk.walk(|_| {})?;
        Some(chunk)
    }

    pub(crate) fn memory(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Calls `visit` with every cell.
    pub fn for_each(&self, visit: impl FnMut(EdgeCell<'_>)) {
        // It was walked once when it was decoded.
        let walked = self.walk(visit);
        debug_assert!(walked.is_some(), "a chunk that was walked can be walked");
    }

    fn walk(&self, mut visit: impl FnMut(EdgeCell<'_>)) -> Option<()> {
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
        let [mut keys, mut cells, mut buckets, mut counts] = streams;
        let (mut client_latencies, mut server_latencies) = (Vec::new(), Vec::new());
        for _ in 0..groups {
            let connection = match keys.try_get_u8().ok()? {
                ENTRY => None,
                code => Some(*Connection::ALL.get(usize::from(code))?),
            };
            let client = u32::try_from(get_varint(&mut keys)?).ok()?;
            let server = u32::try_from(get_varint(&mut keys)?).ok()?;
            let mut cell = base;
            for _ in 0..get_varint(&mut keys)? {
                cell = cell.checked_add(get_varint(&mut cells)?)?;
                let (calls, errors) = (get_varint(&mut cells)?, get_varint(&mut cells)?);
                for latencies in [&mut client_latencies, &mut server_latencies] {
                    latencies.clear();
                    let mut bucket = 0_u64;
                    for _ in 0..get_varint(&mut cells)? {
                        bucket = bucket.checked_add(get_varint(&mut buckets)?)?;
                        let count = get_varint(&mut counts)?.checked_add(1)?;
                        latencies.push((u16::try_from(bucket).ok()?, count));
                    }
                }
                let (client_latencies, server_latencies) = (&*client_latencies, &*server_latencies);
                visit(EdgeCell {
                    connection,
                    client,
                    server,
                    cell,
                    calls,
                    errors,
                    client_latencies,
                    server_latencies,
                });
            }
        }
        Some(())
    }
}

/// Collects edges inside [`limits::SUMMARY_MEMORY`]: calls until there are enough for a chunk, then what is made of them.
#[derive(Debug, Default)]
pub(super) struct EdgesBuilder {
    reader: CallReader,
    names: Names,
    calls: Vec<CountedCall>,
    chunks: Vec<ChunkOf>,
    bytes: Vec<u8>,
    rows: usize,
    overflown: bool,
}

impl EdgesBuilder {
    /// Notes that spans may be there twice.
    pub(super) fn may_repeat(&mut self) {
        self.reader.may_repeat();
    }

    /// Adds rows in the order of a block.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), BlockError> {
        if self.overflown {
            return Ok(());
        }
        self.rows += batch.num_rows();
        let calls = &mut self.calls;
        self.reader.add(batch, &mut self.names, |call| calls.push(call.counted()))?;
        while self.calls.len() >= limits::SUMMARY_ROWS {
            self.end_chunk()?;
        }
        let texts = self.names.overflown() || self.names.bytes() > MAX_TEXT_BYTES;
        if texts || self.bytes.len() > limits::SUMMARY_BYTES {
            *self = Self { overflown: true, ..Self::default() };
        }
        Ok(())
    }

    pub(super) fn end_chunk(&mut self) -> Result<(), BlockError> {
        let count = self.calls.len().min(limits::SUMMARY_ROWS);
        let mut calls: Vec<CountedCall> = self.calls.drain(..count).collect();
        let cells = || calls.iter().map(cell_of);
        let (Some(first), Some(last)) = (cells().min(), cells().max()) else { return Ok(()) };
        calls.sort_unstable();
        let chunk = encode(first, &calls)?;
        let reference = pack(&chunk, self.bytes.len(), &mut self.bytes)?;
        self.chunks.push(ChunkOf { first, last, reference });
        Ok(())
    }

    /// The section; none when there is nothing to say, or too much.
    pub(super) fn section(mut self) -> Result<Option<SectionBytes>, BlockError> {
        if self.overflown {
            return Ok(None);
        }
        let calls = &mut self.calls;
        self.reader.finish(&self.names, |call| calls.push(call.counted()));
        while !self.calls.is_empty() {
            self.end_chunk()?;
        }
        if self.rows == 0 || self.bytes.len() > SMALL.max(self.rows * BYTES_PER_1000 / 1000) {
            return Ok(None);
        }
        let mut root = Vec::new();
        root.put_u32_le(to_u32(self.names.texts().len())?);
        for name in self.names.texts() {
            root.put_u32_le(to_u32(name.len())?);
            root.put_slice(name.as_bytes());
        }
        root.put_u32_le(to_u32(self.chunks.len())?);
        for chunk in &self.chunks {
            root.put_u32_le(chunk.first);
            root.put_u32_le(chunk.last);
            put_reference(&mut root, chunk.reference);
        }
        Ok(Some(SectionBytes { kind: KIND, root, rest: self.bytes }))
    }
}

fn cell_of(call: &CountedCall) -> u32 {
    call.minute / EDGE_MINUTES as u32
}

/// A chunk out of its calls, sorted.
fn encode(first: u32, calls: &[CountedCall]) -> Result<Vec<u8>, BlockError> {
    let [mut keys, mut cells, mut buckets, mut counts] = [const { Vec::new() }; 4];
    let mut groups = 0;
    let key = |call: &CountedCall| (call.connection, call.client, call.server);
    for of_key in calls.chunk_by(|a, b| key(a) == key(b)) {
        let (connection, client, server) = key(&of_key[0]);
        keys.put_u8(connection.map_or(ENTRY, |connection| connection as u8));
        put_varint(&mut keys, client.into());
        put_varint(&mut keys, server.into());
        let of_cells = || of_key.chunk_by(|a, b| cell_of(a) == cell_of(b));
        put_varint(&mut keys, of_cells().count() as u64);
        groups += 1;
        let mut before = first;
        for of_cell in of_cells() {
            let cell = cell_of(&of_cell[0]);
            put_varint(&mut cells, (cell - before).into());
            before = cell;
            put_varint(&mut cells, of_cell.len() as u64);
            put_varint(&mut cells, of_cell.iter().filter(|call| call.failed).count() as u64);
            let latencies: [fn(&CountedCall) -> Option<u16>; 2] =
                [|call| call.client_latency, |call| call.server_latency];
            for latency in latencies {
                let mut latencies: Vec<u16> = of_cell.iter().filter_map(latency).collect();
                latencies.sort_unstable();
                let same = || latencies.chunk_by(|a, b| a == b);
                put_varint(&mut cells, same().count() as u64);
                let mut before = 0;
                for same in same() {
                    put_varint(&mut buckets, (same[0] - before).into());
                    before = same[0];
                    put_varint(&mut counts, same.len() as u64 - 1);
                }
            }
        }
    }
    let mut chunk = Vec::new();
    chunk.put_u32_le(first);
    chunk.put_u32_le(groups);
    for stream in [&keys, &cells, &buckets, &counts] {
        chunk.put_u32_le(to_u32(stream.len())?);
    }
    [keys, cells, buckets, counts].iter().for_each(|stream| chunk.put_slice(stream));
    Ok(chunk)
}

/// Reads a root back; [`None`] when it is not one.
pub(super) fn decode_root(mut root: &[u8]) -> Option<Edges> {
    let mut names = Vec::new();
    for _ in 0..root.try_get_u32_le().ok()? {
        let length = root.try_get_u32_le().ok()? as usize;
        let (name, rest) = root.split_at_checked(length)?;
        root = rest;
        names.push(std::str::from_utf8(name).ok()?.into());
    }
    let mut chunks = Vec::new();
    for _ in 0..root.try_get_u32_le().ok()? {
        chunks.push(ChunkOf {
            first: root.try_get_u32_le().ok()?,
            last: root.try_get_u32_le().ok()?,
            reference: get_reference(&mut root)?,
        });
    }
    Some(Edges { names, chunks })
}

#[cfg(test)]
mod tests;
