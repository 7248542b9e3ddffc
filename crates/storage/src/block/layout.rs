use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use ahash::RandomState;
use arrow::array::{Array, FixedSizeBinaryArray, Int8Array, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::SchemaRef;
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType};

use crate::columns::{AttributeList, column, list_column, rows_for_column};
use crate::{ColumnError, limits};

/// Which attributes get a column of their own: those that at least one row in a hundred has, the densest first if
/// there are too many.
///
/// # Errors
/// [`ColumnError`] when a batch is not of the span schema.
pub fn choose_columns(batches: &[RecordBatch]) -> Result<Vec<AttributeColumn>, ColumnError> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let enough = rows_for_column(rows, limits::ROWS_PER_COLUMN_VALUE);
    let mut counted: HashMap<AttributeColumn, usize> = HashMap::new();
    for batch in batches {
        for (column, rows) in count_attributes(batch)? {
            *counted.entry(column).or_default() += rows;
        }
    }
    Ok(settle_columns(counted.into_iter().filter(|(_, rows)| *rows >= enough).collect(), batches))
}

/// The densest of the attributes that may get a column, in the order of columns that the layouts of some batches have.
pub(crate) fn settle_columns(
    mut frequent: Vec<(AttributeColumn, usize)>,
    layouts: &[RecordBatch],
) -> Vec<AttributeColumn> {
    frequent.sort_by(|(a, a_rows), (b, b_rows)| b_rows.cmp(a_rows).then_with(|| a.cmp(b)));
    frequent.truncate(limits::MAX_ATTRIBUTE_COLUMNS);
    let chosen: HashSet<_> = frequent.into_iter().map(|(column, _)| column).collect();
    let mut columns = column_order(layouts);
    columns.retain(|column| chosen.contains(column));
    let mut listed: Vec<_> = chosen.into_iter().collect();
    listed.sort();
    let known: HashSet<_> = columns.iter().cloned().collect();
    columns.extend(listed.into_iter().filter(|column| !known.contains(column)));
    columns
}

/// The own columns of some batches in one order, such that those of each batch keep theirs unless two batches
/// contradict each other.
pub fn column_order(batches: &[RecordBatch]) -> Vec<AttributeColumn> {
    let mut columns: Vec<AttributeColumn> = Vec::new();
    let mut number: HashMap<AttributeColumn, usize> = HashMap::new();
    let mut after: Vec<Vec<usize>> = Vec::new();
    let mut schemas: Vec<SchemaRef> = Vec::new();
    for schema in batches.iter().map(RecordBatch::schema) {
        if schemas.contains(&schema) {
            continue;
        }
        let own = schema.fields().iter().filter_map(|field| AttributeColumn::from_column_name(field.name()));
        let mut last = None;
        for column in own {
            let at = *number.entry(column.clone()).or_insert(columns.len());
            if at == columns.len() {
                columns.push(column);
                after.push(Vec::new());
            }
            if let Some(last) = last.replace(at) {
                after[last].push(at);
            }
        }
        schemas.push(schema);
    }
    topological(&after).into_iter().map(|at| columns[at].clone()).collect()
}

/// The numbers in an order in which each stands before those that come `after` it; in a circle the smallest comes first.
fn topological(after: &[Vec<usize>]) -> Vec<usize> {
    let mut before = vec![0_usize; after.len()];
    after.iter().flatten().for_each(|at| before[*at] += 1);
    let mut waiting: BTreeSet<(usize, usize)> = before.iter().copied().zip(0..).collect();
    let mut sorted = Vec::with_capacity(after.len());
    while let Some((_, at)) = waiting.pop_first() {
        sorted.push(at);
        for next in &after[at] {
            if waiting.remove(&(before[*next], *next)) {
                before[*next] -= 1;
                waiting.insert((before[*next], *next));
            }
        }
    }
    sorted
}

/// In how many rows each attribute that may have a column is.
pub(crate) fn count_attributes(batch: &RecordBatch) -> Result<Vec<(AttributeColumn, usize)>, ColumnError> {
    let schema = batch.schema();
    let own = schema.fields().iter().zip(batch.columns()).filter_map(|(field, array)| {
        Some((AttributeColumn::from_column_name(field.name())?, array.len() - array.null_count()))
    });
    let mut counted: Vec<_> = own.collect();
    for scope in AttributeScope::ALL {
        let listed = count_listed(&list_column(batch, scope.list_column())?);
        counted.extend(listed.into_iter().map(|((key, value_type), rows)| {
            (AttributeColumn { scope, key: key.to_owned(), value_type }, rows)
        }));
    }
    Ok(counted)
}

fn count_listed<'a>(list: &AttributeList<'a>) -> HashMap<(&'a str, ValueType), usize> {
    let mut by_code: HashMap<(usize, i8), usize> = HashMap::new();
    for row in 0..list.len() {
        for entry in list.entries(row) {
            *by_code.entry((list.key_code(entry), list.raw(entry).0)).or_default() += 1;
        }
    }
    let mut by_key = HashMap::new();
    for ((code, type_code), rows) in by_code {
        let value_type = ValueType::from_code(type_code).filter(|t| t.column_suffix().is_some());
        if let Some(value_type) = value_type {
            *by_key.entry((list.keys().value(code), value_type)).or_default() += rows;
        }
    }
    by_key
}

