use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use vivace_base::{Clock, ErrorKind};
use vivace_model::Tenants;
use vivace_query::QueryError;

use super::tenants::{TenantLabel, TenantLabels};

/// A query is good when it takes less than this, or reads faster than that: Tempo's defaults.
const SLO_DURATION: Duration = Duration::from_secs(5);
const SLO_BYTES_PER_SECOND: f64 = 1_073_741_824.0;

/// What is asked, in Tempo's words; `service_graph` is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Traces,
    Search,
    Metadata,
    Metrics,
    ServiceGraph,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Search => "search",
            Self::Metadata => "metadata",
            Self::Metrics => "metrics",
            Self::ServiceGraph => "service_graph",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    tenant: String,
    op: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    tenant: String,
    op: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// What is counted of questions.
#[derive(Debug, Clone)]
pub(crate) struct Queries {
    tenants: Arc<TenantLabels>,
    total: Family<ResultLabels, Counter>,
    within_slo: Family<ResultLabels, Counter>,
    inspected: Family<OperationLabels, Counter>,
    discarded: Family<TenantLabel, Counter>,
    partial: Family<ReasonLabel, Counter>,
}

/// A question under way; when dropped before it has an answer, its client went away.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    queries: &'a Queries,
    clock: &'a dyn Clock,
    labels: OperationLabels,
    began: Duration,
    answered: bool,
}

/// What there is to count of an answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told<'a> {
    /// Bytes looked at.
    pub(crate) inspected: u64,
    /// Why it may not be complete.
    pub(crate) partial: Option<&'a str>,
}

impl Queries {
    pub(super) fn register(registry: &mut Registry, tenants: Arc<TenantLabels>) -> Self {
        let queries = Self {
            tenants,
            total: Family::default(),
            within_slo: Family::default(),
            inspected: Family::default(),
            discarded: Family::default(),
            partial: Family::default(),
        };
        let help = "Questions answered, refused or given up";
        registry.register("tempo_query_frontend_queries", help, Family::clone(&queries.total));
        let help =
            "Those of them that took less than 5 s, read 1 GiB/s, or could not be answered by any server";
        registry.register(
            "tempo_query_frontend_queries_within_slo",
            help,
            Family::clone(&queries.within_slo),
        );
        let help = "Bytes looked at to answer them";
        registry.register("tempo_query_frontend_bytes_inspected", help, Family::clone(&queries.inspected));
        let help = "Questions refused because too many were waiting";
        registry.register("tempo_query_frontend_discarded_requests", help, Family::clone(&queries.discarded));
        let help = "Answers marked as perhaps not complete, by reason";
        registry.register("vivace_partial_answers", help, Family::clone(&queries.partial));
        // A rate needs a sample from before the first event.
        for reason in PARTIAL_REASONS.iter().map(|(reason, _)| *reason).chain([OTHER_REASON]) {
            drop(queries.partial.get_or_create(&ReasonLabel { reason }));
        }
        queries
    }

    /// Notes the beginning of a question.
    pub(crate) fn begin<'a>(
        &'a self,
        operation: Operation,
        tenants: &Tenants,
        clock: &'a dyn Clock,
    ) -> Running<'a> {
        let tenant = self.tenants.of_all(tenants);
        drop(self.discarded.get_or_create(&tenant));
        let labels = OperationLabels { tenant: tenant.tenant, op: operation.name() };
        Running { queries: self, clock, labels, began: clock.monotonic(), answered: false }
    }
}

impl Running<'_> {
    /// Notes the answer.
    pub(crate) fn end(mut self, answer: Result<Told, &QueryError>) {
        self.answered = true;
        match answer {
            Ok(told) => self.succeeded(told),
            Err(error) => self.failed(error),
        }
    }

    fn succeeded(&self, told: Told) {
        let took = self.clock.monotonic().saturating_sub(self.began);
        let throughput = told.inspected as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE);
        self.count("completed", took < SLO_DURATION || throughput >= SLO_BYTES_PER_SECOND);
        self.queries.inspected.get_or_create(&self.labels).inc_by(told.inspected);
        for reason in told.partial.map(partial_reasons).unwrap_or_default() {
            self.queries.partial.get_or_create(&ReasonLabel { reason }).inc();
        }
    }

    /// What the question or the load is to blame for is no fault of the server, as in Tempo.
    fn failed(&self, error: &QueryError) {
        if is_busy(error) {
            let tenant = TenantLabel { tenant: self.labels.tenant.clone() };
            self.queries.discarded.get_or_create(&tenant).inc();
        }
        match error.kind() {
            ErrorKind::Overloaded | ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::TooLarge => {
                self.count("completed", true)
            }
            ErrorKind::Cancelled => self.count("canceled", true),
            ErrorKind::Unavailable
            | ErrorKind::DeadlineExceeded
            | ErrorKind::Corrupt
            | ErrorKind::Internal => self.count("completed", false),
        }
    }

    fn count(&self, result: &'static str, is_within_slo: bool) {
        let OperationLabels { tenant, op } = self.labels.clone();
        let labels = ResultLabels { tenant, op, result };
        self.queries.total.get_or_create(&labels).inc();
        self.queries.within_slo.get_or_create(&labels).inc_by(u64::from(is_within_slo));
    }
}

fn is_busy(error: &QueryError) -> bool {
    match error {
        QueryError::Busy => true,
        QueryError::Shared(error) => is_busy(error),
        _ => false,
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.count("canceled", true);
        }
    }
}

/// Labels of partial answers, and the words by which their texts are known.
const PARTIAL_REASONS: [(&str, &str); 6] = [
    ("deadline", "deadline of "),
    ("damaged", "some data could not be read"),
    ("answer_too_large", "the answer is larger than"),
    ("answer_too_large", "maximum series limit"),
    ("too_much_scanned", "max_bytes_scanned"),
    ("trace_too_large", "does not fit into memory all at once"),
];
const OTHER_REASON: &str = "other";

fn partial_reasons(text: &str) -> Vec<&'static str> {
    let mut reasons: Vec<&str> =
        PARTIAL_REASONS.iter().filter(|(_, words)| text.contains(words)).map(|(reason, _)| *reason).collect();
    if reasons.is_empty() {
        reasons.push(OTHER_REASON);
    }
    reasons
}

#[cfg(test)]
mod tests;
