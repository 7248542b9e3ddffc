use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::io_error;
use crate::StoreError;
use crate::durable::sync_dirs_up_to;

/// How many abandoned temporary files of one object are stepped over before giving up.
const MAX_STAGING_NAMES: u32 = 1000;

/// A directory as an object store whose writes survive power loss: `object_store`'s own leaves them to the page cache.
/// An object that exists is whole.
#[derive(Debug, Clone)]
pub struct LocalStore {
    inner: LocalFileSystem,
    root: PathBuf,
}

impl LocalStore {
    /// The store in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be made or read.
    pub fn open(dir: &Path) -> std::result::Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|e| io_error("create", dir, e))?;
        let root = dir.canonicalize().map_err(|e| io_error("read", dir, e))?;
        sync_dirs_up_to(&root, root.parent().unwrap_or(&root)).map_err(|e| io_error("sync", &root, e))?;
        let inner = LocalFileSystem::new_with_prefix(&root).map_err(|e| StoreError::Open {
            url: root.display().to_string(),
            source: std::sync::Arc::new(e),
        })?;
        Ok(Self { inner, root })
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let plain = opts.attributes.is_empty() && !matches!(opts.mode, PutMode::Update(_));
        if !plain {
            // Refused there, in its words.
            return self.inner.put_opts(location, payload, opts).await;
        }
        let path = self.inner.path_to_filesystem(location)?;
        let root = self.root.clone();
        blocking(move || {
            let overwrite = opts.mode == PutMode::Overwrite;
            put(&path, &root, &payload, overwrite).map_err(|error| as_store_error(error, &path))
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(SyncedUpload { inner, path, root: self.root.clone() }))
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        let store = self.clone();
        let delete = move |location: Result<ObjectPath>| {
            let store = store.clone();
            async move {
                let location = location?;
                let path = store.inner.path_to_filesystem(&location)?;
                let deleted = store.inner.delete(&location).await;
                let was_gone = matches!(deleted, Err(Error::NotFound { .. }));
                blocking(move || {
                    tidy(&path, &store.root, was_gone);
                    Ok(())
                })
                .await?;
                deleted.map(|()| location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        let (path, root) = (self.inner.path_to_filesystem(to)?, self.root.clone());
        blocking(move || sync_object(&path, &root).map_err(|error| as_store_error(error, &path))).await
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalStore({})", self.root.display())
    }
}

/// Syncs the object once it is complete. Until then nothing refers to it.
#[derive(Debug)]
struct SyncedUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
    root: PathBuf,
}

#[async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        let (path, root) = (self.path.clone(), self.root.clone());
        blocking(move || sync_object(&path, &root).map_err(|error| as_store_error(error, &path))).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// Writes aside, syncs, and only then gives the object its name, so that it never exists in part.
fn put(path: &Path, root: &Path, payload: &PutPayload, overwrite: bool) -> io::Result<()> {
    let parent = path.parent().unwrap_or(root);
    std::fs::create_dir_all(parent)?;
    let (mut file, staged) = stage(path)?;
    let named = payload.iter().try_for_each(|chunk| file.write_all(chunk)).and_then(|()| {
        file.sync_all()?;
        if overwrite { std::fs::rename(&staged, path) } else { std::fs::hard_link(&staged, path) }
    });
    if named.is_err() || !overwrite {
        // What is left behind is never listed and never read.
        let _ = std::fs::remove_file(&staged);
    }
    named?;
    sync_dirs_up_to(parent, root)
}

/// A new temporary file, named so that `LocalFileSystem` does not take it for an object.
fn stage(path: &Path) -> io::Result<(File, PathBuf)> {
    for number in 1..=MAX_STAGING_NAMES {
        let name = staging_name(path, number);
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(file) => return Ok((file, name)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "{MAX_STAGING_NAMES} temporary files are in the way: delete {}#*",
        path.display()
    )))
}

/// After an object was deleted its folder goes, if nothing else is in it; a folder that stays does no harm. If there was
/// no object, what uploads of it left that were broken off goes too: nobody else would find it.
fn tidy(path: &Path, root: &Path, was_gone: bool) {
    if was_gone {
        let staged = (1..=MAX_STAGING_NAMES).map(|number| staging_name(path, number));
        staged.take_while(|name| std::fs::remove_file(name).is_ok()).for_each(drop);
    }
    if let Some(folder) = path.parent().filter(|folder| *folder != root) {
        let _ = std::fs::remove_dir(folder);
    }
}

fn staging_name(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{number}"));
    name.into()
}

fn sync_object(path: &Path, root: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_dirs_up_to(path.parent().unwrap_or(root), root)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

fn as_store_error(error: io::Error, path: &Path) -> Error {
    let shown = path.display().to_string();
    match error.kind() {
        ErrorKind::AlreadyExists => Error::AlreadyExists { path: shown, source: error.into() },
        ErrorKind::PermissionDenied => Error::PermissionDenied { path: shown, source: error.into() },
        _ => Error::Generic { store: "LocalStore", source: format!("cannot write {shown}: {error}").into() },
    }
}
