use futures::executor::block_on;
use object_store::memory::InMemory;

use super::*;

fn store() -> FaultingStore {
    FaultingStore::new(Arc::new(InMemory::new()), 1)
}

fn put(store: &FaultingStore, name: &str) -> bool {
    block_on(store.put(&Path::from(name), PutPayload::from_static(b"x"))).is_ok()
}

fn holds(store: &FaultingStore, name: &str) -> bool {
    block_on(store.inner.head(&Path::from(name))).is_ok()
}

#[test]
fn fails_before_and_after_the_effect() {
    let store = store();
    store.pass_next(Operation::Put);
    store.fail_next(Operation::Put, Fault::BeforeEffect);
    store.fail_next(Operation::Put, Fault::AfterEffect);
    assert_eq!(["a", "b", "c", "d"].map(|name| put(&store, name)), [true, false, false, true]);
    assert_eq!(["a", "b", "c", "d"].map(|name| holds(&store, name)), [true, false, true, true]);
    assert_eq!(store.calls(Operation::Put), 4);
}

#[test]
fn deletes_fail_one_by_one() {
    let store = store();
    assert!(put(&store, "a") && put(&store, "b"));
    store.fail_next(Operation::Delete, Fault::BeforeEffect);
    store.fail_next(Operation::Delete, Fault::AfterEffect);
    assert!(block_on(store.delete(&Path::from("a"))).is_err());
    assert!(block_on(store.delete(&Path::from("b"))).is_err());
    assert_eq!((holds(&store, "a"), holds(&store, "b")), (true, false));
}

#[test]
fn after_a_crash_nothing_works() {
    for (last, has_effect) in [(Fault::BeforeEffect, false), (Fault::AfterEffect, true)] {
        let store = store();
        store.fuse().blow_after(1, last);
        assert!(put(&store, "a") && !store.fuse().has_blown());
        assert!(!put(&store, "b") && store.fuse().has_blown());
        assert!(!put(&store, "c"));
        assert_eq!(["a", "b", "c"].map(|name| holds(&store, name)), [true, has_effect, false]);
        store.heal();
        assert!(put(&store, "c"));
    }
}

#[test]
fn random_faults_stop_when_healed() {
    let store = store();
    store.fail_at_random(Operation::Put, 50, 0);
    let succeeded = (0..100).filter(|number| put(&store, &number.to_string())).count();
    assert!((20..80).contains(&succeeded), "{succeeded} of 100 succeeded");
    store.heal();
    assert!((0..100).all(|number| put(&store, &number.to_string())));
}
