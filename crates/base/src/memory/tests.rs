use super::*;

#[test]
fn refuses_past_the_limit_and_gives_back_on_drop() {
    let budget = MemoryBudget::new(ByteSize::from_bytes(100));
    let first = budget.reserve(Holder::Head, 60).expect("fits");
    let refused = budget.reserve(Holder::Query, 50).expect_err("does not fit");
    assert_eq!(refused.available, ByteSize::from_bytes(40));
    assert_eq!(budget.reserved_by(Holder::Query), ByteSize::from_bytes(0));
    drop(first);
    assert_eq!(budget.reserved(), ByteSize::from_bytes(0));
    budget.reserve(Holder::Query, 100).expect("fits again");
}

#[test]
fn resize_keeps_the_share_when_refused() {
    let budget = MemoryBudget::new(ByteSize::from_bytes(100));
    let mut share = budget.reserve(Holder::Query, 10).expect("fits");
    share.resize(200).expect_err("too much");
    assert_eq!(share.bytes(), 10);
    share.resize(100).expect("fits");
    share.resize(5).expect("shrinks");
    assert_eq!(budget.reserved(), ByteSize::from_bytes(5));
}

#[test]
fn overflow_is_a_refusal() {
    let budget = MemoryBudget::new(ByteSize::from_bytes(u64::MAX));
    let _all = budget.reserve(Holder::Head, u64::MAX).expect("fits");
    budget.reserve(Holder::Head, 1).expect_err("would overflow");
}

#[test]
fn caches_give_way_before_anybody_is_refused() {
    use std::sync::{Arc, Mutex};
    let budget = MemoryBudget::new(ByteSize::from_bytes(100));
    let cached = Arc::new(Mutex::new(Some(budget.reserve(Holder::Cache, 80).expect("room"))));
    let given = Arc::clone(&cached);
    budget.on_pressure(Box::new(move |_| drop(given.lock().expect("lock").take())));
    let mut query = budget.reserve(Holder::Query, 10).expect("room");
    assert!(cached.lock().expect("lock").is_some(), "there was room");
    query.resize(90).expect("the cache gives way");
    assert_eq!(budget.reserved_by(Holder::Cache).bytes(), 0);
    query.resize(101).expect_err("more than there is");
}
