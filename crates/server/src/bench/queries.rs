//! What is asked: the rows of the design's table, then the other shapes of TraceQL.

use super::generator::Generator;
use crate::demo::kiali_query;

/// What the answer is a list of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    Traces,
    Series,
    Spans,
    Names,
    Values,
    Services,
}

/// One HTTP request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: Vec<String>,
    pub(super) params: Vec<(&'static str, String)>,
    pub(super) rows: Rows,
}

/// A row of the report.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) name: String,
    /// Milliseconds that the design wants it to take when warm and alone.
    pub(super) goal: Option<f64>,
    /// Asked one after the other, in turns; or, when `together`, all at once.
    pub(super) requests: Vec<Request>,
    pub(super) together: bool,
}

const SECOND: u64 = 1_000_000_000;
const SIX_HOURS: u64 = 6 * 3600;
const TEN_MINUTES: u64 = 600;
/// Traces and request ids that lookups take turns with.
const LOOKUPS: u64 = 40;
/// Kiali's default for its setting "number of traces", and the spans per trace it asks for.
const KIALI_LIMIT: u64 = 100;
const KIALI_SPANS: u64 = 10;
/// Steps of a metrics query are a minute, on short ranges less.
const STEP: u64 = 60;
const SERVICE: &str = "cart.shop";
/// What Kiali asks for at once when its user clicks on a node of the graph.
const CLICK: [&str; 11] = [
    "cart.shop",
    "catalog.shop",
    "search.shop",
    "reviews.shop",
    "storefront.shop",
    "checkout.payments",
    "payment.payments",
    "fraud.payments",
    "accounts.identity",
    "login.identity",
    "profiles.identity",
];

/// Unix seconds.
#[derive(Debug, Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
}

/// The whole mix for a data set.
pub(super) fn mix(generator: &Generator) -> Vec<Query> {
    let start = generator.start() / SECOND;
    let end = generator.end().div_ceil(SECOND) + 10;
    let last = |seconds: u64| Range { start: start.max(end.saturating_sub(seconds)), end };
    let mut all = table(generator, last(SIX_HOURS), last(TEN_MINUTES));
    all.extend(searches(last(SIX_HOURS)));
    all.extend(metrics(last(SIX_HOURS)));
    all.extend(tags(last(SIX_HOURS)));
    if end - start > 2 * SIX_HOURS {
        all.extend(whole_range(generator, Range { start, end }));
    }
    if !generator.giants().is_empty() {
        let requests = generator.giants().iter().map(|id| trace("v1", id)).collect();
        all.push(Query { name: "giant traces by id".to_owned(), goal: None, requests, together: false });
    }
    all
}

/// The rows of section 1 of the design.
fn table(generator: &Generator, six_hours: Range, ten_minutes: Range) -> Vec<Query> {
    let known = generator.known_traces(LOOKUPS);
    let by_request = |id: &str| format!("{{ span.\"guid:x-request-id\" = \"{id}\" }}");
    let traces = |version| known.iter().map(|known| trace(version, &known.id)).collect();
    let requests = known.iter().map(|known| search(&by_request(&known.request_id), 20, six_hours)).collect();
    let click = CLICK.iter().map(|service| kiali(service, six_hours)).collect();
    vec![
        one("Kiali, 6 h, 100 traces", 15.0, kiali(SERVICE, six_hours)),
        one("Kiali, 10 min", 8.0, kiali(SERVICE, ten_minutes)),
        several("trace by id", Some(2.0), traces("v1")),
        several("one request id", Some(3.0), requests),
        one("no match", 3.0, search("{ .service.name = \"nobody.nowhere\" }", 20, six_hours)),
        one(
            "{…} >> { status = error }",
            20.0,
            search("{ resource.service.name = \"storefront.shop\" } >> { status = error }", 20, six_hours),
        ),
        one("{ } | count() > 60", 20.0, search("{ } | count() > 60", 200, six_hours)),
        one("rate by service", 10.0, metric("{ } | rate() by (resource.service.name)", six_hours)),
        one(
            "p50, p99 by service",
            20.0,
            metric("{ } | quantile_over_time(duration, .5, .99) by (resource.service.name)", six_hours),
        ),
        Query { name: "one click: 11 Kiali".to_owned(), goal: Some(150.0), requests: click, together: true },
        several("trace by id, v2", None, traces("v2")),
        plain(
            "no such request id",
            search(&by_request("00000000-0000-4000-8000-000000000000"), 20, six_hours),
        ),
    ]
}

