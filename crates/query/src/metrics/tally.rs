//! Counting a batch's spans by group and step in plain arrays, before they go into the table: most queries do no more.

use std::ops::RangeInclusive;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use rustc_hash::FxHashMap;
use vivace_model::schema;
use vivace_storage::columns::column;
use vivace_storage::index::bucket;
use vivace_traceql::{Attribute, Intrinsic};

use super::plan::{Function, Grouping, MetricsPlan};
use super::table::Table;
use crate::QueryError;
use crate::eval::{Operand, columnar};

/// Groups times steps; more of them are not counted in an array.
const MOST_CELLS: usize = 1 << 18;
/// Counters of buckets; with more of them a batch's numbers are sorted.
const MOST_COUNTERS: usize = 1 << 20;

/// Whether spans that fall together need not be told apart.
pub(super) fn suffices(plan: &MetricsPlan) -> bool {
    let counts = match &plan.function {
        Function::Count { .. } => true,
        // Every span has one, so that every selected span may be an exemplar.
        Function::Quantiles { measured, .. } => {
            plan.exemplars == 0 || measured.attribute == Attribute::Intrinsic(Intrinsic::Duration)
        }
        _ => false,
    };
    counts && !plan.extrapolate
}

/// Adds the selected rows of a batch that start within the range.
pub(super) fn tally(
    plan: &MetricsPlan,
    batch: &RecordBatch,
    selected: &BooleanBuffer,
    within: &RangeInclusive<u64>,
    table: &mut Table,
) -> Result<(), QueryError> {
    let groups = Groups::of(&plan.by, batch)?;
    let steps = plan.window.steps();
    let cells = groups.count.saturating_mul(steps);
    let starts: &UInt64Array = column(batch, schema::START)?;
    let cell_of = |row: usize| {
        let step = plan.step_of(starts.value(row), within)? as usize;
        Some(groups.of_row(row) * steps + step)
    };
    let add = |cell: usize, what: Counted| {
        let values = groups.values(cell / steps);
        table.add_counted(plan, &values, (cell % steps) as u32, &what)
    };
    match &plan.function {
        Function::Quantiles { measured, .. } => {
            let numbers = columnar::numbers(&measured.attribute, batch)?;
            sketch(selected, cell_of, |row| numbers[row], add)?;
        }
        _ => count(selected, cells, cell_of, add)?,
    }
    Ok(())
}

/// Spans of one group and step.
#[derive(Debug)]
pub(super) enum Counted {
    Spans(u64),
    /// Numbers by bucket of a sketch.
    Buckets(Vec<(i32, f64)>),
}

fn count<E>(
    selected: &BooleanBuffer,
    cells: usize,
    cell_of: impl Fn(usize) -> Option<usize>,
    mut add: impl FnMut(usize, Counted) -> Result<(), E>,
) -> Result<(), E> {
    if cells > MOST_CELLS {
        let mut counts: FxHashMap<usize, u64> = FxHashMap::default();
        selected.set_indices().filter_map(cell_of).for_each(|cell| *counts.entry(cell).or_default() += 1);
        return counts.into_iter().try_for_each(|(cell, count)| add(cell, Counted::Spans(count)));
    }
    let mut counts = vec![0_u64; cells];
    let mut note = |row| {
        if let Some(cell) = cell_of(row) {
            counts[cell] += 1;
        }
    };
    if selected.count_set_bits() == selected.len() {
        (0..selected.len()).for_each(&mut note);
    } else {
        selected.set_indices().for_each(&mut note);
    }
    let counted = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
    counted.map(|(cell, count)| (cell, Counted::Spans(count))).try_for_each(|(cell, count)| add(cell, count))
}

