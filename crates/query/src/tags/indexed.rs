use std::sync::Arc;

use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};

use super::collected::ITEM_BYTES;

/// What is known of a piece without reading its spans.
#[derive(Debug)]
pub(super) struct Indexed<T> {
    /// What the spans have, taken all together.
    pub(super) certain: Vec<T>,
    /// Everything that any of the spans may have; [`None`] when that is not known.
    pub(super) possible: Option<Vec<T>>,
    reserved: Reservation,
}

impl<T> Indexed<T> {
    /// Nothing is known.
    pub(super) fn unknown(budget: &Arc<MemoryBudget>) -> Result<Self, MemoryRefused> {
        Ok(Self { certain: Vec::new(), possible: None, reserved: budget.reserve(Holder::Query, 0)? })
    }

    /// Nothing but what will be noted is possible.
    pub(super) fn bounded(budget: &Arc<MemoryBudget>) -> Result<Self, MemoryRefused> {
        Ok(Self { possible: Some(Vec::new()), ..Self::unknown(budget)? })
    }

    /// Notes an item of a text of so many bytes.
    pub(super) fn note(&mut self, item: T, bytes: usize, certain: bool) -> Result<(), MemoryRefused>
    where
        T: Clone,
    {
        let Some(possible) = &mut self.possible else { return Ok(()) };
        let needed = (bytes as u64 + ITEM_BYTES) * (1 + u64::from(certain));
        self.reserved.resize(self.reserved.bytes() + needed)?;
        if certain {
            self.certain.push(item.clone());
        }
        possible.push(item);
        Ok(())
    }
}
