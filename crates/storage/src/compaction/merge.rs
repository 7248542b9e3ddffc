//! The second pass: rows are copied in the order of the output.

use std::collections::VecDeque;
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::CompactionError;
use super::job::Output;
use super::memory::JobMemory;
use super::runs::{Run, SortedRuns, join, rows_of, single};
use super::source::Source;
use crate::block::{BlockWriter, RowKeys, row_order};
use crate::columns::gather_batches;
use crate::{BlockError, BlockReader, limits};

/// A merge under way.
pub(super) struct Merge<'j> {
    inputs: &'j [BlockReader],
    writer: BlockWriter,
    output: &'j mut Output,
    memory: &'j mut JobMemory,
    chunk: Chunk,
    /// The reader of each input's traces that are in one run only, from the first of them to the last.
    singles: Vec<Single>,
    group: Group,
    /// Traces that had several runs.
    joined: u64,
}

struct Single {
    rows: Vec<Range<usize>>,
    open: Option<(Source, Window)>,
}

/// Rows of one batch that were not copied yet.
struct Window {
    batch: RecordBatch,
    next: usize,
    /// Where the batch is in the chunk, and in which.
    place: Option<(u64, usize)>,
}

/// Rows on their way to the writer.
#[derive(Default)]
struct Chunk {
    number: u64,
    batches: Vec<RecordBatch>,
    rows: Vec<(usize, usize)>,
}

/// Traces with several runs that were read together, in the order of the output.
#[derive(Default)]
struct Group {
    batches: Vec<Window>,
    order: VecDeque<(usize, usize)>,
}

impl<'j> Merge<'j> {
    pub(super) fn new(
        inputs: &'j [BlockReader],
        runs: &SortedRuns,
        writer: BlockWriter,
        output: &'j mut Output,
        memory: &'j mut JobMemory,
    ) -> Self {
        let single = |rows| Single { rows, open: None };
        let singles = runs.single_ranges(inputs.len()).into_iter().map(single).collect();
        let (chunk, group) = (Chunk::default(), Group::default());
        Self { inputs, writer, output, memory, chunk, singles, group, joined: 0 }
    }

    /// Copies everything; the writer has it then.
    pub(super) async fn run(mut self, runs: &SortedRuns) -> Result<(BlockWriter, u64), CompactionError> {
        let mut traces = runs.traces();
        while let Some(trace) = traces.next() {
            if let Some(run) = single(trace) {
                self.copy(run).await?;
                continue;
            }
            self.joined += 1;
            if rows_of(trace) > limits::COMPACTION_GROUP_ROWS {
                self.interleave(trace).await?;
                continue;
            }
            if self.group.order.is_empty() {
                self.load_group(trace, traces.clone()).await?;
            }
            self.copy_from_group(rows_of(trace)).await?;
        }
        self.flush().await?;
        Ok((self.writer, self.joined))
    }

    /// Copies a trace that is in one run only.
    async fn copy(&mut self, run: &Run) -> Result<(), CompactionError> {
        let at = usize::from(run.input);
        let (input, single) = (&self.inputs[at], &mut self.singles[at]);
        let (mut source, mut window) = match single.open.take() {
            Some(open) => open,
            None => (Source::open(input, &single.rows)?, Window::empty()),
        };
        let mut rows = run.rows as usize;
        while rows > 0 {
            if window.is_done() {
                let batch = source.next().await?.ok_or_else(|| source.ends_early())?;
                window = self.window(&batch)?;
            }
            let taken = rows.min(window.left());
            for _ in 0..taken {
                self.chunk.push(&mut window);
                if self.chunk.is_full() {
                    self.flush().await?;
                }
            }
            rows -= taken;
        }
        let last = self.singles[at].rows.last().map(|rows| rows.end);
        if last.is_some_and(|end| run.range().end < end) {
            self.singles[at].open = Some((source, window));
        }
        Ok(())
    }

