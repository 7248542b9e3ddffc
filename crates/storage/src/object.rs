//! Object stores by URL, and what Vivace needs of them.

mod local;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use url::Url;
use vivace_base::Randomness;

use crate::StoreError;

pub use local::LocalStore;

/// The folder under the data directory that holds the objects when no URL is given.
const DEFAULT_FOLDER: &str = "objects";

/// The URL of the store that is used when none is configured: a folder of the data directory.
///
/// # Errors
/// [`StoreError::Io`] when the working directory is unknown, [`StoreError::InvalidUrl`] when the path has no URL.
pub fn default_url(data_dir: &Path) -> Result<String, StoreError> {
    let folder = data_dir.join(DEFAULT_FOLDER);
    let absolute = std::path::absolute(&folder).map_err(|e| io_error("resolve", &folder, e))?;
    let url = Url::from_file_path(&absolute).map_err(|()| {
        let url = absolute.display().to_string();
        StoreError::InvalidUrl { url, reason: "cannot be made from this data directory".to_owned() }
    })?;
    Ok(url.into())
}

/// Opens the store of a URL: `file:///DIR`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.
/// Credentials, endpoints and regions come from the environment, named as the clouds' own tools name them (`AWS_…`,
/// `GOOGLE_…`, `AZURE_…`). Nothing is asked of a remote store yet.
///
/// # Errors
/// [`StoreError`] when the URL cannot be used, a client cannot be made, or a local folder cannot be created.
pub fn open_store(url: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let parsed = parse(url)?;
    let failed = |e| StoreError::Open { url: url.to_owned(), source: Arc::new(e) };
    let store: Arc<dyn ObjectStore> = match parsed.scheme() {
        "file" => return open_local(&parsed),
        "s3" => Arc::new(AmazonS3Builder::from_env().with_url(url).build().map_err(failed)?),
        "gs" => Arc::new(GoogleCloudStorageBuilder::from_env().with_url(url).build().map_err(failed)?),
        "az" => Arc::new(MicrosoftAzureBuilder::from_env().with_url(url).build().map_err(failed)?),
        other => return Err(invalid(url, format!("has the unknown scheme `{other}`"))),
    };
    let prefix = ObjectPath::from_url_path(parsed.path())
        .map_err(|e| invalid(url, format!("has a prefix that no object can have ({e})")))?;
    if prefix.as_ref().is_empty() {
        return Ok(store);
    }
    Ok(Arc::new(PrefixStore::new(store, prefix)))
}

/// Makes sure that the store refuses to overwrite when asked to, by writing a small object twice.
///
/// # Errors
/// [`StoreError::NoPutIfAbsent`] when it does not, [`StoreError::Probe`] when it does not work at all.
pub async fn probe_put_if_absent(
    store: &dyn ObjectStore,
    url: &str,
    randomness: &dyn Randomness,
) -> Result<(), StoreError> {
    let name = format!("probe-{:016x}{:016x}", randomness.next_u64(), randomness.next_u64());
    let path = ObjectPath::from(name);
    let checked = write_twice(store, url, &path).await;
    match store.delete(&path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => checked,
        Err(source) => checked.and(Err(probe_error(url, "delete an object", source))),
    }
}

async fn write_twice(store: &dyn ObjectStore, url: &str, path: &ObjectPath) -> Result<(), StoreError> {
    let create = || store.put_opts(path, PutPayload::from_static(b"probe"), PutMode::Create.into());
    let unsupported = |detail| StoreError::NoPutIfAbsent { url: url.to_owned(), detail };
    if let Err(refusal) = create().await {
        // A store that takes plain writes but not this one has no conditional writes.
        return match store.put(path, PutPayload::from_static(b"probe")).await {
            Ok(_) => Err(unsupported(format!("it refused one with: {refusal}"))),
            Err(_) => Err(probe_error(url, "write an object", refusal)),
        };
    }
    match create().await {
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(()),
        Ok(_) => Err(unsupported("it overwrote an object that was there".to_owned())),
        Err(source) => Err(probe_error(url, "refuse to overwrite an object", source)),
    }
}

fn parse(url: &str) -> Result<Url, StoreError> {
    let parsed = Url::parse(url).map_err(|e| invalid(url, format!("cannot be read ({e})")))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let mut shown = parsed;
        // Neither can fail where one of them is set.
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
        return Err(invalid(
            shown.as_str(),
            "has credentials in it, which belong in the environment".to_owned(),
        ));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(invalid(url, "has a `?` or `#` part, which means nothing here".to_owned()));
    }
    if parsed.scheme() != "file" && parsed.host_str().is_none_or(str::is_empty) {
        return Err(invalid(url, "names no bucket".to_owned()));
    }
    Ok(parsed)
}

fn open_local(url: &Url) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let host = url.host_str().unwrap_or_default();
    if !host.is_empty() && host != "localhost" {
        let reason =
            format!("has the host `{host}`: a local directory takes three slashes and an absolute path");
        return Err(invalid(url.as_str(), reason));
    }
    let dir: PathBuf =
        url.to_file_path().map_err(|()| invalid(url.as_str(), "is no absolute path".to_owned()))?;
    Ok(Arc::new(LocalStore::open(&dir)?))
}

fn invalid(url: &str, reason: String) -> StoreError {
    StoreError::InvalidUrl { url: url.to_owned(), reason }
}

fn io_error(operation: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { operation, path: path.to_owned(), source: Arc::new(source) }
}

fn probe_error(url: &str, operation: &'static str, source: object_store::Error) -> StoreError {
    StoreError::Probe { url: url.to_owned(), operation, source: Arc::new(source) }
}

#[cfg(test)]
mod tests;
