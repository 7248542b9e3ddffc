//! Measuring spans on the columns of a piece, without assembling traces.

use std::collections::{HashMap, HashSet};

use arrow::array::{BooleanArray, FixedSizeBinaryArray, Int8Array, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{and, or};
use arrow::error::ArrowError;
use futures::TryStreamExt;
use vivace_base::Holder;
use vivace_model::schema;
use vivace_model::{SpanId, SpanKind, TraceId};
use vivace_storage::columns::{column, text_column};
use vivace_storage::{ColumnError, Projection};
use vivace_traceql::Attribute;

use super::collect::Job;
use super::exemplars::Candidate;
use super::plan::MetricsPlan;
use super::sampling::weight;
use super::table::{Observation, Table};
use crate::QueryError;
use crate::eval::{Operand, columnar};
use crate::plan::Local;
use crate::source::Piece;

/// Adds the spans of a piece, but for those of `spread` traces; how many were looked at.
pub(super) async fn measure(
    job: &Job,
    piece: usize,
    spread: &HashSet<TraceId>,
    table: &mut Table,
) -> Result<u64, QueryError> {
    let mut duplicates = match job.source.pieces().get(piece) {
        Some(Piece::Block(_)) => Duplicates::Sorted { trace: None, seen: HashSet::new() },
        _ => Duplicates::Any,
    };
    let mut batches = job.source.read(piece, &projection(&job.plan), None)?;
    let mut spans = 0;
    while let Some(batch) = batches.try_next().await? {
        let _reserved = job.budget.reserve(Holder::Query, batch.get_array_memory_size() as u64)?;
        let keep = duplicates.kept(&batch)?;
        measure_batch(&job.plan, &batch, &keep, spread, table)?;
        spans += batch.num_rows() as u64;
    }
    Ok(spans)
}

fn projection(plan: &MetricsPlan) -> Projection {
    let mut projection = Projection::default();
    projection.fixed.extend([
        schema::TRACE_ID,
        schema::SPAN_ID,
        schema::KIND,
        schema::START,
        schema::DURATION,
    ]);
    if plan.extrapolate {
        projection.fixed.push(schema::TRACE_STATE);
    }
    plan.search.filters.iter().for_each(|filter| columnar::project(filter, &mut projection));
    let grouped = plan.by.iter().flat_map(|grouping| &grouping.sources);
    let measured = plan.function.measured().map(|measured| &measured.attribute);
    grouped.chain(measured).for_each(|attribute| columnar::project_attribute(attribute, &mut projection));
    projection
}

fn measure_batch(
    plan: &MetricsPlan,
    batch: &RecordBatch,
    keep: &BooleanArray,
    spread: &HashSet<TraceId>,
    table: &mut Table,
) -> Result<(), QueryError> {
    let traces: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
    let spans: &FixedSizeBinaryArray = column(batch, schema::SPAN_ID)?;
    let kinds: &Int8Array = column(batch, schema::KIND)?;
    let starts: &UInt64Array = column(batch, schema::START)?;
    let states = plan.extrapolate.then(|| text_column(batch, schema::TRACE_STATE)).transpose()?;
    let selected = selected(plan, batch, keep)?;
    let groups: Vec<Vec<Operand<'_>>> =
        plan.by.iter().map(|grouping| group_values(&grouping.sources, batch)).collect::<Result<_, _>>()?;
    let measured = plan.function.measured();
    let measured = measured.map(|measured| columnar::values(&measured.attribute, batch)).transpose()?;
    for row in 0..batch.num_rows() {
        let start = starts.value(row);
        let Some(step) = plan.window.step_of(start).filter(|_| selected.value(row)) else { continue };
        let trace_id = TraceId(traces.value(row).try_into().unwrap_or_default());
        if spread.contains(&trace_id) {
            continue;
        }
        let span = Candidate {
            trace_id,
            span_id: SpanId(spans.value(row).try_into().unwrap_or_default()),
            kind: SpanKind::from_otlp(kinds.value(row).into()),
            start,
            step,
            value: 0.0,
        };
        let observation = Observation {
            span,
            step,
            weight: states.map_or(1.0, |states| weight(states.get(row).unwrap_or_default())),
            groups: groups.iter().map(|values| values[row].borrowed()).collect(),
            measured: measured.as_ref().map_or(Operand::Nil, |values| values[row].borrowed()),
        };
        table.observe(plan, observation)?;
    }
    Ok(())
}

fn selected(
    plan: &MetricsPlan,
    batch: &RecordBatch,
    keep: &BooleanArray,
) -> Result<BooleanArray, QueryError> {
    let matches: Vec<BooleanArray> =
        plan.search.filters.iter().map(|filter| columnar::holds(filter, batch)).collect::<Result<_, _>>()?;
    let Some(local) = &plan.search.local else { return Ok(keep.clone()) };
    Ok(and(keep, &local_matches(local, &matches, batch.num_rows())?)?)
}

fn local_matches(local: &Local, matches: &[BooleanArray], rows: usize) -> Result<BooleanArray, ArrowError> {
    let side = |side: &Local| local_matches(side, matches, rows);
    Ok(match local {
        Local::All => BooleanArray::from(vec![true; rows]),
        Local::Matches(filter) => {
            matches.get(*filter).cloned().unwrap_or_else(|| BooleanArray::from(vec![false; rows]))
        }
        Local::And(left, right) => and(&side(left)?, &side(right)?)?,
        Local::Or(left, right) => or(&side(left)?, &side(right)?)?,
    })
}

fn group_values<'a>(sources: &[Attribute], batch: &'a RecordBatch) -> Result<Vec<Operand<'a>>, ColumnError> {
    let mut values = vec![Operand::Nil; batch.num_rows()];
    for source in sources {
        for (value, found) in values.iter_mut().zip(columnar::values(source, batch)?) {
            if value.is_nil() {
                *value = found;
            }
        }
    }
    Ok(values)
}

