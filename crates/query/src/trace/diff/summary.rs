use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value as Json;
use vivace_model::StatusCode;

use super::outline::{Identity, Outline};
use super::{
    Change, DiffFormat, ServiceRollup, Signals, SummaryStats, Target, TracePatch, TraceSummary,
    TraceSummaryDiff, Trust,
};

const MILLISECOND: i128 = 1_000_000;
/// A service has drifted when the sum of its durations differs by this much, and by this part of the base's.
const DRIFT_NANOS: i128 = 1_000_000;
const DRIFT_PART: i128 = 20;
const NO_SERVICE: &str = "<unknown>";

pub(super) fn summarise(base: &Outline<'_>, compare: &Outline<'_>, patch: &TracePatch) -> TraceSummaryDiff {
    let (of_base, of_compare) = (Figures::of(base), Figures::of(compare));
    let reshaped = reshaped(base, compare);
    let stats = SummaryStats {
        trace_latency_delta_ms: milliseconds(of_compare.latency - of_base.latency),
        sum_span_duration_delta_ms: milliseconds(of_compare.sum() - of_base.sum()),
        span_count_delta: delta(patch.stats.span_count_a, patch.stats.span_count_b),
        error_span_delta: delta(of_base.errors, of_compare.errors),
        matched_spans: patch.stats.matched_spans,
        modified_spans: patch.stats.modified_spans,
        added_spans: patch.stats.added_spans,
        removed_spans: patch.stats.removed_spans,
        field_changes: patch.stats.field_changes,
        attribute_changes: patch.stats.attribute_changes,
    };
    let is_changed = stats.added_spans > 0 || stats.removed_spans > 0 || !reshaped.is_empty();
    let (changed_services, services) = services(patch, &of_base.by_service, &of_compare.by_service, reshaped);
    TraceSummaryDiff {
        version: DiffFormat::Native.name(),
        base: of_base.summary(base),
        compare: of_compare.summary(compare),
        signals: Signals {
            trace_latency: direction(stats.trace_latency_delta_ms),
            sum_span_duration: direction(stats.sum_span_duration_delta_ms),
            errors: direction(stats.error_span_delta),
            span_count: direction(stats.span_count_delta),
            structure: if is_changed { "changed" } else { "unchanged" },
        },
        trust: trust(patch),
        stats,
        warnings: patch.warnings.clone(),
        changed_services,
        services,
    }
}

/// A trace in numbers; times in nanoseconds, wide enough that no sum overflows.
struct Figures<'a> {
    latency: i128,
    errors: usize,
    /// Sums of the durations of spans.
    by_service: BTreeMap<&'a str, i128>,
}

impl<'a> Figures<'a> {
    fn of(outline: &Outline<'a>) -> Self {
        let valid = || outline.nodes.iter().filter(|node| node.duration().is_some()).map(|node| node.span);
        let first = valid().map(|span| span.start).min().unwrap_or_default();
        let last = valid().map(|span| span.end).max().unwrap_or_default();
        let mut by_service = BTreeMap::new();
        for node in &outline.nodes {
            *by_service.entry(named(node.service)).or_default() +=
                i128::from(node.duration().unwrap_or_default());
        }
        let errors = outline.nodes.iter().filter(|node| node.span.status == StatusCode::Error).count();
        Self { latency: i128::from(last) - i128::from(first), errors, by_service }
    }

    fn sum(&self) -> i128 {
        self.by_service.values().sum()
    }

    fn summary(&self, outline: &Outline<'_>) -> TraceSummary {
        let root = outline.nodes.first();
        TraceSummary {
            trace_id: outline.trace.id().to_string(),
            root_service: root.map(|root| root.service.to_owned()).unwrap_or_default(),
            root_name: root.map(|root| root.span.name.clone()).unwrap_or_default(),
            span_count: outline.nodes.len(),
            error_span_count: self.errors,
            duration_ms: milliseconds(self.latency),
            sum_span_duration_ms: milliseconds(self.sum()),
        }
    }
}

fn named(service: &str) -> &str {
    if service.is_empty() { NO_SERVICE } else { service }
}

