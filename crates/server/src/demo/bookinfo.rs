//! What the applications of bookinfo do with a request, and the spans their SDKs report about it.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use rand_chacha::ChaCha8Rng;
use vivace_base::UnixNanos;

use super::envoy::Hop;
use super::mesh::{DETAILS, INGRESS, PODS, PRODUCTPAGE, RATINGS, REVIEWS, Reporter, integer, text};
use super::request::{
    Fault, MICROSECOND, MILLISECOND, Recorded, Reply, Request, SECOND, SpanIdBytes, failure,
};

const FLASK: (&str, &str) = ("opentelemetry.instrumentation.flask", "0.58b0");
const REQUESTS: (&str, &str) = ("opentelemetry.instrumentation.requests", "0.58b0");
const SINATRA: (&str, &str) = ("OpenTelemetry::Instrumentation::Sinatra", "0.27.0");
const JAX_RS: (&str, &str) = ("io.opentelemetry.jaxrs-2.0", "2.20.0");
const NODE_HTTP: (&str, &str) = ("@opentelemetry/instrumentation-http", "0.205.0");
const NODE_MYSQL: (&str, &str) = ("@opentelemetry/instrumentation-mysql2", "0.51.0");

/// How long productpage's proxy waits for an answer; Istio's default is longer, bookinfo's examples set 3 s.
pub(super) const CALL_TIMEOUT: u64 = 3 * SECOND;

/// A span of an application.
struct AppSpan<'a> {
    pod: usize,
    scope: (&'static str, &'static str),
    name: &'static str,
    kind: SpanKind,
    parent: &'a [u8],
    start: UnixNanos,
    end: UnixNanos,
    attributes: Vec<KeyValue>,
    /// Type and message of the exception that ended it.
    exception: Option<(&'static str, &'static str)>,
}

/// All spans of one request that comes in at `start`.
pub(super) fn simulate(rng: ChaCha8Rng, start: UnixNanos) -> Vec<Recorded> {
    let mut request = Request::new(rng, start);
    let path = if request.chance(90) { "/productpage" } else { "/api/v1/products/0/reviews" };
    let hop =
        Hop { from: INGRESS, to: PRODUCTPAGE, path, authority: "bookinfo.example.com", timeout: 15 * SECOND };
    if request.fault == Fault::NoHealthyUpstream {
        request.unreached(&hop, &[], start, "UH");
    } else {
        request.call(&hop, &[], start, |request, parent, start| request.productpage(path, parent, start));
    }
    request.spans
}

impl Request {
    fn productpage(&mut self, path: &'static str, parent: &[u8], start: UnixNanos) -> Reply {
        let id = self.span_id();
        let mut now = start + self.around(900 * MICROSECOND);
        let page = path == "/productpage";
        if page {
            let hop = Hop { to: DETAILS, path: "/details/0", ..FROM_PRODUCTPAGE };
            now = self.fetch(&hop, &id, now, |request, parent, start| request.details(parent, start)).end;
            now += self.around(400 * MICROSECOND);
        }
        let version = self.number(0..3) as usize;
        let pod = REVIEWS[version];
        let hop = Hop { to: pod, path: "/reviews/0", ..FROM_PRODUCTPAGE };
        let reviews =
            self.fetch(&hop, &id, now, |request, parent, start| request.reviews(pod, parent, start));
        let end = reviews.end + self.around(if page { 3 * MILLISECOND } else { 300 * MICROSECOND });
        // the page is shown without what could not be fetched; the API passes the failure on
        let status = if page { 200 } else { reviews.status };
        let name = if page { "GET /productpage" } else { "GET /api/v1/products/<product_id>/reviews" };
        let attributes = http_server(name, path, status);
        let kind = SpanKind::Server;
        let exception = None;
        self.app(
            id,
            AppSpan { pod: PRODUCTPAGE, scope: FLASK, name, kind, parent, start, end, attributes, exception },
        );
        Reply { end, status, size: if page { 5_290 } else { 358 } }
    }

    /// A call by productpage's HTTP library, through its proxy.
    fn fetch(
        &mut self,
        hop: &Hop,
        parent: &[u8],
        start: UnixNanos,
        serve: impl FnOnce(&mut Self, &[u8], UnixNanos) -> Reply,
    ) -> Reply {
        let id = self.span_id();
        let sent = start + self.around(250 * MICROSECOND);
        let reply = self.call(hop, &id, sent, serve);
        let end = reply.end + self.around(150 * MICROSECOND);
        let url = format!("http://{}:9080{}", PODS[hop.to].service, hop.path);
        let attributes = vec![
            text("http.method", "GET"),
            text("http.url", url),
            integer("http.status_code", i64::from(reply.status)),
        ];
        let exception = match reply.status {
            504 => Some(("requests.exceptions.HTTPError", "504 Server Error: Gateway Timeout")),
            500.. => Some(("requests.exceptions.HTTPError", "500 Server Error: Internal Server Error")),
            _ => None,
        };
        let (scope, name, kind) = (REQUESTS, "GET", SpanKind::Client);
        self.app(
            id,
            AppSpan { pod: PRODUCTPAGE, scope, name, kind, parent, start, end, attributes, exception },
        );
        Reply { end, ..reply }
    }