/// The order of rows in a block, as batch and row: traces by their start, each trace's spans together and by their
/// start. Cheap for batches that are sorted already.
///
/// # Errors
/// [`ColumnError`] when a batch is not of the span schema.
pub fn row_order(batches: &[RecordBatch]) -> Result<Vec<(usize, usize)>, ColumnError> {
    let keys: Vec<_> = batches.iter().map(RowKeys::new).collect::<Result<_, _>>()?;
    let mut traces = Traces::default();
    for (at, keys) in keys.iter().enumerate() {
        let ids = (0..keys.starts.len()).map(|row| keys.trace_ids.value(row));
        traces.add(at, ids, keys.starts.values());
    }
    Ok(traces.sorted(|(at, row): (usize, usize)| keys[at].of_span(row)))
}

/// The order of a block's rows for rows that are no columns yet; `key` orders the spans of a trace.
pub(crate) fn sorted_rows<K: Ord>(
    trace_ids: &[[u8; 16]],
    starts: &[u64],
    key: impl Fn(usize) -> K,
) -> Vec<usize> {
    let mut traces = Traces::default();
    traces.add(0, trace_ids.iter().map(<[u8; 16]>::as_slice), starts);
    traces.sorted(|(_, row)| key(row)).into_iter().map(|(_, row)| row).collect()
}

/// Where the spans of each trace stand.
#[derive(Default)]
struct Traces<'a> {
    by_id: HashMap<&'a [u8], usize, RandomState>,
    traces: Vec<TraceRuns<'a>>,
    runs: Vec<Run>,
}

struct TraceRuns<'a> {
    start: u64,
    id: &'a [u8],
    last_run: usize,
}

/// Neighbouring rows of one trace.
struct Run {
    batch: usize,
    rows: Range<usize>,
    /// The trace's run before this one; its own number for the first.
    before: usize,
}

impl<'a> Traces<'a> {
    fn add(&mut self, batch: usize, ids: impl Iterator<Item = &'a [u8]>, starts: &[u64]) {
        let mut last: Option<(&[u8], usize)> = None;
        for (row, (id, start)) in ids.zip(starts).enumerate() {
            if let Some((last_id, trace)) = last
                && last_id == id
            {
                let trace = &mut self.traces[trace];
                trace.start = trace.start.min(*start);
                self.runs[trace.last_run].rows.end = row + 1;
                continue;
            }
            let run = self.runs.len();
            let trace = *self.by_id.entry(id).or_insert(self.traces.len());
            let before = match self.traces.get_mut(trace) {
                Some(known) => {
                    known.start = known.start.min(*start);
                    std::mem::replace(&mut known.last_run, run)
                }
                None => {
                    self.traces.push(TraceRuns { start: *start, id, last_run: run });
                    run
                }
            };
            self.runs.push(Run { batch, rows: row..row + 1, before });
            last = Some((id, trace));
        }
    }

    fn sorted<K: Ord>(mut self, key: impl Fn((usize, usize)) -> K) -> Vec<(usize, usize)> {
        self.traces.sort_unstable_by_key(|trace| (trace.start, trace.id));
        let mut order = Vec::with_capacity(self.runs.iter().map(|run| run.rows.len()).sum());
        for trace in &self.traces {
            let first = order.len();
            let mut at = trace.last_run;
            loop {
                let run = &self.runs[at];
                order.extend(run.rows.clone().map(|row| (run.batch, row)));
                if run.before == at {
                    break;
                }
                at = run.before;
            }
            let rows = &mut order[first..];
            if !rows.is_sorted_by_key(|row| (key(*row), *row)) {
                rows.sort_unstable_by_key(|row| (key(*row), *row));
            }
        }
        order
    }
}

/// The columns that order rows.
pub(crate) struct RowKeys<'a> {
    trace_ids: &'a FixedSizeBinaryArray,
    span_ids: &'a FixedSizeBinaryArray,
    starts: &'a UInt64Array,
    kinds: &'a Int8Array,
    durations: &'a Int64Array,
}

impl<'a> RowKeys<'a> {
    pub(crate) fn new(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        Ok(Self {
            trace_ids: column(batch, schema::TRACE_ID)?,
            span_ids: column(batch, schema::SPAN_ID)?,
            starts: column(batch, schema::START)?,
            kinds: column(batch, schema::KIND)?,
            durations: column(batch, schema::DURATION)?,
        })
    }

    /// Orders the spans of one trace.
    pub(crate) fn of_span(&self, row: usize) -> (u64, &'a [u8], i8, i64) {
        (self.starts.value(row), self.span_ids.value(row), self.kinds.value(row), self.durations.value(row))
    }
}
