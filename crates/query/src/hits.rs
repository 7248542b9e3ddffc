//! Results of searches that filters alone decide, straight from columns: no trace is assembled.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use arrow::array::{FixedSizeBinaryArray, Int8Array, Int64Array, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use futures::TryStreamExt;
use vivace_base::Holder;
use vivace_model::schema::{self, AttributeScope};
use vivace_model::{SpanId, StatusCode, TraceId, Value};
use vivace_storage::Projection;
use vivace_storage::columns::{AttributeValues, TextColumn, ValueRef, column, text_column};
use vivace_traceql::Attribute;

use crate::eval::{Operand, columnar, compare, trace_level};
use crate::look::{Looked, Looker, joined};
use crate::plan::{PlanSpanset, PlanStage, SearchPlan};
use crate::{MatchedSpan, QueryError, ServiceStats, SpanSet, TraceMatch};

mod spread;

pub(crate) use spread::result as spread_result;

const SERVICE_NAME: &str = "service.name";
/// Traces that together have at most so many rows are read whole; of larger ones only the rows that are shown.
const READ_WHOLE: usize = 65_536;

/// Whether a plan's results can be told from columns alone.
pub(crate) fn suffice(plan: &SearchPlan) -> bool {
    plan.exact && !plan.shown.iter().any(trace_level)
}

/// A trace that matches, and its spans that are shown.
struct Hit {
    entry: usize,
    /// Rows in the piece.
    shown: Vec<usize>,
    matched: u32,
    /// Of the span set.
    attributes: Vec<(String, Value)>,
}

/// The results of the first `limit` of the given traces that match, by their position in [`Looked::entries`], in that
/// order. They meet the plan's condition.
pub(crate) async fn results(
    looker: &Looker,
    plan: &SearchPlan,
    looked: &Looked<'_>,
    traces: impl Iterator<Item = usize>,
    (limit, spans_per_span_set): (usize, usize),
) -> Result<Vec<TraceMatch>, QueryError> {
    let Some((PlanStage::Spanset(spanset), counts)) = plan.stages.split_first() else {
        return Ok(Vec::new());
    };
    let hit = |at: usize| {
        let rows = looked.rows_of(at);
        let first = looked.runs.rows(looked.entries[at]).start;
        let (shown, matched) = choose(spanset, &looked.matches, &rows, spans_per_span_set.max(1));
        let shown = shown.into_iter().map(|row| first + row - rows.start).collect();
        let attributes = counted(counts, matched)?;
        let matched = u32::try_from(matched).unwrap_or(u32::MAX);
        Some(Hit { entry: looked.entries[at], shown, matched, attributes })
    };
    let hits: Vec<Hit> = traces.filter_map(hit).take(limit).collect();
    let rows = Rows::read(looker, looked, plan, &hits, &[]).await?;
    let stats = service_stats(looker, looked, &hits, &rows).await?;
    let shown: Vec<Shown<'_>> =
        rows.batches.iter().map(|batch| Shown::new(plan, batch)).collect::<Result<_, _>>()?;
    let hits = hits.into_iter().zip(stats);
    Ok(hits.filter_map(|(hit, stats)| result(looked, &rows, &shown, hit, stats)).collect())
}

/// What stages that count say of so many spans, each once; [`None`] when they do not let them pass.
fn counted(stages: &[PlanStage], matched: usize) -> Option<Vec<(String, Value)>> {
    let count = i64::try_from(matched).unwrap_or(i64::MAX);
    let mut attributes: Vec<(String, Value)> = Vec::new();
    for stage in stages {
        let PlanStage::Scalar(scalar) = stage else { return None };
        if !compare(scalar.op, &Operand::Int(count), &scalar.literal) {
            return None;
        }
        if attributes.is_empty() {
            attributes.push((scalar.label.clone(), Value::Int(count)));
        }
    }
    Some(attributes)
}

/// The first rows that a spanset selects in a trace's rows, in its order, and how many it selects: the left side's,
/// then the right side's that were not there yet (`pipeline::Run::union`).
fn choose(
    spanset: &PlanSpanset,
    matches: &[BooleanBuffer],
    rows: &Range<usize>,
    limit: usize,
) -> (Vec<usize>, usize) {
    let of_trace: Vec<BooleanBuffer> =
        matches.iter().map(|bits| bits.slice(rows.start, rows.len())).collect();
    let filters = contributing(spanset, &|filter| {
        of_trace.get(filter).is_some_and(|bits: &BooleanBuffer| bits.set_indices().next().is_some())
    });
    let bits = || filters.iter().filter_map(|filter| of_trace.get(*filter));
    let all = bits().cloned().reduce(|a, b| &a | &b).map_or(0, |bits| bits.count_set_bits());
    let mut seen = HashSet::new();
    let ordered = bits().flat_map(BooleanBuffer::set_indices).filter(|row| seen.insert(*row));
    (ordered.take(limit).map(|row| rows.start + row).collect(), all)
}

