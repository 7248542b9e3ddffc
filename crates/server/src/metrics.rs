//! What is counted, under Tempo's names where the meaning is the same (`docs/operations/metrics.md`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use vivace_base::ErrorKind;
use vivace_ingest::{Accepted, IngestStats};
use vivace_model::TenantId;
use vivace_storage::WalStats;

use crate::state::{App, Phase};
use compaction::Compaction;
use encode::{counter, counters, gauge, gauges, histogram, seconds};
use intake::Intake;
use limits::LimitValues;
use pressure::{Memory, QueryFigures};
use process::ProcessFigures;
use tenants::{MAX_TENANTS, TenantLabels};

mod calls;
mod compaction;
mod encode;
mod exposition;
mod intake;
mod limits;
mod pressure;
mod process;
mod queries;
mod store;
mod tenants;

pub(crate) use exposition::Exposition;
pub(crate) use intake::Transport;
pub(crate) use queries::{Operation, Queries, Told};
pub(crate) use store::StoreTimes;

/// Tempo's buckets for request durations, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];
const VERSION: &str = env!("CARGO_PKG_VERSION");

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
    intake: Intake,
    requests: Family<RequestLabels, Histogram, Seconds>,
    /// What is counted of questions.
    pub(crate) queries: Queries,
    /// Times of requests to the object store.
    pub(crate) store: StoreTimes,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        register_build_info(&mut registry);
        let tenants = Arc::new(TenantLabels::default());
        let intake = Intake::register(&mut registry, Arc::clone(&tenants));
        let requests = Family::new_with_constructor(Seconds);
        let help = "Time from a request's headers to its answer's";
        registry.register("tempo_request_duration_seconds", help, Family::clone(&requests));
        let queries = Queries::register(&mut registry, tenants);
        let store = StoreTimes::register(&mut registry);
        Self { registry, intake, requests, queries, store }
    }
}

fn register_build_info(registry: &mut Registry) {
    for name in ["tempo_build_info", "vivace_build_info"] {
        let info: Family<[(&str, &str); 1], Gauge> = Family::default();
        info.get_or_create(&[("version", VERSION)]).set(1);
        registry.register(name, "The version of Vivace", info);
    }
}

impl Metrics {
    /// Counts a request for taking spans that was read.
    pub(crate) fn arrived(&self, tenant: &TenantId, bytes: u64) {
        self.intake.arrived(tenant, bytes);
    }

    /// Counts one that was taken.
    pub(crate) fn taken(
        &self,
        transport: Transport,
        tenant: &TenantId,
        accepted: &Accepted,
        bytes: u64,
        took: Duration,
    ) {
        self.intake.taken(transport, tenant, accepted, bytes, took);
    }

    /// Counts spans that were refused, by Tempo's reasons.
    pub(crate) fn discarded(&self, tenant: &TenantId, reason: &'static str, spans: u64) {
        self.intake.discarded(tenant, reason, spans);
    }

    /// Counts the spans of one that was read and not taken.
    pub(crate) fn refused_spans(&self, transport: Transport, spans: u64) {
        self.intake.refused_spans(transport, spans);
    }

    /// Counts one that was not taken, read or not.
    pub(crate) fn refused_export(&self, transport: Transport, kind: ErrorKind) {
        self.intake.refused_export(transport, kind);
    }

    /// The page `/metrics`.
    pub(crate) fn page(&self, app: &App, exposition: Exposition) -> Result<String, fmt::Error> {
        let mut page = String::new();
        encode_registry(&mut page, &self.registry)?;
        let mut now = Registry::default();
        let backend = app.backend();
        let stored = backend.map(|backend| backend.stored()).unwrap_or_default();
        now.register_collector(Box::new(LimitValues(Arc::clone(&app.limits))));
        now.register_collector(Box::new(Snapshot {
            ready: app.phase() == Phase::Ready,
            ingest: backend.map(|backend| backend.stats()).unwrap_or_default(),
            wal: backend.map(|backend| backend.wal_stats()),
            tombstones: stored.iter().map(|(_, snapshot)| snapshot.tombstones.len() as u64).sum(),
        }));
        now.register_collector(Box::new(Memory::of(&app.budget)));
        if let Some(backend) = backend {
            now.register_collector(Box::new(QueryFigures(backend.query_stats())));
            let stats = backend.compaction_stats();
            now.register_collector(Box::new(Compaction { stats, now: app.clock.now() }));
        }
        if let Some(process) = ProcessFigures::now() {
            now.register_collector(Box::new(process));
        }
        encode_registry(&mut page, &now)?;
        encode_eof(&mut page)?;
        Ok(exposition.write(page))
    }
}

