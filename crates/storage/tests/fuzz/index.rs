//! An index is read or refused, and a block answers the same questions whatever its index is.

use std::sync::Arc;

use futures::executor::block_on;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use vivace_base::{ByteSize, MemoryBudget};
use vivace_model::{TenantId, TraceId};
use vivace_storage::block::SPANS_FILE;
use vivace_storage::index::{
    BlockIndex, INDEX_FILE, IndexError, IndexScope, IndexedValues, LISTED_KEYS, TraceHash, ValueHash,
};
use vivace_storage::{BlockReader, paths};
use vivace_testkit::fuzz::Target;

use crate::block::meta;

/// Chunks are compressed, and each is reserved with what is made of it before it is unpacked: [`BUDGET`] and what is
/// built of the block's own rows.
pub(crate) const TARGET: Target =
    Target { name: "index", check, memory: 2 * BUDGET as usize, memory_per_byte: 64 };

const BUDGET: u64 = 16 << 20;
/// The block beside the index.
const SPANS: &[u8] = include_bytes!("../../testdata/block-v3/spans.parquet");

/// In place of a reference, in input that [`assemble`] makes an index of: to the next of the section's chunks.
pub(crate) const REFERENCE: &[u8; 20] = b"<reference to chunk>";
/// The first byte of input that is an index as it is. Any other input is for [`assemble`].
const RAW: u8 = b'v';

fn check(input: &[u8]) {
    let index = if input.first() == Some(&RAW) { input.to_vec() } else { assemble(input) };
    block_on(async {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (tenant, meta) = (TenantId::single(), meta(SPANS.len()));
        let folder = paths::block_prefix(&tenant, meta.id);
        let path = folder.clone().join(INDEX_FILE);
        store.put(&folder.join(SPANS_FILE), PutPayload::from_static(SPANS)).await.expect("memory takes it");
        store.put(&path, PutPayload::from(index)).await.expect("memory takes it");
        let budget = MemoryBudget::new(ByteSize::from_bytes(BUDGET));
        match BlockIndex::open(Arc::clone(&store), path.clone(), &budget).await {
            Ok(index) => tags(&index, path.as_ref(), &budget).await,
            Err(error) => names_the_object(&error, path.as_ref()),
        }
        let reader = BlockReader::open(store, &tenant, &meta).await.expect("the block is whole");
        traces(&reader, &budget).await;
        zones(&reader, &budget).await;
        summaries(&reader, &budget).await;
        edges(&reader, &budget).await;
        drop(reader);
        assert_eq!(budget.reserved().bytes(), 0, "what was reserved is given back");
    });
}

fn names_the_object(error: &IndexError, path: &str) {
    assert!(matches!(error, IndexError::NoMemory(_)) || error.to_string().contains(path), "{error}");
}

async fn tags(index: &BlockIndex, path: &str, budget: &Arc<MemoryBudget>) {
    match index.tags(budget).await {
        Ok(None) => {}
        Ok(Some(tags)) => {
            let keys: Vec<_> = tags.keys().map(|(scope, key)| (scope, key.to_owned())).collect();
            for (scope, key) in keys.into_iter().take(100) {
                match tags.values(scope, &key, budget).await {
                    Ok(IndexedValues::Listed(values)) => assert!(values.iter().count() < 1 << 24),
                    Ok(IndexedValues::Many) => {}
                    Ok(IndexedValues::Absent) => panic!("{scope:?} {key} is a key"),
                    Err(error) => names_the_object(&error, path),
                }
            }
        }
        Err(error) => names_the_object(&error, path),
    }
}

