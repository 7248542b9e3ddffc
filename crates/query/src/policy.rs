use std::fmt::Debug;
use std::time::Duration;

use vivace_base::ByteSize;
use vivace_model::Tenants;

/// What one query may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryPolicy {
    /// How long it may take, waiting included.
    pub deadline: Duration,
    /// How much of blocks' spans it may read; [`None`] for any amount. Traces by id do not count: they have a limit
    /// of their own, and are read as they are sent.
    pub max_bytes_scanned: Option<ByteSize>,
    /// How many queries of the tenant may run at once.
    pub max_concurrent: usize,
}

/// Looks up what queries of some tenants may take, when each begins.
pub trait QueryPolicies: Send + Sync + Debug {
    /// The strictest of what holds for each of them now.
    fn policy(&self, tenants: &Tenants) -> QueryPolicy;
}

/// The same for every tenant.
impl QueryPolicies for QueryPolicy {
    fn policy(&self, _: &Tenants) -> QueryPolicy {
        *self
    }
}
