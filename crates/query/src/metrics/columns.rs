//! Measuring spans on the columns of a piece, without assembling traces.

use std::ops::Range;

use arrow::array::{FixedSizeBinaryArray, Int8Array, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use futures::TryStreamExt;
use vivace_base::{Holder, MemoryRefused};
use vivace_model::schema;
use vivace_model::{SpanId, SpanKind, TraceId};
use vivace_storage::Projection;
use vivace_storage::columns::{column, text_column};
use vivace_storage::index::TraceRuns;

use super::collect::Job;
use super::exemplars::Candidate;
use super::picker::Picker;
use super::plan::MetricsPlan;
use super::sampling::weight;
use super::table::{Observation, Table};
use super::tally;
use crate::QueryError;
use crate::eval::{Operand, columnar, vector};
use crate::look::joined;
use crate::plan::Local;
use crate::spread::Place;

/// Adds the spans of a unit's traces, but for those that are spread. Returns the traces that may have spans twice, and how
/// many spans were looked at.
pub(super) async fn measure(
    job: &Job,
    piece: usize,
    entries: Range<usize>,
    table: &mut Table,
) -> Result<(Vec<Vec<Place>>, u64), QueryError> {
    let Some((runs, entries)) = job.looker.alive(piece, entries).await? else { return Ok((Vec::new(), 0)) };
    let (distinct, others) = entries.into_iter().partition(|entry| runs.is_distinct(*entry));
    let others: Vec<usize> = others;
    let places = others.into_iter().map(|entry| vec![Place { piece, entry }]).collect();
    Ok((places, measure_traces(job, piece, runs, distinct, table).await?))
}

/// Adds what one piece has of a trace that has more elsewhere.
pub(super) async fn measure_at(job: &Job, place: Place, table: &mut Table) -> Result<u64, QueryError> {
    let source = &job.looker.source;
    let Some(piece) = source.pieces().get(place.piece) else { return Ok(0) };
    let Some(runs) = source.undamaged(piece.runs(&job.looker.budget).await)? else { return Ok(0) };
    measure_traces(job, place.piece, runs, vec![place.entry], table).await
}

async fn measure_traces(
    job: &Job,
    piece: usize,
    runs: &TraceRuns,
    entries: Vec<usize>,
    table: &mut Table,
) -> Result<u64, QueryError> {
    let looker = &job.looker;
    if !tally::suffices(&job.plan) {
        return each_row(job, piece, runs, &entries, table, Table::observe).await;
    }
    let picks = job.plan.exemplars > 0;
    let ids = if picks { looker.ids(piece).await? } else { None };
    let mut picker = ids.map(|ids| Picker::new(job.plan.window, job.plan.exemplars, ids, runs, &entries));
    let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
    let columns = projection(&job.plan, false);
    let mut batches = looker.source.read(piece, Some(&rows), &columns, &looker.budget).await?;
    let mut spans = 0;
    while let Some(batch) = batches.try_next().await? {
        let _reserved = looker.budget.reserve(Holder::Query, batch.get_array_memory_size() as u64)?;
        let selected = selected(&job.plan, &batch)?;
        tally::tally(&job.plan, &batch, &selected, table)?;
        if let Some(picker) = &mut picker {
            picker.follow(&selected, column(&batch, schema::START)?);
        }
        spans += batch.num_rows() as u64;
    }
    let chosen = picker.map(Picker::chosen).unwrap_or_default();
    each_row(job, piece, runs, &chosen, table, |table, plan, span| table.offer(plan, span).map(|_| ()))
        .await?;
    Ok(spans)
}

/// Gives every selected span of these traces to `add`; how many were looked at.
async fn each_row(
    job: &Job,
    piece: usize,
    runs: &TraceRuns,
    entries: &[usize],
    table: &mut Table,
    add: impl Fn(&mut Table, &MetricsPlan, Observation<'_>) -> Result<(), MemoryRefused>,
) -> Result<u64, QueryError> {
    if entries.is_empty() {
        return Ok(0);
    }
    let looker = &job.looker;
    let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
    let columns = projection(&job.plan, true);
    let mut batches = looker.source.read(piece, Some(&rows), &columns, &looker.budget).await?;
    let mut spans = 0;
    while let Some(batch) = batches.try_next().await? {
        let _reserved = looker.budget.reserve(Holder::Query, batch.get_array_memory_size() as u64)?;
        measure_batch(&job.plan, &batch, |span| add(table, &job.plan, span))?;
        spans += batch.num_rows() as u64;
    }
    Ok(spans)
}

/// The columns that matter, those that tell spans apart among them where it does.
fn projection(plan: &MetricsPlan, ids: bool) -> Projection {
    let mut projection = Projection::default();
    projection.fixed.push(schema::START);
    if ids {
        projection.fixed.extend([schema::TRACE_ID, schema::SPAN_ID, schema::KIND]);
    }
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
    mut add: impl FnMut(Observation<'_>) -> Result<(), MemoryRefused>,
) -> Result<(), QueryError> {
    let selected = selected(plan, batch)?;
    let traces: &FixedSizeBinaryArray = column(batch, schema::TRACE_ID)?;
    let spans: &FixedSizeBinaryArray = column(batch, schema::SPAN_ID)?;
    let kinds: &Int8Array = column(batch, schema::KIND)?;
    let starts: &UInt64Array = column(batch, schema::START)?;
    let states = plan.extrapolate.then(|| text_column(batch, schema::TRACE_STATE)).transpose()?;
    let groups: Vec<Vec<Operand<'_>>> = plan
        .by
        .iter()
        .map(|grouping| columnar::first_values(&grouping.sources, batch))
        .collect::<Result<_, _>>()?;
    let measured = plan.function.measured();
    let measured = measured.map(|measured| columnar::values(&measured.attribute, batch)).transpose()?;
    for row in 0..batch.num_rows() {
        let start = starts.value(row);
        let Some(step) = plan.window.step_of(start).filter(|_| selected.value(row)) else { continue };
        let trace_id = TraceId(traces.value(row).try_into().unwrap_or_default());
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
        add(observation)?;
    }
    Ok(())
}

/// The rows that the pipeline selects.
fn selected(plan: &MetricsPlan, batch: &RecordBatch) -> Result<BooleanBuffer, QueryError> {
    let matches: Vec<BooleanBuffer> =
        plan.search.filters.iter().map(|filter| vector::holds(filter, batch)).collect::<Result<_, _>>()?;
    Ok(local_matches(plan.search.local.as_ref().unwrap_or(&Local::All), &matches, batch.num_rows()))
}

fn local_matches(local: &Local, matches: &[BooleanBuffer], rows: usize) -> BooleanBuffer {
    let side = |side: &Local| local_matches(side, matches, rows);
    match local {
        Local::All => BooleanBuffer::new_set(rows),
        Local::Matches(filter) => {
            matches.get(*filter).cloned().unwrap_or_else(|| BooleanBuffer::new_unset(rows))
        }
        Local::And(left, right) => &side(left) & &side(right),
        Local::Or(left, right) => &side(left) | &side(right),
    }
}
