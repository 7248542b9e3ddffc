use std::sync::Arc;

use tokio::sync::Notify;
use vivace_base::{Holder, MemoryBudget};
use vivace_storage::block::join_batches;
use vivace_storage::columns::AttributeOrder;

use crate::head::Head;

/// Joins small batches of the head to larger ones, on a thread of its own: nobody who waits for an acknowledgement waits
/// for this.
#[derive(Debug)]
pub(crate) struct Joiner {
    head: Arc<Head>,
    budget: Arc<MemoryBudget>,
    order: Arc<AttributeOrder>,
    grown: Arc<Notify>,
}

impl Joiner {
    pub(crate) fn new(head: Arc<Head>, budget: Arc<MemoryBudget>, order: Arc<AttributeOrder>) -> Self {
        let grown = head.grown();
        Self { head, budget, order, grown }
    }

    /// Joins whenever there is something to join.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.grown.notified().await;
            let joiner = Arc::clone(&self);
            let joining = tokio::task::spawn_blocking(move || while joiner.join_next() {});
            if let Err(error) = joining.await {
                tracing::error!(%error, "joining batches of the head ended badly");
            }
        }
    }

    /// Joins the next batches that should be; false when there are none, or no memory for it.
    pub(crate) fn join_next(&self) -> bool {
        let Some(parts) = self.head.joinable() else { return false };
        // The parts stay until the joined batch takes their place.
        let Ok(mut reservation) = self.budget.reserve(Holder::Head, parts.bytes) else { return false };
        match join_batches(&parts.batches, &self.order) {
            Ok(spans) => {
                // At most what the parts take, but for columns that only some of them have.
                let _ = reservation.resize(spans.get_array_memory_size() as u64);
                self.head.put_joined(&parts, spans, reservation);
                true
            }
            Err(error) => {
                tracing::error!(%error, "cannot join batches of the head");
                self.head.leave_apart(&parts.tenant);
                true
            }
        }
    }
}
