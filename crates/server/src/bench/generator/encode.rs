//! Spans as OTLP: grouped by resource and scope as exporters group them, with the attributes that Envoy under Istio and
//! OpenTelemetry's SDKs give them (`reference/kiali.md` 2.2).

use std::fmt::Write as _;

use super::mesh::{Mesh, Operation, Pod, Service};
use super::protobuf::Writer;
use super::random::{hash, uuid};
use super::simulate::{Draft, Role, TraceDraft, USER_AGENTS};
use super::wide::WideKeys;

/// Field numbers of OTLP's messages.
mod field {
    pub(super) const RESOURCE_SPANS: u32 = 1;
    pub(super) const RESOURCE: u32 = 1;
    pub(super) const SCOPE_SPANS: u32 = 2;
    pub(super) const RESOURCE_ATTRIBUTES: u32 = 1;
    pub(super) const SCOPE: u32 = 1;
    pub(super) const SCOPE_NAME: u32 = 1;
    pub(super) const SCOPE_VERSION: u32 = 2;
    pub(super) const SPANS: u32 = 2;
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const PARENT_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START: u32 = 7;
    pub(super) const END: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const EVENTS: u32 = 11;
    pub(super) const EVENT_TIME: u32 = 1;
    pub(super) const EVENT_NAME: u32 = 2;
    pub(super) const EVENT_ATTRIBUTES: u32 = 3;
    pub(super) const LINKS: u32 = 13;
    pub(super) const LINK_TRACE: u32 = 1;
    pub(super) const LINK_SPAN: u32 = 2;
    pub(super) const LINK_ATTRIBUTES: u32 = 4;
    pub(super) const STATUS: u32 = 15;
    pub(super) const STATUS_MESSAGE: u32 = 2;
    pub(super) const STATUS_CODE: u32 = 3;
    pub(super) const FLAGS: u32 = 16;
}

const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const PRODUCER: u64 = 4;
const CONSUMER: u64 = 5;
const ERROR: u64 = 2;
const SAMPLED: u32 = 1;
const PORT: &str = "8080";
const EXCEPTIONS: [(&str, &str); 4] = [
    ("java.util.concurrent.TimeoutException", "no answer within 2000 ms"),
    ("IllegalStateException", "the object was changed by somebody else"),
    ("ValidationError", "field `owner` is missing"),
    ("io.grpc.StatusRuntimeException", "UNAVAILABLE: upstream connect error"),
];

/// A span that is to be written, and its trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) draft: Draft,
    pub(super) trace: TraceDraft,
}

impl Item {
    /// Spans with the same key go out together.
    fn resource(&self) -> (usize, bool) {
        (self.draft.pod, is_proxy(self.draft.role))
    }

    fn scope(&self) -> (usize, bool, bool) {
        let (pod, proxy) = self.resource();
        (pod, proxy, self.draft.role == Role::Query)
    }
}

pub(super) fn is_proxy(role: Role) -> bool {
    matches!(role, Role::ProxyClient | Role::ProxyServer)
}

/// Writes spans as the body of an `ExportTraceServiceRequest`.
#[derive(Debug)]
pub(super) struct Encoder<'a> {
    pub(super) mesh: &'a Mesh,
    pub(super) wide: Option<&'a WideKeys>,
    pub(super) out: &'a mut Writer,
    /// For texts that are put together.
    pub(super) scratch: &'a mut String,
}

impl Encoder<'_> {
    /// Sorts and writes all items.
    pub(super) fn request(&mut self, items: &mut [Item]) {
        items.sort_unstable_by_key(|item| (item.scope(), item.draft.end, item.draft.id));
        let (mesh, wide) = (self.mesh, self.wide);
        let (out, scratch) = (&mut *self.out, &mut *self.scratch);
        for of_resource in items.chunk_by(|a, b| a.resource() == b.resource()) {
            let Some(first) = of_resource.first() else { continue };
            out.message(field::RESOURCE_SPANS, |out| {
                out.message(field::RESOURCE, |out| resource(out, mesh, first));
                for of_scope in of_resource.chunk_by(|a, b| a.scope() == b.scope()) {
                    let Some(first) = of_scope.first() else { continue };
                    out.message(field::SCOPE_SPANS, |out| {
                        out.message(field::SCOPE, |out| scope(out, mesh, first));
                        for item in of_scope {
                            out.message(field::SPANS, |out| Span { mesh, item, scratch }.write(out, wide));
                        }
                    });
                }
            });
        }
    }
}

