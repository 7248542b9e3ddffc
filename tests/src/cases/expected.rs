//! Traces a case file expects, and how answers differ from them and from each other.

use std::collections::BTreeMap;

use vivace_model::{SpanId, TraceId, Value};
use vivace_query::{SpanSet, TraceMatch};

use super::series::close;

/// What a search finds; what is not stated is not compared.
#[derive(Debug, Clone, Default)]
pub struct ExpectedTraces {
    /// Traces in order, with their span sets in order.
    pub traces: Vec<(TraceId, Vec<ExpectedSet>)>,
    /// How many spans match in each set, shown or not.
    pub matched: BTreeMap<TraceId, Vec<u32>>,
    /// Name and service of the root; `-` while it is missing.
    pub roots: BTreeMap<TraceId, (String, String)>,
    /// Attributes shown with a span, ordered by key.
    pub attributes: BTreeMap<(TraceId, SpanId), Vec<(String, Value)>>,
}

/// Spans in order, and the attributes of their set ordered by key.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "described above")]
pub struct ExpectedSet {
    pub spans: Vec<SpanId>,
    pub attributes: Option<Vec<(String, Value)>>,
}

impl ExpectedTraces {
    /// How the answer differs; [`None`] when it does not.
    pub fn difference(&self, found: &[TraceMatch]) -> Option<String> {
        let ids = |set: &SpanSet| -> Vec<SpanId> { set.spans.iter().map(|span| span.span_id).collect() };
        let found_spans: Vec<Spans> =
            found.iter().map(|trace| (trace.trace_id, trace.span_sets.iter().map(ids).collect())).collect();
        let expected_spans: Vec<Spans> = self
            .traces
            .iter()
            .map(|(trace, sets)| (*trace, sets.iter().map(|set| set.spans.clone()).collect()))
            .collect();
        if found_spans != expected_spans {
            return Some(format!("expected {}\n   found {}", listed(&expected_spans), listed(&found_spans)));
        }
        let pairs = self.traces.iter().zip(found);
        pairs.into_iter().find_map(|((_, sets), trace)| {
            self.difference_within(trace).or_else(|| difference_of_sets(sets, &trace.span_sets))
        })
    }

    fn difference_within(&self, trace: &TraceMatch) -> Option<String> {
        let id = trace.trace_id;
        let matched: Vec<u32> = trace.span_sets.iter().map(|set| set.matched).collect();
        if let Some(expected) = self.matched.get(&id)
            && *expected != matched
        {
            return Some(format!(
                "trace {}: matched {expected:?} expected, {matched:?} found",
                id.short_hex()
            ));
        }
        let or_dash = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let root = (or_dash(&trace.root_trace_name), or_dash(&trace.root_service_name));
        if let Some(expected) = self.roots.get(&id)
            && *expected != root
        {
            return Some(format!("trace {}: root {expected:?} expected, {root:?} found", id.short_hex()));
        }
        trace.span_sets.iter().flat_map(|set| &set.spans).find_map(|span| {
            let expected = self.attributes.get(&(id, span.span_id))?;
            (!same_attributes(expected, &span.attributes)).then(|| {
                format!("span {}: {expected:?} expected,\n   found {:?}", span.span_id, span.attributes)
            })
        })
    }
}

fn difference_of_sets(expected: &[ExpectedSet], found: &[SpanSet]) -> Option<String> {
    expected.iter().zip(found).find_map(|(expected, found)| {
        let mut attributes = found.attributes.clone();
        crate::oracle::sort_attributes(&mut attributes);
        let expected = expected.attributes.as_ref()?;
        (!same_attributes(expected, &attributes))
            .then(|| format!("span set: {expected:?} expected,\n   found {attributes:?}"))
    })
}

/// How the engine's answer differs from the naive one, in all that a result holds.
pub fn differs(by_rule: &[TraceMatch], found: &[TraceMatch]) -> Option<String> {
    if by_rule.len() != found.len() {
        return Some(format!("{} traces by rule, {} found", by_rule.len(), found.len()));
    }
    let mut pairs = by_rule.iter().zip(found).enumerate();
    pairs.find(|(_, (rule, found))| !same_trace(rule, found)).map(|(at, (rule, found))| {
        let sets = rule.span_sets.iter().zip(&found.span_sets);
        let spans = sets.flat_map(|(rule, found)| rule.spans.iter().zip(&found.spans));
        match spans.into_iter().find(|(rule, found)| rule != found) {
            Some((rule, found)) => format!("result {at}:\n by rule {rule:?}\n   found {found:?}"),
            None => format!("result {at}:\n by rule {rule:?}\n   found {found:?}"),
        }
    })
}

/// Equal but for what floats lose in the attributes of span sets.
fn same_trace(left: &TraceMatch, right: &TraceMatch) -> bool {
    let bare = |trace: &TraceMatch| {
        let mut trace = trace.clone();
        trace.span_sets.iter_mut().for_each(|set| set.attributes.clear());
        trace
    };
    let mut sets = left.span_sets.iter().zip(&right.span_sets);
    bare(left) == bare(right)
        && sets.all(|(left, right)| same_attributes(&left.attributes, &right.attributes))
}

fn same_attributes(left: &[(String, Value)], right: &[(String, Value)]) -> bool {
    let same = |(left, right): (&(String, Value), &(String, Value))| {
        left.0 == right.0 && same_value(&left.1, &right.1)
    };
    left.len() == right.len() && left.iter().zip(right).all(same)
}

fn same_value(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => close(*left, *right),
        _ => left == right,
    }
}

type Spans = (TraceId, Vec<Vec<SpanId>>);

fn listed(traces: &[Spans]) -> String {
    let one = |(trace, sets): &Spans| {
        let set = |set: &Vec<SpanId>| {
            let spans: Vec<String> = set.iter().map(|id| short(&id.to_string())).collect();
            spans.join(" ")
        };
        let sets: Vec<String> = sets.iter().map(set).collect();
        format!("{}: {}", trace.short_hex(), sets.join(" | "))
    };
    let all: Vec<String> = traces.iter().map(one).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join("; ") }
}

fn short(hex: &str) -> String {
    hex.trim_start_matches('0').to_owned()
}
