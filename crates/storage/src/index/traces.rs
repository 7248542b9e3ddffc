//! The sections of traces: which traces a block has and where their rows are.

use arrow::array::{Array, FixedSizeBinaryArray, Int64Array, RecordBatch, UInt64Array};
use bytes::{Buf, BufMut};
use twox_hash::XxHash64;
use vivace_base::UnixNanos;
use vivace_model::{TimeRange, TraceId, schema};

use super::format::{SectionBytes, to_u32};
use crate::columns::column;
use crate::limits::REMEMBERED_SPANS;
use crate::varint::{get_varint, put_varint, unzigzag, zigzag};
use crate::{BlockError, ColumnError};

/// Section of trace ids.
pub(super) const IDS: u32 = 2;
/// Section of rows and times of traces.
pub(super) const RUNS: u32 = 3;
/// Bytes of a hash in the section.
const HASH_BYTES: usize = 5;
/// Bits of a trace's place in the block; the hash is above them.
const ENTRY_BITS: u32 = 24;
/// More traces than this have no table: their places would not fit.
const MAX_TRACES: usize = 1 << ENTRY_BITS;

/// A trace id's hash: 40 bits of XXH64 with seed 0. Different ids may share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceHash(u64);

impl TraceHash {
    /// The hash of an id.
    pub fn of(id: &TraceId) -> Self {
        Self(XxHash64::oneshot(0, &id.0) >> ENTRY_BITS)
    }
}

/// The hashes of a block's traces, ready for lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceIds {
    /// Hash, then the place of the trace in the block, sorted.
    sorted: Box<[u64]>,
}

impl TraceIds {
    fn new(hashes: impl Iterator<Item = u64>) -> Self {
        let mut sorted: Box<[u64]> =
            hashes.enumerate().map(|(entry, hash)| (hash << ENTRY_BITS) | entry as u64).collect();
        sorted.sort_unstable();
        Self { sorted }
    }

    /// The places of the traces with this hash, for [`TraceRuns`].
    pub fn find(&self, hash: TraceHash) -> impl Iterator<Item = usize> + '_ {
        let first = self.sorted.partition_point(|packed| packed >> ENTRY_BITS < hash.0);
        let rest = self.sorted.get(first..).unwrap_or_default().iter();
        rest.take_while(move |packed| **packed >> ENTRY_BITS == hash.0)
            .map(|packed| (packed & (MAX_TRACES as u64 - 1)) as usize)
    }

    /// Every hash and place, by hash.
    pub fn iter(&self) -> impl Iterator<Item = (TraceHash, usize)> + '_ {
        let split =
            |packed: &u64| (TraceHash(packed >> ENTRY_BITS), (packed & (MAX_TRACES as u64 - 1)) as usize);
        self.sorted.iter().map(split)
    }

    /// Number of traces.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are no traces.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Bytes in memory.
    pub fn memory(&self) -> u64 {
        size_of_val(&*self.sorted) as u64
    }
}

/// Rows and times of a block's traces, in the order of its rows, which is that of the traces' starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRuns {
    /// First row of each trace, and behind them the number of rows.
    first_rows: Box<[u32]>,
    ranges: Box<[TimeRange]>,
    /// Row of the root counted from the trace's first, plus 1; 0 without one.
    roots: Box<[u32]>,
    distinct: bool,
    /// Whether traces of up to [`REMEMBERED_SPANS`] rows have no span twice, whatever `distinct` says.
    followed: bool,
}

impl TraceRuns {
    /// Number of traces.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are no traces.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The rows of a trace.
    pub fn rows(&self, entry: usize) -> std::ops::Range<usize> {
        self.first_rows[entry] as usize..self.first_rows[entry + 1] as usize
    }

    /// From the first start to the last end of a trace's spans in the block.
    pub fn range(&self, entry: usize) -> TimeRange {
        self.ranges[entry]
    }

    /// The row of a trace's root: of its spans without parent the last.
    pub fn root(&self, entry: usize) -> Option<usize> {
        let offset = (self.roots[entry] as usize).checked_sub(1)?;
        Some(self.first_rows[entry] as usize + offset)
    }

    /// The first trace that begins at this row or behind it.
    pub fn first_at(&self, row: usize) -> usize {
        self.first_rows.partition_point(|first| (*first as usize) < row).min(self.len())
    }

    /// Number of rows.
    pub fn row_count(&self) -> usize {
        self.first_rows.last().map_or(0, |rows| *rows as usize)
    }

    /// Whether no span of any trace is there twice: the writer has looked.
    pub fn distinct(&self) -> bool {
        self.distinct
    }

    /// Whether no span of a trace is there twice: the writer has looked.
    pub fn is_distinct(&self, entry: usize) -> bool {
        self.distinct || (self.followed && self.rows(entry).len() <= REMEMBERED_SPANS)
    }

    /// The same, written by somebody who looked for spans that are there twice.
    #[must_use]
    pub fn followed(self) -> Self {
        Self { followed: true, ..self }
    }

    /// Bytes in memory.
    pub fn memory(&self) -> u64 {
        (size_of_val(&*self.first_rows) + size_of_val(&*self.ranges) + size_of_val(&*self.roots)) as u64
    }
}

/// Collects traces from rows in the order of a block.
#[derive(Debug, Default)]
pub struct TracesBuilder {
    current: Option<TraceId>,
    hashes: Vec<u64>,
    first_rows: Vec<u32>,
    ranges: Vec<TimeRange>,
    roots: Vec<u32>,
    rows: u32,
    repeated: bool,
}

