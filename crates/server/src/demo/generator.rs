//! Traces by number: the same seed, rate and origin give the same spans, in whatever batches they are asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use vivace_base::UnixNanos;

use super::bookinfo::simulate;
use super::mesh::{PODS, REVIEWS, Reporter};
use super::request::{Recorded, SECOND};

/// No trace of the mesh lasts longer, in nanoseconds.
pub(super) const LONGEST_TRACE: u64 = 8 * SECOND;

/// Some traces as one OTLP request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batch {
    pub(super) request: ExportTraceServiceRequest,
    /// Spans in it.
    pub(super) spans: u64,
    /// Traces in it that a proxy of reviews has a span of; these are what Kiali's query for reviews must find.
    pub(super) reviewed: u64,
}

/// Makes the mesh's traces.
#[derive(Debug, Clone)]
pub(super) struct Generator {
    seed: u64,
    origin: UnixNanos,
    /// Between the starts of two traces, in nanoseconds.
    interval: u64,
}

impl Generator {
    /// `rate` traces a second from `origin` on; at least one in a thousand seconds, at most a million a second.
    pub(super) fn new(seed: u64, origin: UnixNanos, rate: f64) -> Self {
        let interval = (SECOND as f64 / rate.clamp(1e-3, 1e6)) as u64;
        Self { seed, origin, interval }
    }

    /// How many traces have started before `time`, give or take the one that is starting.
    pub(super) fn traces_before(&self, time: UnixNanos) -> u64 {
        time.saturating_sub(self.origin) / self.interval
    }

    /// How many traces start in `length` nanoseconds.
    pub(super) fn traces_in(&self, length: u64) -> u64 {
        length / self.interval
    }

    /// The traces with these numbers: one entry of the request per pod and reporter.
    pub(super) fn batch(&self, numbers: Range<u64>) -> Batch {
        let mut grouped: Grouped = BTreeMap::new();
        let (mut spans, mut reviewed) = (0, 0);
        for trace in numbers.map(|number| self.trace(number)) {
            spans += trace.len() as u64;
            reviewed +=
                u64::from(trace.iter().any(|s| s.reporter == Reporter::Proxy && REVIEWS.contains(&s.pod)));
            for Recorded { pod, reporter, scope, span } in trace {
                grouped.entry((pod, reporter)).or_default().entry(scope).or_default().push(span);
            }
        }
        let resource_spans = grouped.into_iter().map(|((pod, reporter), scopes)| ResourceSpans {
            resource: Some(PODS[pod].resource(reporter)),
            scope_spans: scopes.into_iter().map(scope_spans).collect(),
            ..ResourceSpans::default()
        });
        let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
        Batch { request, spans, reviewed }
    }

    fn trace(&self, number: u64) -> Vec<Recorded> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        let start = self.origin + number * self.interval + rng.random_range(0..self.interval.max(1));
        simulate(rng, start)
    }
}

type Scope = (&'static str, &'static str);
type Grouped = BTreeMap<(usize, Reporter), BTreeMap<Scope, Vec<Span>>>;

fn scope_spans(((name, version), spans): (Scope, Vec<Span>)) -> ScopeSpans {
    let scope =
        InstrumentationScope { name: name.to_owned(), version: version.to_owned(), ..Default::default() };
    ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }
}

#[cfg(test)]
mod tests;
