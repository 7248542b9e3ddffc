//! A question's answer as a stream: what is new while the engine works, then all of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::HeaderMap;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tracing::Instrument;
use vivace_base::Clock;
use vivace_model::Tenants;
use vivace_query::{
    MetricsRequest, MetricsResponse, Progress, QueryError, SearchRequest, SearchResponse, TagNames,
    TagNamesRequest, TagScope, TagValues, TagValuesRequest,
};

use super::packets::{Packet, Packets, Sent};
use crate::api::{PARTIAL_HEADER, panic_text, partial_reason};
use crate::ask::Answer;
use crate::backend::Backend;
use crate::otlp::Refusal;

/// Between two updates (`reference/tempo.md` 3).
const UPDATE_EVERY: Duration = Duration::from_millis(500);
/// Updates that wait for a slow client. While there is no room no update is made; the next one catches up.
const WAITING_UPDATES: usize = 1;

/// The messages of an answer.
pub(super) type Answers<M> = BoxStream<'static, Result<M, Status>>;

/// A validated request, which knows what to ask the engine.
#[async_trait]
pub(super) trait Question: Send + Sync + 'static {
    type Answer: Send + 'static;

    async fn ask(
        &self,
        backend: &dyn Backend,
        tenants: &Tenants,
        progress: Progress<'_, Self::Answer>,
    ) -> Result<Self::Answer, QueryError>;
}

/// Asks in a task of its own. When the client goes away, the question is dropped where it waits.
pub(super) fn answers<M: Packet>(
    question: impl Question<Answer = M::Answer>,
    tenants: Tenants,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
) -> Answers<M> {
    let (sender, receiver) = channel(WAITING_UPDATES);
    let answering = async move {
        let running = run::<M>(&question, &tenants, backend.as_ref(), clock.as_ref(), &sender);
        tokio::select! {
            () = sender.closed() => {}
            () = running => {}
        }
    };
    tokio::spawn(answering.in_current_span());
    ReceiverStream::new(receiver).flat_map(messages).boxed()
}

type Update<M> = Result<Packets<M>, Status>;

fn messages<M: Packet>(update: Update<M>) -> Answers<M> {
    match update {
        Ok(packets) => stream::iter(packets.map(Ok)).boxed(),
        Err(status) => stream::iter([Err(status)]).boxed(),
    }
}

async fn run<M: Packet>(
    question: &impl Question<Answer = M::Answer>,
    tenants: &Tenants,
    backend: &dyn Backend,
    clock: &dyn Clock,
    sender: &Sender<Update<M>>,
) {
    let mut updates = Updates { clock, sender, sent: Sent::default(), last: clock.monotonic() };
    let mut progress = |now: &dyn Fn() -> M::Answer| updates.offer(now);
    let asked = AssertUnwindSafe(question.ask(backend, tenants, &mut progress)).catch_unwind().await;
    let end = match asked {
        Ok(Ok(answer)) => finish(answer, sender).await,
        Ok(Err(error)) => Some(Refusal::from(error).into()),
        Err(panic) => Some(Status::internal(panic_text(panic.as_ref()))),
    };
    if let Some(end) = end {
        // Who does not listen any more needs no status.
        let _ = sender.send(Err(end)).await;
    }
}

/// Sends all of the answer. What comes after it, if anything, is a status that adds to the trailers.
async fn finish<M: Packet>(answer: M::Answer, sender: &Sender<Update<M>>) -> Option<Status> {
    let packets = Packets::<M>::of(answer);
    let partial = packets.partial().map(partial_reason);
    let _ = sender.send(Ok(packets)).await;
    let trailers = HeaderMap::from_iter([(PARTIAL_HEADER, partial?)]);
    Some(Status::with_metadata(Code::Ok, "", MetadataMap::from_headers(trailers)))
}

/// Decides which moments of a growing answer the client is told of.
struct Updates<'a, M: Packet> {
    clock: &'a dyn Clock,
    sender: &'a Sender<Update<M>>,
    sent: Sent,
    last: Duration,
}

impl<M: Packet> Updates<'_, M> {
    fn offer(&mut self, now: &dyn Fn() -> M::Answer) {
        let time = self.clock.monotonic();
        if time.saturating_sub(self.last) < UPDATE_EVERY {
            return;
        }
        let Ok(room) = self.sender.try_reserve() else { return };
        self.last = time;
        room.send(Ok(Packets::fresh(now(), &mut self.sent)));
    }
}

#[async_trait]
impl Question for SearchRequest {
    type Answer = SearchResponse;

    async fn ask(
        &self,
        backend: &dyn Backend,
        tenants: &Tenants,
        progress: Progress<'_, SearchResponse>,
    ) -> Result<SearchResponse, QueryError> {
        backend.search(tenants, self, progress).await
    }
}

#[async_trait]
impl Question for MetricsRequest {
    type Answer = MetricsResponse;

    async fn ask(
        &self,
        backend: &dyn Backend,
        tenants: &Tenants,
        progress: Progress<'_, MetricsResponse>,
    ) -> Result<MetricsResponse, QueryError> {
        backend.metrics(tenants, self, progress).await
    }
}

#[async_trait]
impl Question for TagNamesRequest {
    type Answer = TagNames;

    async fn ask(
        &self,
        backend: &dyn Backend,
        tenants: &Tenants,
        progress: Progress<'_, TagNames>,
    ) -> Result<TagNames, QueryError> {
        backend.tag_names(tenants, self, progress).await
    }
}

#[async_trait]
impl Question for TagValuesRequest {
    type Answer = TagValues;

    async fn ask(
        &self,
        backend: &dyn Backend,
        tenants: &Tenants,
        progress: Progress<'_, TagValues>,
    ) -> Result<TagValues, QueryError> {
        backend.tag_values(tenants, self, progress).await
    }
}

#[async_trait]
impl<Q: Question> Question for Answer<Q, Q::Answer>
where
    Q::Answer: Clone + Sync,
{
    type Answer = Q::Answer;

    async fn ask(
        &self,
        backend: &dyn Backend,
        tenants: &Tenants,
        progress: Progress<'_, Q::Answer>,
    ) -> Result<Q::Answer, QueryError> {
        match self {
            Self::Ask(request) => request.ask(backend, tenants, progress).await,
            Self::Known(answer) => Ok(answer.clone()),
        }
    }
}

/// Names as the first version of the API lists them.
pub(super) struct NamesV1 {
    pub(super) names: Answer<TagNamesRequest, TagNames>,
    pub(super) hides_intrinsics: bool,
}

impl NamesV1 {
    fn shown(&self, mut names: TagNames) -> TagNames {
        if self.hides_intrinsics {
            names.scopes.remove(&TagScope::Intrinsic);
        }
        names
    }
}

#[async_trait]
impl Question for NamesV1 {
    type Answer = TagNames;

    async fn ask(
        &self,
        backend: &dyn Backend,
        tenants: &Tenants,
        progress: Progress<'_, TagNames>,
    ) -> Result<TagNames, QueryError> {
        let mut shown = |names: &dyn Fn() -> TagNames| progress(&|| self.shown(names()));
        Ok(self.shown(self.names.ask(backend, tenants, &mut shown).await?))
    }
}

#[cfg(test)]
mod tests;
