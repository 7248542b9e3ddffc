use std::sync::atomic::AtomicU64;

use futures::future::{join, join_all};
use tokio::task::yield_now;

use super::*;

fn flights() -> Flights<u32> {
    Flights::default()
}

/// Asks, working on the answer for a while if nobody else does; the answer tells how many did before.
async fn ask(flights: &Flights<u32>, question: &str, worked: &AtomicU64) -> Result<u32, QueryError> {
    match flights.join(question.to_owned(), Vec::new).await {
        Joined::Answered(outcome) => outcome,
        Joined::Lead(lead) => {
            lead.looks_at(Vec::new);
            let before = worked.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
            lead.land(Ok(u32::try_from(before).expect("small")))
        }
    }
}

#[tokio::test]
async fn the_same_question_at_once_is_answered_once() {
    let (flights, worked) = (flights(), AtomicU64::new(0));
    let answers = join_all((0..11).map(|_| ask(&flights, "same", &worked))).await;
    assert!(answers.into_iter().all(|answer| answer.expect("an answer") == 0));
    assert_eq!((worked.load(Ordering::Relaxed), flights.shared()), (1, 10));
    assert_eq!(ask(&flights, "same", &worked).await.expect("an answer"), 1, "later it is asked anew");
    assert!(flights.lock().is_empty());
}

#[tokio::test]
async fn other_questions_are_not() {
    let (flights, worked) = (flights(), AtomicU64::new(0));
    let (one, other) = join(ask(&flights, "one", &worked), ask(&flights, "other", &worked)).await;
    assert_ne!(one.expect("an answer"), other.expect("an answer"));
}

#[tokio::test]
async fn an_answer_about_fewer_spans_is_not_shared() {
    let flights = flights();
    let Joined::Lead(first) = flights.join("q".to_owned(), || vec![1]).await else {
        panic!("nobody asked before")
    };
    first.looks_at(|| vec![1]);
    let Joined::Lead(second) = flights.join("q".to_owned(), || vec![2]).await else {
        panic!("spans came in between")
    };
    first.land(Ok(1)).expect("an answer");
    // The newer one is still there to be joined.
    let newer = join(flights.join("q".to_owned(), || vec![2]), async { second.land(Ok(2)) }).await.0;
    assert!(matches!(newer, Joined::Answered(Ok(2))));
}

#[tokio::test]
async fn what_has_not_begun_is_shared_whatever_came_since() {
    let flights = flights();
    let Joined::Lead(lead) = flights.join("q".to_owned(), || vec![1]).await else {
        panic!("nobody asked before")
    };
    let joined = join(flights.join("q".to_owned(), || vec![2]), async { lead.land(Ok(7)) }).await.0;
    assert!(matches!(joined, Joined::Answered(Ok(7))));
}

#[tokio::test]
async fn when_who_works_goes_away_another_does() {
    let flights = flights();
    let Joined::Lead(lead) = flights.join("q".to_owned(), Vec::new).await else {
        panic!("nobody asked before")
    };
    let joined = join(flights.join("q".to_owned(), Vec::new), async { drop(lead) }).await.0;
    let Joined::Lead(lead) = joined else { panic!("nobody answered") };
    assert_eq!(lead.land(Ok(3)).expect("an answer"), 3);
}

#[tokio::test]
async fn a_failure_is_told_to_all() {
    let flights = flights();
    let Joined::Lead(lead) = flights.join("q".to_owned(), Vec::new).await else {
        panic!("nobody asked before")
    };
    let work = async { lead.land(Err(QueryError::Busy)) };
    let (joined, own) = join(flights.join("q".to_owned(), Vec::new), work).await;
    let Joined::Answered(Err(shared)) = joined else { panic!("it was answered") };
    assert_eq!(shared.to_string(), QueryError::Busy.to_string());
    assert_eq!(own.expect_err("failed").kind(), shared.kind());
}
