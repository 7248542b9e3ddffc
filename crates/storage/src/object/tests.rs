use object_store::memory::InMemory;
use tempfile::TempDir;
use vivace_base::ErrorKind;
use vivace_testkit::{Fault, FaultingStore, Operation, SeededRandomness};

use super::*;

fn local() -> (TempDir, LocalStore) {
    let dir = TempDir::new().expect("made");
    let store = LocalStore::open(&dir.path().join("objects")).expect("opens");
    (dir, store)
}

async fn read(store: &dyn ObjectStore, path: &str) -> Option<Vec<u8>> {
    let found = store.get(&ObjectPath::from(path)).await.ok()?;
    Some(found.bytes().await.expect("readable").to_vec())
}

fn create(
    store: &dyn ObjectStore,
    path: &str,
    bytes: &'static [u8],
) -> impl Future<Output = object_store::Result<()>> {
    let path = ObjectPath::from(path);
    async move { store.put_opts(&path, PutPayload::from_static(bytes), PutMode::Create.into()).await.map(drop) }
}

#[tokio::test]
async fn local_objects_are_created_once_overwritten_and_listed() {
    let (_dir, store) = local();
    create(&store, "a/b/c.json", b"one").await.expect("created");
    let again = create(&store, "a/b/c.json", b"two").await.expect_err("taken");
    assert!(matches!(again, object_store::Error::AlreadyExists { .. }), "{again}");
    assert_eq!(read(&store, "a/b/c.json").await, Some(b"one".to_vec()));
    store.put(&ObjectPath::from("a/b/c.json"), PutPayload::from_static(b"three")).await.expect("overwritten");
    assert_eq!(read(&store, "a/b/c.json").await, Some(b"three".to_vec()));
    let listed = store.list_with_delimiter(Some(&ObjectPath::from("a/b"))).await.expect("listed");
    let names: Vec<_> = listed.objects.iter().map(|object| object.location.as_ref()).collect();
    assert_eq!(names, ["a/b/c.json"]);
    assert_eq!(read(&store, "a/b/none").await, None);
}

#[tokio::test]
async fn a_local_put_leaves_no_temporary_file_and_steps_over_abandoned_ones() {
    let (dir, store) = local();
    let folder = dir.path().join("objects/a");
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(folder.join("x#1"), b"torn").expect("written");
    create(&store, "a/x", b"whole").await.expect("created");
    create(&store, "a/x", b"other").await.expect_err("taken");
    assert_eq!(read(&store, "a/x").await, Some(b"whole".to_vec()));
    let mut names: Vec<_> =
        std::fs::read_dir(&folder).expect("readable").map(|e| e.expect("readable").file_name()).collect();
    names.sort();
    assert_eq!(names, ["x", "x#1"]);
}

#[tokio::test]
async fn local_uploads_in_parts_are_whole() {
    let (_dir, store) = local();
    let mut upload = store.put_multipart(&ObjectPath::from("b/parts")).await.expect("started");
    for part in [b"one".as_slice(), b"two"] {
        upload.put_part(PutPayload::from(part.to_vec())).await.expect("written");
    }
    assert_eq!(read(&store, "b/parts").await, None);
    upload.complete().await.expect("completed");
    assert_eq!(read(&store, "b/parts").await, Some(b"onetwo".to_vec()));
}

#[tokio::test]
async fn of_many_writers_at_once_one_creates() {
    let (_dir, store) = local();
    let attempts = (0..20).map(|_| create(&store, "contended", b"x"));
    let created = futures::future::join_all(attempts).await.iter().filter(|result| result.is_ok()).count();
    assert_eq!(created, 1);
}

#[tokio::test]
async fn the_default_url_is_a_folder_of_the_data_dir() {
    let dir = TempDir::new().expect("made");
    let url = default_url(dir.path()).expect("a URL");
    let store = open_store(&url).expect("opens");
    store.put(&ObjectPath::from("x"), PutPayload::from_static(b"y")).await.expect("written");
    assert_eq!(std::fs::read(dir.path().join("objects/x")).expect("there"), b"y");
}

#[test]
fn urls_that_cannot_be_used_are_refused_with_the_reason() {
    for (url, reason) in [
        ("", "cannot be read"),
        ("vivace-data", "cannot be read"),
        ("ftp://host/dir", "unknown scheme `ftp`"),
        ("file://dir/sub", "has the host `dir`"),
        ("s3:///prefix", "names no bucket"),
        ("s3://bucket/prefix?region=x", "`?` or `#`"),
    ] {
        let error = open_store(url).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
        let message = error.to_string();
        assert!(message.contains(reason) && message.contains(url), "{url}: {message}");
    }
}

