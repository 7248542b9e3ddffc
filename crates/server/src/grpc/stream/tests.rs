use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::{Mutex, mpsc, oneshot};
use tonic::{Code, Status};
use vivace_model::{TenantId, Tenants};
use vivace_query::{Progress, QueryError, TagValue, TagValueKind, TagValues};
use vivace_testkit::ManualClock;

use super::{Answers, Question, answers};
use crate::backend::Backend;
use crate::backend::fake::FakeBackend;
use crate::grpc::tempopb::SearchTagValuesResponse;

fn values(texts: &[&str]) -> TagValues {
    let value = |text: &&str| TagValue { kind: TagValueKind::String, text: (*text).to_owned() };
    TagValues { values: texts.iter().map(value).collect(), ..TagValues::default() }
}

fn start(
    question: impl Question<Answer = TagValues>,
    clock: Arc<ManualClock>,
) -> Answers<SearchTagValuesResponse> {
    answers(question, Tenants::from(TenantId::single()), Arc::new(FakeBackend::default()), clock)
}

/// At each step time passes, then the answer has grown. After the last step it is complete.
struct Growing {
    clock: Arc<ManualClock>,
    steps: Mutex<mpsc::Receiver<(u64, &'static [&'static str])>>,
    built: Arc<AtomicUsize>,
    partial: Option<String>,
}

#[async_trait]
impl Question for Growing {
    type Answer = TagValues;

    async fn ask(
        &self,
        _: &dyn Backend,
        _: &Tenants,
        progress: Progress<'_, TagValues>,
    ) -> Result<TagValues, QueryError> {
        let mut found = TagValues::default();
        while let Some((millis, texts)) = self.steps.lock().await.recv().await {
            self.clock.advance(Duration::from_millis(millis));
            found = values(texts);
            progress(&|| {
                self.built.fetch_add(1, Ordering::SeqCst);
                found.clone()
            });
        }
        Ok(TagValues { partial: self.partial.clone(), ..found })
    }
}

struct Script {
    steps: mpsc::Sender<(u64, &'static [&'static str])>,
    built: Arc<AtomicUsize>,
    answers: Answers<SearchTagValuesResponse>,
}

fn growing(partial: Option<&str>) -> Script {
    let clock = Arc::new(ManualClock::new(0));
    let (steps, receiver) = mpsc::channel(1);
    let built = Arc::new(AtomicUsize::new(0));
    let question = Growing {
        clock: Arc::clone(&clock),
        steps: Mutex::new(receiver),
        built: Arc::clone(&built),
        partial: partial.map(str::to_owned),
    };
    Script { steps, built, answers: start(question, clock) }
}

async fn texts(answers: &mut Answers<SearchTagValuesResponse>) -> Vec<String> {
    answers.next().await.unwrap().unwrap().tag_values
}

#[tokio::test]
async fn updates_are_differences_half_a_second_apart_and_the_end_is_whole() {
    let mut script = growing(None);
    // The first and the third come too early and are caught up with.
    for step in [(499, &["a"][..]), (1, &["a", "b"]), (499, &["a", "b", "c"])] {
        script.steps.send(step).await.unwrap();
    }
    assert_eq!(texts(&mut script.answers).await, ["a", "b"]);
    script.steps.send((1, &["a", "b", "c", "d"])).await.unwrap();
    assert_eq!(texts(&mut script.answers).await, ["c", "d"]);
    script.steps.send((500, &["a", "b", "c", "d"])).await.unwrap();
    assert!(texts(&mut script.answers).await.is_empty(), "an update without news has metrics only");
    drop(script.steps);
    assert_eq!(texts(&mut script.answers).await, ["a", "b", "c", "d"]);
    assert!(script.answers.next().await.is_none());
    assert_eq!(script.built.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn for_a_client_that_does_not_read_no_more_updates_are_made() {
    let mut script = growing(None);
    let steps = [(500, &["a"][..]), (500, &["a", "b"]), (500, &["a", "b", "c"])];
    // There is room for one: with the second of the last two sent, all before the first is taken and done.
    for step in steps.into_iter().chain([steps[2]; 2]) {
        script.steps.send(step).await.unwrap();
    }
    assert_eq!(script.built.load(Ordering::SeqCst), 1);
    drop(script.steps);
    assert_eq!(texts(&mut script.answers).await, ["a"]);
    let rest: Vec<_> = script.answers.map(|message| message.unwrap().tag_values).collect().await;
    assert_eq!(rest.last().unwrap(), &["a", "b", "c"]);
}

#[tokio::test]
async fn a_partial_answer_is_told_in_the_trailers() {
    let mut script = growing(Some("block ü is corrupt"));
    drop(script.steps);
    assert!(texts(&mut script.answers).await.is_empty());
    let end = script.answers.next().await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Ok);
    assert_eq!(end.metadata().get("x-vivace-partial").unwrap(), "block   is corrupt");
    assert!(script.answers.next().await.is_none());
}

/// Never answers, and tells when it is dropped.
struct Endless {
    started: Mutex<Option<oneshot::Sender<()>>>,
    dropped: Mutex<Option<oneshot::Sender<()>>>,
}

#[async_trait]
impl Question for Endless {
    type Answer = TagValues;

    async fn ask(
        &self,
        _: &dyn Backend,
        _: &Tenants,
        _: Progress<'_, TagValues>,
    ) -> Result<TagValues, QueryError> {
        let _held = self.dropped.lock().await.take();
        self.started.lock().await.take().unwrap().send(()).unwrap();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_question() {
    let (start_sender, started) = oneshot::channel();
    let (drop_sender, dropped) = oneshot::channel();
    let question =
        Endless { started: Mutex::new(Some(start_sender)), dropped: Mutex::new(Some(drop_sender)) };
    let answers = start(question, Arc::new(ManualClock::new(0)));
    started.await.unwrap();
    drop(answers);
    assert!(dropped.await.is_err(), "the sender is dropped and not used");
}

struct Failing(Option<QueryError>);

#[async_trait]
impl Question for Failing {
    type Answer = TagValues;

    async fn ask(
        &self,
        _: &dyn Backend,
        _: &Tenants,
        _: Progress<'_, TagValues>,
    ) -> Result<TagValues, QueryError> {
        match &self.0 {
            Some(QueryError::Busy) => Err(QueryError::Busy),
            Some(_) => Err(QueryError::Deadline(Duration::from_secs(1))),
            None => panic!("a defect"),
        }
    }
}

async fn failure(error: Option<QueryError>) -> Status {
    let mut answers = start(Failing(error), Arc::new(ManualClock::new(0)));
    let status = answers.next().await.unwrap().unwrap_err();
    assert!(answers.next().await.is_none());
    status
}

#[tokio::test]
async fn errors_and_defects_become_a_status() {
    let busy = failure(Some(QueryError::Busy)).await;
    assert_eq!(busy.code(), Code::ResourceExhausted);
    assert!(!busy.details().is_empty(), "when to try again");
    assert_eq!(
        failure(Some(QueryError::Deadline(Duration::from_secs(1)))).await.code(),
        Code::DeadlineExceeded
    );
    let defect = failure(None).await;
    assert_eq!(
        (defect.code(), defect.message()),
        (Code::Internal, "internal error; the server's log says more")
    );
}
