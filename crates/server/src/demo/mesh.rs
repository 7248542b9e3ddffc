//! Who is in the mesh: Istio's bookinfo sample behind an ingress gateway, one pod per workload.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// A pod and what it runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pod {
    /// The `app` label; Istio's canonical service.
    pub(super) service: &'static str,
    /// The `version` label; Istio's canonical revision.
    pub(super) version: &'static str,
    /// The deployment.
    pub(super) workload: &'static str,
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) ip: &'static str,
    /// `sidecar` or `router`, as in Envoy's node id.
    pub(super) proxy: &'static str,
    /// `telemetry.sdk.language` of the application; empty when the proxy is all there is.
    pub(super) language: &'static str,
}

/// Indexes into [`PODS`].
pub(super) const INGRESS: usize = 0;
pub(super) const PRODUCTPAGE: usize = 1;
pub(super) const DETAILS: usize = 2;
/// The three versions of reviews; v2 and v3 call ratings.
pub(super) const REVIEWS: [usize; 3] = [3, 4, 5];
pub(super) const RATINGS: usize = 6;

/// Every pod of the mesh.
pub(super) const PODS: [Pod; 7] = [
    Pod {
        service: "istio-ingressgateway",
        version: "latest",
        workload: "istio-ingressgateway",
        namespace: "istio-system",
        name: "istio-ingressgateway-6c8d5f7b9d-kq2xw",
        ip: "10.244.0.11",
        proxy: "router",
        language: "",
    },
    bookinfo(
        "productpage",
        "v1",
        "productpage-v1",
        "productpage-v1-7bf5c9d46d-8lz4m",
        "10.244.1.21",
        "python",
    ),
    bookinfo("details", "v1", "details-v1", "details-v1-6b9f7d5c84-q7xmr", "10.244.1.22", "ruby"),
    bookinfo("reviews", "v1", "reviews-v1", "reviews-v1-84c6d9bb75-tn9hc", "10.244.1.23", "java"),
    bookinfo("reviews", "v2", "reviews-v2", "reviews-v2-7d6bd9c8b4-x4xkq", "10.244.2.31", "java"),
    bookinfo("reviews", "v3", "reviews-v3", "reviews-v3-5c4f8b6d9f-zf7bd", "10.244.2.32", "java"),
    bookinfo("ratings", "v1", "ratings-v1", "ratings-v1-9d8c7b5f6c-m2vxt", "10.244.2.33", "nodejs"),
];

const fn bookinfo(
    service: &'static str,
    version: &'static str,
    workload: &'static str,
    name: &'static str,
    ip: &'static str,
    language: &'static str,
) -> Pod {
    Pod { service, version, workload, namespace: "bookinfo", name, ip, proxy: "sidecar", language }
}

/// Who in a pod reports a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reporter {
    /// Envoy.
    Proxy,
    /// The application's OpenTelemetry SDK.
    App,
}

impl Pod {
    /// `service.name` as Istio sets it: `reviews.bookinfo`.
    pub(super) fn service_name(&self) -> String {
        format!("{}.{}", self.service, self.namespace)
    }

    /// `reviews.bookinfo.svc.cluster.local`
    pub(super) fn host(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.service, self.namespace)
    }

    /// Envoy's node id; Kiali takes the workload from its third part (`reference/kiali.md` 3.3).
    pub(super) fn node_id(&self) -> String {
        let Pod { proxy, ip, name, namespace, .. } = self;
        format!("{proxy}~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local")
    }

    /// The resource that `reporter` sends its spans with.
    pub(super) fn resource(&self, reporter: Reporter) -> Resource {
        let container = if reporter == Reporter::Proxy { "istio-proxy" } else { self.service };
        let mut attributes = vec![
            text("service.name", self.service_name()),
            text("hostname", self.name),
            text("k8s.cluster.name", "Kubernetes"),
            text("k8s.namespace.name", self.namespace),
            text("k8s.deployment.name", self.workload),
            text("k8s.pod.name", self.name),
            text("k8s.container.name", container),
        ];
        if reporter == Reporter::App {
            attributes.push(text("service.version", self.version));
            attributes.push(text("telemetry.sdk.name", "opentelemetry"));
            attributes.push(text("telemetry.sdk.language", self.language));
        }
        Resource { attributes, ..Resource::default() }
    }
}

/// A string attribute.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// An integer attribute.
pub(super) fn integer(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
