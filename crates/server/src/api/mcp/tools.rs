//! Which tools there are, and what each is asked with.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::json;

/// What a tool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Search,
    MetricsInstant,
    MetricsRange,
    Trace,
    TraceDiff,
    AttributeNames,
    AttributeValues,
    /// The pages of this topic.
    Docs(&'static str),
}

/// A tool.
#[derive(Debug)]
pub(super) struct ToolSpec {
    pub(super) name: &'static str,
    pub(super) call: Call,
    /// `type` in the `_meta` of what it answers.
    pub(super) kind: &'static str,
    /// `encoding` in the same place.
    pub(super) encoding: &'static str,
    pub(super) description: &'static str,
    pub(super) parameters: &'static [Parameter],
}

/// What a tool can be asked with: always a text.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) required: bool,
    description: &'static str,
}

const JSON: &str = "json";
const MARKDOWN: &str = "markdown";

const fn required(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, required: true, description }
}

const fn optional(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, required: false, description }
}

const START: Parameter = optional("start", "From when, RFC 3339. An hour before the end if left out.");
const END: Parameter = optional("end", "Until when, RFC 3339. Now if left out.");
const SIDE_TIME: &str = "RFC 3339. Traces are found without it.";

/// All of them.
pub(super) const TOOLS: &[ToolSpec] = &[
    ToolSpec {
        name: "traceql-search",
        call: Call::Search,
        kind: "search-results",
        encoding: JSON,
        description: "Finds the newest traces that match a TraceQL query, each with the spans that match. Not for \
                      metrics queries.",
        parameters: &[
            required("query", "TraceQL, such as { resource.service.name = \"cart\" && status = error }"),
            START,
            END,
        ],
    },
    ToolSpec {
        name: "traceql-metrics-instant",
        call: Call::MetricsInstant,
        kind: "metrics-instant",
        encoding: JSON,
        description: "One value per series of a TraceQL metrics query over a time range. Enough for most questions \
                      about counts, rates and durations.",
        parameters: &[required("query", "TraceQL, such as { status = error } | rate()"), START, END],
    },
    ToolSpec {
        name: "traceql-metrics-range",
        call: Call::MetricsRange,
        kind: "metrics-range",
        encoding: JSON,
        description: "Series over time of a TraceQL metrics query, to see how something changed.",
        parameters: &[
            required(
                "query",
                "TraceQL, such as { } | quantile_over_time(duration, .99) by (span.http.route)",
            ),
            START,
            END,
        ],
    },
    ToolSpec {
        name: "get-trace",
        call: Call::Trace,
        kind: "trace",
        encoding: JSON,
        description: "All spans of one trace, by service and scope.",
        parameters: &[required("trace_id", "The trace's id, up to 32 hexadecimal digits.")],
    },
    ToolSpec {
        name: "trace-diff",
        call: Call::TraceDiff,
        kind: "trace-diff",
        encoding: JSON,
        description: "What differs in one trace from another: spans added, removed and changed.",
        parameters: &[
            required("base_trace_id", "The id of the trace that is compared with."),
            required("compare_trace_id", "The id of the trace that may differ."),
            optional(
                "format",
                "trace-summary-v0-composed if left out, trace-summary-v0-native for less, trace-patch-v0 for every \
                 change.",
            ),
            optional("base_start", SIDE_TIME),
            optional("base_end", SIDE_TIME),
            optional("compare_start", SIDE_TIME),
            optional("compare_end", SIDE_TIME),
        ],
    },
    ToolSpec {
        name: "get-attribute-names",
        call: Call::AttributeNames,
        kind: "attribute-names",
        encoding: JSON,
        description: "The names of the attributes that spans have, by scope.",
        parameters: &[optional(
            "scope",
            "resource, span, event, link, instrumentation or intrinsic. All of them if left out.",
        )],
    },
    ToolSpec {
        name: "get-attribute-values",
        call: Call::AttributeValues,
        kind: "attribute-values",
        encoding: JSON,
        description: "The values that an attribute has, by type.",
        parameters: &[
            required("name", "The attribute as TraceQL writes it, such as resource.service.name or status"),
            optional("filter-query", "TraceQL: only values of spans that match, such as { kind = server }"),
        ],
    },
    ToolSpec {
        name: "docs-traceql",
        call: Call::Docs("traceql"),
        kind: "documentation",
        encoding: MARKDOWN,
        description: "How TraceQL is written.",
        parameters: &[required("name", "basic, aggregates, structural or metrics")],
    },
    ToolSpec {
        name: "docs-config",
        call: Call::Docs("config"),
        kind: "documentation",
        encoding: MARKDOWN,
        description: "How this server is configured.",
        parameters: &[required("name", "overview or reference")],
    },
];

impl ToolSpec {
    /// As `tools/list` has it.
    pub(super) fn listed(&self) -> Tool {
        let annotations = ToolAnnotations::new().read_only(true).open_world(false);
        Tool::new(self.name, self.description, self.schema()).with_annotations(annotations)
    }

    /// JSON Schema of what it is asked with.
    fn schema(&self) -> JsonObject {
        let property = |parameter: &Parameter| {
            (parameter.name.to_owned(), json!({"type": "string", "description": parameter.description}))
        };
        let properties: JsonObject = self.parameters.iter().map(property).collect();
        let required = self.parameters.iter().filter(|parameter| parameter.required);
        let required: Vec<&str> = required.map(|parameter| parameter.name).collect();
        let schema = [
            ("type", json!("object")),
            ("properties", properties.into()),
            ("required", json!(required)),
            ("additionalProperties", json!(false)),
        ];
        schema.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
