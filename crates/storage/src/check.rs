//! Verifies what is stored: catalogs against objects, every checksum, rows against indexes, the write-ahead log. Repairs
//! what can be made anew, and takes out of catalogs what cannot be read. `docs/operations/check.md` tells users.

mod block;
mod log;
mod repair;
mod repeats;
mod report;
mod tenant;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use object_store::ObjectStore;
use vivace_base::{Clock, FileSystem, MemoryBudget, MemoryRefused, Randomness};
use vivace_model::TenantId;

use crate::paths::{tenant_of, tenants_prefix};
use crate::{BlockError, CatalogError, WalError};

pub use report::{Counts, Finding, Report, Severity};

/// What is checked, and how.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The directory of the write-ahead log; [`None`] to leave it out.
    pub wal_dir: Option<PathBuf>,
    /// Makes anew, deletes or puts aside what is not as it should be. No server may use the log meanwhile.
    pub repair: bool,
    /// How old a block must be, by its name, to be garbage when no catalog names it.
    pub orphan_age: Duration,
}

/// What checking stands on.
#[derive(Debug, Clone)]
pub struct CheckContext {
    /// Where blocks are.
    pub store: Arc<dyn ObjectStore>,
    /// Where the log is.
    pub files: Arc<dyn FileSystem>,
    /// Where memory comes from.
    pub budget: Arc<MemoryBudget>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub randomness: Arc<dyn Randomness>,
}

/// Told now and then how far it has come: in words, how many of how many.
pub type Progress<'p> = &'p mut (dyn FnMut(&str, usize, usize) + Send);

/// It could not be checked whether all is well.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The object store failed.
    #[error("cannot {operation} {path}: {source}")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: String,
        /// What the store says.
        source: object_store::Error,
    },
    /// A catalog could not be read or committed to, for another reason than damage.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A block could not be read, for another reason than damage.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The log could not be read, for another reason than damage; or it is in use.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// There is too little memory for it.
    #[error(transparent)]
    NoMemory(#[from] MemoryRefused),
}

/// Checks everything, tenant by tenant, then the log.
///
/// # Errors
/// [`CheckError`] when that is not possible; damage is no error but in the report.
pub async fn check(
    options: &CheckOptions,
    context: &CheckContext,
    progress: Progress<'_>,
) -> Result<Report, CheckError> {
    // Held until the end: nobody may begin to write to what is repaired.
    let _lock = match (&options.wal_dir, options.repair) {
        (Some(dir), true) => log::lock(context, dir)?,
        _ => None,
    };
    let mut report = Report::default();
    let mut covered = log::Covered::default();
    for tenant in tenants(context, &mut report).await? {
        let snapshot = tenant::check(options, context, &tenant, &mut report, progress).await?;
        if let Some(snapshot) = snapshot {
            covered.insert(tenant, snapshot.covered);
        }
    }
    if let Some(dir) = &options.wal_dir {
        log::check(context, dir, &covered, &mut report)?;
    }
    Ok(report)
}

/// The tenants that have a folder.
async fn tenants(context: &CheckContext, report: &mut Report) -> Result<Vec<TenantId>, CheckError> {
    let prefix = tenants_prefix();
    let listed = context.store.list_with_delimiter(Some(&prefix)).await;
    let listed = listed.map_err(|error| store_error("list", &prefix, error))?;
    let mut tenants = Vec::new();
    for folder in &listed.common_prefixes {
        match tenant_of(folder) {
            Some(tenant) => tenants.push(tenant),
            None => report.add(Finding::note(folder, "is no tenant's folder; left alone")),
        }
    }
    tenants.sort();
    report.counts.tenants = tenants.len() as u64;
    Ok(tenants)
}

/// The objects under a folder, with their sizes.
async fn list(
    context: &CheckContext,
    prefix: &object_store::path::Path,
) -> Result<Vec<object_store::ObjectMeta>, CheckError> {
    let mut listed = context.store.list(Some(prefix));
    let mut objects = Vec::new();
    while let Some(object) = listed.next().await {
        objects.push(object.map_err(|error| store_error("list", prefix, error))?);
    }
    Ok(objects)
}

fn store_error(
    operation: &'static str,
    path: &object_store::path::Path,
    source: object_store::Error,
) -> CheckError {
    CheckError::Store { operation, path: path.to_string(), source }
}

#[cfg(test)]
mod tests;
