use std::collections::{BTreeSet, HashMap, HashSet};

use regex::Regex;
use vivace_model::{Attribute, Span, SpanKind, StatusCode, Trace, Value};

/// Upper bounds of the histogram's buckets, in milliseconds (`reference/tempo.md` 2.2).
const BOUNDS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
const IS_SUMMARY: &str = "aggregation.is_summary";
/// Parents are merged from this many on.
const MIN_PARENTS: usize = 2;
/// More patterns than this are not taken.
const MAX_PATTERNS: usize = 64;

/// Which similar spans are replaced by one (`reference/tempo.md` 2.2).
#[derive(Debug, Clone)]
pub struct Pruning {
    /// Attributes that similar spans have in common.
    pub group_by: GroupBy,
    /// From this many similar spans on they are replaced.
    pub min_spans: usize,
    /// How many generations above the leaves are merged; [`None`] for all there are.
    pub max_parent_depth: Option<usize>,
}

/// Names of attributes: patterns with `*` for any text and `?` for any character.
#[derive(Debug, Clone, Default)]
pub struct GroupBy(Vec<Regex>);

/// What pruning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruned {
    /// Nothing was alike.
    Nothing,
    /// Spans were replaced.
    Replaced,
    /// Nothing, because the sender did it.
    BySender,
}

impl GroupBy {
    /// Reads patterns, separated by commas.
    ///
    /// # Errors
    /// What is wrong with them, as text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let patterns: Vec<&str> =
            text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()).collect();
        if patterns.len() > MAX_PATTERNS {
            return Err(format!("{} patterns are too many: at most {MAX_PATTERNS}", patterns.len()));
        }
        patterns.into_iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(key))
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let escaped = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    Regex::new(&format!("^(?s:{escaped})$")).map_err(|_| format!("the pattern `{pattern}` is too long"))
}

/// Replaces groups of similar leaf spans by one summary each, and then, bottom-up, similar parents all of whose
/// children are gone. Roots always stay. A summary is the slowest span of its group, with its id, over the time of
/// the whole group and with figures about it as attributes.
pub fn prune(trace: Trace, pruning: &Pruning) -> (Trace, Pruned) {
    if trace.spans().iter().any(is_summary) {
        return (trace, Pruned::BySender);
    }
    let groups = groups(&trace, pruning);
    if groups.is_empty() {
        return (trace, Pruned::Nothing);
    }
    (replace(trace, &groups), Pruned::Replaced)
}

fn is_summary(span: &Span) -> bool {
    span.attributes.iter().any(|of| of.key == IS_SUMMARY && of.value == Value::Bool(true))
}

/// What similar spans have in common.
#[derive(PartialEq, Eq, Hash)]
struct Likeness<'a> {
    name: &'a str,
    kind: SpanKind,
    status: StatusCode,
    trace_state: &'a str,
    parent: Option<&'a str>,
    attributes: Vec<(&'a str, String)>,
}

/// The groups to replace, each at least two spans in the order of the trace.
fn groups(trace: &Trace, pruning: &Pruning) -> Vec<Vec<usize>> {
    let spans = trace.spans();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    for index in 0..spans.len() {
        if let Some(parent) = trace.parent(index) {
            children[parent].push(index);
        }
    }
    let is_root = |index: usize| spans[index].parent_span_id.is_none();
    let leaves = (0..spans.len()).filter(|index| children[*index].is_empty() && !is_root(*index));
    let mut newest = alike(trace, leaves, Some(&pruning.group_by), pruning.min_spans.max(2));
    let mut gone: HashSet<usize> = HashSet::new();
    let mut all = Vec::new();
    let mut depth = 0;
    while !newest.is_empty() {
        gone.extend(newest.iter().flatten());
        let above: BTreeSet<usize> =
            newest.iter().flatten().filter_map(|index| trace.parent(*index)).collect();
        all.append(&mut newest);
        if pruning.max_parent_depth.is_some_and(|max| depth >= max) {
            break;
        }
        depth += 1;
        let childless = |index: &usize| children[*index].iter().all(|child| gone.contains(child));
        let above = above.into_iter().filter(|index| !is_root(*index) && !gone.contains(index));
        newest = alike(trace, above.filter(childless), None, MIN_PARENTS);
    }
    all
}

