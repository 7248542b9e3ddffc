use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use serde_json::{Value as Json, json};
use vivace_model::{Span, Value};

use super::outline::{Identity, Node, Outline};
use super::{
    Change, DiffFormat, DiffWarning, ModifiedSpan, SpanChange, SpanSnapshot, SpanTarget, Stats, Target,
    TraceMeta, TracePatch,
};

/// Durations this near are the same: nanoseconds, and a share of the longer one (`reference/tempo.md` 2.6).
const DURATION_SLACK: (f64, f64) = (1_000_000.0, 0.20);
/// Share of the larger number by which the attributes below may differ.
const ATTRIBUTE_SLACK: f64 = 0.05;
/// Attributes that are amounts, which vary from one call to the next; names of OpenTelemetry's semantic conventions.
const AMOUNTS: [&str; 24] = [
    "app.jank.period",
    "file.size",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.completion_tokens",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "http.request.body.size",
    "http.request.size",
    "http.request_content_length",
    "http.request_content_length_uncompressed",
    "http.response.body.size",
    "http.response.size",
    "http.response_content_length",
    "http.response_content_length_uncompressed",
    "message.compressed_size",
    "message.uncompressed_size",
    "messaging.message.body.size",
    "messaging.message.envelope.size",
    "rpc.message.compressed_size",
    "rpc.message.uncompressed_size",
];
/// A name with so many digits in a row, or hex digits with digits among them, is taken for one with an id in it.
const ID_DIGITS: usize = 6;
const ID_HEX_DIGITS: usize = 16;

/// Which spans of the base the spans of the compared trace are, by position in the outlines.
pub(super) struct Matching {
    base_of: Vec<Option<usize>>,
    used: Vec<bool>,
}

impl Matching {
    /// Takes the compared trace's spans in order; each gets the first span of the base with its identity that is left,
    /// one under the same kind of parent before others.
    pub(super) fn of(base: &Outline<'_>, compare: &Outline<'_>) -> Self {
        type Queue = VecDeque<usize>;
        let mut alike: HashMap<Identity<'_>, Queue> = HashMap::new();
        let mut under: HashMap<(Identity<'_>, Option<Identity<'_>>), Queue> = HashMap::new();
        for (position, node) in base.nodes.iter().enumerate() {
            let identity = node.identity();
            alike.entry(identity).or_default().push_back(position);
            under.entry((identity, base.parent_identity(position))).or_default().push_back(position);
        }
        let mut used = vec![false; base.nodes.len()];
        let mut take = |queue: Option<&mut Queue>| {
            let queue = queue?;
            while let Some(position) = queue.pop_front() {
                if !std::mem::replace(&mut used[position], true) {
                    return Some(position);
                }
            }
            None
        };
        let base_of = (0..compare.nodes.len()).map(|position| {
            let identity = compare.nodes[position].identity();
            let same_parent = (identity, compare.parent_identity(position));
            take(under.get_mut(&same_parent)).or_else(|| take(alike.get_mut(&identity)))
        });
        let base_of = base_of.collect();
        Self { base_of, used }
    }
}

pub(super) fn patch(base: &Outline<'_>, compare: &Outline<'_>, matching: &Matching) -> TracePatch {
    let (mut modified, mut added) = (Vec::new(), Vec::new());
    let mut stats =
        Stats { span_count_a: base.nodes.len(), span_count_b: compare.nodes.len(), ..Stats::default() };
    for (position, of_base) in matching.base_of.iter().enumerate() {
        let Some(of_base) = of_base else {
            added.push(addition(compare, position));
            continue;
        };
        stats.matched_spans += 1;
        let changes = changes(&base.nodes[*of_base], &compare.nodes[position]);
        if !changes.is_empty() {
            let fields =
                changes.iter().filter(|change| matches!(change.target, Target::Field { .. })).count();
            stats.field_changes += fields;
            stats.attribute_changes += changes.len() - fields;
            modified.push(ModifiedSpan { span: compare.span_ref(position), changes });
        }
    }
    let unused = matching.used.iter().enumerate().filter(|(_, used)| !**used);
    let removed: Vec<SpanChange> = unused.map(|(position, _)| removal(base, position)).collect();
    stats.modified_spans = modified.len();
    (stats.added_spans, stats.removed_spans) = (added.len(), removed.len());
    let warnings = warnings(base, "base").chain(warnings(compare, "compare")).collect();
    let version = DiffFormat::Patch.name();
    TracePatch {
        version,
        base: meta(base),
        compare: meta(compare),
        stats,
        modified,
        added,
        removed,
        warnings,
    }
}

fn meta(outline: &Outline<'_>) -> TraceMeta {
    TraceMeta { trace_id: outline.trace.id().to_string(), span_count: outline.nodes.len() }
}

