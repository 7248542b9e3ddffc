//! The data-driven cases of `tests/cases/`: spans, queries, and what they find. The format stands in
//! `tests/cases/README.md`.

mod parse;
mod span;
mod stores;

use std::collections::BTreeMap;
use std::path::PathBuf;

use vivace_model::{Span, SpanId, TimeRange, TraceId, Value};
use vivace_query::{SearchRequest, TraceMatch};

pub use stores::{Store, Way};

/// One file: spans and what queries find in them.
#[derive(Debug)]
pub struct Case {
    /// The spans, in the order of the file, which is the order they are sent in.
    pub spans: Vec<Span>,
    /// The queries.
    pub queries: Vec<Question>,
}

/// A query and its hand-written answer.
#[derive(Debug)]
pub struct Question {
    /// Line of the file, from 1.
    pub line: usize,
    /// TraceQL.
    pub text: String,
    /// The query and what bounds it.
    pub request: SearchRequest,
    /// What it finds.
    pub expected: Expected,
}

/// What a query finds; what is not stated is not compared.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Traces in order, with their spans in order.
    pub traces: Vec<(TraceId, Vec<SpanId>)>,
    /// How many spans match, shown or not.
    pub matched: BTreeMap<TraceId, u32>,
    /// Name and service of the root; `-` while it is missing.
    pub roots: BTreeMap<TraceId, (String, String)>,
    /// Attributes shown with a span, ordered by key.
    pub attributes: BTreeMap<(TraceId, SpanId), Vec<(String, Value)>>,
}

impl Case {
    /// Reads `tests/cases/{name}.case`.
    ///
    /// # Panics
    /// Names file and line when the file does not follow the format.
    pub fn read(name: &str) -> Self {
        let path = folder().join(format!("{name}.case"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        parse::parse(name, &text)
    }
}

/// Where the cases are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// A search without bounds, of a query that is valid.
///
/// # Errors
/// Says why the query is not valid.
pub fn unbounded(text: &str) -> Result<SearchRequest, String> {
    let query = vivace_traceql::parse_validated(text).map_err(|error| error.to_string())?;
    Ok(SearchRequest {
        query,
        limit: 100,
        spans_per_span_set: 100,
        range: TimeRange::ALL,
        min_duration: None,
        max_duration: None,
    })
}

impl Expected {
    /// How the answer differs; [`None`] when it does not.
    pub fn difference(&self, found: &[TraceMatch]) -> Option<String> {
        let traces: Vec<(TraceId, Vec<SpanId>)> =
            found.iter().map(|trace| (trace.trace_id, span_ids(trace))).collect();
        if traces != self.traces {
            return Some(format!("expected {}\n   found {}", listed(&self.traces), listed(&traces)));
        }
        found.iter().find_map(|trace| self.difference_within(trace))
    }

    fn difference_within(&self, trace: &TraceMatch) -> Option<String> {
        let id = trace.trace_id;
        let set = trace.span_sets.first()?;
        let matched = self.matched.get(&id).copied().unwrap_or(set.matched);
        if set.matched != matched {
            return Some(format!(
                "trace {}: matched {matched} expected, {} found",
                id.short_hex(),
                set.matched
            ));
        }
        let or_dash = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let root = (or_dash(&trace.root_trace_name), or_dash(&trace.root_service_name));
        if let Some(expected) = self.roots.get(&id)
            && *expected != root
        {
            return Some(format!("trace {}: root {expected:?} expected, {root:?} found", id.short_hex()));
        }
        set.spans.iter().find_map(|span| {
            let expected = self.attributes.get(&(id, span.span_id))?;
            (*expected != span.attributes).then(|| {
                format!("span {}: {expected:?} expected,\n   found {:?}", span.span_id, span.attributes)
            })
        })
    }
}

fn span_ids(trace: &TraceMatch) -> Vec<SpanId> {
    trace.span_sets.iter().flat_map(|set| set.spans.iter().map(|span| span.span_id)).collect()
}

fn listed(traces: &[(TraceId, Vec<SpanId>)]) -> String {
    let one = |(trace, spans): &(TraceId, Vec<SpanId>)| {
        let spans: Vec<String> = spans.iter().map(|id| short(&id.to_string())).collect();
        format!("{}: {}", trace.short_hex(), spans.join(" "))
    };
    let all: Vec<String> = traces.iter().map(one).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join("; ") }
}

fn short(hex: &str) -> String {
    hex.trim_start_matches('0').to_owned()
}
