//! The spans that Envoy reports for a hop, with the attributes Istio adds and Kiali reads
//! (`reference/kiali.md` 2.2). All values are strings, as Envoy writes them.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use vivace_base::UnixNanos;

use super::mesh::{PODS, Pod, Reporter, text};
use super::request::{MICROSECOND, Recorded, Reply, Request, SpanIdBytes, failure};

/// A call from pod to pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop {
    /// Index of the calling pod.
    pub(super) from: usize,
    /// Index of the pod that is called; when it is not reached, of a pod of the service.
    pub(super) to: usize,
    pub(super) path: &'static str,
    /// The authority the caller wrote; the service's own when empty.
    pub(super) authority: &'static str,
    /// After this long the calling proxy gives up. Nanoseconds.
    pub(super) timeout: u64,
}

const PORT: u16 = 9080;
const SCOPE: (&str, &str) = ("envoy", "1.37.0");

/// One side of a hop as its proxy saw it.
struct Side {
    server: bool,
    start: UnixNanos,
    end: UnixNanos,
    status: u16,
    flags: &'static str,
    size: u64,
}

impl Request {
    /// A call that reaches its pod, where `serve` handles it below the server's span.
    pub(super) fn call(
        &mut self,
        hop: &Hop,
        parent: &[u8],
        start: UnixNanos,
        serve: impl FnOnce(&mut Self, &[u8], UnixNanos) -> Reply,
    ) -> Reply {
        let (client, server) = (self.span_id(), self.span_id());
        let arrival = start + self.around(350 * MICROSECOND);
        let handed_on = arrival + self.around(120 * MICROSECOND);
        let mut reply = serve(self, &server, handed_on);
        let mut left = reply.end + self.around(100 * MICROSECOND);
        let mut end = left + self.around(300 * MICROSECOND);
        let (mut client_flags, mut server_flags) = ("-", "-");
        let mut server_status = reply.status;
        if end > start + hop.timeout {
            end = start + hop.timeout;
            // the server's proxy sees its caller hang up
            left = left.min(end + self.around(200 * MICROSECOND));
            (client_flags, server_flags, server_status) = ("UT", "DC", 0);
            reply = Reply { end, status: 504, size: 24 };
        }
        let Reply { status, size, .. } = reply;
        let inbound = Side {
            server: true,
            start: arrival,
            end: left,
            status: server_status,
            flags: server_flags,
            size,
        };
        self.record(hop, server, &client, inbound);
        let outbound = Side { server: false, start, end, status, flags: client_flags, size };
        self.record(hop, client, parent, outbound);
        Reply { end, ..reply }
    }

    /// A call that its own proxy answers with 503, because no pod could be reached.
    pub(super) fn unreached(
        &mut self,
        hop: &Hop,
        parent: &[u8],
        start: UnixNanos,
        flags: &'static str,
    ) -> Reply {
        let client = self.span_id();
        let reply = Reply { end: start + self.around(2_400 * MICROSECOND), status: 503, size: 145 };
        let side = Side { server: false, start, end: reply.end, status: 503, flags, size: reply.size };
        self.record(hop, client, parent, side);
        reply
    }

    fn record(&mut self, hop: &Hop, id: SpanIdBytes, parent: &[u8], side: Side) {
        let (from, to) = (&PODS[hop.from], &PODS[hop.to]);
        let pod = if side.server { hop.to } else { hop.from };
        let kind = if side.server { SpanKind::Server } else { SpanKind::Client };
        let attributes = self.attributes(hop, from, to, &side);
        let span = Span {
            name: format!("{}:{PORT}/*", to.host()),
            kind: kind.into(),
            attributes,
            status: status(side.status),
            ..self.bare_span(id, parent, side.start, side.end)
        };
        self.spans.push(Recorded { pod, reporter: Reporter::Proxy, scope: SCOPE, span });
    }

    fn attributes(&self, hop: &Hop, from: &Pod, to: &Pod, side: &Side) -> Vec<KeyValue> {
        let host = to.host();
        let cluster =
            if side.server { format!("inbound|{PORT}||") } else { format!("outbound|{PORT}||{host}") };
        let authority =
            if hop.authority.is_empty() { format!("{}:{PORT}", to.service) } else { hop.authority.into() };
        let own = if side.server { to } else { from };
        let mut attributes = vec![
            text("component", "proxy"),
            text("node_id", own.node_id()),
            text("zone", "zone-a"),
            text("guid:x-request-id", self.id.as_str()),
            text("http.method", "GET"),
            text("http.url", format!("http://{authority}{}", hop.path)),
            text("http.protocol", "HTTP/1.1"),
            text("http.status_code", side.status.to_string()),
            text("response_flags", side.flags),
            text("request_size", "0"),
            text("response_size", side.size.to_string()),
            text("user_agent", self.user_agent),
            text("upstream_cluster", cluster.as_str()),
            text("upstream_cluster.name", cluster),
            text("downstream_cluster", "-"),
            text("peer.address", from.ip),
            text("istio.mesh_id", "cluster.local"),
            text("istio.cluster_id", "Kubernetes"),
            text("istio.namespace", own.namespace),
            text("istio.canonical_service", own.service),
            text("istio.canonical_revision", own.version),
            text("istio.source_workload", from.workload),
            text("istio.source_namespace", from.namespace),
            text("istio.source_instance_name", from.name),
            text("istio.source_canonical_service", from.service),
            text("istio.destination_namespace", to.namespace),
            text("istio.destination_canonical_service", to.service),
        ];
        // a proxy that reached nobody knows the service, not the pod
        if side.status != 503 || side.server {
            attributes.push(text("istio.destination_workload", to.workload));
            attributes.push(text("istio.destination_instance_name", to.name));
            attributes.push(text("upstream_address", format!("{}:{PORT}", to.ip)));
        }
        if side.status == 0 || side.status >= 500 {
            attributes.push(text("error", "true"));
        }
        attributes
    }
}

/// Envoy marks server errors and calls that were given up.
fn status(http: u16) -> Option<Status> {
    if http == 0 || http >= 500 { failure("") } else { Some(Status::default()) }
}