fn resource(out: &mut Writer, mesh: &Mesh, item: &Item) {
    let pod = &mesh.pods[item.draft.pod];
    let service = &mesh.services[pod.service];
    let mut text = |key: &str, value: &str| out.text(field::RESOURCE_ATTRIBUTES, key, value);
    text("service.name", &service.name);
    if is_proxy(item.draft.role) {
        text("telemetry.sdk.language", "cpp");
    } else {
        text("service.namespace", service.namespace);
        text("service.version", pod.version);
        text("telemetry.sdk.language", service.language);
    }
    text("k8s.namespace.name", service.namespace);
    text("k8s.deployment.name", service.app);
    text("k8s.pod.name", &pod.name);
    text("k8s.pod.uid", &pod.uid);
    text("k8s.node.name", &pod.node);
    text("host.name", &pod.name);
}

fn scope(out: &mut Writer, mesh: &Mesh, item: &Item) {
    let service = &mesh.services[mesh.pods[item.draft.pod].service];
    let (http, database, version) = match service.language {
        "java" => ("io.opentelemetry.tomcat-10.0", "io.opentelemetry.jdbc", "2.20.0-alpha"),
        "go" => ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "otelsql", "0.63.0"),
        "python" => {
            ("opentelemetry.instrumentation.fastapi", "opentelemetry.instrumentation.dbapi", "0.58b0")
        }
        "nodejs" => ("@opentelemetry/instrumentation-http", "@opentelemetry/instrumentation-pg", "0.205.0"),
        "dotnet" => ("Microsoft.AspNetCore", "Npgsql", "9.0.0"),
        "ruby" => ("OpenTelemetry::Instrumentation::Rack", "OpenTelemetry::Instrumentation::PG", "0.27.0"),
        _ => ("axum-otel", "sqlx-otel", "0.31.0"),
    };
    let (name, version) = match item.draft.role {
        role if is_proxy(role) => ("envoy", "1.37.0"),
        Role::Query => (database, version),
        _ => (http, version),
    };
    out.bytes(field::SCOPE_NAME, name.as_bytes());
    out.bytes(field::SCOPE_VERSION, version.as_bytes());
}

struct Span<'a, 'b> {
    mesh: &'a Mesh,
    item: &'a Item,
    scratch: &'b mut String,
}

