//! `GET /api/console/status`: what the server knows about itself, for the console's status page. Its shape is the
//! console's alone and may change with it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use vivace_base::{Holder, UnixNanos};
use vivace_model::TenantId;
use vivace_storage::Snapshot;

use crate::config::{Config, KEYS};
use crate::state::App;

/// Ends of the classes of age that storage is told by; what is older is a class of its own.
const AGES: [Duration; 5] = [
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(24 * 3600),
    Duration::from_secs(3 * 24 * 3600),
    Duration::from_secs(7 * 24 * 3600),
];
/// Tenants listed one by one.
const MAX_TENANTS: usize = 1000;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    version: &'static str,
    phase: String,
    now_unix_ms: u64,
    multitenancy: bool,
    addresses: Addresses,
    memory: Memory,
    ingest: Ingest,
    limits: Vec<Limit>,
    tenants: Vec<Tenant>,
    tenants_left_out: usize,
}

/// Where the server listens, as configured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Addresses {
    http: String,
    grpc: String,
    otlp_grpc: String,
    otlp_http: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    limit_bytes: u64,
    budget_bytes: u64,
    reserved_bytes: u64,
    holders: Vec<Held>,
}

#[derive(Debug, Serialize)]
struct Held {
    name: &'static str,
    bytes: u64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ingest {
    spans_received: u64,
    bytes_received: u64,
    refused_spans: u64,
    head_spans: u64,
    head_bytes: u64,
    blocks_cut: u64,
    block_cut_failures: u64,
    wal_segments: u64,
    wal_bytes: u64,
    wal_failed_groups: u64,
}

/// A setting that bounds something.
#[derive(Debug, Serialize)]
struct Limit {
    name: &'static str,
    value: String,
    doc: String,
}

/// What a tenant has in blocks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tenant {
    tenant: String,
    blocks: usize,
    spans: u64,
    bytes: u64,
    ages: Vec<Age>,
}

/// Blocks whose newest span is younger than `under_seconds`, and not of the class before; without it the oldest.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Age {
    under_seconds: Option<u64>,
    blocks: usize,
    spans: u64,
    bytes: u64,
}

pub(super) async fn status(State(app): State<App>) -> Json<Status> {
    let now = app.clock.now();
    let stored = app.backend().map(|backend| backend.stored()).unwrap_or_default();
    let tenants_left_out = stored.len().saturating_sub(MAX_TENANTS);
    let listed = stored.iter().take(MAX_TENANTS);
    let tenants = listed.map(|(tenant, snapshot)| Tenant::new(tenant, snapshot, now)).collect();
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        phase: format!("{:?}", app.phase()).to_lowercase(),
        now_unix_ms: now / 1_000_000,
        multitenancy: app.config.multitenancy,
        addresses: Addresses::new(&app.config),
        memory: Memory::new(&app),
        ingest: Ingest::new(&app),
        limits: limits(&app.config),
        tenants,
        tenants_left_out,
    })
}

impl Addresses {
    fn new(config: &Config) -> Self {
        Self {
            http: config.http_listen.clone(),
            grpc: config.grpc_listen.clone(),
            otlp_grpc: config.otlp_grpc_listen.clone(),
            otlp_http: config.otlp_http_listen.clone(),
        }
    }
}

impl Memory {
    fn new(app: &App) -> Self {
        let held =
            |holder: Holder| Held { name: holder.name(), bytes: app.budget.reserved_by(holder).bytes() };
        Self {
            limit_bytes: app.config.memory_limit.bytes(),
            budget_bytes: app.budget.limit().bytes(),
            reserved_bytes: app.budget.reserved().bytes(),
            holders: Holder::ALL.into_iter().map(held).collect(),
        }
    }
}

impl Ingest {
    fn new(app: &App) -> Self {
        let Some(backend) = app.backend() else { return Self::default() };
        let (ingest, wal) = (backend.stats(), backend.wal_stats());
        Self {
            spans_received: ingest.spans_received,
            bytes_received: ingest.bytes_received,
            refused_spans: ingest.invalid_trace_id + ingest.invalid_span_id,
            head_spans: ingest.head_spans(),
            head_bytes: ingest.head_bytes(),
            blocks_cut: ingest.cuts.completed.count(),
            block_cut_failures: ingest.cuts.failed,
            wal_segments: wal.segments,
            wal_bytes: wal.bytes,
            wal_failed_groups: wal.failed_groups,
        }
    }
}

/// Every setting that bounds something, with its value and what it does.
fn limits(config: &Config) -> Vec<Limit> {
    let yaml = config.to_yaml();
    let values: Vec<(&str, &str)> = yaml.lines().filter_map(|line| line.split_once(": ")).collect();
    let bounds = |key: &crate::config::Key| {
        key.path.is_some() || key.name == "memory_limit" || key.name.starts_with("max_")
    };
    let limit = |key: &crate::config::Key| {
        let value = values.iter().find(|(name, _)| *name == key.name).map(|(_, value)| *value);
        let value = value.unwrap_or_default().trim_matches(['"', '\'']).to_owned();
        let doc = key.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        Limit { name: key.name, value, doc }
    };
    KEYS.iter().filter(|key| bounds(key)).map(limit).collect()
}

impl Tenant {
    fn new(tenant: &TenantId, snapshot: &Snapshot, now: UnixNanos) -> Self {
        let seconds = AGES.iter().map(|age| Some(age.as_secs())).chain([None]);
        let mut ages: Vec<Age> =
            seconds.map(|under_seconds| Age { under_seconds, blocks: 0, spans: 0, bytes: 0 }).collect();
        for block in &snapshot.blocks {
            let age = Duration::from_nanos(now.saturating_sub(block.range.end));
            let class = AGES.iter().position(|end| age < *end).unwrap_or(AGES.len());
            let Some(class) = ages.get_mut(class) else { continue };
            class.blocks += 1;
            class.spans += block.rows;
            class.bytes += block.bytes;
        }
        Self {
            tenant: tenant.as_str().to_owned(),
            blocks: snapshot.blocks.len(),
            spans: ages.iter().map(|age| age.spans).sum(),
            bytes: ages.iter().map(|age| age.bytes).sum(),
            ages,
        }
    }
}
