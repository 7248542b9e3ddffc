//! Measuring spans on the columns of a piece, without assembling traces.

use std::ops::Range;

use arrow::array::{FixedSizeBinaryArray, Int8Array, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use futures::TryStreamExt;
use vivace_base::MemoryRefused;
use vivace_model::schema;
use vivace_model::{SpanId, SpanKind, TraceId, Value};
use vivace_storage::Projection;
use vivace_storage::columns::{column, text_column};
use vivace_storage::index::TraceRuns;

use super::collect::{Collected, Job};
use super::exemplars::{Candidate, Labels};
use super::plan::MetricsPlan;
use super::sampling::weight;
use super::table::{Observation, Table};
use super::tally;
use crate::QueryError;
use crate::eval::{Operand, columnar, vector};
use crate::look::joined;
use crate::plan::Local;
use crate::spread::Place;
use vivace_traceql::Attribute;

/// Adds the spans of a unit's traces, none of which is there twice; how many were looked at.
pub(super) async fn measure_rows(
    job: &Job,
    piece: usize,
    entries: Range<usize>,
    table: &mut Table,
) -> Result<u64, QueryError> {
    let Some((runs, entries)) = job.looker.alive(piece, entries).await? else { return Ok(0) };
    measure_traces(job, piece, runs, &entries, table).await
}

/// Adds the spans of a unit's traces, but for those that are spread. Returns the traces that may have spans twice, and how
/// many spans were looked at.
pub(super) async fn measure(
    job: &Job,
    piece: usize,
    entries: Range<usize>,
    table: &mut Table,
) -> Result<(Vec<Vec<Place>>, u64), QueryError> {
    let Some((runs, entries)) = job.looker.alive(piece, entries).await? else { return Ok((Vec::new(), 0)) };
    let (distinct, others): (Vec<usize>, Vec<usize>) =
        entries.into_iter().partition(|entry| runs.is_distinct(*entry));
    let places = others.into_iter().map(|entry| vec![Place { piece, entry }]).collect();
    Ok((places, measure_traces(job, piece, runs, &distinct, table).await?))
}

/// Adds what one piece has of a trace that has more elsewhere.
pub(super) async fn measure_at(job: &Job, place: Place, table: &mut Table) -> Result<u64, QueryError> {
    let source = &job.looker.source;
    let Some(piece) = source.pieces().get(place.piece) else { return Ok(0) };
    let Some(runs) = source.undamaged(piece.runs(&job.looker.budget).await)? else { return Ok(0) };
    measure_traces(job, place.piece, runs, &[place.entry], table).await
}

async fn measure_traces(
    job: &Job,
    piece: usize,
    runs: &TraceRuns,
    entries: &[usize],
    table: &mut Table,
) -> Result<u64, QueryError> {
    let rows = joined(entries.iter().map(|entry| runs.rows(*entry)));
    // Exemplars are picked apart only where pieces are measured one by one.
    let picked = job.repeats.is_some() || job.plan.exemplars == 0;
    if tally::suffices(&job.plan) && picked {
        return each_batch(job, piece, (&rows, false), |batch, selected| {
            tally::tally(&job.plan, batch, selected, &job.within, table)
        })
        .await;
    }
    each_span(job, piece, &rows, |span| table.observe(&job.plan, span)).await
}

/// Takes away the repeated rows of a piece whose spans were all counted.
pub(super) async fn take_away(job: Job, piece: usize) -> Result<(Collected, u64), QueryError> {
    let mut collected = Collected::new(&job)?;
    let rows = joined(job.repeated(piece).iter().map(|row| *row..*row + 1));
    let job = Job { repeats: None, ..job };
    let Collected::Series(table) = &mut collected else { return Ok((collected, 0)) };
    let away = |span: Observation<'_>| table.observe(&job.plan, Observation { weight: -span.weight, ..span });
    let spans = each_span(&job, piece, &rows, away).await?;
    Ok((collected, spans))
}

/// Gives every selected span of these rows to `add`; how many were looked at.
pub(super) async fn each_span(
    job: &Job,
    piece: usize,
    rows: &[Range<usize>],
    mut add: impl FnMut(Observation<'_>) -> Result<(), MemoryRefused>,
) -> Result<u64, QueryError> {
    each_batch(job, piece, (rows, true), |batch, selected| measure_batch(job, batch, selected, &mut add))
        .await
}

/// Gives batches of these rows and which of them are selected to `add`; how many there were.
async fn each_batch(
    job: &Job,
    piece: usize,
    (rows, ids): (&[Range<usize>], bool),
    mut add: impl FnMut(&RecordBatch, &BooleanBuffer) -> Result<(), QueryError>,
) -> Result<u64, QueryError> {
    if rows.is_empty() {
        return Ok(0);
    }
    let looker = &job.looker;
    let columns = projection(&job.plan, ids);
    let mut batches = looker.source.read(piece, Some(rows), &columns, &looker.budget).await?;
    let mut numbers = rows.iter().cloned().flatten();
    let repeated = job.repeated(piece);
    let mut spans = 0;
    while let Some(batch) = batches.try_next().await? {
        let mut selected = selected(&job.plan, &batch)?;
        if !repeated.is_empty() {
            let mut first = |_| numbers.next().is_some_and(|number| repeated.binary_search(&number).is_err());
            selected = &selected & &BooleanBuffer::collect_bool(batch.num_rows(), &mut first);
        }
        add(&batch, &selected)?;
        spans += batch.num_rows() as u64;
    }
    Ok(spans)
}

/// The columns that matter, those that tell spans apart and what exemplars show among them where they do.
fn projection(plan: &MetricsPlan, ids: bool) -> Projection {
    let mut projection = Projection::default();
    projection.fixed.push(schema::START);
    if ids {
        projection.fixed.extend([schema::TRACE_ID, schema::SPAN_ID, schema::KIND]);
    }
    if ids && plan.exemplars > 0 {
        plan.search.shown.iter().for_each(|shown| columnar::project_attribute(shown, &mut projection));
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
    job: &Job,
    batch: &RecordBatch,
    selected: &BooleanBuffer,
    add: &mut impl FnMut(Observation<'_>) -> Result<(), MemoryRefused>,
) -> Result<(), QueryError> {
    let plan = &*job.plan;
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
    for row in selected.set_indices() {
        let start = starts.value(row);
        let Some(step) = plan.step_of(start, &job.within) else { continue };
        let trace_id = TraceId(traces.value(row).try_into().unwrap_or_default());
        let span = Candidate {
            trace_id,
            span_id: SpanId(spans.value(row).try_into().unwrap_or_default()),
            kind: SpanKind::from_otlp(kinds.value(row).into()),
            start,
            step,
            value: 0.0,
            labels: None,
        };
        let observation = Observation {
            span,
            step,
            weight: states.map_or(1.0, |states| weight(states.get(row).unwrap_or_default())),
            groups: groups.iter().map(|values| values[row].borrowed()).collect(),
            measured: measured.as_ref().map_or(Operand::Nil, |values| values[row].borrowed()),
            labels: &|| labels(plan, &batch.slice(row, 1)),
        };
        add(observation)?;
    }
    Ok(())
}

/// What an exemplar shows, given its row.
fn labels(plan: &MetricsPlan, row: &RecordBatch) -> Labels {
    let label = |(key, attribute): &(String, Attribute)| -> Option<(String, Value)> {
        let values = columnar::values(attribute, row).ok()?;
        Some((key.clone(), values.first()?.to_output()?))
    };
    plan.labels.iter().filter_map(label).collect()
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