/// The label of an error's kind.
fn reason(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidInput => "invalid_input",
        ErrorKind::NotFound => "not_found",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::DeadlineExceeded => "deadline_exceeded",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Internal => "internal",
    }
}

/// What is counted elsewhere, as it is at the moment of a scrape.
#[derive(Debug)]
struct Snapshot {
    ready: bool,
    ingest: IngestStats,
    wal: Option<WalStats>,
    tombstones: u64,
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        self.encode_head(&mut encoder)?;
        self.encode_cuts(&mut encoder)?;
        let damaged = vivace_storage::damaged().map(|(what, count)| ("piece", what.name(), count));
        gauges(&mut encoder, "vivace_damaged_pieces", "Stored pieces known to be damaged", &damaged)?;
        let help = "Blocks merged or dropped whose objects are not deleted yet";
        gauge(&mut encoder, "vivace_tombstones", help, self.tombstones)?;
        self.wal.as_ref().map_or(Ok(()), |wal| self.encode_wal(&mut encoder, wal))
    }
}

impl Snapshot {
    fn encode_head(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let heads = &self.ingest.heads;
        gauge(encoder, "tempo_live_store_ready", "Whether spans are taken", u64::from(self.ready))?;
        gauge(encoder, "vivace_head_spans", "Spans in no block yet", self.ingest.head_spans())?;
        gauge(encoder, "vivace_head_bytes", "Their bytes in memory", self.ingest.head_bytes())?;
        let by_tenant = heads.iter().take(MAX_TENANTS);
        let by_tenant: Vec<_> = by_tenant.map(|head| ("tenant", head.tenant.as_str(), head.bytes)).collect();
        gauges(encoder, "tempo_live_store_live_trace_bytes", "The same, by tenant", &by_tenant)
    }

    fn encode_cuts(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let (cuts, waits) = (&self.ingest.cuts, &self.ingest.waits_for_room);
        let begun = [
            ("reason", "max_block_bytes", cuts.by_size),
            ("reason", "max_block_duration", cuts.by_age),
            ("reason", "immediate", cuts.at_once),
        ];
        counters(encoder, "tempo_live_store_blocks_cut", "Blocks begun to be cut, by reason", &begun)?;
        let completed = cuts.completed.count();
        counter(encoder, "tempo_live_store_blocks_completed", "Blocks cut and committed", completed)?;
        let help = "Time it took to build, store and commit them";
        histogram(encoder, "tempo_live_store_completion_duration_seconds", help, &cuts.completed)?;
        let help = "Block cuts that failed and are repeated";
        counter(encoder, "tempo_live_store_failed_completions", help, cuts.failed)?;
        let waiting = self.ingest.heads.iter().filter(|head| head.cutting).count() as u64;
        let help = "Tenants whose spans are being made into a block";
        gauge(encoder, "tempo_live_store_complete_queue_length", help, waiting)?;
        let help = "Time requests waited for room in the head";
        histogram(encoder, "tempo_live_store_back_pressure_duration_seconds", help, waits)?;
        let name = "tempo_live_store_back_pressure_seconds";
        seconds(encoder, name, "The same, all together", waits.total().as_secs_f64())
    }

    fn encode_wal(&self, encoder: &mut DescriptorEncoder, wal: &WalStats) -> Result<(), fmt::Error> {
        gauge(encoder, "vivace_wal_segments", "Files of the write-ahead log", wal.segments)?;
        gauge(encoder, "vivace_wal_bytes", "Their bytes on disk", wal.bytes)?;
        let help = "Time of syncs of the write-ahead log";
        histogram(encoder, "vivace_wal_fsync_duration_seconds", help, &wal.fsyncs)?;
        counter(encoder, "vivace_wal_failed_groups", "Writes to it that failed", wal.failed_groups)?;
        let oldest = self.ingest.heads.iter().map(|head| head.age).max().unwrap_or_default();
        let help = "Age of its oldest record that is in no block; after a start it counts from then";
        gauge(encoder, "vivace_wal_oldest_record_age_seconds", help, oldest.as_secs())
    }
}

/// Measures every request of `router`, by its route.
pub(crate) fn observe(router: Router, app: &App) -> Router {
    router.layer(from_fn_with_state(App::clone(app), measure))
}

async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = app.clock.monotonic();
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| route(path.as_str()));
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

/// The label of a route: lower case, without braces, one `_` for whatever else is no letter or digit and not at an end.
fn route(pattern: &str) -> String {
    if pattern == "/v1/traces" {
        return "otlp_v1_traces".to_owned();
    }
    let kept: String = pattern.chars().filter(|c| !matches!(c, '{' | '}' | '*')).collect();
    let words = kept.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let label = words.collect::<Vec<_>>().join("_").to_ascii_lowercase();
    if label.is_empty() { "root".to_owned() } else { label }
}

#[cfg(test)]
mod tests;