    fn details(&mut self, parent: &[u8], start: UnixNanos) -> Reply {
        let id = self.span_id();
        let fails = self.fault == Fault::DetailsFails;
        let work = if fails { 800 * MILLISECOND } else { 1_500 * MICROSECOND };
        let end = start + self.around(work);
        let status = if fails { 500 } else { 200 };
        let name = "GET /details/:id";
        self.app(
            id,
            AppSpan {
                pod: DETAILS,
                scope: SINATRA,
                name,
                kind: SpanKind::Server,
                parent,
                start,
                end,
                attributes: http_server(name, "/details/0", status),
                exception: fails
                    .then_some(("Net::ReadTimeout", "Net::ReadTimeout with books.example.com:443")),
            },
        );
        Reply { end, status, size: 178 }
    }

    fn reviews(&mut self, pod: usize, parent: &[u8], start: UnixNanos) -> Reply {
        let id = self.span_id();
        let mut now = start + self.around(1_800 * MICROSECOND);
        if self.fault == Fault::ReviewsTimeout {
            now += CALL_TIMEOUT + self.around(400 * MILLISECOND);
        }
        let mut exception = None;
        if pod != REVIEWS[0] {
            let ratings = self.rated(pod, &id, now);
            now = ratings.end + self.around(500 * MICROSECOND);
            exception = (ratings.status != 200).then_some((
                "javax.ws.rs.InternalServerErrorException",
                "ratings: HTTP 5xx, shown without stars",
            ));
        }
        let end = now + self.around(400 * MICROSECOND);
        let name = "GET /reviews/{productId}";
        let attributes = http_server(name, "/reviews/0", 200);
        let (scope, kind) = (JAX_RS, SpanKind::Server);
        self.app(id, AppSpan { pod, scope, name, kind, parent, start, end, attributes, exception });
        Reply { end, status: 200, size: 375 }
    }

    fn rated(&mut self, pod: usize, parent: &[u8], start: UnixNanos) -> Reply {
        let hop = Hop { from: pod, to: RATINGS, path: "/ratings/0", authority: "", timeout: CALL_TIMEOUT };
        if self.fault == Fault::RatingsUnreachable {
            return self.unreached(&hop, parent, start, "UF,URX");
        }
        // v2 asks in a way that now and then scans the whole table
        let slow = pod == REVIEWS[1] && self.chance(8);
        let scan = if slow { self.tail(250 * MILLISECOND) } else { 0 };
        self.call(&hop, parent, start, |request, parent, start| request.ratings(scan, parent, start))
    }

    fn ratings(&mut self, scan: u64, parent: &[u8], start: UnixNanos) -> Reply {
        let (id, query) = (self.span_id(), self.span_id());
        let fails = self.fault == Fault::RatingsDatabase;
        let query_start = start + self.around(300 * MICROSECOND);
        let wait = if fails { 50 * MILLISECOND } else { 900 * MICROSECOND };
        let query_end = query_start + scan + self.around(wait);
        let end = query_end + self.around(250 * MICROSECOND);
        let status = if fails { 500 } else { 200 };
        self.app(
            query,
            AppSpan {
                pod: RATINGS,
                scope: NODE_MYSQL,
                name: "SELECT",
                kind: SpanKind::Client,
                parent: &id,
                start: query_start,
                end: query_end,
                attributes: database(if scan > 0 { 184_320 } else { 2 }),
                exception: fails.then_some(("Error", "ER_LOCK_WAIT_TIMEOUT: Lock wait timeout exceeded")),
            },
        );
        self.app(
            id,
            AppSpan {
                pod: RATINGS,
                scope: NODE_HTTP,
                name: "GET",
                kind: SpanKind::Server,
                parent,
                start,
                end,
                attributes: http_server("GET /ratings/:productId", "/ratings/0", status),
                exception: fails.then_some(("Error", "could not connect to ratings database")),
            },
        );
        Reply { end, status, size: 48 }
    }

    fn app(&mut self, id: SpanIdBytes, app: AppSpan<'_>) {
        let thrown = app.exception.map(|(kind, message)| Event {
            time_unix_nano: app.end,
            name: "exception".to_owned(),
            attributes: vec![text("exception.type", kind), text("exception.message", message)],
            ..Event::default()
        });
        let mut span = Span {
            name: app.name.to_owned(),
            kind: app.kind.into(),
            attributes: app.attributes,
            events: thrown.into_iter().collect(),
            ..self.bare_span(id, app.parent, app.start, app.end)
        };
        // reviews catches what ratings throws, and answers all the same
        if let Some((_, message)) = app.exception.filter(|_| app.scope != JAX_RS) {
            span.status = failure(message);
        }
        self.spans.push(Recorded { pod: app.pod, reporter: Reporter::App, scope: app.scope, span });
    }
}

const FROM_PRODUCTPAGE: Hop =
    Hop { from: PRODUCTPAGE, to: DETAILS, path: "", authority: "", timeout: CALL_TIMEOUT };

/// SDKs write the status as a number, unlike Envoy.
fn http_server(route: &str, path: &str, status: u16) -> Vec<KeyValue> {
    let route = route.strip_prefix("GET ").unwrap_or(route);
    vec![
        text("http.method", "GET"),
        text("http.route", route),
        text("http.target", path),
        integer("http.status_code", i64::from(status)),
    ]
}

fn database(rows_examined: i64) -> Vec<KeyValue> {
    vec![
        text("db.system", "mysql"),
        text("db.name", "test"),
        text("db.statement", "SELECT rating FROM ratings WHERE product_id = ?"),
        text("net.peer.name", "mysqldb.bookinfo.svc.cluster.local"),
        integer("net.peer.port", 3306),
        integer("db.mysql.rows_examined", rows_examined),
    ]
}