/// The services whose spans are not the same operations under the same operations, as often.
fn reshaped<'a>(base: &Outline<'a>, compare: &Outline<'a>) -> BTreeSet<&'a str> {
    let mut counts: HashMap<(Identity<'a>, Option<Identity<'a>>), i64> = HashMap::new();
    for (outline, step) in [(base, 1), (compare, -1)] {
        for (position, node) in outline.nodes.iter().enumerate() {
            *counts.entry((node.identity(), outline.parent_identity(position))).or_default() += step;
        }
    }
    let differs = counts.into_iter().filter(|(_, count)| *count != 0);
    differs.map(|(((service, ..), _), _)| named(service)).collect()
}

/// All services in which something changed, and figures of those with changed spans or changed durations.
fn services<'a>(
    patch: &'a TracePatch,
    base: &BTreeMap<&'a str, i128>,
    compare: &BTreeMap<&'a str, i128>,
    reshaped: BTreeSet<&'a str>,
) -> (Vec<String>, Vec<ServiceRollup>) {
    let mut rollups = rollups(patch);
    let mut changed = reshaped;
    for service in base.keys().chain(compare.keys()) {
        let of = |sums: &BTreeMap<&str, i128>| sums.get(service).copied().unwrap_or_default();
        let (before, after) = (of(base), of(compare));
        let moved = (after - before).abs();
        if moved >= DRIFT_NANOS && moved * DRIFT_PART >= before {
            rollups.entry(service).or_default();
        }
        if let Some(rollup) = rollups.get_mut(service) {
            rollup.sum_span_duration_delta_ms = milliseconds(after - before);
        }
    }
    changed.extend(rollups.keys());
    let mut services: Vec<ServiceRollup> =
        rollups.into_iter().map(|(name, rollup)| ServiceRollup { name: name.to_owned(), ..rollup }).collect();
    // By name before, so that ties stay by name.
    services.sort_by_key(|of| std::cmp::Reverse((of.sum_span_duration_delta_ms.abs(), of.new_errors)));
    (changed.into_iter().map(str::to_owned).collect(), services)
}

/// What the patch says about each service.
fn rollups(patch: &TracePatch) -> BTreeMap<&str, ServiceRollup> {
    let mut rollups: BTreeMap<&str, ServiceRollup> = BTreeMap::new();
    let is_error = |status: &str| status == StatusCode::Error.name();
    for span in &patch.modified {
        let rollup = rollups.entry(named(&span.span.service)).or_default();
        rollup.modified += 1;
        for (before, after) in span.changes.iter().filter_map(status_change) {
            rollup.new_errors += usize::from(is_error(after) && !is_error(before));
            rollup.resolved_errors += usize::from(is_error(before) && !is_error(after));
        }
    }
    for added in &patch.added {
        let rollup = rollups.entry(named(&added.span.span.service)).or_default();
        rollup.added += 1;
        rollup.new_errors += usize::from(is_error(added.span.status));
    }
    for removed in &patch.removed {
        let rollup = rollups.entry(named(&removed.span.span.service)).or_default();
        rollup.removed += 1;
        rollup.resolved_errors += usize::from(is_error(removed.span.status));
    }
    rollups
}

fn status_change(change: &Change) -> Option<(&str, &str)> {
    let is_status = change.target == Target::Field { name: "status" };
    let text = |value| Json::as_str(value).filter(|_| is_status);
    Some((text(&change.before)?, text(&change.after)?))
}

fn trust(patch: &TracePatch) -> Trust {
    let (a, b) = (patch.stats.span_count_a, patch.stats.span_count_b);
    let share = |of: usize| patch.stats.matched_spans as f64 / of.max(1) as f64;
    Trust { matched_span_ratio: share(a.max(b)), structure_overlap: share(a.min(b)) }
}

fn direction(delta: i64) -> &'static str {
    match delta.signum() {
        1 => "increased",
        -1 => "decreased",
        _ => "unchanged",
    }
}

/// Towards zero.
fn milliseconds(nanos: i128) -> i64 {
    i64::try_from(nanos / MILLISECOND).unwrap_or(if nanos > 0 { i64::MAX } else { i64::MIN })
}

fn delta(before: usize, after: usize) -> i64 {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    number(after) - number(before)
}
