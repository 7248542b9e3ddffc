//! Blocks that are open: their footers and what has been read of their indexes, kept while there is memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object_store::ObjectStore;
use vivace_base::{BlockId, Holder, MemoryBudget, Reservation};
use vivace_model::TenantId;
use vivace_storage::{BlockError, BlockMeta, BlockReader};

/// Open blocks take at most this part of the memory budget.
const SHARE: u64 = 4;

/// The most recently used blocks. What they take is reserved; when others need the memory they are closed, the least
/// recently used first. A query that uses a block keeps it alive.
#[derive(Debug)]
pub(crate) struct OpenBlocks {
    store: Arc<dyn ObjectStore>,
    budget: Arc<MemoryBudget>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    blocks: HashMap<BlockId, Entry>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    reader: BlockReader,
    used: u64,
    /// For the footer; what is read of the index is reserved as it comes.
    _footer: Option<Reservation>,
}

impl OpenBlocks {
    /// None are open. From now on the budget closes blocks when it is short of memory.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, budget: Arc<MemoryBudget>) -> Arc<Self> {
        let blocks = Arc::new(Self { store, budget: Arc::clone(&budget), open: Mutex::default() });
        let weak = Arc::downgrade(&blocks);
        budget.on_pressure(Box::new(move |needed| {
            if let Some(blocks) = weak.upgrade() {
                blocks.shrink(needed);
            }
        }));
        blocks
    }

    /// Opens a block, unless it is open.
    ///
    /// # Errors
    /// [`BlockError`] when it cannot be read.
    pub(crate) async fn open(&self, tenant: &TenantId, meta: &BlockMeta) -> Result<BlockReader, BlockError> {
        if let Some(reader) = self.lock().find(meta.id) {
            return Ok(reader);
        }
        let reader = BlockReader::open(Arc::clone(&self.store), tenant, meta).await?;
        // A block that there is no memory to keep is used and forgotten.
        let footer = self.budget.reserve(Holder::Cache, reader.memory()).ok();
        let closed = self.lock().keep(&reader, footer, self.budget.limit().bytes() / SHARE);
        drop(closed);
        Ok(reader)
    }

    /// Closes blocks until about so many bytes are free.
    fn shrink(&self, needed: u64) {
        // Dropped behind the lock.
        let closed = {
            let mut open = self.lock();
            let goal = open.memory().saturating_sub(needed);
            open.close_down_to(goal)
        };
        tracing::debug!(needed, blocks = closed.len(), "closed blocks for want of memory");
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn find(&mut self, id: BlockId) -> Option<BlockReader> {
        self.uses += 1;
        let entry = self.blocks.get_mut(&id)?;
        entry.used = self.uses;
        Some(entry.reader.clone())
    }

    /// Keeps a block if its footer has a reservation; the blocks that are closed for it.
    fn keep(&mut self, reader: &BlockReader, footer: Option<Reservation>, limit: u64) -> Vec<Entry> {
        if footer.is_none() {
            return Vec::new();
        }
        self.uses += 1;
        let entry = Entry { reader: reader.clone(), used: self.uses, _footer: footer };
        let before = self.blocks.insert(reader.id(), entry);
        let mut closed = self.close_down_to(limit);
        closed.extend(before);
        closed
    }

    fn memory(&self) -> u64 {
        self.blocks.values().map(|entry| entry.reader.memory()).sum()
    }

    /// Takes the least recently used blocks out until the others take no more than `limit`.
    fn close_down_to(&mut self, limit: u64) -> Vec<Entry> {
        let mut memory = self.memory();
        let mut closed = Vec::new();
        while memory > limit
            && let Some(oldest) = self.blocks.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
            && let Some(entry) = self.blocks.remove(&oldest)
        {
            memory = memory.saturating_sub(entry.reader.memory());
            closed.push(entry);
        }
        closed
    }
}
