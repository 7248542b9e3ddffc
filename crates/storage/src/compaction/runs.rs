//! The first pass: where each trace's rows are, and in which order they go out.

use std::ops::Range;

use arrow::array::{FixedSizeBinaryArray, RecordBatch, UInt64Array};
use vivace_base::UnixNanos;
use vivace_model::schema;

use crate::ColumnError;
use crate::columns::column;

/// Neighbouring rows of one trace in one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) trace: [u8; 16],
    /// Of the first span of the trace, in whichever input, once the runs are sorted.
    pub(super) start: UnixNanos,
    pub(super) first: u32,
    pub(super) rows: u32,
    pub(super) input: u16,
}

impl Run {
    pub(super) fn range(&self) -> Range<usize> {
        let first = self.first as usize;
        first..first + self.rows as usize
    }
}

/// Collects the runs of the inputs, one after the other.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Run>,
    input: u16,
    rows: u32,
    last_start: UnixNanos,
}

impl Runs {
    /// Room for so many, which the caller has reserved.
    pub(super) fn with_capacity(runs: usize) -> Self {
        Self { runs: Vec::with_capacity(runs), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// From now on rows of this input come, from its first on.
    pub(super) fn begin(&mut self, input: u16) {
        (self.input, self.rows, self.last_start) = (input, 0, 0);
    }

    /// Adds the next rows of the input. False when they are not in the order of a block's rows.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<bool, ColumnError> {
        let traces: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
        let starts: &UInt64Array = column(batch, schema::START)?;
        for row in 0..batch.num_rows() {
            let trace: [u8; 16] = traces.value(row).try_into().unwrap_or_default();
            let start = starts.value(row);
            let at = self.rows;
            self.rows += 1;
            match self.runs.last_mut().filter(|run| run.input == self.input && at > 0) {
                Some(run) if run.trace == trace => {
                    if start < self.last_start {
                        return Ok(false);
                    }
                    run.rows += 1;
                }
                Some(run) if (start, trace) < (run.start, run.trace) => return Ok(false),
                _ => self.runs.push(Run { trace, start, first: at, rows: 1, input: self.input }),
            }
            self.last_start = start;
        }
        Ok(true)
    }

    /// Puts the runs in the order of the output: traces by their start, the runs of each together.
    pub(super) fn sort(mut self) -> SortedRuns {
        self.runs.sort_unstable_by_key(|run| run.trace);
        for trace in self.runs.chunk_by_mut(|a, b| a.trace == b.trace) {
            let start = trace.iter().map(|run| run.start).min().unwrap_or_default();
            trace.iter_mut().for_each(|run| run.start = start);
        }
        self.runs.sort_unstable_by_key(Run::key);
        SortedRuns(self.runs)
    }
}

impl Run {
    fn key(&self) -> impl Ord + use<> {
        (self.start, self.trace, self.input, self.first)
    }
}

/// Runs in the order of the output.
#[derive(Debug)]
pub(super) struct SortedRuns(Vec<Run>);

impl SortedRuns {
    /// The runs of each trace, in the order of the output.
    pub(super) fn traces(&self) -> impl Iterator<Item = &[Run]> + Clone {
        self.0.chunk_by(|a, b| a.trace == b.trace)
    }

    /// How many rows the longest trace has.
    pub(super) fn longest(&self) -> usize {
        self.traces().map(rows_of).max().unwrap_or_default()
    }

    /// For each input the rows of traces that are in one run only, as ascending ranges.
    pub(super) fn single_ranges(&self, inputs: usize) -> Vec<Vec<Range<usize>>> {
        let mut ranges: Vec<Vec<Range<usize>>> = vec![Vec::new(); inputs];
        for run in self.traces().filter_map(single) {
            let Some(ranges) = ranges.get_mut(usize::from(run.input)) else { continue };
            join(ranges, run.range());
        }
        ranges
    }
}

/// The run of a trace that has one only.
pub(super) fn single(trace: &[Run]) -> Option<&Run> {
    match trace {
        [run] => Some(run),
        _ => None,
    }
}

/// How many rows the runs have.
pub(super) fn rows_of(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.rows as usize).sum()
}

/// Adds a range behind the others.
pub(super) fn join(ranges: &mut Vec<Range<usize>>, range: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}
