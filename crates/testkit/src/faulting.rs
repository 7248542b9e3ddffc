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

use crate::{Fuse, SeededRandomness};

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
    /// The caller hears of a failure, and a write in one go happens when [`FaultingStore::land_late_writes`] says so:
    /// after whatever the caller did about it. Nothing else happens late.
    Late,
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
    fuse: Arc<Fuse>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the next calls do, in order; [`None`] succeeds.
    scripted: BTreeMap<Operation, VecDeque<Option<Fault>>>,
    /// Per operation, in how many of a hundred calls it fails before and after the effect.
    percentages: BTreeMap<Operation, (u64, u64)>,
    /// In how many of a hundred writes the effect comes late.
    late_percent: u64,
    late: Vec<LateWrite>,
    calls: BTreeMap<Operation, u64>,
}

type LateWrite = (Path, PutPayload, PutOptions);

impl FaultingStore {
    /// A store that does not fail yet.
    pub fn new(inner: Arc<dyn ObjectStore>, seed: u64) -> Self {
        Self::with_fuse(inner, Arc::default(), SeededRandomness::new(seed))
    }

    /// The same, for a process that ends when the fuse blows.
    pub fn with_fuse(inner: Arc<dyn ObjectStore>, fuse: Arc<Fuse>, random: SeededRandomness) -> Self {
        let plan = Plan { random, fuse, state: Mutex::default() };
        Self { inner, plan: Arc::new(plan) }
    }

    /// From now on `operation` fails in so many of a hundred calls before, and in so many after its effect.
    pub fn fail_at_random(&self, operation: Operation, before_percent: u64, after_percent: u64) {
        self.plan.locked(|state| state.percentages.insert(operation, (before_percent, after_percent)));
    }

    /// From now on so many of a hundred writes in one go are [`Fault::Late`].
    pub fn delay_at_random(&self, percent: u64) {
        self.plan.locked(|state| state.late_percent = percent);
    }

    /// Late writes happen now, in the order they were asked for. Those that may not overwrite do not.
    pub async fn land_late_writes(&self) {
        for (location, payload, options) in self.plan.locked(|state| std::mem::take(&mut state.late)) {
            // Nobody is there any more to hear of a refusal.
            let _ = self.inner.put_opts(&location, payload, options).await;
        }
    }

    /// The next call of `operation` that is not scripted yet fails like this.
    pub fn fail_next(&self, operation: Operation, fault: Fault) {
        self.script(operation, Some(fault));
    }

    /// The next call of `operation` that is not scripted yet succeeds.
    pub fn pass_next(&self, operation: Operation) {
        self.script(operation, None);
    }

    /// What ends the process that uses the store.
    pub fn fuse(&self) -> &Fuse {
        &self.plan.fuse
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.plan.locked(|state| {
            state.scripted.clear();
            state.percentages.clear();
            state.late_percent = 0;
        });
        self.plan.fuse.disarm();
    }

    /// How often `operation` was asked for.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.plan.locked(|state| state.calls.get(&operation).copied().unwrap_or(0))
    }

    fn script(&self, operation: Operation, fault: Option<Fault>) {
        self.plan.locked(|state| state.scripted.entry(operation).or_default().push_back(fault));
    }
}

impl Plan {
    fn locked<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn next(&self, operation: Operation) -> Option<Fault> {
        self.locked(|state| {
            *state.calls.entry(operation).or_default() += 1;
            if let Some(last) = self.fuse.next() {
                return Some(last);
            }
            if let Some(scripted) = state.scripted.get_mut(&operation).and_then(VecDeque::pop_front) {
                return scripted;
            }
            let (before, after) = state.percentages.get(&operation).copied().unwrap_or_default();
            let late = if operation == Operation::Put { state.late_percent } else { 0 };
            if before + after + late == 0 {
                return None;
            }
            match self.random.below(100) {
                drawn if drawn < before => Some(Fault::BeforeEffect),
                drawn if drawn < before + after => Some(Fault::AfterEffect),
                drawn if drawn < before + after + late => Some(Fault::Late),
                _ => None,
            }
        })
    }

    async fn run<T>(&self, operation: Operation, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next(operation) {
            None => call.await,
            Some(Fault::BeforeEffect | Fault::Late) => Err(failure(operation)),
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
        match self.plan.next(Operation::Put) {
            None => self.inner.put_opts(location, payload, opts).await,
            Some(Fault::BeforeEffect) => Err(failure(Operation::Put)),
            Some(Fault::AfterEffect) => {
                self.inner.put_opts(location, payload, opts).await.and(Err(failure(Operation::Put)))
            }
            Some(Fault::Late) => {
                self.plan.locked(|state| state.late.push((location.clone(), payload, opts)));
                Err(failure(Operation::Put))
            }
        }
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
