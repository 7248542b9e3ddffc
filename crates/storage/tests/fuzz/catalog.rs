//! A snapshot of the catalog is read or refused, and what was read is written and read as the same.

use std::sync::Arc;

use futures::executor::block_on;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use vivace_base::SystemRandomness;
use vivace_model::TenantId;
use vivace_storage::{Catalog, CatalogError, Snapshot, paths};
use vivace_testkit::fuzz::Target;

pub(crate) const TARGET: Target = Target { name: "catalog", check, memory: 512 << 10, memory_per_byte: 64 };

/// How a snapshot ends since format 3, but for the digits of the checksum.
const CHECKSUM: &[u8] = b",\"crc32\":\"";

fn check(document: &[u8]) {
    check_document(document);
    if let Some(repaired) = repaired(document) {
        check_document(&repaired);
    }
}

/// The document with the checksum that it should end with, if it has one.
fn repaired(document: &[u8]) -> Option<Vec<u8>> {
    let at = document.windows(CHECKSUM.len()).rposition(|window| window == CHECKSUM)?;
    let crc = crc32fast::hash(&document[..at]);
    Some([&document[..at], CHECKSUM, format!("{crc:08x}\"}}").as_bytes()].concat())
}

fn check_document(document: &[u8]) {
    block_on(async {
        // The version is in the object's name too. Where there is none to be seen, any will do.
        let parsed: Option<serde_json::Value> = serde_json::from_slice(document).ok();
        let version = parsed.and_then(|value| value.get("version")?.as_u64()).unwrap_or(1);
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = paths::snapshot_path(&TenantId::single(), version);
        store.put(&path, PutPayload::from(document.to_vec())).await.expect("memory takes it");
        match open(&store).await {
            Ok(catalog) => writes_what_it_read(&store, &catalog).await,
            Err(error) => assert!(error.to_string().contains(path.as_ref()), "{error} does not name {path}"),
        }
    });
}

async fn open(store: &Arc<dyn ObjectStore>) -> Result<Catalog, CatalogError> {
    Catalog::open(Arc::clone(store), TenantId::single(), Arc::new(SystemRandomness)).await
}

async fn writes_what_it_read(store: &Arc<dyn ObjectStore>, catalog: &Catalog) {
    let read = catalog.snapshot();
    let written = match catalog.commit(|newest| Some(newest.clone())).await {
        Ok(written) => written,
        Err(error) => panic!("{error} after version {}", read.version),
    };
    assert_eq!(*written, Snapshot { version: read.version + 1, ..(*read).clone() });
    let again = open(store).await.expect("what was written is read").snapshot();
    assert_eq!(again, written);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{example, found, run};

    fn seeds() -> Vec<Vec<u8>> {
        let all = ["catalog-v1.json", "catalog-v2.json", "catalog-v3.json"].map(example);
        let last =
            String::from_utf8_lossy(&all[2]).replace("\"version\":9", &format!("\"version\":{}", u64::MAX));
        [all.to_vec(), vec![last.into_bytes()], found("catalog")].concat()
    }

    #[test]
    fn mutated_snapshots_are_read_or_refused() {
        run(&TARGET, seeds, 20_000);
    }
}
