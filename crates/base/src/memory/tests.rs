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

const TERMS: ShareTerms = ShareTerms { ahead: 10, most: 60, last_resort: false };

#[test]
fn a_share_takes_what_it_was_given_ahead_and_then_of_the_whole() {
    let budget = MemoryBudget::new(ByteSize::from_bytes(100));
    let share = budget.share(TERMS).expect("room");
    assert_eq!(budget.reserved().bytes(), 10);
    let within = share.reserve(Holder::Query, 8).expect("was given ahead");
    assert_eq!(budget.reserved().bytes(), 10);
    let beyond = share.reserve(Holder::Query, 20).expect("there is more");
    assert_eq!((share.reserved().bytes(), budget.reserved_by(Holder::Query).bytes()), (28, 28));
    drop(within);
    assert_eq!(budget.reserved().bytes(), 20);
    drop(beyond);
    assert_eq!(budget.reserved().bytes(), 10, "what was given ahead stays");
    let kept = share.reserve(Holder::Query, 3).expect("room");
    share.end_share();
    assert_eq!(budget.reserved().bytes(), 3, "what is in use stays");
    drop((kept, share));
    assert_eq!(budget.reserved().bytes(), 0);
}

#[test]
fn a_share_has_an_end() {
    let budget = MemoryBudget::new(ByteSize::from_bytes(100));
    let share = budget.share(TERMS).expect("room");
    let mut most = share.reserve(Holder::Query, 60).expect("all of it");
    assert!(!share.share_was_too_small());
    let refused = most.resize(61).expect_err("more than its share");
    assert_eq!((refused.available.bytes(), refused.limit.bytes()), (0, 60));
    assert!(share.share_was_too_small());
    assert_eq!(budget.reserved().bytes(), 60);
    share.reserve(Holder::Cache, 30).expect("others take of the whole").resize(40).expect("there is room");
}

#[test]
fn a_share_that_is_refused_for_others_was_not_too_small() {
    let budget = MemoryBudget::new(ByteSize::from_bytes(100));
    let _head = budget.reserve(Holder::Head, 80).expect("room");
    let share = budget.share(TERMS).expect("room");
    share.reserve(Holder::Query, 30).expect_err("the whole has no more");
    assert!(!share.share_was_too_small());
}

#[test]
fn the_largest_share_gives_way_to_a_small_one_but_not_one_of_last_resort() {
    for (last_resort, gives_way) in [(false, true), (true, false)] {
        let budget = MemoryBudget::new(ByteSize::from_bytes(100));
        let large = budget.share(ShareTerms { most: 100, last_resort, ..TERMS }).expect("room");
        let _taken = large.reserve(Holder::Query, 80).expect("room");
        let small = budget.share(TERMS).expect("room");
        small.reserve(Holder::Query, 21).expect_err("there is no more");
        assert!(!small.share_was_too_small());
        assert_eq!(large.share_was_too_small(), gives_way);
        assert_eq!(large.reserve(Holder::Query, 1).is_err(), gives_way);
    }
}

#[test]
fn what_is_in_use_beside_reservations_cannot_be_reserved() {
    let budget = MemoryBudget::of_process(ByteSize::from_bytes(1200));
    assert_eq!(budget.limit().bytes(), 840, "seven tenths");
    let _held = budget.reserve(Holder::Query, 300).expect("room");
    assert_eq!(budget.see_resident(ByteSize::from_bytes(700)), Pressure::None);
    assert_eq!((budget.unreserved().bytes(), budget.limit().bytes()), (400, 700));
    budget.see_resident(ByteSize::from_bytes(400));
    assert!(budget.limit().bytes() < 710, "a peak is forgotten slowly");
    (0..10_000).for_each(|_| {
        budget.see_resident(ByteSize::from_bytes(400));
    });
    assert!(budget.limit().bytes() > 800, "and then it is");
}

#[test]
fn near_the_limit_caches_go_and_the_largest_query_ends() {
    use std::sync::atomic::AtomicBool;
    let budget = MemoryBudget::of_process(ByteSize::from_bytes(1200));
    let relieved = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&relieved);
    budget.on_pressure(Box::new(move |_| seen.store(true, Ordering::Relaxed)));
    let share = budget.share(ShareTerms { most: 1000, last_resort: true, ..TERMS }).expect("room");
    let _taken = share.reserve(Holder::Query, 500).expect("room");
    assert_eq!(budget.see_resident(ByteSize::from_bytes(1120)), Pressure::High);
    assert!(relieved.load(Ordering::Relaxed));
    share.reserve(Holder::Query, 0).expect("nothing can always be had");
    assert!(!share.share_was_too_small());
    budget.see_resident(ByteSize::from_bytes(1190));
    share.reserve(Holder::Query, 1).expect_err("it has to end");
}

#[test]
fn a_limit_that_changes_is_followed() {
    let budget = MemoryBudget::of_process(ByteSize::from_bytes(1200));
    let held = budget.reserve(Holder::Head, 800).expect("room");
    budget.set_memory_limit(ByteSize::from_bytes(600));
    assert_eq!((budget.memory_limit().bytes(), budget.limit().bytes()), (600, 420));
    budget.reserve(Holder::Head, 1).expect_err("what is held is more than that");
    drop(held);
    budget.reserve(Holder::Head, 420).expect("room");
}

#[test]
fn who_gives_memory_back_may_insist() {
    let budget = MemoryBudget::new(ByteSize::from_bytes(100));
    let held = budget.reserve(Holder::Head, 90).expect("room");
    let build = budget.insist(Holder::BlockBuild, 50);
    assert_eq!((budget.reserved().bytes(), budget.available().bytes()), (140, 0));
    budget.reserve(Holder::Query, 1).expect_err("there is less than nothing");
    drop(held);
    budget.reserve(Holder::Query, 50).expect("it fits again");
    drop(build);
    assert_eq!(budget.reserved().bytes(), 0);
}