impl<'a> Span<'a, '_> {
    fn write(mut self, out: &mut Writer, wide: Option<&WideKeys>) {
        let Item { draft, trace } = *self.item;
        // Envoy counts microseconds
        let round = |nanos: u64| if is_proxy(draft.role) { nanos - nanos % 1000 } else { nanos };
        out.bytes(field::TRACE_ID, &trace_id(&trace));
        out.bytes(field::SPAN_ID, &draft.id.to_be_bytes());
        if draft.parent != 0 {
            out.bytes(field::PARENT_ID, &draft.parent.to_be_bytes());
        }
        self.name();
        out.bytes(field::NAME, self.scratch.as_bytes());
        out.number(field::KIND, kind(draft.role));
        out.fixed64(field::START, round(draft.start));
        out.fixed64(field::END, round(draft.end));
        match draft.role {
            Role::ProxyClient | Role::ProxyServer => self.proxy(out),
            Role::AppServer => self.server(out),
            Role::AppClient => self.client(out),
            Role::Query => self.query(out),
            Role::Publish | Role::Consume => self.messaging(out),
            Role::Compute | Role::Page => {
                out.integer(field::ATTRIBUTES, "thread.id", 20 + draft.object % 16);
            }
        }
        if let Some(wide) = wide {
            wide.write(out, field::ATTRIBUTES, self.pod().service, draft.id);
        }
        self.outcome(out);
        out.fixed32(field::FLAGS, SAMPLED);
    }

    fn pod(&self) -> &'a Pod {
        &self.mesh.pods[self.item.draft.pod]
    }

    fn operation(&self) -> &'a Operation {
        &self.mesh.operations[self.item.draft.operation]
    }

    /// The service that is called.
    fn called(&self) -> &'a Service {
        &self.mesh.services[self.operation().service]
    }

    fn name(&mut self) {
        let (operation, called) = (self.operation(), self.called());
        self.scratch.clear();
        // writing to a String cannot fail
        let _ = match self.item.draft.role {
            Role::ProxyClient | Role::ProxyServer => write!(self.scratch, "{}:{PORT}/*", called.host),
            Role::AppServer => write!(self.scratch, "{}", operation.span_name),
            Role::AppClient => write!(self.scratch, "{}", operation.method),
            Role::Query => {
                let verb = operation.statement.split(' ').next().unwrap_or_default();
                write!(self.scratch, "{verb} {}", called.app)
            }
            Role::Compute => write!(self.scratch, "render {}", called.app),
            Role::Publish => write!(self.scratch, "publish {}", called.app),
            Role::Consume => write!(self.scratch, "process {}", called.app),
            Role::Page => write!(self.scratch, "page of {}", called.app),
        };
    }

    /// `/api/v1/carts/4711` into the scratch text.
    fn append_path(&mut self) {
        let operation = self.operation();
        let object = self.item.draft.object;
        self.scratch.push_str(&operation.path);
        let _ = if operation.has_id {
            write!(self.scratch, "/{}", 1_000_000 + object % 9_000_000)
        } else if operation.method == "GET" {
            write!(self.scratch, "?page={}&size=50", object % 40)
        } else {
            Ok(())
        };
    }

    fn url(&mut self) {
        let (called, from) = (self.called(), &self.mesh.pods[self.item.draft.from]);
        self.scratch.clear();
        if from.service == self.mesh.gateway {
            self.scratch.push_str("https://www.shop.example");
        } else {
            let _ = write!(self.scratch, "http://{}:{PORT}", called.host);
        }
        self.append_path();
    }

    fn number(&mut self, out: &mut Writer, key: &str, value: u64) {
        self.scratch.clear();
        let _ = write!(self.scratch, "{value}");
        out.text(field::ATTRIBUTES, key, self.scratch);
    }

    /// Envoy writes every value as text.
    fn proxy(&mut self, out: &mut Writer) {
        let Item { draft, trace } = *self.item;
        let (from, to) = (&self.mesh.pods[draft.from], &self.mesh.pods[draft.to]);
        let (pod, called) = (self.pod(), self.called());
        let (caller, own) = (&self.mesh.services[from.service], &self.mesh.services[pod.service]);
        let reached = draft.reply.status != 503 || draft.role == Role::ProxyServer;
        let attribute = |out: &mut Writer, key: &str, value: &str| out.text(field::ATTRIBUTES, key, value);
        attribute(out, "component", "proxy");
        attribute(out, "node_id", &pod.node_id);
        attribute(out, "zone", pod.zone);
        attribute(out, "guid:x-request-id", &uuid(trace.request));
        attribute(out, "http.method", self.operation().method);
        self.url();
        attribute(out, "http.url", self.scratch);
        attribute(out, "http.protocol", "HTTP/1.1");
        self.number(out, "http.status_code", u64::from(draft.reply.status));
        attribute(out, "response_flags", draft.reply.flags);
        let sends = matches!(self.operation().method, "POST" | "PUT");
        self.number(out, "request_size", if sends { 40 + draft.object % 600 } else { 0 });
        self.number(out, "response_size", draft.reply.size);
        attribute(out, "user_agent", USER_AGENTS[trace.user_agent]);
        self.scratch.clear();
        let _ = match draft.role {
            Role::ProxyClient => write!(self.scratch, "outbound|{PORT}||{}", called.host),
            _ => write!(self.scratch, "inbound|{PORT}||"),
        };
        attribute(out, "upstream_cluster", self.scratch);
        attribute(out, "upstream_cluster.name", self.scratch);
        attribute(out, "peer.address", if draft.role == Role::ProxyClient { &to.ip } else { &from.ip });
        attribute(out, "istio.mesh_id", "cluster.local");
        attribute(out, "istio.cluster_id", "Kubernetes");
        attribute(out, "istio.namespace", own.namespace);
        attribute(out, "istio.canonical_service", own.app);
        attribute(out, "istio.canonical_revision", pod.version);
        attribute(out, "istio.source_workload", caller.app);
        attribute(out, "istio.source_namespace", caller.namespace);
        attribute(out, "istio.source_instance_name", &from.name);
        attribute(out, "istio.source_canonical_service", caller.app);
        attribute(out, "istio.destination_namespace", called.namespace);
        attribute(out, "istio.destination_canonical_service", called.app);
        if reached {
            // a proxy that reached nobody knows the service, not the pod
            attribute(out, "istio.destination_workload", called.app);
            attribute(out, "istio.destination_instance_name", &to.name);
            self.scratch.clear();
            let _ = write!(self.scratch, "{}:{PORT}", to.ip);
            attribute(out, "upstream_address", self.scratch);
        }
        if draft.reply.status >= 500 {
            attribute(out, "error", "true");
        }
    }

    fn server(&mut self, out: &mut Writer) {
        let Item { draft, trace } = *self.item;
        out.text(field::ATTRIBUTES, "http.request.method", self.operation().method);
        out.text(field::ATTRIBUTES, "http.route", &self.operation().route);
        self.scratch.clear();
        self.append_path();
        let path = self.scratch.split('?').next().unwrap_or_default();
        out.text(field::ATTRIBUTES, "url.path", path);
        out.text(field::ATTRIBUTES, "server.address", &self.called().host);
        out.text(field::ATTRIBUTES, "user_agent.original", USER_AGENTS[trace.user_agent]);
        out.integer(field::ATTRIBUTES, "http.response.status_code", u64::from(draft.reply.status));
    }

    fn client(&mut self, out: &mut Writer) {
        let draft = self.item.draft;
        out.text(field::ATTRIBUTES, "http.request.method", self.operation().method);
        self.url();
        out.text(field::ATTRIBUTES, "url.full", self.scratch);
        out.text(field::ATTRIBUTES, "server.address", &self.called().host);
        out.integer(field::ATTRIBUTES, "http.response.status_code", u64::from(draft.reply.status));
    }

    fn query(&mut self, out: &mut Writer) {
        let (called, operation) = (self.called(), self.operation());
        out.text(field::ATTRIBUTES, "db.system", called.database);
        out.text(field::ATTRIBUTES, "db.namespace", called.app);
        out.text(field::ATTRIBUTES, "db.query.text", &operation.statement);
        self.scratch.clear();
        let _ = write!(self.scratch, "{}-0.db.{}.svc.cluster.local", called.database, called.namespace);
        out.text(field::ATTRIBUTES, "server.address", self.scratch);
        out.integer(field::ATTRIBUTES, "db.response.returned_rows", self.item.draft.object % 50);
    }

    fn messaging(&mut self, out: &mut Writer) {
        out.text(field::ATTRIBUTES, "messaging.system", "kafka");
        out.text(field::ATTRIBUTES, "messaging.destination.name", self.called().app);
        out.integer(field::ATTRIBUTES, "messaging.kafka.offset", self.item.draft.object % 1_000_000_000);
    }

    /// Events, links and status.
    fn outcome(&mut self, out: &mut Writer) {
        let Item { draft, trace } = *self.item;
        let failed = draft.reply.status >= 500;
        let thrown = failed && matches!(draft.role, Role::AppServer | Role::Query);
        let (kind, message) = EXCEPTIONS[hash(draft.operation as u64, 1) as usize % EXCEPTIONS.len()];
        if thrown {
            out.message(field::EVENTS, |out| {
                out.fixed64(field::EVENT_TIME, draft.end - (draft.end - draft.start) / 16);
                out.bytes(field::EVENT_NAME, b"exception");
                out.text(field::EVENT_ATTRIBUTES, "exception.type", kind);
                out.text(field::EVENT_ATTRIBUTES, "exception.message", message);
            });
        }
        if draft.role == Role::Consume {
            out.message(field::EVENTS, |out| {
                out.fixed64(field::EVENT_TIME, draft.start + 1_000);
                out.bytes(field::EVENT_NAME, b"message received");
            });
            out.message(field::LINKS, |out| {
                out.bytes(field::LINK_TRACE, &trace_id(&trace));
                out.bytes(field::LINK_SPAN, &draft.parent.to_be_bytes());
                out.text(field::LINK_ATTRIBUTES, "messaging.relation", "follows");
            });
        }
        out.message(field::STATUS, |out| {
            if failed {
                if thrown {
                    out.bytes(field::STATUS_MESSAGE, message.as_bytes());
                }
                out.number(field::STATUS_CODE, ERROR);
            }
        });
    }
}

fn kind(role: Role) -> u64 {
    match role {
        Role::ProxyServer | Role::AppServer => SERVER,
        Role::ProxyClient | Role::AppClient | Role::Query => CLIENT,
        Role::Publish => PRODUCER,
        Role::Consume => CONSUMER,
        Role::Compute | Role::Page => INTERNAL,
    }
}

/// A trace's id as bytes.
pub(super) fn trace_id(trace: &TraceDraft) -> [u8; 16] {
    let mut id = [0; 16];
    let [high, low] = trace.id;
    id[..8].copy_from_slice(&high.to_be_bytes());
    id[8..].copy_from_slice(&low.to_be_bytes());
    id
}
