use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};

/// Gives DataFusion's operators their share of the process's one budget. A refusal makes them spill or fails the query.
pub(crate) struct BudgetPool {
    budget: Arc<MemoryBudget>,
    /// For all operators together; which of them holds what is DataFusion's affair.
    share: Mutex<Reservation>,
}

impl BudgetPool {
    pub(crate) fn new(budget: Arc<MemoryBudget>) -> Result<Self, MemoryRefused> {
        let share = Mutex::new(budget.reserve(Holder::Query, 0)?);
        Ok(Self { budget, share })
    }

    fn share(&self) -> MutexGuard<'_, Reservation> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, bytes: usize) -> Result<(), MemoryRefused> {
        let mut share = self.share();
        let wanted = share.bytes().saturating_add(bytes as u64);
        share.resize(wanted)
    }
}

impl MemoryPool for BudgetPool {
    fn name(&self) -> &str {
        "budget"
    }

    /// For what DataFusion has allocated already: noted if there is room, else the next request is refused sooner.
    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        if let Err(refused) = self.take(additional) {
            tracing::warn!(consumer = reservation.consumer().name(), %refused, "memory taken without asking");
        }
    }

    fn shrink(&self, _reservation: &MemoryReservation, shrink: usize) {
        let mut share = self.share();
        let left = share.bytes().saturating_sub(shrink as u64);
        // Giving back is never refused.
        let _ = share.resize(left);
    }

    fn try_grow(&self, _reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.take(additional).map_err(|refused| DataFusionError::ResourcesExhausted(refused.to_string()))
    }

    fn reserved(&self) -> usize {
        usize::try_from(self.share().bytes()).unwrap_or(usize::MAX)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(usize::try_from(self.budget.limit().bytes()).unwrap_or(usize::MAX))
    }
}

impl fmt::Debug for BudgetPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BudgetPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BudgetPool({} of {})", self.reserved(), self.budget.limit())
    }
}
