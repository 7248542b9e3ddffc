use std::sync::Mutex;

use futures::FutureExt;
use futures::future::join_all;
use tokio::task::yield_now;
use vivace_base::{ByteSize, Holder, Reservation};
use vivace_model::Tenants;

use super::*;

const MIB: u64 = 1 << 20;

fn tenants(id: &str) -> Tenants {
    id.parse().expect("valid")
}

fn claim(tenants: &Tenants) -> Claim<'_> {
    Claim { tenants, most_of_tenants: 100, estimate: 0, streams: false }
}

fn admission(max_running: usize, max_waiting: usize) -> Admission {
    Admission::new(MemoryBudget::new(ByteSize::from_mib(100)), max_running, max_waiting)
}

/// A query that takes so much memory, waits for others a little, and tells how much it had.
async fn run(admission: &Admission, tenants: &Tenants, bytes: u64) -> Result<Reservation, QueryError> {
    let mut turn = admission.turn(claim(tenants));
    loop {
        let memory = turn.begin().await?;
        let outcome = memory.reserve(Holder::Query, bytes).map_err(QueryError::from);
        yield_now().await;
        if let Some(outcome) = turn.end(outcome) {
            break outcome;
        }
    }
}

#[tokio::test]
async fn only_so_many_run_at_a_time_and_only_so_many_wait() {
    let (admission, tenants) = (admission(2, 3), tenants("a"));
    let mut running = Vec::new();
    for _ in 0..2 {
        let mut turn = admission.turn(claim(&tenants));
        turn.begin().await.expect("there is room");
        running.push(turn);
    }
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(run(&admission, &tenants, 1))).collect();
    waiting.iter_mut().for_each(|query| assert!(query.now_or_never().is_none()));
    assert_eq!((admission.stats().running, admission.stats().waiting), (2, 3));
    assert!(matches!(run(&admission, &tenants, 1).await, Err(QueryError::Busy)));
    assert_eq!(admission.stats().refused_busy, 1);
    running.clear();
    let answers = join_all(waiting).await;
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn tenants_take_turns() {
    let (admission, order) = (admission(1, 100), Mutex::new(Vec::new()));
    let (many, few) = (tenants("many"), tenants("few"));
    let one = async |tenants: &Tenants| {
        run(&admission, tenants, 1).await.expect("memory");
        order.lock().expect("lock").push(*tenants == few);
    };
    let queries = (0..20).map(|_| &many).chain((0..2).map(|_| &few)).map(one);
    join_all(queries).await;
    let order = order.into_inner().expect("lock");
    let last = order.iter().rposition(|is_few| *is_few).expect("they ran");
    assert!(last <= 5, "the few waited for the many: {order:?}");
}

#[tokio::test]
async fn a_tenant_may_have_a_limit_of_its_own() {
    let admission = admission(10, 10);
    let (limited, free) = (tenants("limited"), tenants("free"));
    let mut first = admission.turn(Claim { most_of_tenants: 1, ..claim(&limited) });
    first.begin().await.expect("there is room");
    let mut second = admission.turn(Claim { most_of_tenants: 1, ..claim(&limited) });
    let mut second = Box::pin(second.begin());
    assert!((&mut second).now_or_never().is_none());
    run(&admission, &free, 1).await.expect("others do not wait for them");
    drop(first);
    assert!(second.now_or_never().is_some_and(|begun| begun.is_ok()));
}

#[tokio::test]
async fn who_gives_up_waiting_takes_no_place() {
    let (admission, tenants) = (admission(1, 2), tenants("a"));
    let mut first = admission.turn(claim(&tenants));
    first.begin().await.expect("there is room");
    for _ in 0..5 {
        let mut gone = Box::pin(run(&admission, &tenants, 1));
        assert!((&mut gone).now_or_never().is_none());
    }
    drop(first);
    run(&admission, &tenants, 1).await.expect("nobody is before it");
    assert_eq!((admission.stats().running, admission.stats().waiting), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_query_that_others_left_no_memory_is_begun_anew() {
    let (admission, tenants) = (admission(10, 10), tenants("a"));
    let taken = admission.budget.reserve(Holder::Head, 90 * MIB).expect("room");
    let freed = async {
        tokio::time::sleep(Duration::from_millis(120)).await;
        drop(taken);
    };
    let (answer, ()) = futures::future::join(run(&admission, &tenants, 20 * MIB), freed).await;
    assert_eq!(answer.expect("there is room now").bytes(), 20 * MIB);
    assert!(admission.stats().begun_anew > 0);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_needs_more_than_its_share_has_a_larger_one_alone() {
    let (admission, tenants) = (admission(10, 10), tenants("a"));
    // Answers are kept until all are there: two fit.
    let answers = join_all((0..4).map(|_| run(&admission, &tenants, 40 * MIB))).await;
    let fit = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(fit, 2, "{answers:?}");
    assert_eq!(admission.stats().refused_memory, 2);
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_is_refused() {
    let (admission, tenants) = (admission(10, 10), tenants("a"));
    let error = run(&admission, &tenants, 51 * MIB).await.expect_err("half is the most");
    assert!(matches!(error, QueryError::NoMemory(_)), "{error}");
    assert_eq!(admission.budget.reserved().bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_can_wait_is_asked_to_give_way() {
    let (admission, tenants) = (admission(10, 10), tenants("a"));
    let taken = admission.budget.reserve(Holder::Compaction, 90 * MIB).expect("room");
    let taken = Mutex::new(Some(taken));
    admission.budget.on_shortage(Box::new(move |_| drop(taken.lock().expect("lock").take())));
    run(&admission, &tenants, 20 * MIB).await.expect("compaction gave way");
}
