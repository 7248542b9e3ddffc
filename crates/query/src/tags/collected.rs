use std::collections::BTreeSet;
use std::sync::Arc;

use vivace_base::{Holder, MemoryBudget, MemoryRefused, Reservation};

/// The texts of one answer, of names those of one scope, have together at most this many bytes; past it the answer is
/// marked partial.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// What an item takes in memory beside its text.
pub(super) const ITEM_BYTES: u64 = 96;
/// Memory is reserved in steps of this.
const RESERVED_AT_ONCE: u64 = 64 << 10;

/// A growing answer that keeps the first items in their order, as many as its limits allow: which those are does not
/// depend on the order in which they come.
#[derive(Debug)]
pub(super) struct Collected<T> {
    items: BTreeSet<T>,
    bytes: usize,
    limit: usize,
    /// The first item that there was no room for; nor is there for any behind it.
    ceiling: Option<T>,
    too_large: bool,
    reserved: Reservation,
}

impl<T: Ord + Clone + AsRef<str>> Collected<T> {
    /// At most `limit` items, 0 for as many as fit.
    pub(super) fn new(limit: usize, budget: &Arc<MemoryBudget>) -> Result<Self, MemoryRefused> {
        Ok(Self {
            items: BTreeSet::new(),
            bytes: 0,
            limit: if limit == 0 { usize::MAX } else { limit },
            ceiling: None,
            too_large: false,
            reserved: budget.reserve(Holder::Query, 0)?,
        })
    }

    pub(super) fn knows(&self, item: &T) -> bool {
        self.ceiling.as_ref().is_some_and(|ceiling| item >= ceiling) || self.items.contains(item)
    }

    pub(super) fn add(&mut self, item: T) -> Result<(), MemoryRefused> {
        if self.knows(&item) {
            return Ok(());
        }
        let bytes = self.bytes + item.as_ref().len();
        let needed = bytes as u64 + (self.items.len() as u64 + 1) * ITEM_BYTES;
        if needed > self.reserved.bytes() {
            self.reserved.resize(needed + RESERVED_AT_ONCE)?;
        }
        self.bytes = bytes;
        self.items.insert(item);
        while self.items.len() > self.limit || self.bytes > MAX_ANSWER_BYTES {
            self.too_large |= self.bytes > MAX_ANSWER_BYTES;
            let Some(last) = self.items.pop_last() else { break };
            self.bytes -= last.as_ref().len();
            self.ceiling = Some(last);
        }
        Ok(())
    }

    pub(super) fn to_vec(&self) -> Vec<T> {
        self.items.iter().cloned().collect()
    }

    /// Why there may be more than was asked for room for.
    pub(super) fn partial(&self) -> Option<String> {
        self.too_large.then(|| {
            format!("the answer is larger than {MAX_ANSWER_BYTES} bytes; narrow the time range or filter")
        })
    }
}
