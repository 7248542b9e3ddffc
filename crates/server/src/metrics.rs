//! What is counted, under Tempo's names where the meaning is the same (`reference/tempo.md` 8.5).

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use vivace_ingest::{Accepted, IngestStats};
use vivace_model::TenantId;
use vivace_storage::WalStats;

use crate::state::App;
use compaction::Compaction;
use limits::LimitValues;
use pressure::{Memory, Queries};

mod calls;
mod compaction;
mod limits;
mod pressure;

/// Tempo's buckets for request durations, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];
/// Tenants counted one by one; the others share a label, so that ids cannot fill memory.
const MAX_TENANTS: usize = 1000;
const OTHER_TENANTS: &str = "_other";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabel {
    tenant: String,
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
struct RequestLabels {
    method: String,
    route: String,
    status_code: String,
    ws: &'static str,
}

#[derive(Debug, Clone, Default)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

/// Everything that is counted as it happens.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    tenants: Mutex<HashSet<TenantId>>,
    spans: Family<TenantLabel, Counter>,
    bytes: Family<TenantLabel, Counter>,
    discarded: Family<DiscardLabels, Counter>,
    truncated: Family<ScopeLabels, Counter>,
    requests: Family<RequestLabels, Histogram, Seconds>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (spans, bytes) = (Family::default(), Family::default());
        let (discarded, truncated) = (Family::default(), Family::default());
        let requests = Family::new_with_constructor(Seconds);
        registry.register("tempo_distributor_spans_received", "Spans accepted", Family::clone(&spans));
        registry.register(
            "tempo_distributor_bytes_received",
            "Bytes of the OTLP requests they came in, as received",
            Family::clone(&bytes),
        );
        registry.register("tempo_discarded_spans", "Spans refused, by reason", Family::clone(&discarded));
        registry.register(
            "tempo_distributor_attributes_truncated",
            "Keys and texts of attributes that were cut",
            Family::clone(&truncated),
        );
        registry.register(
            "tempo_request_duration_seconds",
            "Time from a request's headers to its answer's",
            Family::clone(&requests),
        );
        Self { registry, tenants: Mutex::default(), spans, bytes, discarded, truncated, requests }
    }
}

impl Metrics {
    /// Counts a batch that was taken.
    pub(crate) fn received(&self, tenant: &TenantId, accepted: &Accepted, bytes: u64) {
        let label = TenantLabel { tenant: self.label_of(tenant) };
        self.spans.get_or_create(&label).inc_by(accepted.accepted);
        self.bytes.get_or_create(&label).inc_by(bytes);
        self.discarded(tenant, "invalid_trace_id", accepted.invalid_trace_id);
        self.discarded(tenant, "invalid_span_id", accepted.invalid_span_id);
        for (scope, count) in accepted.truncated.by_scope().filter(|(_, count)| *count > 0) {
            let labels = ScopeLabels { tenant: label.tenant.clone(), scope };
            self.truncated.get_or_create(&labels).inc_by(count);
        }
    }

    /// Counts spans that were refused.
    pub(crate) fn discarded(&self, tenant: &TenantId, reason: &'static str, spans: u64) {
        if spans > 0 {
            let labels = DiscardLabels { reason, tenant: self.label_of(tenant) };
            self.discarded.get_or_create(&labels).inc_by(spans);
        }
    }

    fn label_of(&self, tenant: &TenantId) -> String {
        let name = if self.is_counted(tenant) { tenant.as_str() } else { OTHER_TENANTS };
        name.to_owned()
    }

    /// Whether the tenant has a label of its own.
    fn is_counted(&self, tenant: &TenantId) -> bool {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.contains(tenant) || (tenants.len() < MAX_TENANTS && tenants.insert(tenant.clone()))
    }

