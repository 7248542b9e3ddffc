//! A server, without its protocols.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use vivace_base::{ByteSize, Clock, MemoryBudget, Randomness};
use vivace_ingest::{Ingest, IngestContext, IngestOptions, IngestPolicy};
use vivace_query::{QueryContext, QueryEngine, QueryOptions, QueryPolicy};
use vivace_storage::{Catalogs, CompactionContext, Compactor};

use super::world::World;

/// Where the write-ahead log is.
pub(super) fn wal_dir() -> PathBuf {
    Path::new("/data/wal").to_owned()
}

/// A running server. Nothing goes on in the background: blocks are cut and merged when they are told to.
pub(super) struct Process {
    pub(super) ingest: Arc<Ingest>,
    pub(super) catalogs: Arc<Catalogs>,
    pub(super) compactor: Arc<Compactor>,
    /// Reads what is in the store, whatever fails.
    pub(super) engine: QueryEngine,
}

impl Process {
    pub(super) async fn start(world: &World) -> Result<Self, String> {
        let randomness: Arc<dyn Randomness> = Arc::new(world.random.part());
        let clock: Arc<dyn Clock> = world.clock.clone();
        let budget = MemoryBudget::new(ByteSize::from_mib(512));
        let catalogs = Catalogs::open_all(world.store.clone(), Arc::clone(&randomness)).await;
        let catalogs = Arc::new(catalogs.map_err(|error| error.to_string())?);
        let never = Duration::from_secs(3600);
        let options = IngestOptions {
            wal_dir: wal_dir(),
            max_block_bytes: ByteSize::from_mib(16),
            max_block_age: never,
        };
        let context = IngestContext {
            files: Arc::new(world.files.clone()),
            store: world.store.clone(),
            catalogs: Arc::clone(&catalogs),
            budget: Arc::clone(&budget),
            clock: Arc::clone(&clock),
            randomness: Arc::clone(&randomness),
            policies: Arc::new(IngestPolicy { max_attribute_bytes: usize::MAX }),
        };
        let ingest = Ingest::open(options, context).await.map_err(|error| error.to_string())?;
        let (options, policy) = world.compaction();
        let context = CompactionContext {
            store: world.store.clone(),
            catalogs: Arc::clone(&catalogs),
            budget: Arc::clone(&budget),
            clock,
            randomness,
        };
        let compactor = Compactor::new(options, Arc::new(policy), context);
        let options = QueryOptions { max_concurrent: 2, max_waiting: 2, parallelism: 1 };
        let policy = QueryPolicy { deadline: never, max_bytes_scanned: None, max_concurrent: 2 };
        let context = QueryContext {
            store: Arc::clone(&world.objects),
            catalogs: Arc::clone(&catalogs),
            live: ingest.live(),
            budget,
            policies: Arc::new(policy),
        };
        Ok(Self { ingest, catalogs, compactor, engine: QueryEngine::new(options, context) })
    }
}