impl TracesBuilder {
    /// Adds rows.
    ///
    /// # Errors
    /// [`ColumnError`] when the batch is not one of spans.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), ColumnError> {
        let ids: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
        let starts: &UInt64Array = column(batch, schema::START)?;
        let durations: &Int64Array = column(batch, schema::DURATION)?;
        let parents: &FixedSizeBinaryArray = column(batch, schema::PARENT_SPAN_ID)?;
        for row in 0..batch.num_rows() {
            let id = TraceId(ids.value(row).try_into().unwrap_or_default());
            let start = starts.value(row);
            let end = start.wrapping_add(durations.value(row).cast_unsigned()).max(start);
            self.row(id, start, end, parents.is_null(row));
        }
        Ok(())
    }

    fn row(&mut self, id: TraceId, start: UnixNanos, end: UnixNanos, is_root: bool) {
        if self.current != Some(id) {
            self.current = Some(id);
            self.hashes.push(TraceHash::of(&id).0);
            self.first_rows.push(self.rows);
            self.ranges.push(TimeRange { start, end });
            self.roots.push(0);
        }
        let (Some(range), Some(root), Some(first)) =
            (self.ranges.last_mut(), self.roots.last_mut(), self.first_rows.last())
        else {
            return;
        };
        *range = range.union(&TimeRange { start, end });
        if is_root {
            *root = self.rows - first + 1;
        }
        self.rows += 1;
        self.repeated |= self.rows as usize - *first as usize > REMEMBERED_SPANS;
    }

    /// Notes that spans may be there twice.
    pub fn may_repeat(&mut self) {
        self.repeated = true;
    }

    /// What was collected.
    pub fn finish(mut self) -> (TraceIds, TraceRuns) {
        self.first_rows.push(self.rows);
        let runs = TraceRuns {
            first_rows: self.first_rows.into(),
            ranges: self.ranges.into(),
            roots: self.roots.into(),
            distinct: !self.repeated,
            followed: false,
        };
        (TraceIds::new(self.hashes.into_iter()), runs)
    }

    /// The sections; none when there are too many traces.
    pub(super) fn sections(self) -> Result<Vec<SectionBytes>, BlockError> {
        if self.hashes.len() > MAX_TRACES {
            return Ok(Vec::new());
        }
        let count = to_u32(self.hashes.len())?;
        let mut ids = Vec::with_capacity(4 + self.hashes.len() * HASH_BYTES);
        ids.put_u32_le(count);
        self.hashes.iter().for_each(|hash| ids.put_uint_le(*hash, HASH_BYTES));
        let mut runs = Vec::with_capacity(16 * self.hashes.len());
        runs.put_u32_le(count);
        runs.put_u8(u8::from(!self.repeated));
        let ends = self.first_rows.iter().skip(1).chain([&self.rows]);
        for (first, end) in self.first_rows.iter().zip(ends) {
            put_varint(&mut runs, (end - first).into());
        }
        let mut before = 0_u64;
        for range in &self.ranges {
            put_varint(&mut runs, zigzag(range.start.wrapping_sub(before).cast_signed()));
            before = range.start;
        }
        self.ranges.iter().for_each(|range| put_varint(&mut runs, range.end - range.start));
        self.roots.iter().for_each(|root| put_varint(&mut runs, (*root).into()));
        let section = |kind, root| SectionBytes { kind, root, rest: Vec::new() };
        Ok(vec![section(IDS, ids), section(RUNS, runs)])
    }
}

/// Reads the section back; [`None`] when it is not one.
pub(super) fn decode_ids(mut bytes: &[u8]) -> Option<TraceIds> {
    let count = bytes.try_get_u32_le().ok()? as usize;
    if count > MAX_TRACES || bytes.len() != count * HASH_BYTES {
        return None;
    }
    let mut hashes = bytes.chunks_exact(HASH_BYTES);
    Some(TraceIds::new(std::iter::from_fn(|| hashes.next().map(|mut hash| hash.get_uint_le(HASH_BYTES)))))
}

/// Reads the section back; [`None`] when it is not one.
pub(super) fn decode_runs(mut bytes: &[u8]) -> Option<TraceRuns> {
    let count = bytes.try_get_u32_le().ok()? as usize;
    // Each trace takes four varints.
    if count > MAX_TRACES || bytes.len() < count.checked_mul(4)? {
        return None;
    }
    let distinct = bytes.try_get_u8().ok()? != 0;
    let mut first_rows = Vec::with_capacity(count + 1);
    let mut row = 0_u32;
    for _ in 0..count {
        first_rows.push(row);
        let rows = u32::try_from(get_varint(&mut bytes)?).ok().filter(|rows| *rows > 0)?;
        row = row.checked_add(rows)?;
    }
    first_rows.push(row);
    let mut before = 0_u64;
    let mut start = || {
        before = before.wrapping_add(unzigzag(get_varint(&mut bytes)?).cast_unsigned());
        Some(before)
    };
    let starts: Vec<u64> = (0..count).map(|_| start()).collect::<Option<_>>()?;
    let mut range = |start: u64| Some(TimeRange { start, end: start.checked_add(get_varint(&mut bytes)?)? });
    let ranges = starts.into_iter().map(&mut range).collect::<Option<_>>()?;
    let root = |entry: usize| {
        let root = u32::try_from(get_varint(&mut bytes)?).ok()?;
        (root <= first_rows[entry + 1] - first_rows[entry]).then_some(root)
    };
    let roots = (0..count).map(root).collect::<Option<_>>()?;
    Some(TraceRuns { first_rows: first_rows.into(), ranges, roots, distinct, followed: false })
}
