//! Where things stand in the object store. Every object of a tenant lies under `tenants/{tenant}/`.

use object_store::path::Path;
use vivace_base::BlockId;
use vivace_model::TenantId;

const TENANTS: &str = "tenants";
const CATALOG: &str = "catalog";
const BLOCKS: &str = "blocks";
/// The only character that a tenant id may have and an object path may not, and how it is written there.
const ESCAPED: (&str, &str) = ("*", "%2A");

/// The folder of all tenants.
pub fn tenants_prefix() -> Path {
    Path::from(TENANTS)
}

/// The folder of a tenant's catalog snapshots.
pub fn catalog_prefix(tenant: &TenantId) -> Path {
    Path::from_iter([TENANTS, tenant.as_str(), CATALOG])
}

/// A tenant's catalog snapshot of one version; names sort by version.
pub fn snapshot_path(tenant: &TenantId, version: u64) -> Path {
    catalog_prefix(tenant).join(format!("{version:020}.json"))
}

/// The folder of a tenant's blocks.
pub fn blocks_prefix(tenant: &TenantId) -> Path {
    Path::from_iter([TENANTS, tenant.as_str(), BLOCKS])
}

/// The folder of one block's files.
pub fn block_prefix(tenant: &TenantId, block: BlockId) -> Path {
    blocks_prefix(tenant).join(block.to_string())
}

/// The version in a snapshot's file name; [`None`] for anything else in the folder.
pub(crate) fn snapshot_version(path: &Path) -> Option<u64> {
    let digits = path.filename()?.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// The tenant of a folder under [`tenants_prefix`]; [`None`] for a name that is no tenant id.
pub(crate) fn tenant_of(folder: &Path) -> Option<TenantId> {
    let name = folder.filename()?.replace(ESCAPED.1, ESCAPED.0);
    name.parse().ok()
}

#[cfg(test)]
mod tests;
