//! Every endpoint and how it stands to Tempo's: `docs/api.md` and `/status/endpoints` are written from this table.

use std::fmt::Write;

/// How an endpoint stands to Tempo's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A client cannot tell the two apart.
    Same,
    /// Answers what Tempo answers wrongly, late or not at all.
    Better,
    /// Tempo has it.
    NotYet,
}

use Standing::{Better, NotYet, Same};

/// Path or method, standing, and what differs.
type Endpoint = (&'static str, Standing, &'static str);

const HTTP: &[Endpoint] = &[
    (
        "/api/search",
        Better,
        "Newest traces first. Traces are evaluated whole, visible once acknowledged. `minDuration` and `maxDuration` \
         count beside `q`. Without times all there is is searched. A search by `tags` returns spans too; each tag must \
         match some span of the trace. A trace that must be in memory as a whole for the query and does not fit is left \
         out, and named as the reason of a partial answer.",
    ),
    (
        "/api/traces/{traceID}",
        Better,
        "Needs no time hint. A trace of any size is streamed; a body that cannot be sent to its end is broken off.",
    ),
    (
        "/api/v2/traces/{traceID}",
        Better,
        "As v1. A large trace comes in portions, each with its own resources and scopes; in protobuf each is a `trace`, \
         which readers put together. `q` and pruning need all of it in memory: 429 if it does not fit. Attributes in `q` \
         mean what they mean in a search.",
    ),
    ("/api/search/tags", Better, "No cut at 1 MB; `maxStaleValues` is accepted and not needed."),
    ("/api/v2/search/tags", Better, "As v1. Scopes and names are sorted."),
    (
        "/api/search/tag/{tagName}/values",
        Better,
        "No cut at 1 MB; `maxStaleValues` is accepted and not needed.",
    ),
    ("/api/v2/search/tag/{tagName}/values", Better, "As v1. Values are sorted."),
    (
        "/api/metrics/query_range",
        Better,
        "Quantiles have a relative error of at most 0.5 %. The newest spans count: no cutoff before now. 429 if a trace \
         must be in memory as a whole for the query and does not fit.",
    ),
    ("/api/metrics/query", Better, "As `query_range`."),
    ("/api/v2/traces/diff", Same, "Only POST. The texts of warnings differ, their codes do not."),
    (
        "/api/service-graph",
        Better,
        "Tempo keeps no such graph: `nodes` and `edges` from `start` to `end`, the last hour when neither is given, in \
         whole minutes. Latencies are in seconds, within 4 %.",
    ),
    (
        "/api/mcp",
        Better,
        "On unless `mcp_enabled` says no. Without sessions; every answer is JSON. Refuses what browsers send.",
    ),
    ("/api/overrides", NotYet, "Limits of tenants are set in the overrides file only."),
    ("/api/echo", Same, ""),
    ("/api/status/buildinfo", Same, "`goVersion` is empty."),
    ("/ready", Same, ""),
    (
        "/metrics",
        Better,
        "OpenMetrics for who asks for it, else Prometheus' text; `docs/operations/metrics.md` lists what there is.",
    ),
    (
        "/debug/pprof/profile",
        Same,
        "`seconds` up to 60, one profile at a time, else 429. On unless `pprof_enabled` says no. Addresses without names.",
    ),
    (
        "/debug/pprof/heap",
        Better,
        "Allocations made in `seconds` (10) that are still there. As for `profile`; Tempo has other profiles too.",
    ),
    ("/status", Same, "A browser gets the console."),
    ("/status/version", Same, ""),
    ("/status/config", Same, "With `mode=diff` and `mode=defaults`."),
    (
        "/status/runtime_config",
        Same,
        "Limits: the defaults, and all that holds for each tenant of the overrides file. With `mode=diff` what the file \
         sets.",
    ),
    ("/status/overrides", Same, "Which tenants have limits of their own, and the limits of all others."),
    ("/status/overrides/{tenant}", Same, "All limits of the tenant, and where each comes from."),
    ("/status/services", Better, "The names of the services that have spans, as JSON for who asks for JSON."),
    ("/status/endpoints", Same, ""),
];

const GRPC: &[Endpoint] = &[
    (
        "tempopb.StreamingQuerier/Search",
        Better,
        "As over HTTP. The reason of a partial answer is in the trailers.",
    ),
    ("tempopb.StreamingQuerier/SearchTags", Better, "As over HTTP."),
    ("tempopb.StreamingQuerier/SearchTagsV2", Better, "As over HTTP."),
    ("tempopb.StreamingQuerier/SearchTagValues", Better, "As over HTTP."),
    ("tempopb.StreamingQuerier/SearchTagValuesV2", Better, "As over HTTP."),
    ("tempopb.StreamingQuerier/MetricsQueryRange", Better, "As over HTTP."),
    ("tempopb.StreamingQuerier/MetricsQueryInstant", Better, "As over HTTP."),
    ("grpc.health.v1.Health/Check", Same, "Not serving while starting and stopping."),
    ("grpc.health.v1.Health/Watch", Same, "Ends when the server stops."),
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Better, "Tempo has no reflection."),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Better, "Tempo has no reflection."),
];

/// The HTTP paths there are, one a line.
pub(super) fn paths() -> String {
    let there = HTTP.iter().filter(|(_, standing, _)| *standing != NotYet);
    there.map(|(path, ..)| format!("{path}\n")).collect()
}

/// The page `docs/api.md`.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "# API\n\n\
         Printed by `vivace api-docs` from the table in `crates/server/src/api/endpoints.rs`; tests compare the two, and\n\
         the table with the server. *same*: a client cannot tell Vivace from Tempo; *better*: it gets right, complete or\n\
         fast what Tempo does not; *not yet*: Tempo has it, Vivace answers 404.\n\n\
         Everywhere: any HTTP method is taken, parameters are read from the URL, answers are compressed for who sends\n\
         `Accept-Encoding: gzip`. An answer that may not be complete has the header `X-Vivace-Partial` with the reason.\n\
         With `multitenancy`, `X-Scope-OrgID: a|b` asks for the data of several tenants together.\n\n\
         ## HTTP, port 3200\n\n",
    );
    table(&mut page, HTTP);
    page.push_str("\n## gRPC, port 9095, and without TLS beside HTTP on 3200\n\n");
    table(&mut page, GRPC);
    page
}

fn table(page: &mut String, endpoints: &[Endpoint]) {
    page.push_str("| endpoint | against Tempo | differences |\n|---|---|---|\n");
    for (path, standing, note) in endpoints {
        let standing = match standing {
            Same => "same",
            Better => "better",
            NotYet => "not yet",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{path}` | {standing} | {note} |");
    }
}

#[cfg(test)]
mod tests;
