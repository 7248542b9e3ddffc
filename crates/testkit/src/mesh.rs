use std::fmt::Write;
use std::sync::Arc;

use vivace_model::{Attribute, Resource, Scope, Span, SpanId, SpanKind, TraceId};

use crate::{BASE_TIME, SeededRandomness, SpanBuilder};

const SERVICES: [&str; 8] =
    ["ingress", "frontend", "checkout", "payment", "catalog", "reviews", "ratings", "shipping"];
const MILLISECOND: u64 = 1_000_000;
const MINUTE: u64 = 60_000_000_000;
/// Of every so many spans one is an SDK's, the others are proxies'.
const PROXIES: u64 = 3;
const MANY_KEYS: u64 = 10_000;
const EXTRA_KEYS: usize = 20;

/// Traces as a service mesh makes them, for benches: chains of calls that proxies report with many attributes, most of
/// them of few values, and that SDKs report from within.
#[derive(Debug)]
pub struct MeshGenerator {
    random: SeededRandomness,
    wide: bool,
    services: Vec<Arc<Resource>>,
    scope: Arc<Scope>,
}

impl MeshGenerator {
    /// Spans of every trace.
    pub const SPANS_PER_TRACE: usize = 20;

    /// The traces that belong to `seed`, all in one minute from [`BASE_TIME`] on.
    pub fn new(seed: u64) -> Self {
        let scope = Scope { name: "shop".to_owned(), version: "1.4.2".to_owned(), ..Scope::default() };
        Self {
            random: SeededRandomness::new(seed),
            wide: false,
            services: SERVICES.iter().map(|service| Arc::new(resource(service))).collect(),
            scope: Arc::new(scope),
        }
    }

    /// The same with twenty of ten thousand further keys on each span.
    #[must_use]
    pub fn wide(self) -> Self {
        Self { wide: true, ..self }
    }

    /// The next `count` traces, spans of one service together, as a collector sends them.
    pub fn traces(&mut self, count: usize) -> Vec<Span> {
        let mut spans: Vec<(usize, Span)> = (0..count).flat_map(|_| self.trace()).collect();
        spans.sort_by_key(|(service, _)| *service);
        spans.into_iter().map(|(_, span)| span).collect()
    }

    /// One call that leads to the next, each with the place of its service.
    fn trace(&self) -> Vec<(usize, Span)> {
        let trace_id = TraceId(self.id());
        let start = BASE_TIME + self.random.below(MINUTE);
        let mut parent = None;
        let span = |number: u64| {
            let service = self.random.index(SERVICES.len());
            let span_id = SpanId(self.id());
            let span = self.span(service, number, start + number * MILLISECOND);
            (service, Span { trace_id, span_id, parent_span_id: parent.replace(span_id), ..span })
        };
        (0..Self::SPANS_PER_TRACE as u64).map(span).collect()
    }

    fn id<const N: usize>(&self) -> [u8; N] {
        self.random.bytes(N).try_into().unwrap_or([0; N])
    }

    fn span(&self, service: usize, number: u64, start: u64) -> Span {
        let is_proxy = !number.is_multiple_of(PROXIES);
        let mut attributes =
            if is_proxy { self.proxy_attributes(SERVICES[service]) } else { self.sdk_attributes() };
        if self.wide {
            attributes.extend((0..EXTRA_KEYS).map(|_| self.extra_attribute()));
        }
        Span {
            kind: if is_proxy { SpanKind::Client } else { SpanKind::Server },
            start,
            end: start + self.random.below(50 * MILLISECOND),
            attributes,
            resource: Arc::clone(&self.services[service]),
            scope: Arc::clone(&self.scope),
            ..SpanBuilder::new(&format!("{}.shop.svc.cluster.local:8080/*", SERVICES[service])).build()
        }
    }

    /// As a proxy reports a call.
    fn proxy_attributes(&self, service: &str) -> Vec<Attribute> {
        let random = &self.random;
        let mut request = String::new();
        random.bytes(16).iter().for_each(|byte| write!(request, "{byte:02x}").expect("text grows"));
        let user = random.below(5000);
        vec![
            Attribute::new("node_id", format!("sidecar~10.0.0.{}~{service}~cluster.local", random.below(20))),
            Attribute::new("zone", ""),
            Attribute::new("guid:x-request-id", request),
            Attribute::new("http.url", format!("http://{service}.shop.svc:8080/api/v1/users/{user}/cart")),
            Attribute::new("http.method", *random.pick(&["GET", "GET", "POST"])),
            Attribute::new("downstream_cluster", "-"),
            Attribute::new("user_agent", "Go-http-client/1.1"),
            Attribute::new("http.protocol", "HTTP/1.1"),
            Attribute::new("peer.address", format!("10.0.0.{}", random.below(20))),
            Attribute::new("request_size", random.below(3000).to_string()),
            Attribute::new("response_size", random.below(9000).to_string()),
            Attribute::new("component", "proxy"),
            Attribute::new("upstream_cluster", format!("outbound|8080||{service}.shop.svc.cluster.local")),
            Attribute::new("http.status_code", *random.pick(&[200_i64, 200, 200, 404, 503])),
            Attribute::new("response_flags", "-"),
            Attribute::new("istio.mesh_id", "cluster.local"),
            Attribute::new("istio.canonical_service", service),
            Attribute::new("istio.canonical_revision", "v1"),
        ]
    }

    /// As an SDK reports work.
    fn sdk_attributes(&self) -> Vec<Attribute> {
        let random = &self.random;
        vec![
            Attribute::new("rpc.system", "grpc"),
            Attribute::new("rpc.service", "shop.Cart"),
            Attribute::new("rpc.method", *random.pick(&["Get", "Put", "List"])),
            Attribute::new("rpc.grpc.status_code", 0_i64),
            Attribute::new("server.address", "cart.shop.svc"),
            Attribute::new("server.port", 8080_i64),
            Attribute::new("thread.id", random.below(64) as i64),
            Attribute::new("enduser.id", format!("user-{}", random.below(5000))),
        ]
    }

    fn extra_attribute(&self) -> Attribute {
        let random = &self.random;
        Attribute::new(format!("custom.key.{}", random.below(MANY_KEYS)), random.below(100).to_string())
    }
}

fn resource(service: &str) -> Resource {
    let attributes = vec![
        Attribute::new("service.name", service),
        Attribute::new("k8s.namespace.name", "shop"),
        Attribute::new("k8s.pod.name", format!("{service}-7d9f8c6b5-x2x4z")),
        Attribute::new("telemetry.sdk.name", "opentelemetry"),
        Attribute::new("telemetry.sdk.language", "go"),
    ];
    Resource { attributes, ..Resource::default() }
}
