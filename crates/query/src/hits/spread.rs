//! Results of large traces that are spread over pieces which have no span in common: what is found in each is put
//! together.

use std::collections::HashSet;

use arrow::array::Int8Array;
use vivace_base::UnixNanos;
use vivace_model::{SpanId, TimeRange, TraceId, Value, schema};
use vivace_storage::columns::column;

use super::{Hit, Rows, Shown, Stats, contributing, counted, service_stats, text};
use crate::look::{Looked, Looker};
use crate::plan::{PlanStage, SearchPlan};
use crate::spread::Place;
use crate::{QueryError, SpanSet, TraceMatch};

/// A row of a part.
type At = (usize, usize);
/// The order of spans in a trace.
type Key = (UnixNanos, SpanId, i8);

/// The result of the trace at these places; [`None`] when it does not match.
pub(crate) async fn result(
    looker: &Looker,
    plan: &SearchPlan,
    places: &[Place],
    spans_per_span_set: usize,
) -> Result<Option<TraceMatch>, QueryError> {
    let Some((PlanStage::Spanset(spanset), counts)) = plan.stages.split_first() else { return Ok(None) };
    let mut parts: Vec<Looked<'_>> = Vec::with_capacity(places.len());
    for place in places {
        parts.extend(looker.look_at(*place).await?);
    }
    let ranges = parts.iter().map(|part| part.runs.range(part.entries[0]));
    let Some(range) = ranges.reduce(|a, b| a.union(&b)).filter(|range| looker.wanted.lasts(range)) else {
        return Ok(None);
    };
    let of_filter = |filter: usize| parts.iter().map(|part| part.matches[filter].count_set_bits()).sum();
    let matched: Vec<usize> = (0..plan.filters.len()).map(of_filter).collect();
    let often = |filter: usize, least| i64::try_from(matched[filter]).unwrap_or(i64::MAX) >= least;
    if !plan.condition.is_met(&often) {
        return Ok(None);
    }
    let filters = contributing(spanset, &|filter| matched[filter] > 0);
    let limit = spans_per_span_set.max(1);
    let mut read = Vec::with_capacity(parts.len());
    let (mut stats, mut count) = (Stats::new(), 0);
    for part in &parts {
        let (hit, selected) = choose(part, &filters, limit);
        count += selected;
        let hits = [hit];
        let rows = Rows::read(looker, part, plan, &hits, &[schema::KIND]).await?;
        for (service, of_part) in service_stats(looker, part, &hits, &rows).await?.into_iter().flatten() {
            let all = stats.entry(service).or_default();
            all.span_count += of_part.span_count;
            all.error_count += of_part.error_count;
        }
        read.push(rows);
    }
    let Some(attributes) = counted(counts, count) else { return Ok(None) };
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    put_together(plan, &parts, &read, &filters, limit, Whole { range, stats, count, attributes })
}

/// What is known of the trace already.
struct Whole {
    range: TimeRange,
    stats: Stats,
    count: u32,
    attributes: Vec<(String, Value)>,
}

/// The rows of a part that may be shown: the first of each filter; and how many are selected.
fn choose(part: &Looked<'_>, filters: &[usize], limit: usize) -> (Hit, usize) {
    let first = part.runs.rows(part.entries[0]).start;
    let bits = || filters.iter().filter_map(|filter| part.matches.get(*filter));
    let selected = bits().cloned().reduce(|a, b| &a | &b).map_or(0, |bits| bits.count_set_bits());
    let mut shown: Vec<usize> =
        bits().flat_map(|bits| bits.set_indices().take(limit)).map(|row| first + row).collect();
    shown.sort_unstable();
    shown.dedup();
    (Hit { entry: part.entries[0], shown, matched: 0, attributes: Vec::new() }, selected)
}

fn put_together(
    plan: &SearchPlan,
    parts: &[Looked<'_>],
    read: &[Rows],
    filters: &[usize],
    limit: usize,
    whole: Whole,
) -> Result<Option<TraceMatch>, QueryError> {
    let mut shown: Vec<Vec<(Shown<'_>, &Int8Array)>> = Vec::with_capacity(read.len());
    for rows in read {
        let batches = rows.batches.iter();
        let columns = |batch| Ok::<_, QueryError>((Shown::new(plan, batch)?, column(batch, schema::KIND)?));
        shown.push(batches.map(columns).collect::<Result<_, _>>()?);
    }
    let find = |(part, row): At| {
        let (batch, row) = read.get(part)?.find(row)?;
        Some((shown.get(part)?.get(batch)?, row))
    };
    let key = |at: At| -> Option<Key> {
        let ((shown, kinds), row) = find(at)?;
        let id = SpanId(shown.span_ids.value(row).try_into().unwrap_or_default());
        Some((shown.starts.value(row), id, kinds.value(row)))
    };
    let mut chosen: Vec<At> = Vec::new();
    let mut seen: HashSet<At> = HashSet::new();
    for filter in filters {
        let first_of = |(at, part): (usize, &Looked<'_>)| {
            let first = part.runs.rows(part.entries[0]).start;
            part.matches[*filter].set_indices().take(limit).map(|row| (at, first + row)).collect::<Vec<_>>()
        };
        let mut rows: Vec<At> = parts.iter().enumerate().flat_map(first_of).collect();
        rows.sort_by_key(|at| key(*at));
        chosen.extend(rows.into_iter().filter(|at| seen.insert(*at)).take(limit - chosen.len().min(limit)));
    }
    let roots =
        parts.iter().enumerate().filter_map(|(at, part)| Some((at, part.runs.root(part.entries[0])?)));
    let root = roots.max_by_key(|at| key(*at)).and_then(find);
    let spans: Vec<_> = chosen.iter().filter_map(|at| find(*at)).collect();
    let Some(((first, _), row)) = spans.first() else { return Ok(None) };
    let trace_id = TraceId(first.trace_ids.value(*row).try_into().unwrap_or_default());
    let service = |((shown, _), row): &(&(Shown<'_>, &Int8Array), usize)| {
        text(shown.services[*row]).unwrap_or_default().to_owned()
    };
    Ok(Some(TraceMatch {
        trace_id,
        root_service_name: root.as_ref().map(service),
        root_trace_name: root.map(|((shown, _), row)| shown.name(row)),
        start: whole.range.start,
        duration: whole.range.end - whole.range.start,
        span_sets: vec![SpanSet {
            spans: spans.iter().map(|((shown, _), row)| shown.span(*row)).collect(),
            matched: whole.count,
            attributes: whole.attributes,
        }],
        service_stats: whole.stats,
    }))
}
