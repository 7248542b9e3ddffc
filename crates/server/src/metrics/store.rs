//! An object store whose requests are timed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tracing::{Instrument, Span, trace_span};
use vivace_base::{Clock, SPANS};

use super::Seconds;

/// As HTTP would have them, and Tempo has them, whatever the store is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    status_code: &'static str,
}

/// Times of requests to the object store.
#[derive(Debug, Clone)]
pub(crate) struct StoreTimes(Family<RequestLabels, Histogram, Seconds>);

impl StoreTimes {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let times = Family::new_with_constructor(Seconds);
        let help = "Time of requests to the object store, bodies that are read not included";
        registry.register("tempodb_backend_request_duration_seconds", help, Family::clone(&times));
        Self(times)
    }

    /// The store, timed.
    pub(crate) fn watch(&self, store: Arc<dyn ObjectStore>, clock: &Arc<dyn Clock>) -> Arc<dyn ObjectStore> {
        let watch = Watch { times: self.clone(), clock: Arc::clone(clock) };
        Arc::new(TimedStore { inner: store, watch })
    }
}

#[derive(Debug, Clone)]
struct Watch {
    times: StoreTimes,
    clock: Arc<dyn Clock>,
}

impl Watch {
    async fn time<T>(&self, operation: &'static str, request: impl Future<Output = Result<T>>) -> Result<T> {
        let began = self.clock.monotonic();
        let outcome = request.instrument(part_of_a_request(operation)).await;
        self.note(operation, began, outcome.as_ref().err());
        outcome
    }

    /// Times each item of a stream from the one before.
    fn time_each<T: 'static>(
        &self,
        operation: &'static str,
        items: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let watch = self.clone();
        let mut began = watch.clock.monotonic();
        items
            .inspect(move |item| {
                watch.note(operation, began, item.as_ref().err());
                began = watch.clock.monotonic();
            })
            .boxed()
    }

    fn note(&self, operation: &'static str, began: Duration, error: Option<&Error>) {
        let took = self.clock.monotonic().saturating_sub(began);
        let labels = RequestLabels { operation, status_code: error.map_or("200", status_code) };
        self.times.0.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// A span, unless it is compaction that asks.
fn part_of_a_request(operation: &'static str) -> Span {
    match Span::current() {
        outer if outer.is_none() => outer,
        _ => trace_span!(target: SPANS, "object store", otel.kind = "client", operation),
    }
}

fn status_code(error: &Error) -> &'static str {
    match error {
        Error::NotFound { .. } => "404",
        Error::AlreadyExists { .. } | Error::Precondition { .. } => "412",
        Error::NotModified { .. } => "304",
        Error::PermissionDenied { .. } => "403",
        Error::Unauthenticated { .. } => "401",
        _ => "500",
    }
}

#[derive(Debug)]
struct TimedStore {
    inner: Arc<dyn ObjectStore>,
    watch: Watch,
}

#[async_trait]
impl ObjectStore for TimedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.watch.time("PUT", self.inner.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.watch.time("POST", self.inner.put_multipart_opts(location, opts)).await?;
        Ok(Box::new(TimedUpload { inner: upload, watch: self.watch.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { "HEAD" } else { "GET" };
        self.watch.time(operation, self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.watch.time("GET", self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.watch.time_each("DELETE", self.inner.delete_stream(locations))
    }

    /// Not timed: a long list is as slow as who reads it.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.watch.time("GET", self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.watch.time("PUT", self.inner.copy_opts(from, to, options)).await
    }
}

impl fmt::Display for TimedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[derive(Debug)]
struct TimedUpload {
    inner: Box<dyn MultipartUpload>,
    watch: Watch,
}

#[async_trait]
impl MultipartUpload for TimedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, watch) = (self.inner.put_part(data), self.watch.clone());
        Box::pin(async move { watch.time("PUT", part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.watch.time("POST", self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.watch.time("DELETE", self.inner.abort()).await
    }
}

#[cfg(test)]
mod tests;