async fn traces(reader: &BlockReader, budget: &Arc<MemoryBudget>) {
    if let Ok(ids) = reader.trace_ids(budget).await {
        assert!(ids.find(TraceHash::of(&TraceId([7; 16]))).all(|entry| entry < ids.len()));
        assert!(ids.iter().all(|(_, entry)| entry < ids.len()));
    }
    if let Ok(runs) = reader.trace_runs(budget).await {
        assert_eq!(runs.row_count(), reader.row_count());
        let mut next = 0;
        for entry in 0..runs.len() {
            let (rows, range) = (runs.rows(entry), runs.range(entry));
            assert!(rows.start == next && rows.end > next, "trace {entry} has rows {rows:?} after {next}");
            assert!(range.start <= range.end, "trace {entry} takes {range:?}");
            assert!(runs.root(entry).is_none_or(|root| rows.contains(&root)), "trace {entry} in {rows:?}");
            next = rows.end;
        }
    }
}

async fn zones(reader: &BlockReader, budget: &Arc<MemoryBudget>) {
    let _ = reader.has_zones(budget).await;
    let names: Vec<String> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let hashes = [ValueHash::of("checkout"), ValueHash::of_key(IndexScope::Span, "http.method")];
    for name in names.iter().map(String::as_str).chain([LISTED_KEYS]) {
        let Ok(Some(zones)) = reader.zones(name, budget).await else { continue };
        for zone in [0, 1, usize::MAX] {
            let any = hashes.iter().any(|hash| zones.may_have(zone, *hash));
            let _ = (any, zones.may_have_any(zone), zones.may_overlap(zone, &(0..=1), &(0.0..=1.0)));
        }
        let _ = zones.may_have_anywhere(hashes[0]);
    }
}

async fn summaries(reader: &BlockReader, budget: &Arc<MemoryBudget>) {
    let Ok(Some(summaries)) = reader.summaries(budget).await else { return };
    for (at, table) in summaries.tables().iter().enumerate().take(100) {
        for chunk in table.chunks(0, u64::MAX).take(100) {
            let Ok(Some(cells)) = reader.summary_chunk((at, chunk), budget).await else { continue };
            cells.for_each(|group, _, _| {
                let _ = (summaries.service(group.service), summaries.name(group.name));
            });
        }
        let _ = table.counts();
    }
}

async fn edges(reader: &BlockReader, budget: &Arc<MemoryBudget>) {
    let Ok(Some(edges)) = reader.edges(budget).await else { return };
    for chunk in edges.chunks(0, u64::MAX).take(100) {
        let Ok(Some(cells)) = reader.edge_chunk(chunk, budget).await else { continue };
        cells
            .for_each(|cell| assert!(cell.client_latencies.is_sorted() && cell.server_latencies.is_sorted()));
    }
}

/// An index of sections that are given unpacked, each as its kind, one byte; its root, two bytes of length and the bytes;
/// the number of its chunks, one byte, and each as the root is. So checksums and compression hide nothing from a fuzzer.
/// What the input lacks is empty.
fn assemble(mut input: &[u8]) -> Vec<u8> {
    let (mut sections, mut body) = (Vec::new(), Vec::new());
    while let Some((kind, rest)) = input.split_first() {
        input = rest;
        let mut root = sized(&mut input).to_vec();
        let mut chunks = Vec::new();
        for _ in 0..byte(&mut input) {
            let reference = pack(sized(&mut input), 0, &mut chunks);
            if let Some(at) = root.windows(REFERENCE.len()).position(|window| window == REFERENCE) {
                root[at..at + REFERENCE.len()].copy_from_slice(&reference);
            }
        }
        sections.push((*kind, root, chunks));
    }
    sections.truncate(256);
    let mut header = [&b"vivaceix\x01\0\0\0"[..], &(sections.len() as u32).to_le_bytes()].concat();
    let first = header.len() + 24 * sections.len() + 4;
    for (kind, root, chunks) in sections {
        let reference = pack(&root, first as u64, &mut body);
        body.extend_from_slice(&chunks);
        header.extend_from_slice(&u32::from(kind).to_le_bytes());
        header.extend_from_slice(&reference);
    }
    let crc = crc32fast::hash(&header);
    [header, crc.to_le_bytes().to_vec(), body].concat()
}