/// The filters whose spans a spanset yields, in order; none when it yields nothing.
fn contributing(spanset: &PlanSpanset, matched: &dyn Fn(usize) -> bool) -> Vec<usize> {
    match spanset {
        PlanSpanset::Filter(filter) if matched(*filter) => vec![*filter],
        PlanSpanset::And(left, right) => {
            let (mut left, right) = (contributing(left, matched), contributing(right, matched));
            if left.is_empty() || right.is_empty() {
                return Vec::new();
            }
            left.extend(right);
            left
        }
        PlanSpanset::Or(left, right) => {
            let mut left = contributing(left, matched);
            left.extend(contributing(right, matched));
            left
        }
        // Not part of a plan that filters alone decide.
        PlanSpanset::Filter(_) | PlanSpanset::Pipeline(_) | PlanSpanset::Structural { .. } => Vec::new(),
    }
}

type Stats = BTreeMap<String, ServiceStats>;

/// How many spans of each service every hit has.
async fn service_stats(
    looker: &Looker,
    looked: &Looked<'_>,
    hits: &[Hit],
    rows: &Rows,
) -> Result<Vec<Stats>, QueryError> {
    let mut order: Vec<usize> = (0..hits.len()).collect();
    order.sort_by_key(|at| hits[*at].entry);
    let runs = || order.iter().map(|at| looked.runs.rows(hits[*at].entry));
    let mut owners = order.iter().zip(runs()).flat_map(|(at, rows)| std::iter::repeat_n(*at, rows.len()));
    let mut stats: Vec<Stats> = vec![Stats::new(); hits.len()];
    if rows.whole {
        rows.batches.iter().try_for_each(|batch| count_services(batch, &mut owners, &mut stats))?;
        return Ok(stats);
    }
    let mut projection = Projection { fixed: vec![schema::STATUS], ..Projection::default() };
    projection.attribute(AttributeScope::Resource, SERVICE_NAME);
    let ranges = joined(runs());
    let mut batches = looker.source.read(looked.piece, Some(&ranges), &projection, &looker.budget).await?;
    while let Some(batch) = batches.try_next().await? {
        count_services(&batch, &mut owners, &mut stats)?;
    }
    Ok(stats)
}

/// Adds the spans of a batch, each of which belongs to the next owner.
fn count_services(
    batch: &RecordBatch,
    owners: &mut impl Iterator<Item = usize>,
    stats: &mut [Stats],
) -> Result<(), QueryError> {
    let services = AttributeValues::gather(batch, AttributeScope::Resource, SERVICE_NAME)?.0;
    let statuses: &Int8Array = column(batch, schema::STATUS)?;
    for (row, owner) in (0..batch.num_rows()).zip(owners) {
        let service = text(services[row]).unwrap_or_default();
        let of_trace = &mut stats[owner];
        if !of_trace.contains_key(service) {
            of_trace.insert(service.to_owned(), ServiceStats::default());
        }
        let Some(stats) = of_trace.get_mut(service) else { continue };
        stats.span_count += 1;
        let is_error = StatusCode::from_otlp(statuses.value(row).into()) == StatusCode::Error;
        stats.error_count += u32::from(is_error);
    }
    Ok(())
}

fn text(value: Option<ValueRef<'_>>) -> Option<&str> {
    match value {
        Some(ValueRef::String(text)) => Some(text),
        _ => None,
    }
}

/// Rows of a piece in the columns that results show.
struct Rows {
    batches: Vec<RecordBatch>,
    /// The rows in the piece that the batches are, in order, and how many come before each range.
    ranges: Vec<(Range<usize>, usize)>,
    /// Whether those are all rows of the hits.
    whole: bool,
    _reserved: vivace_base::Reservation,
}

