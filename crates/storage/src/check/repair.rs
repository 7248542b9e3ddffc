//! What is done about damage. Everything can be done again if it is broken off.

use object_store::ObjectStoreExt;
use object_store::path::Path;
use vivace_base::Holder;
use vivace_model::TenantId;

use super::{CheckContext, CheckError, list, store_error};
use crate::catalog::read_snapshot;
use crate::paths::{block_prefix, catalog_prefix, snapshot_path, snapshot_version};
use crate::{BlockMeta, BlockReader, Catalog, damage, limits};

/// The folder that damaged objects are moved to, under the names they had.
const QUARANTINE: &str = "quarantine";

/// Makes a block's index anew.
pub(super) async fn rebuild_index(
    context: &CheckContext,
    reader: &BlockReader,
    meta: &BlockMeta,
) -> Result<String, CheckError> {
    let rows = meta.rows.saturating_mul(limits::INDEX_ROW);
    let traces = meta.traces.saturating_mul(limits::INDEX_TRACE);
    let batch = reader.trickle_memory(limits::READ_BATCH_ROWS, limits::READ_BATCH_ROWS);
    let needed = limits::INDEX_BUILD.saturating_add(rows).saturating_add(traces).saturating_add(batch);
    let _reserved = context.budget.reserve(Holder::BlockBuild, needed)?;
    reader.rebuild_index().await?;
    damage::forget(reader.index_path().as_ref());
    Ok("made anew from the block".to_owned())
}

/// Takes a block out of the catalog and moves its objects to the quarantine.
pub(super) async fn put_aside(
    context: &CheckContext,
    catalog: &Catalog,
    meta: &BlockMeta,
) -> Result<String, CheckError> {
    let folder = block_prefix(catalog.tenant(), meta.id);
    let copied = copy_folder(context, &folder).await?;
    // No tombstone: what is deleted below is not needed by anybody who could read it.
    catalog.commit(|snapshot| snapshot.without_damaged(meta.id)).await?;
    delete_folder(context, &folder).await?;
    Ok(match copied {
        0 => "taken out of the catalog; there was nothing to keep".to_owned(),
        _ => format!("taken out of the catalog and moved to {}", aside(&folder)),
    })
}

/// Moves the snapshots behind version `whole` to the quarantine, so that it is the newest; all when there is none.
pub(super) async fn restore_catalog(
    context: &CheckContext,
    tenant: &TenantId,
    whole: Option<u64>,
) -> Result<String, CheckError> {
    let listed = list(context, &catalog_prefix(tenant)).await?;
    let mut behind: Vec<u64> = listed
        .iter()
        .filter_map(|object| snapshot_version(&object.location))
        .filter(|version| whole.is_none_or(|whole| *version > whole))
        .collect();
    // The newest first: what is left is consecutive.
    behind.sort_unstable_by(|one, other| other.cmp(one));
    for version in behind {
        // A server may have repaired it by committing.
        if read_snapshot(&*context.store, tenant, version).await.is_ok() {
            continue;
        }
        let path = snapshot_path(tenant, version);
        copy(context, &path).await?;
        delete(context, &path).await?;
        damage::forget(path.as_ref());
    }
    Ok(match whole {
        Some(version) => format!("moved to {QUARANTINE}/; version {version} is the newest now"),
        None => format!("moved to {QUARANTINE}/; the catalog is empty now, blocks stay where they are"),
    })
}

/// Deletes a block's objects.
pub(super) async fn delete_folder(context: &CheckContext, folder: &Path) -> Result<(), CheckError> {
    for object in list(context, folder).await? {
        delete(context, &object.location).await?;
        damage::forget(object.location.as_ref());
    }
    Ok(())
}

async fn copy_folder(context: &CheckContext, folder: &Path) -> Result<usize, CheckError> {
    let objects = list(context, folder).await?;
    for object in &objects {
        copy(context, &object.location).await?;
    }
    Ok(objects.len())
}

async fn copy(context: &CheckContext, path: &Path) -> Result<(), CheckError> {
    match context.store.copy(path, &aside(path)).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(store_error("copy", path, error)),
    }
}

async fn delete(context: &CheckContext, path: &Path) -> Result<(), CheckError> {
    match context.store.delete(path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(store_error("delete", path, error)),
    }
}

fn aside(path: &Path) -> Path {
    Path::from(QUARANTINE).parts().chain(path.parts()).collect()
}