fn byte(input: &mut &[u8]) -> u8 {
    let Some((first, rest)) = input.split_first() else { return 0 };
    *input = rest;
    *first
}

fn sized<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::from(u16::from_le_bytes([byte(input), byte(input)])).min(input.len());
    let (taken, rest) = input.split_at(length);
    *input = rest;
    taken
}

/// Adds a chunk to others, and gives the reference to it.
fn pack(chunk: &[u8], base: u64, chunks: &mut Vec<u8>) -> Vec<u8> {
    let packed = zstd::bulk::compress(chunk, 1).expect("bytes are compressed");
    let offset = base + chunks.len() as u64;
    let numbers = [packed.len() as u32, chunk.len() as u32, crc32fast::hash(&packed)];
    chunks.extend_from_slice(&packed);
    [&offset.to_le_bytes()[..], &numbers.map(u32::to_le_bytes).concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{example, found, run};

    /// What [`assemble`] makes a whole index of again.
    fn taken_apart(index: &[u8]) -> Vec<u8> {
        let number =
            |at: usize| u32::from_le_bytes(index[at..at + 4].try_into().expect("four bytes")) as usize;
        let chunk = |reference: &[u8], base: usize| {
            let offset = usize::from_le_bytes(reference[..8].try_into().expect("eight bytes"));
            let length = u32::from_le_bytes(reference[8..12].try_into().expect("four bytes")) as usize;
            let start = base.checked_add(offset).filter(|start| *start < index.len())?;
            let stored = index.get(start..start + length)?;
            let intact = length > 0 && reference[16..] == crc32fast::hash(stored).to_le_bytes();
            intact.then(|| (zstd::stream::decode_all(stored).expect("a chunk"), start + length))
        };
        let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_le_bytes()[..], bytes].concat();
        let mut input = Vec::new();
        for section in 0..number(12) {
            let at = 16 + 24 * section;
            let (mut root, end) = chunk(&index[at + 4..at + 24], 0).expect("a root");
            let (mut chunks, mut place) = (Vec::new(), 0);
            while let Some(window) = root.get(place..place + REFERENCE.len()) {
                if let Some((bytes, _)) = chunk(window, end) {
                    root[place..place + REFERENCE.len()].copy_from_slice(REFERENCE);
                    chunks.push(bytes);
                    place += REFERENCE.len();
                } else {
                    place += 1;
                }
            }
            input.push(number(at) as u8);
            input.extend(sized(&root));
            input.push(chunks.len() as u8);
            chunks.iter().for_each(|chunk| input.extend(sized(chunk)));
        }
        input
    }

    fn seeds() -> Vec<Vec<u8>> {
        let raw = ["block-v1/index.bin", "block-v3/index.bin"].map(example);
        let apart: Vec<_> = raw.iter().map(|index| taken_apart(index)).collect();
        [raw.to_vec(), apart, found("index")].concat()
    }

    #[test]
    fn an_index_taken_apart_and_assembled_is_whole() {
        let path = object_store::path::Path::from(INDEX_FILE);
        block_on(async {
            let assembled = assemble(&taken_apart(&example("block-v3/index.bin")));
            let store = InMemory::new();
            store.put(&path, assembled.into()).await.expect("memory takes it");
            let budget = MemoryBudget::new(ByteSize::from_bytes(BUDGET));
            let index = BlockIndex::open(Arc::new(store), path, &budget).await.expect("opens");
            assert!(index.trace_runs(&budget).await.expect("reads").is_some());
            let tags = index.tags(&budget).await.expect("reads").expect("has tags");
            for (scope, key) in tags.keys() {
                tags.values(scope, key, &budget).await.expect("reads");
            }
        });
    }

    #[test]
    fn mutated_indexes_are_read_or_refused() {
        run(&TARGET, seeds, 2_000);
    }
}
