//! What was sent, and what is known about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use vivace_base::UnixNanos;
use vivace_ingest::otlp::encode;
use vivace_model::{Span, SpanId, TenantId, TraceId};
use vivace_testkit::{SeededRandomness, SpanBuilder};

/// Names a span.
pub(super) type SpanName = (TraceId, SpanId);

/// One request.
pub(super) struct Batch {
    pub(super) tenant: TenantId,
    pub(super) names: BTreeSet<SpanName>,
    pub(super) request: Bytes,
    /// How often it was sent.
    pub(super) attempts: usize,
    /// When it was last sent.
    pub(super) sent: UnixNanos,
    pub(super) acknowledged: bool,
    /// An audit has seen it.
    pub(super) seen: bool,
    /// It was dropped for its age, or may never have been there.
    pub(super) gone: bool,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("names", &self.names)
            .field("attempts", &self.attempts)
            .field("acknowledged", &self.acknowledged)
            .field("seen", &self.seen)
            .field("gone", &self.gone)
            .finish_non_exhaustive()
    }
}

/// All batches of a run.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) tenants: Vec<TenantId>,
    pub(super) batches: Vec<Batch>,
    next_id: u64,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let tenants = ["single-tenant", "other", "a*(b)"].map(|name| name.parse().expect("a tenant id"));
        Self { tenants: tenants.to_vec(), batches: Vec::new(), next_id: 1 }
    }

    /// A new batch of some traces, a few of which have spans in earlier batches too.
    pub(super) fn new_batch(&mut self, random: &SeededRandomness, now: UnixNanos) -> usize {
        let tenant = self.tenants[random.index(random.index(self.tenants.len()) + 1)].clone();
        let mut spans = Vec::new();
        for _ in 0..1 + random.below(3) {
            let trace = if random.chance(25) { random.below(self.next_id) + 1 } else { self.next_id };
            for _ in 0..1 + random.below(4) {
                spans.push(self.span(trace, random, now));
            }
        }
        let names = spans.iter().map(|span| (span.trace_id, span.span_id)).collect();
        let request = ExportTraceServiceRequest { resource_spans: encode(&spans) }.encode_to_vec().into();
        let batch = Batch {
            tenant,
            names,
            request,
            attempts: 0,
            sent: now,
            acknowledged: false,
            seen: false,
            gone: false,
        };
        self.batches.push(batch);
        self.batches.len() - 1
    }

    /// A batch that its sender was refused, to be sent again.
    pub(super) fn refused_batch(&self, random: &SeededRandomness) -> Option<usize> {
        let refused: Vec<usize> =
            (0..self.batches.len()).filter(|at| !self.batches[*at].acknowledged).collect();
        (!refused.is_empty()).then(|| *random.pick(&refused))
    }

    fn span(&mut self, trace: u64, random: &SeededRandomness, now: UnixNanos) -> Span {
        let id = self.next_id;
        self.next_id += 1;
        let start = now.saturating_sub(random.below(1_000_000_000));
        SpanBuilder::new(random.pick::<&str>(&["GET", "select", ""]))
            .trace(u128::from(trace))
            .id(id)
            .times(start, start + random.below(1_000_000))
            .service(random.pick::<&str>(&["front", "back"]))
            .attribute("number", id.cast_signed())
            .build()
    }

    /// Which batch each span of a tenant came in.
    pub(super) fn owners(&self, tenant: &TenantId) -> BTreeMap<SpanName, usize> {
        let ours = self.batches.iter().enumerate().filter(|(_, batch)| batch.tenant == *tenant);
        ours.flat_map(|(at, batch)| batch.names.iter().map(move |name| (*name, at))).collect()
    }
}