/// Groups of spans that are alike, of at least so many.
fn alike(
    trace: &Trace,
    among: impl Iterator<Item = usize>,
    group_by: Option<&GroupBy>,
    min_spans: usize,
) -> Vec<Vec<usize>> {
    let spans = trace.spans();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<Likeness<'_>, usize> = HashMap::new();
    for index in among {
        let span = &spans[index];
        let likeness = Likeness {
            name: &span.name,
            kind: span.kind,
            status: span.status,
            trace_state: &span.trace_state,
            parent: trace.parent(index).map(|parent| spans[parent].name.as_str()),
            attributes: group_by.map(|keys| common(span, keys)).unwrap_or_default(),
        };
        let group = *known.entry(likeness).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups.retain(|group| group.len() >= min_spans);
    groups
}

fn common<'a>(span: &'a Span, keys: &GroupBy) -> Vec<(&'a str, String)> {
    let wanted = span.attributes.iter().filter(|attribute| keys.has(&attribute.key));
    let mut common: Vec<_> = wanted.map(|of| (of.key.as_str(), of.value.to_json())).collect();
    common.sort_unstable();
    common
}

fn replace(trace: Trace, groups: &[Vec<usize>]) -> Trace {
    let spans = trace.spans();
    let slowest =
        |group: &Vec<usize>| group.iter().copied().min_by_key(|at| std::cmp::Reverse(spans[*at].duration()));
    let mut stands_for = HashMap::new();
    for group in groups {
        let Some(template) = slowest(group) else { continue };
        stands_for.extend(group.iter().map(|index| (*index, template)));
    }
    let mut summaries = Vec::with_capacity(groups.len());
    for group in groups {
        let Some(template) = group.first().and_then(|index| stands_for.get(index)).copied() else { continue };
        let mut summary = summarise(&spans[template], group.iter().map(|index| &spans[*index]));
        let parent = trace.parent(template).map(|parent| *stands_for.get(&parent).unwrap_or(&parent));
        summary.parent_span_id = parent.map(|parent| spans[parent].span_id).or(summary.parent_span_id);
        summaries.push(summary);
    }
    let mut index = 0..;
    let mut kept = trace.into_spans();
    kept.retain(|_| index.next().is_none_or(|index| !stands_for.contains_key(&index)));
    kept.append(&mut summaries);
    Trace::assemble(kept).expect("a summary stands for every span taken away")
}

fn summarise<'a>(template: &Span, group: impl Iterator<Item = &'a Span> + Clone) -> Span {
    let mut durations: Vec<u64> = group.clone().map(Span::duration).collect();
    durations.sort_unstable();
    let count = durations.len() as u64;
    let total = durations.iter().fold(0_u64, |total, duration| total.saturating_add(*duration));
    let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let up_to = |bound: u64| durations.partition_point(|duration| *duration <= bound) as u64;
    let counts = BOUNDS_MS.iter().map(|bound| up_to(bound * 1_000_000)).chain([count]);
    let bounds = BOUNDS_MS.iter().map(|bound| Value::Float(*bound as f64 / 1_000.0));
    let figures = [
        (IS_SUMMARY, Value::Bool(true)),
        ("aggregation.span_count", number(count)),
        ("aggregation.duration_min_ns", number(durations.first().copied().unwrap_or_default())),
        ("aggregation.duration_max_ns", number(durations.last().copied().unwrap_or_default())),
        ("aggregation.duration_avg_ns", number(total / count.max(1))),
        ("aggregation.duration_total_ns", number(total)),
        ("aggregation.histogram_bucket_bounds_s", Value::Array(bounds.collect())),
        ("aggregation.histogram_bucket_counts", Value::Array(counts.map(number).collect())),
    ];
    let mut summary = Span { events: Vec::new(), links: Vec::new(), ..template.clone() };
    (summary.dropped_events, summary.dropped_links) = (0, 0);
    summary.start = group.clone().map(|span| span.start).min().unwrap_or(template.start);
    summary.end = group.map(|span| span.end.max(span.start)).max().unwrap_or(template.end);
    summary.attributes.retain(|attribute| figures.iter().all(|(key, _)| attribute.key != *key));
    summary.attributes.extend(figures.map(|(key, value)| Attribute::new(key, value)));
    summary
}

#[cfg(test)]
mod tests;