fn addition(compare: &Outline<'_>, position: usize) -> SpanChange {
    let (parent_path, index) = compare.place(position);
    let target = SpanTarget { kind: "span", path: Vec::new(), parent_path, index: Some(index) };
    SpanChange { target, span: snapshot(compare, position) }
}

fn removal(base: &Outline<'_>, position: usize) -> SpanChange {
    let span = snapshot(base, position);
    let path = span.span.path.clone();
    let target = SpanTarget { kind: "span", path, parent_path: Vec::new(), index: None };
    SpanChange { target, span }
}

fn snapshot(outline: &Outline<'_>, position: usize) -> SpanSnapshot {
    let node = &outline.nodes[position];
    SpanSnapshot {
        span: outline.span_ref(position),
        duration_nanos: node.duration().unwrap_or_default(),
        status: node.span.status.name(),
    }
}

/// Fields first, then attributes by key.
fn changes(base: &Node<'_>, compare: &Node<'_>) -> Vec<Change> {
    let field = |name, before, after| Change { op: "modify", target: Target::Field { name }, before, after };
    let mut changes = Vec::new();
    let (before, after) = (base.duration(), compare.duration());
    if !same_duration(before, after) {
        changes.push(field("duration_nanos", json!(before), json!(after)));
    }
    let (before, after) = (base.span.status, compare.span.status);
    if before != after {
        changes.push(field("status", json!(before.name()), json!(after.name())));
    }
    let (before, after) = (by_key(base.span), by_key(compare.span));
    let keys: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    changes.extend(
        keys.into_iter()
            .filter_map(|key| attribute_change(key, before.get(key).copied(), after.get(key).copied())),
    );
    changes
}

fn attribute_change(key: &str, before: Option<&Value>, after: Option<&Value>) -> Option<Change> {
    let op = match (before, after) {
        (Some(before), Some(after)) if same_value(key, before, after) => return None,
        (Some(_), Some(_)) => "modify",
        (None, Some(_)) => "add",
        (Some(_), None) => "remove",
        (None, None) => return None,
    };
    let told = |value: Option<&Value>| value.map_or(Json::Null, Value::to_plain_json);
    let target = Target::Attribute { scope: "span", key: key.to_owned() };
    Some(Change { op, target, before: told(before), after: told(after) })
}

/// Of a key that is there twice the first counts.
fn by_key(span: &Span) -> BTreeMap<&str, &Value> {
    let mut values = BTreeMap::new();
    for attribute in &span.attributes {
        values.entry(attribute.key.as_str()).or_insert(&attribute.value);
    }
    values
}

fn same_duration(before: Option<u64>, after: Option<u64>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return before == after };
    let (least, share) = DURATION_SLACK;
    before.abs_diff(after) as f64 <= least + share * before.max(after) as f64
}

fn same_value(key: &str, before: &Value, after: &Value) -> bool {
    if let (Some(before), Some(after), true) = (number(before), number(after), AMOUNTS.contains(&key)) {
        return (before - after).abs() <= ATTRIBUTE_SLACK * before.abs().max(after.abs());
    }
    // Not-a-number is the same as itself here, wherever in a value it is.
    before == after || before.to_json() == after.to_json()
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// What makes a comparison with this trace less sure, each at most once.
fn warnings(outline: &Outline<'_>, side: &str) -> impl Iterator<Item = DiffWarning> {
    let spans = || outline.nodes.iter().map(|node| node.span);
    let invalid = outline.nodes.iter().filter(|node| node.duration().is_none()).count();
    let mut seen = HashSet::new();
    let repeated = spans().filter(|span| !seen.insert(span.span_id)).count();
    let named = spans().find(|span| has_id(&span.name));
    let told = |code, message: String| DiffWarning { code, message: format!("{side} trace: {message}") };
    [
        named.map(|span| {
            let text = format!("the span name `{}` seems to hold an id; spans match by name", span.name);
            told("high_cardinality_span_name", text)
        }),
        (invalid > 0).then(|| {
            let text =
                format!("{invalid} spans have no start or end before it; their durations do not count");
            told("invalid_duration", text)
        }),
        (repeated > 0).then(|| {
            let text = format!("{repeated} spans have the id of another span; parents may be mistaken");
            told("duplicate_span_id", text)
        }),
    ]
    .into_iter()
    .flatten()
}

/// Whether a name holds a UUID, a long number or a long hex number.
fn has_id(name: &str) -> bool {
    let is_id = |word: &str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let uuid = word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
        uuid || (digits == word.len() && digits >= ID_DIGITS)
            || (hex && digits > 0 && word.len() >= ID_HEX_DIGITS)
    };
    let within = |c: char| !c.is_ascii_alphanumeric();
    name.split(|c: char| within(c) && c != '-').any(is_id) || name.split(within).any(is_id)
}
