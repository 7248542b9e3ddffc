use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use vivace_base::Clock;
use vivace_testkit::{Fault, FaultingStore, ManualClock, Operation};

use super::StoreTimes;

#[tokio::test]
async fn requests_are_timed_by_what_they_do_and_how_they_end() {
    let mut registry = Registry::default();
    let times = StoreTimes::register(&mut registry);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(0));
    let faulting = FaultingStore::new(Arc::new(InMemory::new()), 1);
    let store = times.watch(Arc::new(faulting.clone()), &clock);
    let path = Path::from("a");
    store.put(&path, "x".into()).await.unwrap();
    assert!(store.put_opts(&path, "y".into(), PutMode::Create.into()).await.is_err());
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "x");
    assert_eq!(store.head(&path).await.unwrap().size, 1);
    assert!(store.get(&Path::from("b")).await.is_err());
    faulting.fail_next(Operation::Get, Fault::BeforeEffect);
    assert!(store.get(&path).await.is_err());
    store.delete(&path).await.unwrap();

    let mut page = String::new();
    encode(&mut page, &registry).unwrap();
    for (operation, status, count) in [
        ("PUT", 200, 1),
        ("PUT", 412, 1),
        ("GET", 200, 1),
        ("HEAD", 200, 1),
        ("GET", 404, 1),
        ("GET", 500, 1),
        ("DELETE", 200, 1),
    ] {
        let line = format!(
            "tempodb_backend_request_duration_seconds_count{{operation=\"{operation}\",status_code=\"{status}\"}} {count}"
        );
        assert!(page.lines().any(|found| found == line), "no `{line}` in\n{page}");
    }
}