/// Other shapes of search.
fn searches(range: Range) -> Vec<Query> {
    let shape = |name: &str, query: &str| plain(name, search(query, 20, range));
    vec![
        shape("everything, newest 20", "{ }"),
        shape("status = error", "{ status = error }"),
        shape("regex on a URL", "{ span.http.url =~ \".*/api/v1/orders/42.*\" }"),
        shape("regex on a resource", "{ resource.service.name =~ \".*\\\\.payments\" && status = error }"),
        shape("number >=", "{ span.http.response.status_code >= 500 }"),
        shape("||", "{ resource.service.name = \"cart.shop\" || span.http.status_code = \"503\" }"),
        shape("negation", "{ resource.service.name = \"cart.shop\" && span.http.status_code != \"200\" }"),
        shape("duration", "{ duration > 2s }"),
        shape(
            "traceDuration and root",
            "{ trace:rootService = \"istio-ingressgateway.istio-system\" && trace:duration > 3s }",
        ),
        shape(
            "{A} && {B}",
            "{ resource.service.name = \"cart.shop\" } && { resource.service.name = \"ledger.payments\" }",
        ),
        shape("{A} > {B}", "{ resource.service.name = \"cart.shop\" } > { kind = client && status = error }"),
        shape("{A} ~ {B}", "{ span.db.system = \"redis\" } ~ { status = error }"),
        shape(
            "by | avg",
            "{ resource.service.namespace = \"shop\" } | by(resource.service.name) | avg(duration) > 50ms",
        ),
        shape("count of errors", "{ status = error } | count() > 5"),
        shape(
            "select",
            "{ resource.service.name = \"fraud.payments\" } | select(span.http.url, status, resource.k8s.pod.name)",
        ),
        plain("Kiali, errors only", kiali_errors(SERVICE, range)),
        plain("Kiali, limit 1000", kiali_limited(SERVICE, 1000, range)),
    ]
}

fn metrics(range: Range) -> Vec<Query> {
    let shape = |name: &str, query: &str| plain(name, metric(query, range));
    vec![
        shape("rate of errors by service", "{ status = error } | rate() by (resource.service.name)"),
        shape(
            "histogram of durations",
            "{ resource.service.name = \"cart.shop\" } | histogram_over_time(duration)",
        ),
        shape(
            "one service: rate of what it serves",
            "{ resource.service.name = \"cart.shop\" && kind = server } | rate() by (status)",
        ),
        shape(
            "one service: p50, p95, p99 of what it serves",
            "{ resource.service.name = \"cart.shop\" && kind = server } | quantile_over_time(duration, .5, .95, .99)",
        ),
        plain("service graph", service_graph(range)),
        shape("topk of rates", "{ kind = server } | rate() by (resource.service.name, name) | topk(5)"),
        shape("share of errors", "({ status = error } | rate()) / ({ } | rate())"),
        shape(
            "rate by HTTP status",
            "{ resource.service.name = \"cart.shop\" } | rate() by (span.http.status_code)",
        ),
        shape(
            "max_over_time of a number",
            "{ } | max_over_time(span.db.response.returned_rows) by (resource.service.name)",
        ),
        shape("compare", "{ resource.service.name = \"cart.shop\" } | compare({ status = error }, 5)"),
    ]
}