impl Rows {
    async fn read(
        looker: &Looker,
        looked: &Looked<'_>,
        plan: &SearchPlan,
        hits: &[Hit],
        also: &[&'static str],
    ) -> Result<Self, QueryError> {
        let mut projection = Projection { fixed: also.to_vec(), ..Projection::default() };
        projection.fixed.extend([
            schema::TRACE_ID,
            schema::SPAN_ID,
            schema::NAME,
            schema::START,
            schema::DURATION,
            schema::STATUS,
        ]);
        projection.attribute(AttributeScope::Resource, SERVICE_NAME);
        plan.shown.iter().for_each(|attribute| columnar::project_attribute(attribute, &mut projection));
        let mut entries: Vec<usize> = hits.iter().map(|hit| hit.entry).collect();
        entries.sort_unstable();
        let whole = joined(entries.iter().map(|entry| looked.runs.rows(*entry)));
        // Parents are found only in traces read from their beginning.
        let needs_whole = projection.fixed.contains(&schema::PARENT_SPAN_ID);
        let is_whole = needs_whole || whole.iter().map(Range::len).sum::<usize>() <= READ_WHOLE;
        let ranges = if is_whole {
            whole
        } else {
            let roots = hits.iter().filter_map(|hit| looked.runs.root(hit.entry));
            let mut rows: Vec<usize> = hits.iter().flat_map(|hit| &hit.shown).copied().chain(roots).collect();
            rows.sort_unstable();
            rows.dedup();
            joined(rows.into_iter().map(|row| row..row + 1))
        };
        let mut reserved = looker.budget.reserve(Holder::Query, 0)?;
        let mut stream = looker.source.read(looked.piece, Some(&ranges), &projection, &looker.budget).await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            reserved.resize(reserved.bytes() + batch.get_array_memory_size() as u64)?;
            batches.push(batch);
        }
        let mut before = 0;
        let counted = ranges.into_iter().map(|range| {
            let at = before;
            before += range.len();
            (range, at)
        });
        Ok(Self { batches, ranges: counted.collect(), whole: is_whole, _reserved: reserved })
    }

    /// Where a row of the piece is; [`None`] when it was not read.
    fn find(&self, row: usize) -> Option<(usize, usize)> {
        let after = self.ranges.partition_point(|(range, _)| range.start <= row);
        let (range, before) = self.ranges.get(after.checked_sub(1)?)?;
        let mut at = range.contains(&row).then(|| before + row - range.start)?;
        for (number, batch) in self.batches.iter().enumerate() {
            if at < batch.num_rows() {
                return Some((number, at));
            }
            at -= batch.num_rows();
        }
        None
    }
}

/// The columns of a batch that results show.
struct Shown<'a> {
    trace_ids: &'a FixedSizeBinaryArray,
    span_ids: &'a FixedSizeBinaryArray,
    names: TextColumn<'a>,
    starts: &'a UInt64Array,
    durations: &'a Int64Array,
    services: Vec<Option<ValueRef<'a>>>,
    /// Bare name and values of what the query mentions.
    attributes: Vec<(&'a str, Vec<Operand<'a>>)>,
}

impl<'a> Shown<'a> {
    fn new(plan: &'a SearchPlan, batch: &'a RecordBatch) -> Result<Self, QueryError> {
        let values = |attribute: &'a Attribute| -> Result<_, QueryError> {
            Ok((attribute.bare_name(), columnar::values(attribute, batch)?))
        };
        Ok(Self {
            trace_ids: column(batch, schema::TRACE_ID)?,
            span_ids: column(batch, schema::SPAN_ID)?,
            names: text_column(batch, schema::NAME)?,
            starts: column(batch, schema::START)?,
            durations: column(batch, schema::DURATION)?,
            services: AttributeValues::gather(batch, AttributeScope::Resource, SERVICE_NAME)?.0,
            attributes: plan.shown.iter().map(values).collect::<Result<_, _>>()?,
        })
    }

    fn name(&self, row: usize) -> String {
        self.names.get(row).unwrap_or_default().to_owned()
    }

    fn span(&self, row: usize) -> MatchedSpan {
        let start = self.starts.value(row);
        let mut attributes: Vec<(String, Value)> = Vec::with_capacity(self.attributes.len());
        for (key, values) in &self.attributes {
            if let Some(value) = values[row].to_output()
                && !attributes.iter().any(|(other, _)| other == key)
            {
                attributes.push(((*key).to_owned(), value));
            }
        }
        MatchedSpan {
            span_id: SpanId(self.span_ids.value(row).try_into().unwrap_or_default()),
            name: self.name(row),
            start,
            duration: columnar::end(start, self.durations.value(row)).saturating_sub(start),
            attributes,
        }
    }
}

fn result(
    looked: &Looked<'_>,
    rows: &Rows,
    shown: &[Shown<'_>],
    hit: Hit,
    service_stats: Stats,
) -> Option<TraceMatch> {
    let at = |row: usize| {
        let (batch, row) = rows.find(row)?;
        Some((shown.get(batch)?, row))
    };
    let root = looked.runs.root(hit.entry).and_then(at);
    let spans: Vec<_> = hit.shown.iter().filter_map(|row| at(*row)).collect();
    let (first, row) = spans.first()?;
    let range = looked.runs.range(hit.entry);
    Some(TraceMatch {
        trace_id: TraceId(first.trace_ids.value(*row).try_into().ok()?),
        root_service_name: root.map(|(shown, row)| text(shown.services[row]).unwrap_or_default().to_owned()),
        root_trace_name: root.map(|(shown, row)| shown.name(row)),
        start: range.start,
        duration: range.end - range.start,
        span_sets: vec![SpanSet {
            spans: spans.iter().map(|(shown, row)| shown.span(*row)).collect(),
            matched: hit.matched,
            attributes: hit.attributes,
        }],
        service_stats,
    })
}
