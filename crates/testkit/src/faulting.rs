use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::SeededRandomness;

/// What is asked of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Writing an object in one go.
    Put,
    /// Starting, or writing a part of, a multipart upload.
    PutPart,
    /// Completing a multipart upload.
    Complete,
    /// Reading an object, ranges of it, or its metadata.
    Get,
    /// Listing.
    List,
    /// Deleting one object.
    Delete,
    /// Copying or renaming.
    Copy,
}

/// How a call fails. Reads and lists fail alike both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens.
    BeforeEffect,
    /// It happens, and the caller hears of a failure.
    AfterEffect,
}

/// An object store that fails when told to, or at random by a seed, and counts what it is asked.
#[derive(Debug, Clone)]
pub struct FaultingStore {
    inner: Arc<dyn ObjectStore>,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    random: SeededRandomness,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the next calls do, in order; [`None`] succeeds.
    scripted: BTreeMap<Operation, VecDeque<Option<Fault>>>,
    /// Per operation, in how many of a hundred calls it fails before and after the effect.
    percentages: BTreeMap<Operation, (u64, u64)>,
    calls: BTreeMap<Operation, u64>,
    /// How many more calls there are until nothing works any more, and how the last one fails.
    crash: Option<Crash>,
}

impl FaultingStore {
    /// A store that does not fail yet.
    pub fn new(inner: Arc<dyn ObjectStore>, seed: u64) -> Self {
        let plan = Plan { random: SeededRandomness::new(seed), state: Mutex::default() };
        Self { inner, plan: Arc::new(plan) }
    }

    /// From now on `operation` fails in so many of a hundred calls before, and in so many after its effect.
    pub fn fail_at_random(&self, operation: Operation, before_percent: u64, after_percent: u64) {
        self.plan.locked(|state| state.percentages.insert(operation, (before_percent, after_percent)));
    }

    /// The next call of `operation` that is not scripted yet fails like this.
    pub fn fail_next(&self, operation: Operation, fault: Fault) {
        self.script(operation, Some(fault));
    }

    /// The next call of `operation` that is not scripted yet succeeds.
    pub fn pass_next(&self, operation: Operation) {
        self.script(operation, None);
    }

    /// After so many more calls, of whatever operation, the process is dead to the store: the next call fails like this,
    /// and what it still tries, nothing works.
    pub fn crash_after(&self, calls: u64, last: Fault) {
        self.plan.locked(|state| state.crash = Some(Crash::After(calls, last)));
    }

    /// Whether a crash that was ordered has come.
    pub fn has_crashed(&self) -> bool {
        self.plan.locked(|state| matches!(state.crash, Some(Crash::Came)))
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.plan.locked(|state| {
            state.scripted.clear();
            state.percentages.clear();
            state.crash = None;
        });
    }

    /// How often `operation` was asked for.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.plan.locked(|state| state.calls.get(&operation).copied().unwrap_or(0))
    }

    fn script(&self, operation: Operation, fault: Option<Fault>) {
        self.plan.locked(|state| state.scripted.entry(operation).or_default().push_back(fault));
    }
}

/// The end of the process, as the store sees it.
#[derive(Debug, Clone, Copy)]
enum Crash {
    /// After so many calls, the next of which fails like this.
    After(u64, Fault),
    Came,
}

impl Plan {
    fn locked<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn next(&self, operation: Operation) -> Option<Fault> {
        self.locked(|state| {
            *state.calls.entry(operation).or_default() += 1;
            match &mut state.crash {
                Some(Crash::After(0, last)) => {
                    let last = *last;
                    state.crash = Some(Crash::Came);
                    return Some(last);
                }
                Some(Crash::After(left, _)) => *left -= 1,
                Some(Crash::Came) => return Some(Fault::BeforeEffect),
                None => {}
            }
            if let Some(scripted) = state.scripted.get_mut(&operation).and_then(VecDeque::pop_front) {
                return scripted;
            }
            let (before, after) = state.percentages.get(&operation).copied()?;
            match self.random.below(100) {
                drawn if drawn < before => Some(Fault::BeforeEffect),
                drawn if drawn < before + after => Some(Fault::AfterEffect),
                _ => None,
            }
        })
    }

    async fn run<T>(&self, operation: Operation, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next(operation) {
            None => call.await,
            Some(Fault::BeforeEffect) => Err(failure(operation)),
            Some(Fault::AfterEffect) => call.await.and_then(|_| Err(failure(operation))),
        }
    }
}

fn failure(operation: Operation) -> Error {
    Error::Generic { store: "FaultingStore", source: format!("injected failure of {operation:?}").into() }
}

#[async_trait]
impl ObjectStore for FaultingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.plan.run(Operation::Put, self.inner.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let started =
            self.plan.run(Operation::PutPart, self.inner.put_multipart_opts(location, opts)).await?;
        Ok(Box::new(FaultingUpload { inner: started, plan: Arc::clone(&self.plan) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.plan.run(Operation::Get, self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.plan.run(Operation::Get, self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .then(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    store.plan.run(Operation::Delete, store.inner.delete(&location)).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.plan.next(Operation::List) {
            None => self.inner.list(prefix),
            Some(_) => futures::stream::iter([Err(failure(Operation::List))]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.plan.run(Operation::List, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.plan.run(Operation::Copy, self.inner.copy_opts(from, to, options)).await
    }
}

impl fmt::Display for FaultingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultingStore({})", self.inner)
    }
}

#[derive(Debug)]
struct FaultingUpload {
    inner: Box<dyn MultipartUpload>,
    plan: Arc<Plan>,
}

#[async_trait]
impl MultipartUpload for FaultingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.inner.put_part(data);
        let plan = Arc::clone(&self.plan);
        Box::pin(async move { plan.run(Operation::PutPart, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.plan.run(Operation::Complete, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests;