fn tags(range: Range) -> Vec<Query> {
    let tag = |name: &str, path: &[&str], query: Option<&str>, rows: Rows| {
        let mut params = range.params();
        params.extend(query.map(|query| ("q", query.to_owned())));
        plain(name, Request { path: owned(path), params, rows })
    };
    let values = |tag: &'static str| ["api", "v2", "search", "tag", tag, "values"];
    vec![
        tag("tag names", &["api", "v2", "search", "tags"], None, Rows::Names),
        tag("tag values", &values("resource.service.name"), None, Rows::Values),
        tag(
            "tag values with q",
            &values("span.http.route"),
            Some("{ resource.service.name = \"cart.shop\" }"),
            Rows::Values,
        ),
        tag("tag values, very many", &values("span.http.url"), None, Rows::Values),
    ]
}

/// Over everything there is, where that is more than the table's six hours.
fn whole_range(generator: &Generator, all: Range) -> Vec<Query> {
    // Tempo refuses metrics over more than a day
    let day = Range { start: all.start.max(all.end.saturating_sub(86_400)), ..all };
    let known = generator.known_traces(LOOKUPS);
    let by_request = |id: &str| format!("{{ span.\"guid:x-request-id\" = \"{id}\" }}");
    let requests = known.iter().map(|known| search(&by_request(&known.request_id), 20, all)).collect();
    vec![
        plain("Kiali, all days", kiali(SERVICE, all)),
        several("one request id, all days", None, requests),
        plain("no match, all days", search("{ .service.name = \"nobody.nowhere\" }", 20, all)),
        plain("status = error, all days", search("{ status = error }", 100, all)),
        plain("rate by service, 24 h", metric("{ } | rate() by (resource.service.name)", day)),
    ]
}

fn one(name: &str, goal: f64, request: Request) -> Query {
    several(name, Some(goal), vec![request])
}

fn plain(name: &str, request: Request) -> Query {
    several(name, None, vec![request])
}

fn several(name: &str, goal: Option<f64>, requests: Vec<Request>) -> Query {
    Query { name: name.to_owned(), goal, requests, together: false }
}

impl Range {
    fn params(self) -> Vec<(&'static str, String)> {
        vec![("start", self.start.to_string()), ("end", self.end.to_string())]
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|part| (*part).to_owned()).collect()
}

fn search(query: &str, limit: u64, range: Range) -> Request {
    let mut params = range.params();
    params.extend([("q", query.to_owned()), ("limit", limit.to_string())]);
    Request { path: owned(&["api", "search"]), params, rows: Rows::Traces }
}

/// The request Kiali makes (`reference/kiali.md` 2.2).
fn kiali(service: &str, range: Range) -> Request {
    kiali_limited(service, KIALI_LIMIT, range)
}

fn kiali_limited(service: &str, limit: u64, range: Range) -> Request {
    let mut request = search(&kiali_query(service), limit, range);
    request.params.push(("spss", KIALI_SPANS.to_string()));
    request
}

/// The same with the tag `error`, which Kiali turns into a condition on the status.
fn kiali_errors(service: &str, range: Range) -> Request {
    let mut request = kiali(service, range);
    let errors = " && .http.status_code != \"200\" } && { }";
    for (_, value) in request.params.iter_mut().filter(|(name, _)| *name == "q") {
        *value = value.replacen(" } && { }", errors, 1);
    }
    request
}

fn metric(query: &str, range: Range) -> Request {
    let mut params = range.params();
    let step = if range.end - range.start < 60 * STEP { STEP / 6 } else { STEP };
    params.extend([("q", query.to_owned()), ("step", step.to_string())]);
    Request { path: owned(&["api", "metrics", "query_range"]), params, rows: Rows::Series }
}

fn service_graph(range: Range) -> Request {
    Request { path: owned(&["api", "service-graph"]), params: range.params(), rows: Rows::Services }
}

fn trace(version: &str, id: &str) -> Request {
    let path =
        if version == "v1" { owned(&["api", "traces", id]) } else { owned(&["api", version, "traces", id]) };
    Request { path, params: Vec::new(), rows: Rows::Spans }
}