#[test]
fn credentials_in_a_url_are_refused_and_not_repeated() {
    let message = open_store("s3://key:secret@bucket/prefix").expect_err("credentials").to_string();
    assert!(message.contains("belong in the environment"), "{message}");
    assert!(!message.contains("secret") && !message.contains("key"), "{message}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = TempDir::new().expect("made");
    let file = dir.path().join("file");
    std::fs::write(&file, b"").expect("written");
    let error = LocalStore::open(&file.join("objects")).expect_err("below a file");
    assert!(error.to_string().contains("file/objects"), "{error}");
}

async fn probe(store: &dyn ObjectStore) -> Result<(), StoreError> {
    probe_put_if_absent(store, "s3://bucket", &SeededRandomness::new(1)).await
}

#[tokio::test]
async fn the_probe_passes_where_put_if_absent_works_and_leaves_nothing() {
    let (dir, store) = local();
    probe(&store).await.expect("supported");
    assert_eq!(std::fs::read_dir(dir.path().join("objects")).expect("readable").count(), 0);
    probe(&InMemory::new()).await.expect("supported");
}

#[tokio::test]
async fn the_probe_finds_a_store_that_overwrites() {
    let inner = Arc::new(InMemory::new());
    let error = probe(&Careless(Arc::clone(&inner), true)).await.expect_err("overwrites");
    let message = error.to_string();
    assert!(matches!(error, StoreError::NoPutIfAbsent { .. }), "{message}");
    let start = "the object store at s3://bucket does not support put-if-absent (conditional PUT, If-None-Match: *), \
                 which Vivace's catalog needs";
    assert!(message.starts_with(start), "{message}");
    assert!(inner.list_with_delimiter(None).await.expect("listed").objects.is_empty());
}

#[tokio::test]
async fn the_probe_finds_a_store_that_refuses_conditions() {
    let error = probe(&Careless(Arc::new(InMemory::new()), false)).await.expect_err("refuses");
    assert!(matches!(error, StoreError::NoPutIfAbsent { .. }), "{error}");
    assert!(error.to_string().contains("not yet implemented"), "{error}");
}

#[tokio::test]
async fn the_probe_tells_a_broken_store_from_one_without_conditions() {
    let store = FaultingStore::new(Arc::new(InMemory::new()), 1);
    store.fail_at_random(Operation::Put, 100, 0);
    let error = probe(&store).await.expect_err("broken");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("s3://bucket failed to write an object"), "{error}");
    store.heal();
    store.fail_next(Operation::Delete, Fault::BeforeEffect);
    let error = probe(&store).await.expect_err("may not delete");
    assert!(error.to_string().contains("failed to delete an object"), "{error}");
}

/// Ignores the condition of a put, or refuses to hear of one.
#[derive(Debug)]
struct Careless(Arc<InMemory>, bool);

impl std::fmt::Display for Careless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Careless")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Careless {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        opts: object_store::PutOptions,
    ) -> object_store::Result<object_store::PutResult> {
        if opts.mode == PutMode::Create && !self.1 {
            let (operation, implementer) = ("conditional put".to_owned(), "Careless".to_owned());
            return Err(object_store::Error::NotImplemented { operation, implementer });
        }
        self.0.put(location, payload).await
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        opts: object_store::PutMultipartOptions,
    ) -> object_store::Result<Box<dyn object_store::MultipartUpload>> {
        self.0.put_multipart_opts(location, opts).await
    }

    async fn get_opts(
        &self,
        location: &ObjectPath,
        options: object_store::GetOptions,
    ) -> object_store::Result<object_store::GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: futures::stream::BoxStream<'static, object_store::Result<ObjectPath>>,
    ) -> futures::stream::BoxStream<'static, object_store::Result<ObjectPath>> {
        self.0.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> futures::stream::BoxStream<'static, object_store::Result<object_store::ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> object_store::Result<object_store::ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: object_store::CopyOptions,
    ) -> object_store::Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_local_store_keeps_no_empty_folders_and_no_broken_uploads() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(dir.path()).expect("opens");
    let [first, second] = ["a/b/first", "a/b/second"].map(ObjectPath::from);
    for path in [&first, &second] {
        store.put(path, PutPayload::from_static(b"x")).await.expect("puts");
    }
    let folder = dir.path().join("a/b");
    std::fs::write(folder.join("second#1"), b"half").expect("writes");
    store.delete(&first).await.expect("deletes");
    store.delete(&second).await.expect("deletes");
    assert!(folder.join("second#1").exists(), "it may be an upload under way");
    let error = store.delete(&second).await.expect_err("gone");
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
    assert!(!folder.exists());
    assert!(dir.path().join("a").exists(), "one level is enough: blocks are folders");
}