/// Finds spans that were sent twice: of equal id and kind in a trace, the first by start and end is kept, as in an
/// assembled trace.
enum Duplicates {
    /// Traces stand together, their spans by start, id, kind, duration: the first met is kept.
    Sorted { trace: Option<TraceId>, seen: HashSet<([u8; 8], i8)> },
    /// Spans stand in any order, all in one batch.
    Any,
}

impl Duplicates {
    fn kept(&mut self, batch: &RecordBatch) -> Result<BooleanArray, ColumnError> {
        let traces: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
        let spans: &FixedSizeBinaryArray = column(batch, schema::SPAN_ID)?;
        let kinds: &Int8Array = column(batch, schema::KIND)?;
        let span_key = |row| {
            let id: [u8; 8] = spans.value(row).try_into().unwrap_or_default();
            (id, kinds.value(row))
        };
        let trace_id = |row| TraceId(traces.value(row).try_into().unwrap_or_default());
        match self {
            Self::Sorted { trace, seen } => Ok((0..batch.num_rows())
                .map(|row| {
                    let id = trace_id(row);
                    if *trace != Some(id) {
                        *trace = Some(id);
                        seen.clear();
                    }
                    Some(seen.insert(span_key(row)))
                })
                .collect()),
            Self::Any => {
                let starts: &UInt64Array = column(batch, schema::START)?;
                let durations: &Int64Array = column(batch, schema::DURATION)?;
                let rank = |row: usize| {
                    let start = starts.value(row);
                    (start, columnar::end(start, durations.value(row)), row)
                };
                let mut first = HashMap::with_capacity(batch.num_rows());
                for row in 0..batch.num_rows() {
                    let best = first.entry((trace_id(row), span_key(row))).or_insert(row);
                    if rank(row) < rank(*best) {
                        *best = row;
                    }
                }
                let mut kept = vec![false; batch.num_rows()];
                first.into_values().for_each(|row| kept[row] = true);
                Ok(BooleanArray::from(kept))
            }
        }
    }
}
