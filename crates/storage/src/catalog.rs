//! Which blocks a tenant has: numbered full snapshots in the object store, committed by put-if-absent.
//! `docs/formats/catalog.md` tells the format.

mod format;
mod registry;
mod snapshot;

use std::sync::{Arc, PoisonError, RwLock};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::sync::Notify;
use vivace_base::{ByteSize, Randomness};
use vivace_model::TenantId;

use crate::CatalogError;
use crate::limits::{MAX_COMMIT_TRIES, MAX_SNAPSHOT, SNAPSHOTS_KEPT, SNAPSHOTS_PRUNED_PER_COMMIT};
use crate::paths::{catalog_prefix, snapshot_path, snapshot_version};
use format::Stored;

pub use format::FORMAT;
pub use registry::Catalogs;
pub use snapshot::{BlockMeta, Snapshot, Tombstone, WalRange};

/// One tenant's catalog as this process knows it. Any number of processes may have the same one.
#[derive(Debug)]
pub struct Catalog {
    store: Arc<dyn ObjectStore>,
    tenant: TenantId,
    randomness: Arc<dyn Randomness>,
    latest: RwLock<Arc<Snapshot>>,
    /// Held by the one commit or refresh under way; guards the oldest version that may still be in the store.
    writer: tokio::sync::Mutex<u64>,
    /// Told of every new snapshot; shared by the catalogs of a [`Catalogs`].
    changed: Arc<Notify>,
}

enum Put {
    Ours,
    Lost,
    Failed(object_store::Error),
}

