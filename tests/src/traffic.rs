//! Traces of a small Istio mesh, the same for the same seed.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use vivace_testkit::SeededRandomness;

use crate::spans::{
    MILLISECOND, SECOND, array, attribute, batch, error, event, hex_id, link, scope, service, short_id, span,
    text, texts,
};

/// Services behind the ingress; every trace passes the first, the others are called by chance.
pub const SERVICES: [&str; 4] = ["productpage", "details", "reviews", "ratings"];
/// Traces start this far apart, so that their order is never a tie.
const SPACING: u64 = 137 * MILLISECOND;
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];

/// A trace as it was sent.
#[derive(Debug, Clone)]
pub struct SentTrace {
    /// Its id.
    pub id: [u8; 16],
    /// First start of its spans.
    pub start: u64,
    /// Its spans, one entry per service.
    pub resource_spans: Vec<ResourceSpans>,
}

/// Makes traces.
#[derive(Debug)]
pub struct Traffic {
    random: SeededRandomness,
    start: u64,
    made: u64,
}

impl SentTrace {
    /// The id as the lookup endpoints take it.
    pub fn hex(&self) -> String {
        hex_id(self.id)
    }

    /// The id as search prints it.
    pub fn short(&self) -> String {
        short_id(self.id)
    }

    /// How many spans it has.
    pub fn span_count(&self) -> usize {
        self.spans().count()
    }

    /// Its spans.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.resource_spans.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans)
    }

    /// Whether a span of it is of this service.
    pub fn has_service(&self, name: &str) -> bool {
        self.resource_spans.iter().any(|of| of.resource.as_ref() == Some(&mesh_service(name)))
    }
}

impl Traffic {
    /// Traces that start from here on.
    pub fn new(seed: u64, start: u64) -> Self {
        Self { random: SeededRandomness::new(seed), start, made: 0 }
    }

    /// The next `count` traces.
    pub fn traces(&mut self, count: usize) -> Vec<SentTrace> {
        (0..count).map(|_| self.trace()).collect()
    }

    /// The next trace: one span per service called, two for some.
    pub fn trace(&mut self) -> SentTrace {
        let start = self.start + self.made * SPACING;
        self.made += 1;
        let id = self.trace_id();
        let mut resource_spans = vec![self.of_service(SERVICES[0], id, 1, None, start)];
        for (number, name) in (2u64..).zip(&SERVICES[1..]) {
            if self.random.chance(60) {
                resource_spans.push(self.of_service(
                    name,
                    id,
                    number * 10,
                    Some(1),
                    start + number * MILLISECOND,
                ));
            }
        }
        SentTrace { id, start, resource_spans }
    }

    /// Random; every tenth starts with zeros, which search leaves out.
    fn trace_id(&self) -> [u8; 16] {
        let mut id: [u8; 16] = self.random.bytes(16).try_into().expect("sixteen bytes were asked for");
        if self.made.is_multiple_of(10) {
            id[..2].fill(0);
        }
        id
    }

    fn of_service(
        &self,
        name: &str,
        trace: [u8; 16],
        id: u64,
        parent: Option<u64>,
        start: u64,
    ) -> ResourceSpans {
        let mut server = span(trace, id, parent, &format!("{name}.default.svc.cluster.local:9080/*"), start);
        server.end_time_unix_nano = start + (1 + self.random.below(400)) * MILLISECOND / 4;
        server.attributes = self.mesh_attributes(name);
        if self.random.chance(10) {
            server.status = error("upstream reset");
        }
        let mut spans = vec![server];
        if self.random.chance(40) {
            spans.push(self.client(trace, id, start));
        }
        batch(mesh_service(name), scope("envoy", "1.33"), spans)
    }

    fn mesh_attributes(&self, name: &str) -> Vec<KeyValue> {
        let code = if self.random.chance(10) { "503" } else { "200" };
        let mut attributes = texts(&[
            ("component", "proxy"),
            ("http.method", *self.random.pick(&METHODS)),
            ("http.status_code", code),
            ("istio.cluster_id", "Kubernetes"),
            ("istio.destination_workload", &format!("{name}-v1")),
            ("istio.source_namespace", "default"),
            ("node_id", &format!("sidecar~10.0.0.1~{name}-v1.default~default.svc.cluster.local")),
            ("guid:x-request-id", &hex::encode(self.random.bytes(16))),
        ]);
        attributes.push(attribute("response_size", Value::IntValue(self.random.below(100_000) as i64)));
        attributes
    }

    /// With every type of attribute, an event and a link.
    fn client(&self, trace: [u8; 16], parent: u64, start: u64) -> Span {
        let mut client = span(trace, parent + 1, Some(parent), "call", start + MILLISECOND);
        client.kind = SpanKind::Client as i32;
        client.attributes = vec![
            attribute("retry", Value::BoolValue(self.random.chance(50))),
            attribute("ratio", Value::DoubleValue(self.random.below(1000) as f64 / 8.0)),
            attribute("peers", array([text("a"), text("b")])),
            attribute("payload", Value::BytesValue(self.random.bytes(5))),
            attribute("istio.cluster_id", text("Kubernetes")),
        ];
        client.events =
            vec![event("retry", start + 2 * MILLISECOND, vec![attribute("attempt", Value::IntValue(2))])];
        client.links = vec![link(trace, parent, texts(&[("reason", "retry")]))];
        client
    }
}

fn mesh_service(name: &str) -> opentelemetry_proto::tonic::resource::v1::Resource {
    let mut resource = service(name);
    resource
        .attributes
        .extend(texts(&[("k8s.namespace.name", "default"), ("host.name", &format!("{name}-v1-abc"))]));
    resource
}

/// Seconds that hold all of `traces` with room at both ends.
pub fn range_of(traces: &[SentTrace]) -> (u64, u64) {
    let first = traces.iter().map(|trace| trace.start).min().unwrap_or(0);
    let last = traces.iter().map(|trace| trace.start).max().unwrap_or(0);
    (first / SECOND - 60, last / SECOND + 60)
}

/// Spans of several traces in one request.
pub fn all_spans(traces: &[SentTrace]) -> Vec<ResourceSpans> {
    traces.iter().flat_map(|trace| trace.resource_spans.iter().cloned()).collect()
}