    /// The page `/metrics`.
    pub(crate) fn page(&self, app: &App) -> Result<String, fmt::Error> {
        let mut page = String::new();
        prometheus_client::encoding::text::encode_registry(&mut page, &self.registry)?;
        let mut now = Registry::default();
        let backend = app.backend();
        now.register_collector(Box::new(LimitValues(Arc::clone(&app.limits))));
        now.register_collector(Box::new(Snapshot {
            ingest: backend.map(|backend| backend.stats()).unwrap_or_default(),
            wal: backend.map(|backend| backend.wal_stats()),
        }));
        now.register_collector(Box::new(Memory::of(&app.budget)));
        if let Some(backend) = backend {
            now.register_collector(Box::new(Queries(backend.query_stats())));
        }
        if let Some(backend) = backend {
            let stats = backend.compaction_stats();
            now.register_collector(Box::new(Compaction { stats, now: app.clock.now() }));
        }
        encode(&mut page, &now)?;
        Ok(page)
    }
}

/// What is counted elsewhere, as it is at the moment of a scrape.
#[derive(Debug)]
struct Snapshot {
    ingest: IngestStats,
    wal: Option<WalStats>,
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        counter(&mut encoder, "vivace_blocks_cut", "Blocks cut", self.ingest.blocks_cut)?;
        let failures = self.ingest.block_cut_failures;
        counter(
            &mut encoder,
            "vivace_block_cut_failures",
            "Block cuts that failed and are repeated",
            failures,
        )?;
        gauge(&mut encoder, "vivace_head_spans", "Spans in no block yet", self.ingest.head_spans)?;
        gauge(&mut encoder, "vivace_head_bytes", "Their bytes in memory", self.ingest.head_bytes)?;
        let Some(wal) = &self.wal else { return Ok(()) };
        gauge(&mut encoder, "vivace_wal_segments", "Files of the write-ahead log", wal.segments)?;
        gauge(&mut encoder, "vivace_wal_bytes", "Their bytes on disk", wal.bytes)?;
        counter(&mut encoder, "vivace_wal_fsyncs", "Syncs of the write-ahead log", wal.fsyncs)?;
        counter(&mut encoder, "vivace_wal_failed_groups", "Writes to it that failed", wal.failed_groups)
    }
}

fn counter(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, counter_type())?)
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

type Labelled = (&'static str, &'static str, u64);

fn counters(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: &[Labelled],
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, counter_type())?;
    for (key, label, value) in values {
        ConstCounter::new(*value).encode(family.encode_family(&[(*key, *label)])?)?;
    }
    Ok(())
}

fn gauges(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: &[Labelled],
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (key, label, value) in values {
        let value = i64::try_from(*value).unwrap_or(i64::MAX);
        ConstGauge::new(value).encode(family.encode_family(&[(*key, *label)])?)?;
    }
    Ok(())
}

fn counter_type() -> MetricType {
    MetricType::Counter
}

/// Measures every request of `router`, by its route.
pub(crate) fn observe(router: Router, app: &App) -> Router {
    router.layer(from_fn_with_state(App::clone(app), measure))
}

async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = app.clock.monotonic();
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let route =
        request.extensions().get::<MatchedPath>().map_or("other".to_owned(), |path| route(path.as_str()));
    let response = next.run(request).await;
    let took = app.clock.monotonic().saturating_sub(began);
    tracing::debug!(method, path, status = response.status().as_u16(), ?took, "request");
    let status_code = response.status().as_str().to_owned();
    let method = if KNOWN_METHODS.contains(&method.as_str()) { method } else { "OTHER".to_owned() };
    let labels = RequestLabels { method, route, status_code, ws: "false" };
    app.metrics.requests.get_or_create(&labels).observe(took.as_secs_f64());
    response
}

/// Measures every gRPC call of `router` until its last byte, under labels as Tempo has them: the full method, and how
/// it ended.
pub(crate) fn observe_calls(router: Router, app: &App) -> Router {
    router.layer(from_fn_with_state(App::clone(app), calls::measure))
}

/// Clients may invent methods; labels are only these.
const KNOWN_METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];

/// The label of a route: lower case, without braces, `_` for anything else that is not a letter or digit.
fn route(pattern: &str) -> String {
    if pattern == "/v1/traces" {
        return "otlp_v1_traces".to_owned();
    }
    let kept = pattern.trim_start_matches('/').chars().filter(|c| !matches!(c, '{' | '}' | '*'));
    kept.map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