fn sketch<E>(
    selected: &BooleanBuffer,
    cell_of: impl Fn(usize) -> Option<usize>,
    number_of: impl Fn(usize) -> Option<f64>,
    mut add: impl FnMut(usize, Counted) -> Result<(), E>,
) -> Result<(), E> {
    let mut cells = Cells::default();
    let mut rows: Vec<(u32, i32)> = Vec::with_capacity(selected.len());
    for row in selected.set_indices() {
        let (Some(cell), Some(number)) = (cell_of(row), number_of(row)) else { continue };
        rows.push((cells.note(cell), bucket(number)));
    }
    let (Some(lowest), Some(highest)) =
        (rows.iter().map(|(_, bucket)| *bucket).min(), rows.iter().map(|(_, bucket)| *bucket).max())
    else {
        return Ok(());
    };
    let width = (highest - lowest) as usize + 1;
    if cells.known.len().saturating_mul(width) <= MOST_COUNTERS {
        let mut counts = vec![0_u32; cells.known.len() * width];
        rows.iter()
            .for_each(|(cell, bucket)| counts[*cell as usize * width + (bucket - lowest) as usize] += 1);
        for (cell, counts) in cells.known.into_iter().zip(counts.chunks(width)) {
            let counted = counts.iter().zip(lowest..).filter(|(count, _)| **count > 0);
            let buckets = counted.map(|(count, bucket)| (bucket, f64::from(*count))).collect();
            add(cell, Counted::Buckets(buckets))?;
        }
        return Ok(());
    }
    rows.sort_unstable();
    let mut rest = rows.chunk_by(|(a, _), (b, _)| a == b);
    for cell in cells.known {
        let of_cell = rest.next().unwrap_or_default().chunk_by(|(_, a), (_, b)| a == b);
        let buckets = of_cell.map(|same| (same[0].1, same.len() as f64)).collect();
        add(cell, Counted::Buckets(buckets))?;
    }
    Ok(())
}

/// The groups and steps that a batch has, numbered as they come.
#[derive(Default)]
struct Cells {
    numbers: FxHashMap<usize, u32>,
    known: Vec<usize>,
    /// Spans that follow each other often fall together.
    last: Option<(usize, u32)>,
}

impl Cells {
    fn note(&mut self, cell: usize) -> u32 {
        let at = match self.last {
            Some((last, at)) if last == cell => at,
            _ => *self.numbers.entry(cell).or_insert_with(|| {
                self.known.push(cell);
                (self.known.len() - 1) as u32
            }),
        };
        self.last = Some((cell, at));
        at
    }
}

/// The groups of a batch's rows, numbered.
struct Groups<'a> {
    /// Per grouping.
    columns: Vec<columnar::Coded<'a>>,
    numbers: Numbers,
    /// How many groups there may be.
    count: usize,
}

enum Numbers {
    /// All rows are of one group.
    One,
    /// The only grouping's own.
    Direct,
    /// Per row, and of each number the codes it stands for.
    Compact { of_rows: Vec<u32>, codes: Vec<Vec<u32>> },
}

impl<'a> Groups<'a> {
    fn of(by: &[Grouping], batch: &'a RecordBatch) -> Result<Self, QueryError> {
        /// More values than this in a dictionary are hardly all used.
        const FEW: usize = 1 << 10;
        let coded = |grouping: &Grouping| columnar::coded(&grouping.sources, batch);
        let columns = by.iter().map(coded).collect::<Result<Vec<_>, _>>()?;
        Ok(match columns.as_slice() {
            [] => Self { columns, numbers: Numbers::One, count: 1 },
            [only] if only.values.len() <= FEW => {
                let count = only.values.len();
                Self { columns, numbers: Numbers::Direct, count }
            }
            _ => Self::compact(columns, batch.num_rows()),
        })
    }

    fn compact(columns: Vec<columnar::Coded<'a>>, rows: usize) -> Self {
        let (mut numbers, mut codes) = (FxHashMap::<Vec<u32>, u32>::default(), Vec::new());
        let mut of_rows = Vec::with_capacity(rows);
        let mut key = Vec::with_capacity(columns.len());
        for row in 0..rows {
            key.clear();
            key.extend(columns.iter().map(|column| column.codes[row]));
            let number = numbers.get(&key).copied().unwrap_or_else(|| {
                let next = codes.len() as u32;
                numbers.insert(key.clone(), next);
                codes.push(key.clone());
                next
            });
            of_rows.push(number);
        }
        let count = codes.len();
        Self { columns, numbers: Numbers::Compact { of_rows, codes }, count }
    }

    fn of_row(&self, row: usize) -> usize {
        match &self.numbers {
            Numbers::One => 0,
            Numbers::Direct => self.columns[0].codes[row] as usize,
            Numbers::Compact { of_rows, .. } => of_rows[row] as usize,
        }
    }

    fn values(&self, group: usize) -> Vec<Operand<'_>> {
        let value = |(column, code): (&'_ columnar::Coded<'a>, usize)| column.values[code].clone();
        match &self.numbers {
            Numbers::One => Vec::new(),
            Numbers::Direct => vec![value((&self.columns[0], group))],
            Numbers::Compact { codes, .. } => {
                self.columns.iter().zip(codes[group].iter().map(|code| *code as usize)).map(value).collect()
            }
        }
    }
}