impl Catalog {
    /// Finds the newest snapshot with the only LIST of the catalog's life; no snapshot is the empty catalog, version 0.
    ///
    /// # Errors
    /// [`CatalogError`] when the store fails or the newest snapshot does not check out.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        tenant: TenantId,
        randomness: Arc<dyn Randomness>,
    ) -> Result<Self, CatalogError> {
        let latest = RwLock::new(Arc::new(Snapshot::default()));
        let (writer, changed) = (tokio::sync::Mutex::new(1), Arc::default());
        let catalog = Self { store, tenant, randomness, latest, writer, changed };
        let mut oldest = catalog.writer.lock().await;
        catalog.load_newest(&mut oldest).await?;
        drop(oldest);
        Ok(catalog)
    }

    /// Whose catalog it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The newest snapshot this process knows; no IO.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.latest.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Catches up with what other processes committed.
    ///
    /// # Errors
    /// [`CatalogError`] when the store fails or a snapshot does not check out; the known snapshot stays.
    pub async fn refresh(&self) -> Result<Arc<Snapshot>, CatalogError> {
        let mut oldest = self.writer.lock().await;
        self.catch_up(&mut oldest).await?;
        Ok(self.snapshot())
    }

    /// Commits what `change` makes of the newest snapshot; its version is set here, whatever `change` left in it.
    /// `change` runs again on the newer snapshot whenever another writer was faster, so it must look at what it is
    /// given. When it returns [`None`] there is nothing to do and the newest known snapshot is returned.
    ///
    /// # Errors
    /// [`CatalogError::Store`] when the store fails: the change may then have been made or not, and making it again is
    /// safe if `change` sees that it is done, as [`Snapshot::with_block`] does. [`CatalogError::Contended`] after
    /// [`MAX_COMMIT_TRIES`]; then it was not made.
    pub async fn commit(
        &self,
        change: impl Fn(&Snapshot) -> Option<Snapshot> + Send,
    ) -> Result<Arc<Snapshot>, CatalogError> {
        let mut oldest = self.writer.lock().await;
        for _ in 0..MAX_COMMIT_TRIES {
            let base = self.snapshot();
            let Some(mut next) = change(&base) else { return Ok(base) };
            next.version = base.version + 1;
            match self.put(&next).await? {
                Put::Ours if self.exists_or_first(base.version).await? => {
                    self.set(next);
                    self.prune(&mut oldest).await;
                    return Ok(self.snapshot());
                }
                Put::Ours => self.withdraw(next.version, &mut oldest).await?,
                Put::Lost => self.catch_up(&mut oldest).await?,
                Put::Failed(source) => return Err(self.failed("write", next.version, source)),
            }
        }
        Err(CatalogError::Contended { tenant: self.tenant.clone(), tries: MAX_COMMIT_TRIES })
    }

    /// Makes sure that no commit that is still under way, by a process that is gone or one that has given it up, is made
    /// behind the back of this one: it takes the next version itself.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub async fn fence(&self) -> Result<Arc<Snapshot>, CatalogError> {
        self.commit(|snapshot| Some(snapshot.clone())).await
    }

    /// Writes a snapshot unless its version is taken. An answer that leaves open whether it was written (a timeout, or
    /// a refusal that may be the client's own retry meeting its first attempt) is settled by reading it back.
    async fn put(&self, next: &Snapshot) -> Result<Put, CatalogError> {
        let path = snapshot_path(&self.tenant, next.version);
        let commit = format!("{:016x}{:016x}", self.randomness.next_u64(), self.randomness.next_u64());
        let bytes = format::encode(next, &commit);
        let size = ByteSize::from_bytes(bytes.len() as u64);
        if size > MAX_SNAPSHOT {
            return Err(CatalogError::TooLarge { tenant: self.tenant.clone(), size, limit: MAX_SNAPSHOT });
        }
        let error = match self.store.put_opts(&path, PutPayload::from(bytes), PutMode::Create.into()).await {
            Ok(_) => return Ok(Put::Ours),
            Err(error) => error,
        };
        Ok(match self.read(next.version).await? {
            Some(stored) if stored.commit == commit => Put::Ours,
            Some(_) => Put::Lost,
            None if is_taken(&error) => Put::Lost,
            None => Put::Failed(error),
        })
    }

    /// Reads on from the known snapshot. When the next version is not there although the known one has been pruned,
    /// the writers are far ahead, and only a LIST finds them.
    async fn catch_up(&self, oldest: &mut u64) -> Result<(), CatalogError> {
        loop {
            let known = self.snapshot().version;
            match self.read(known + 1).await? {
                Some(stored) => self.set(stored.snapshot),
                None if self.exists_or_first(known).await? => return Ok(()),
                None => return self.load_newest(oldest).await,
            }
        }
    }

    /// Snapshots are deleted oldest first, so those in the store are consecutive: a commit whose base is gone was put
    /// where others had already been and deleted theirs. It never was the newest, and is taken back.
    async fn withdraw(&self, version: u64, oldest: &mut u64) -> Result<(), CatalogError> {
        let path = snapshot_path(&self.tenant, version);
        self.store.delete(&path).await.map_err(|e| CatalogError::store("take back", &path, e))?;
        self.load_newest(oldest).await
    }

    async fn load_newest(&self, oldest: &mut u64) -> Result<(), CatalogError> {
        let prefix = catalog_prefix(&self.tenant);
        let listed = self
            .store
            .list(Some(&prefix))
            .try_filter_map(|object| futures::future::ready(Ok(snapshot_version(&object.location))));
        let fold = |range: Option<(u64, u64)>, version: u64| {
            let (low, high) = range.unwrap_or((version, version));
            futures::future::ready(Ok(Some((low.min(version), high.max(version)))))
        };
        let range = listed.try_fold(None, fold).await.map_err(|e| CatalogError::store("list", &prefix, e))?;
        let Some((lowest, newest)) = range else { return Ok(()) };
        *oldest = lowest;
        if newest <= self.snapshot().version {
            return Ok(());
        }
        let stored = self.read(newest).await?;
        let gone = || object_store::Error::NotFound {
            path: snapshot_path(&self.tenant, newest).to_string(),
            source: "listed a moment ago, gone now".into(),
        };
        let stored = stored.ok_or_else(|| self.failed("read", newest, gone()))?;
        self.set(stored.snapshot);
        Ok(())
    }

    async fn read(&self, version: u64) -> Result<Option<Stored>, CatalogError> {
        read(&*self.store, &self.tenant, version).await
    }

    /// Whether a snapshot is still in the store; version 0, the empty catalog, never is and always counts.
    async fn exists_or_first(&self, version: u64) -> Result<bool, CatalogError> {
        if version == 0 {
            return Ok(true);
        }
        let path = snapshot_path(&self.tenant, version);
        match self.store.head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(CatalogError::store("look up", &path, error)),
        }
    }

    /// Deletes what is older than the kept snapshots, oldest first, and stops at the first that cannot be deleted, so
    /// that the snapshots in the store stay consecutive; the next commit goes on from there.
    async fn prune(&self, oldest: &mut u64) {
        let keep_from = (self.snapshot().version + 1).saturating_sub(SNAPSHOTS_KEPT);
        for _ in 0..SNAPSHOTS_PRUNED_PER_COMMIT {
            if *oldest >= keep_from {
                return;
            }
            let path = snapshot_path(&self.tenant, *oldest);
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => *oldest += 1,
                Err(error) => {
                    tracing::warn!(tenant = %self.tenant, %path, %error, "old catalog snapshot not deleted yet");
                    return;
                }
            }
        }
    }

    fn set(&self, snapshot: Snapshot) {
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.changed.notify_one();
    }

    fn failed(&self, operation: &'static str, version: u64, source: object_store::Error) -> CatalogError {
        CatalogError::store(operation, &snapshot_path(&self.tenant, version), source)
    }
}

/// Reads and checks one snapshot of a tenant; [`None`] when there is none of this version.
pub(crate) async fn read_snapshot(
    store: &dyn ObjectStore,
    tenant: &TenantId,
    version: u64,
) -> Result<Option<Snapshot>, CatalogError> {
    Ok(read(store, tenant, version).await?.map(|stored| stored.snapshot))
}

async fn read(
    store: &dyn ObjectStore,
    tenant: &TenantId,
    version: u64,
) -> Result<Option<Stored>, CatalogError> {
    let path = snapshot_path(tenant, version);
    let failed = |e| CatalogError::store("read", &path, e);
    let found = match store.get(&path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if found.meta.size > MAX_SNAPSHOT.bytes() {
        let size = ByteSize::from_bytes(found.meta.size);
        let reason = format!("it takes {size}, more than {MAX_SNAPSHOT}");
        return Err(CatalogError::Corrupt { path: path.to_string(), reason });
    }
    let bytes = found.bytes().await.map_err(failed)?;
    format::decode(&bytes, version, path.as_ref()).map(Some)
}

fn is_taken(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })
}

#[cfg(test)]
mod tests;