    /// Reads a trace with several runs and those that come next, and puts their rows in order.
    async fn load_group<'r>(
        &mut self,
        first: &'r [Run],
        next: impl Iterator<Item = &'r [Run]>,
    ) -> Result<(), CompactionError> {
        let mut by_input: Vec<Vec<Range<usize>>> = vec![Vec::new(); self.inputs.len()];
        let mut rows = 0;
        for trace in std::iter::once(first).chain(next.filter(|trace| single(trace).is_none())) {
            rows += rows_of(trace);
            if rows > limits::COMPACTION_GROUP_ROWS {
                break;
            }
            trace.iter().for_each(|run| by_input[usize::from(run.input)].push(run.range()));
        }
        let mut batches = Vec::new();
        for (input, mut unsorted) in self.inputs.iter().zip(by_input) {
            unsorted.sort_unstable_by_key(|rows| rows.start);
            let mut ranges = Vec::with_capacity(unsorted.len());
            unsorted.into_iter().for_each(|rows| join(&mut ranges, rows));
            let mut source = Source::open(input, &ranges)?;
            while let Some(batch) = source.next().await? {
                batches.push(self.window(&batch)?);
            }
        }
        let arrays: Vec<_> = batches.iter().map(|window| window.batch.clone()).collect();
        let order = row_order(&arrays).map_err(BlockError::from)?.into();
        self.group = Group { batches, order };
        Ok(())
    }

    async fn copy_from_group(&mut self, rows: usize) -> Result<(), CompactionError> {
        for _ in 0..rows {
            let next = self.group.order.pop_front();
            let Some((batch, row)) = next else {
                return Err(CompactionError::Defect("a group of traces ended early".to_owned()));
            };
            let window = &mut self.group.batches[batch];
            window.next = row;
            self.chunk.push(window);
            if self.chunk.is_full() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Merges the runs of one trace as they are read.
    async fn interleave(&mut self, trace: &[Run]) -> Result<(), CompactionError> {
        let mut parts = Vec::with_capacity(trace.len());
        for run in trace {
            let mut source = Source::open(&self.inputs[usize::from(run.input)], &[run.range()])?;
            if let Some(batch) = source.next().await? {
                parts.push((source, Part::new(self.window(&batch)?)?));
            }
        }
        while let Some(at) = first_of(&parts) {
            let (source, part) = &mut parts[at];
            self.chunk.push(&mut part.window);
            if part.window.is_done() {
                match source.next().await? {
                    Some(batch) => *part = Part::new(self.window(&batch)?)?,
                    None => drop(parts.remove(at)),
                }
            }
            if self.chunk.is_full() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn window(&mut self, batch: &RecordBatch) -> Result<Window, CompactionError> {
        let batch = self.writer.conform(batch)?;
        self.memory.see_batch(batch.get_array_memory_size())?;
        Ok(Window { batch, next: 0, place: None })
    }

    async fn flush(&mut self) -> Result<(), CompactionError> {
        if let Some(rows) = self.chunk.take()? {
            self.writer.write(&rows)?;
            self.output.send(self.writer.take_bytes()).await?;
        }
        self.output.pause().await
    }
}

impl Window {
    fn empty() -> Self {
        let batch = RecordBatch::new_empty(Schema::empty().into());
        Self { batch, next: 0, place: None }
    }

    fn left(&self) -> usize {
        self.batch.num_rows() - self.next
    }

    fn is_done(&self) -> bool {
        self.left() == 0
    }
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.rows.len() >= limits::COMPACTION_WRITE_ROWS
    }

    /// Adds the next row of a batch.
    fn push(&mut self, window: &mut Window) {
        let known = window.place.filter(|(chunk, _)| *chunk == self.number);
        let (_, at) = known.unwrap_or_else(|| {
            self.batches.push(window.batch.clone());
            (self.number, self.batches.len() - 1)
        });
        window.place = Some((self.number, at));
        self.rows.push((at, window.next));
        window.next += 1;
    }

    /// The rows as one batch; what comes next is another chunk.
    fn take(&mut self) -> Result<Option<RecordBatch>, BlockError> {
        let (batches, rows) = (std::mem::take(&mut self.batches), std::mem::take(&mut self.rows));
        self.number += 1;
        let Some((batch, first)) = rows.first().copied() else { return Ok(None) };
        let neighbours = rows.iter().zip(first..).all(|(row, at)| *row == (batch, at));
        if neighbours {
            return Ok(Some(batches[batch].slice(first, rows.len())));
        }
        Ok(Some(gather_batches(&batches, &rows)?))
    }
}

/// A run of a large trace: a batch of it, and what orders the batch's rows.
struct Part {
    window: Window,
    keys: Vec<SpanKey>,
}

/// As [`RowKeys::of_span`].
type SpanKey = (u64, [u8; 8], i8, i64);

impl Part {
    fn new(window: Window) -> Result<Self, BlockError> {
        let keys = RowKeys::new(&window.batch)?;
        let key = |row| {
            let (start, span_id, kind, duration) = keys.of_span(row);
            (start, span_id.try_into().unwrap_or_default(), kind, duration)
        };
        let keys = (0..window.batch.num_rows()).map(key).collect();
        Ok(Self { window, keys })
    }
}

/// The part whose next row comes first.
fn first_of(parts: &[(Source, Part)]) -> Option<usize> {
    (0..parts.len()).min_by_key(|at| parts[*at].1.keys.get(parts[*at].1.window.next))
}
