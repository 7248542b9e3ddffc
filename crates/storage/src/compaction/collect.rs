//! What is deleted for good.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use vivace_base::{BlockId, UnixNanos};
use vivace_model::TenantId;

use super::CompactionError;
use super::plan::nanos;
use crate::block::SPANS_FILE;
use crate::index::INDEX_FILE;
use crate::{Catalog, damage, limits, paths};

/// Deletes the objects of blocks that were removed long enough ago, then their tombstones. Returns how many there were.
pub(super) async fn collect(
    store: &dyn ObjectStore,
    catalog: &Catalog,
    now: UnixNanos,
    grace: Duration,
) -> Result<u64, CompactionError> {
    let snapshot = catalog.snapshot();
    let due = snapshot.tombstones.iter().filter(|gone| gone.removed.saturating_add(nanos(grace)) <= now);
    let due: Vec<BlockId> = due.map(|gone| gone.id).take(limits::DELETED_AT_ONCE).collect();
    if due.is_empty() {
        return Ok(0);
    }
    for id in &due {
        delete_block(store, catalog.tenant(), *id).await?;
    }
    catalog.commit(|snapshot| snapshot.without_tombstones(&due)).await?;
    Ok(due.len() as u64)
}

/// Finds and deletes blocks that no catalog names and none will come to name, for they are older than `age`. Returns
/// how many there were.
pub(super) async fn sweep(
    store: &dyn ObjectStore,
    catalog: &Catalog,
    now: UnixNanos,
    age: Duration,
) -> Result<u64, CompactionError> {
    let prefix = paths::blocks_prefix(catalog.tenant());
    let listed = store.list_with_delimiter(Some(&prefix)).await;
    let listed = listed.map_err(|error| CompactionError::store("list", &prefix, error))?;
    // Read after the list, so that a block that was committed in between is known.
    let snapshot = catalog.refresh().await?;
    let named = snapshot.blocks.iter().map(|block| block.id);
    let known: HashSet<BlockId> = named.chain(snapshot.tombstones.iter().map(|gone| gone.id)).collect();
    let is_garbage = |id: &BlockId| !known.contains(id) && id.created().saturating_add(nanos(age)) <= now;
    let folders = listed.common_prefixes.iter().filter_map(|folder| folder.filename()?.parse().ok());
    let mut deleted = 0;
    for id in folders.filter(is_garbage).take(limits::DELETED_AT_ONCE) {
        tracing::info!(tenant = %catalog.tenant(), block = %id, "deleting a block that no catalog names");
        delete_block(store, catalog.tenant(), id).await?;
        deleted += 1;
    }
    Ok(deleted)
}

async fn delete_block(
    store: &dyn ObjectStore,
    tenant: &TenantId,
    id: BlockId,
) -> Result<(), CompactionError> {
    let folder = paths::block_prefix(tenant, id);
    let listed = store.list(Some(&folder)).map_ok(|object| object.location).try_collect::<Vec<Path>>().await;
    let listed = listed.map_err(|error| CompactionError::store("list", &folder, error))?;
    // Also what is not listed: a local store then cleans up after an upload that was broken off.
    let ours = [SPANS_FILE, INDEX_FILE].map(|file| folder.clone().join(file));
    let paths: BTreeSet<Path> = listed.into_iter().chain(ours).collect();
    for path in paths {
        match store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => damage::forget(path.as_ref()),
            Err(error) => return Err(CompactionError::store("delete", &path, error)),
        }
    }
    Ok(())
}
