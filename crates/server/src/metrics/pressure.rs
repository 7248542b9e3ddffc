//! Memory, and what becomes of queries when there is too little of it or too much to do.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use vivace_base::{Holder, MemoryBudget};
use vivace_query::QueryStats;

use super::encode::{Labelled, counter, counters, gauge, gauges};

/// The memory budget at the moment of a scrape.
#[derive(Debug)]
pub(super) struct Memory {
    limit: u64,
    reservable: u64,
    resident: u64,
    unreserved: u64,
    reserved: Vec<Labelled<'static>>,
    refused: Vec<Labelled<'static>>,
}

impl Memory {
    pub(super) fn of(budget: &MemoryBudget) -> Self {
        let by_holder = |of: &dyn Fn(Holder) -> u64| {
            Holder::ALL.iter().map(|holder| ("holder", holder.name(), of(*holder))).collect()
        };
        Self {
            limit: budget.memory_limit().bytes(),
            reservable: budget.limit().bytes(),
            resident: budget.resident().bytes(),
            unreserved: budget.unreserved().bytes(),
            reserved: by_holder(&|holder| budget.reserved_by(holder).bytes()),
            refused: by_holder(&|holder| budget.refused(holder)),
        }
    }
}

impl Collector for Memory {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        gauge(encoder, "vivace_memory_limit_bytes", "Memory the process may use", self.limit)?;
        let help = "What of it may be reserved now: less when more is in use that nobody reserved";
        gauge(encoder, "vivace_memory_reservable_bytes", help, self.reservable)?;
        gauge(encoder, "vivace_memory_resident_bytes", "Memory the process uses", self.resident)?;
        let help = "The most memory that was lately in use beside what was reserved";
        gauge(encoder, "vivace_memory_unreserved_bytes", help, self.unreserved)?;
        gauges(encoder, "vivace_memory_reserved_bytes", "Memory reserved, by holder", &self.reserved)?;
        let help = "Reservations refused, by who asked; most are asked for again";
        counters(encoder, "vivace_memory_refusals", help, &self.refused)
    }
}

/// What became of queries up to the moment of a scrape.
#[derive(Debug)]
pub(super) struct QueryFigures(pub(super) QueryStats);

impl Collector for QueryFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let (encoder, QueryStats { admission, shared }) = (&mut encoder, self.0);
        gauge(encoder, "vivace_queries_running", "Queries that run", admission.running)?;
        gauge(encoder, "tempo_query_frontend_queue_length", "Queries that wait", admission.waiting)?;
        let help = "Queries answered by the answer to the same question under way";
        counter(encoder, "vivace_queries_shared", help, shared)?;
        let help = "How often a query that memory was refused was begun anew";
        counter(encoder, "vivace_queries_begun_anew", help, admission.begun_anew)?;
        let refused = [
            ("reason", "queue_full", admission.refused_busy),
            ("reason", "no_memory", admission.refused_memory),
        ];
        counters(encoder, "vivace_queries_refused", "Queries refused, by reason", &refused)
    }
}
