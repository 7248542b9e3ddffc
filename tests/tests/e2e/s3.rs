//! The same on S3, and what is asked of an S3-compatible store.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use vivace_e2e::s3::{Conditional, url};
use vivace_e2e::{ForgetfulS3, S3, ServerBuilder};
use vivace_testkit::seeds;

use crate::crash;
use crate::ingest_and_find::{self, FEWER_TRACES};

#[tokio::test(flavor = "multi_thread")]
async fn every_trace_is_found_at_once_and_after_a_kill() {
    let Some(s3) = S3::start().await else { return };
    let builder = s3.configure(ServerBuilder::new(), "found").config("max_block_bytes", "256KiB");
    ingest_and_find::scenario(builder.config("max_block_age", "1s"), FEWER_TRACES).await;
    let objects: Vec<_> = s3.store("found").list(None).try_collect().await.expect("the store can be listed");
    assert!(objects.iter().all(|object| object.location.as_ref().starts_with("found/")), "{objects:?}");
    assert!(!objects.is_empty(), "the blocks are somewhere else");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_in_a_loop_loses_nothing_and_doubles_nothing() {
    let Some(s3) = S3::start().await else { return };
    for seed in seeds(1) {
        let prefix = format!("crash-{seed}");
        let store =
            || -> Arc<dyn ObjectStore> { Arc::new(PrefixStore::new(s3.store(&prefix), prefix.as_str())) };
        crash::scenario(s3.configure(ServerBuilder::new(), &prefix), seed, store).await;
    }
}

/// The store of these tests does what the catalog counts on, with many writers at once.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_writers_wins() {
    let Some(s3) = S3::start().await else { return };
    let store = Arc::new(s3.store("race"));
    for round in 0..10 {
        let path = Path::from(format!("race/{round}"));
        let put = |writer: usize| {
            let (store, path) = (Arc::clone(&store), path.clone());
            async move {
                store.put_opts(&path, PutPayload::from(vec![writer as u8; 100]), PutMode::Create.into()).await
            }
        };
        let results = futures::future::join_all((0..16).map(put)).await;
        let winners: Vec<usize> = (0..16).filter(|writer| results[*writer].is_ok()).collect();
        let others = results.iter().filter(|result| matches!(result, Err(Error::AlreadyExists { .. })));
        assert_eq!((winners.len(), others.count()), (1, 15), "{results:?}");
        let bytes = store.get(&path).await.expect("it is there").bytes().await.expect("it can be read");
        assert_eq!(bytes.as_ref(), vec![winners[0] as u8; 100], "the winner's bytes are there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_ranges_lists_and_deletes() {
    let Some(s3) = S3::start().await else { return };
    let store = s3.store("ops");
    let path = Path::from("ops/large");
    let mut upload = store.put_multipart(&path).await.expect("an upload starts");
    for part in [1, 2] {
        upload.put_part(PutPayload::from(vec![part; 5 << 20])).await.expect("a part is taken");
    }
    upload.complete().await.expect("an upload ends");
    let edge = (5 << 20) - 2;
    let bytes = store.get_range(&path, edge..edge + 4).await.expect("a range can be read");
    assert_eq!(bytes.as_ref(), [1, 1, 2, 2]);
    for name in ["ops/a/1", "ops/a/2", "ops/b"] {
        store.put(&Path::from(name), PutPayload::from_static(b"x")).await.expect("an object is written");
    }
    let listed = store.list_with_delimiter(Some(&Path::from("ops"))).await.expect("a folder can be listed");
    assert_eq!(listed.common_prefixes, [Path::from("ops/a")]);
    assert_eq!(listed.objects.len(), 2);
    store.delete(&Path::from("ops/b")).await.expect("an object can be deleted");
    assert!(matches!(store.get(&Path::from("ops/b")).await, Err(Error::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_put_if_absent_is_refused() {
    refused(Conditional::Ignored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_rejects_put_if_absent_is_refused() {
    refused(Conditional::Refused).await;
}

async fn refused(conditional: Conditional) {
    let store = ForgetfulS3::start(conditional).await;
    let exit = store.configure(ServerBuilder::new()).start_refused().await;
    assert_eq!(exit.status.code(), Some(1), "{}", exit.output);
    assert!(exit.output.contains("put-if-absent"), "{}", exit.output);
    assert!(exit.output.contains(&url("lacking")), "{}", exit.output);
    let requests = store.requests();
    assert!(requests.iter().any(|request| request.starts_with("PUT ")), "it was asked: {requests:?}");
    assert!(
        requests.iter().any(|request| request.starts_with("DELETE ") || request.ends_with("?delete")),
        "it was cleaned up: {requests:?}"
    );
}
