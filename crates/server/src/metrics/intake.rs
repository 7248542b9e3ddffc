use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use vivace_base::ErrorKind;
use vivace_ingest::{Accepted, Distance};
use vivace_model::TenantId;

use super::BUCKETS;
use super::tenants::{TenantLabel, TenantLabels};

/// By which protocol spans came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Grpc,
    Http,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReceiverLabels {
    receiver: &'static str,
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiscardLabels {
    reason: &'static str,
    tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScopeLabels {
    tenant: String,
    scope: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    transport: &'static str,
    reason: &'static str,
}

/// What is counted of spans that come in.
#[derive(Debug)]
pub(super) struct Intake {
    tenants: Arc<TenantLabels>,
    spans: Family<TenantLabel, Counter>,
    bytes: Family<TenantLabel, Counter>,
    ingress: Family<TenantLabel, Counter>,
    discarded: Family<DiscardLabels, Counter>,
    truncated: Family<ScopeLabels, Counter>,
    past: Family<TenantLabel, Spread>,
    future: Family<TenantLabel, Spread>,
    accepted_spans: Family<ReceiverLabels, Plain>,
    refused_spans: Family<ReceiverLabels, Plain>,
    refused_exports: Family<RefusalLabels, Counter>,
    push: Histogram,
}

impl Intake {
    pub(super) fn register(registry: &mut Registry, tenants: Arc<TenantLabels>) -> Self {
        let intake = Self {
            tenants,
            spans: Family::default(),
            bytes: Family::default(),
            ingress: Family::default(),
            discarded: Family::default(),
            truncated: Family::default(),
            past: Family::default(),
            future: Family::default(),
            accepted_spans: Family::default(),
            refused_spans: Family::default(),
            refused_exports: Family::default(),
            push: Histogram::new(BUCKETS),
        };
        for (name, help, family) in [
            ("tempo_distributor_spans_received", "Spans accepted", &intake.spans),
            (
                "tempo_distributor_bytes_received",
                "Bytes of the OTLP requests they came in, as received",
                &intake.bytes,
            ),
            (
                "tempo_distributor_ingress_bytes",
                "Bytes of OTLP requests, accepted or not, as received",
                &intake.ingress,
            ),
        ] {
            registry.register(name, help, Family::clone(family));
        }
        registry.register("tempo_discarded_spans", "Spans refused, by reason", intake.discarded.clone());
        let help = "Keys and texts of attributes that were cut";
        registry.register("tempo_distributor_attributes_truncated", help, intake.truncated.clone());
        let help = "Seconds from a span's end until it came in";
        registry.register("tempo_spans_distance_in_past_seconds", help, Family::clone(&intake.past));
        let help = "Seconds from when a span came in until its end";
        registry.register("tempo_spans_distance_in_future_seconds", help, Family::clone(&intake.future));
        let help = "Spans accepted, by protocol";
        registry.register("tempo_receiver_accepted_spans", help, Family::clone(&intake.accepted_spans));
        let help = "Spans refused, by protocol; those of requests that were not read are not known";
        registry.register("tempo_receiver_refused_spans", help, Family::clone(&intake.refused_spans));
        let help = "OTLP requests refused, by protocol and reason";
        registry.register("vivace_refused_exports", help, Family::clone(&intake.refused_exports));
        let help = "Time until the spans of a request are durable and queryable";
        registry.register("tempo_distributor_push_duration_seconds", help, intake.push.clone());
        intake.begin_at_zero();
        intake
    }

    /// A rate needs a sample from before the first event.
    fn begin_at_zero(&self) {
        for transport in [Transport::Grpc, Transport::Http] {
            drop(self.accepted_spans.get_or_create(&receiver(transport)));
            drop(self.refused_spans.get_or_create(&receiver(transport)));
            for kind in [ErrorKind::InvalidInput, ErrorKind::Overloaded, ErrorKind::Unavailable] {
                drop(self.refused_exports.get_or_create(&refusal(transport, kind)));
            }
        }
    }

    /// Counts a request that was read.
    pub(super) fn arrived(&self, tenant: &TenantId, bytes: u64) {
        self.ingress.get_or_create(&self.tenants.of(tenant)).inc_by(bytes);
    }

    /// Counts a request that was taken.
    pub(super) fn taken(
        &self,
        transport: Transport,
        tenant: &TenantId,
        accepted: &Accepted,
        bytes: u64,
        took: Duration,
    ) {
        let label = self.tenants.of(tenant);
        self.spans.get_or_create(&label).inc_by(accepted.accepted);
        self.bytes.get_or_create(&label).inc_by(bytes);
        self.discarded(tenant, "invalid_trace_id", accepted.invalid_trace_id);
        self.discarded(tenant, "invalid_span_id", accepted.invalid_span_id);
        for (scope, count) in accepted.truncated.by_scope().filter(|(_, count)| *count > 0) {
            let labels = ScopeLabels { tenant: label.tenant.clone(), scope };
            self.truncated.get_or_create(&labels).inc_by(count);
        }
        self.past.get_or_create(&label).add(&accepted.distances.past);
        self.future.get_or_create(&label).add(&accepted.distances.future);
        self.accepted_spans.get_or_create(&receiver(transport)).0.inc_by(accepted.accepted);
        self.refused_spans.get_or_create(&receiver(transport)).0.inc_by(accepted.rejected());
        self.push.observe(took.as_secs_f64());
    }

    /// Counts spans that were refused.
    pub(super) fn discarded(&self, tenant: &TenantId, reason: &'static str, spans: u64) {
        if spans > 0 {
            let labels = DiscardLabels { reason, tenant: self.tenants.of(tenant).tenant };
            self.discarded.get_or_create(&labels).inc_by(spans);
        }
    }

    /// Counts the spans of a request that was read and not taken.
    pub(super) fn refused_spans(&self, transport: Transport, spans: u64) {
        self.refused_spans.get_or_create(&receiver(transport)).0.inc_by(spans);
    }

    /// Counts a request that was not taken, whether it was read or not.
    pub(super) fn refused_export(&self, transport: Transport, kind: ErrorKind) {
        self.refused_exports.get_or_create(&refusal(transport, kind)).inc();
    }
}

fn receiver(transport: Transport) -> ReceiverLabels {
    ReceiverLabels { receiver: "otlp/otlp_receiver", transport: transport.name() }
}

fn refusal(transport: Transport, kind: ErrorKind) -> RefusalLabels {
    RefusalLabels { transport: transport.name(), reason: super::reason(kind) }
}

/// A counter whose name does not end in `_total`, which in OpenMetrics no counter may have.
#[derive(Debug, Clone, Default)]
struct Plain(Counter);

impl TypedMetric for Plain {
    const TYPE: MetricType = MetricType::Unknown;
}

impl EncodeMetric for Plain {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        encoder.encode_gauge(&i64::try_from(self.0.get()).unwrap_or(i64::MAX))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// A histogram that is filled batch by batch.
#[derive(Debug, Clone, Default)]
struct Spread(Arc<Mutex<Distance>>);

impl Spread {
    fn add(&self, distance: &Distance) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(distance);
    }
}

impl TypedMetric for Spread {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Spread {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let Distance { counts, seconds } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bounds = Distance::BOUNDS.map(|bound| bound as f64).into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        encoder.encode_histogram::<NoLabelSet>(seconds as f64, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
