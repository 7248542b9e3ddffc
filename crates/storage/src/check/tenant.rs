use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use vivace_base::{BlockId, ErrorKind, Holder, UnixNanos};
use vivace_model::TenantId;

use super::repeats::Repeats;
use super::{CheckContext, CheckError, CheckOptions, Finding, Progress, Report, block, list, repair};
use crate::catalog::read_snapshot;
use crate::paths::{blocks_prefix, catalog_prefix, snapshot_path, snapshot_version};
use crate::{BlockMeta, Catalog, CatalogError, Snapshot, WalRange};

/// Which blocks have objects, and how many bytes of them.
type Objects = BTreeMap<BlockId, u64>;

/// Checks a tenant's catalog and what it names. The newest snapshot, if there is a whole one.
pub(super) async fn check(
    options: &CheckOptions,
    context: &CheckContext,
    tenant: &TenantId,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<Option<Snapshot>, CheckError> {
    let whole = snapshots(context, tenant, report).await?;
    let (catalog, restored) = match open(context, tenant).await? {
        Ok(catalog) => (catalog, false),
        Err(error) => {
            let finding = unreadable(tenant, &error, whole);
            if !options.repair {
                report.add(finding);
                return Ok(None);
            }
            let done = repair::restore_catalog(context, tenant, whole).await?;
            report.add(finding.done(done));
            match open(context, tenant).await? {
                Ok(catalog) => (catalog, true),
                Err(_) => return Ok(None),
            }
        }
    };
    let snapshot = catalog.snapshot();
    consistent(tenant, &snapshot, report);
    let objects = objects(context, tenant, report).await?;
    let _repeats = context.budget.reserve(Holder::Query, Repeats::MEMORY)?;
    let mut repeats = Repeats::default();
    for (at, meta) in snapshot.blocks.iter().enumerate() {
        progress(&format!("tenant {tenant}: block"), at + 1, snapshot.blocks.len());
        report.counts.blocks += 1;
        report.counts.bytes += objects.get(&meta.id).copied().unwrap_or(0);
        block::check(options, context, &catalog, meta, &mut repeats, report).await?;
    }
    report.counts.repeated_spans += repeats.count();
    // Of a catalog that was set back what is garbage is not known.
    let may_delete = options.repair && !restored;
    orphans(options, context, &catalog, &objects, may_delete, report).await?;
    Ok(Some((*catalog.snapshot()).clone()))
}

/// Opens the catalog, or tells its damage.
async fn open(
    context: &CheckContext,
    tenant: &TenantId,
) -> Result<Result<Catalog, CatalogError>, CheckError> {
    let (store, randomness) = (Arc::clone(&context.store), Arc::clone(&context.randomness));
    match Catalog::open(store, tenant.clone(), randomness).await {
        Err(error) if error.kind() != ErrorKind::Corrupt => Err(error.into()),
        opened => Ok(opened),
    }
}

fn unreadable(tenant: &TenantId, error: &CatalogError, whole: Option<u64>) -> Finding {
    let lost = match whole {
        Some(version) => {
            format!("all blocks of {tenant} until it is repaired; then what came after version {version}")
        }
        None => format!("all blocks of {tenant}: no snapshot of the catalog is whole"),
    };
    Finding::damage(catalog_prefix(tenant), error).losing(lost)
}

/// Checks the older snapshots; the newest version that is whole.
async fn snapshots(
    context: &CheckContext,
    tenant: &TenantId,
    report: &mut Report,
) -> Result<Option<u64>, CheckError> {
    let listed = list(context, &catalog_prefix(tenant)).await?;
    let mut versions: Vec<u64> =
        listed.iter().filter_map(|object| snapshot_version(&object.location)).collect();
    versions.sort_unstable();
    if versions.windows(2).any(|pair| pair[1] != pair[0] + 1) {
        report.add(Finding::note(catalog_prefix(tenant), "there are gaps between the snapshots"));
    }
    let (mut whole, newest) = (None, versions.last().copied());
    for version in versions {
        match read_snapshot(&*context.store, tenant, version).await {
            Ok(_) => whole = Some(version),
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error.into()),
            // Told where the catalog is opened.
            Err(_) if Some(version) == newest => {}
            Err(error) => {
                let older = Finding::damage(snapshot_path(tenant, version), error);
                report.add(older.losing("nothing: there is a newer one"));
            }
        }
    }
    Ok(whole)
}

/// Whether a snapshot says things that cannot be.
fn consistent(tenant: &TenantId, snapshot: &Snapshot, report: &mut Report) {
    let place = snapshot_path(tenant, snapshot.version);
    let mut known = HashSet::new();
    for meta in &snapshot.blocks {
        if !known.insert(meta.id) {
            report.add(Finding::damage(&place, format!("names block {} twice", meta.id)));
        }
    }
    let mut ranges: Vec<(&WalRange, &BlockMeta)> =
        snapshot.blocks.iter().filter_map(|meta| Some((meta.wal.as_ref()?, meta))).collect();
    ranges.sort_by_key(|(range, _)| (&range.writer, range.first));
    for pair in ranges.windows(2) {
        let ((before, one), (after, other)) = (pair[0], pair[1]);
        if before.writer == after.writer && after.first <= before.last {
            let told = format!("blocks {} and {} both have log record {}", one.id, other.id, after.first);
            report.add(Finding::damage(&place, told));
        }
    }
    for (range, meta) in ranges {
        if snapshot.covered_through(&range.writer) < range.last {
            let told = format!("does not say that the log records of block {} are in a block", meta.id);
            report.add(Finding::damage(&place, told));
        }
    }
}

async fn objects(
    context: &CheckContext,
    tenant: &TenantId,
    report: &mut Report,
) -> Result<Objects, CheckError> {
    let prefix = blocks_prefix(tenant);
    let mut objects = Objects::new();
    for object in list(context, &prefix).await? {
        let folder = object.location.prefix_match(&prefix).and_then(|mut parts| parts.next());
        match folder.and_then(|folder| folder.as_ref().parse::<BlockId>().ok()) {
            Some(id) => *objects.entry(id).or_default() += object.size,
            None => report.add(Finding::note(&object.location, "belongs to no block; left alone")),
        }
    }
    Ok(objects)
}

/// Blocks that no catalog names and that no removal is waiting for.
async fn orphans(
    options: &CheckOptions,
    context: &CheckContext,
    catalog: &Catalog,
    objects: &Objects,
    may_delete: bool,
    report: &mut Report,
) -> Result<(), CheckError> {
    // Read after the list, so that a block that was committed in between is known.
    let snapshot = catalog.refresh().await?;
    let named = snapshot.blocks.iter().map(|meta| meta.id);
    let known: HashSet<BlockId> = named.chain(snapshot.tombstones.iter().map(|gone| gone.id)).collect();
    let age = UnixNanos::try_from(options.orphan_age.as_nanos()).unwrap_or(UnixNanos::MAX);
    let now = context.clock.now();
    for (id, bytes) in objects.iter().filter(|(id, _)| !known.contains(id)) {
        let folder = crate::paths::block_prefix(catalog.tenant(), *id);
        let is_old = id.created().saturating_add(age) <= now;
        let told = match is_old {
            true => format!("no catalog names it ({bytes} bytes): left over from a crash"),
            false => format!("no catalog names it yet ({bytes} bytes): it may be under construction"),
        };
        let finding = Finding::note(&folder, told);
        if is_old && may_delete {
            repair::delete_folder(context, &folder).await?;
            report.add(finding.done("deleted"));
        } else {
            report.add(finding);
        }
    }
    Ok(())
}
