//! Bytes that change under a server.

use vivace_base::{Randomness, SystemRandomness};
use vivace_e2e::simulation::Corruption;
use vivace_testkit::seeds;

/// `VIVACE_CORRUPTION_ROUNDS` sets how many pieces are damaged, one at a time, for each seed.
fn rounds() -> u64 {
    match std::env::var("VIVACE_CORRUPTION_ROUNDS") {
        Ok(text) => text.parse().expect("VIVACE_CORRUPTION_ROUNDS must be a number"),
        Err(_) => 60,
    }
}

#[test]
fn no_damage_makes_an_answer_wrong_that_is_not_marked() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let fixed = seeds(2);
    let drawn = (fixed.len() > 1).then(|| SystemRandomness.next_u64());
    for seed in fixed.into_iter().chain(drawn) {
        let unharmed = runtime.block_on(async {
            let corruption = Corruption::new(seed).await;
            let mut unharmed = 0;
            for _ in 0..rounds() {
                unharmed += u64::from(corruption.damage_once().await);
            }
            unharmed
        });
        eprintln!("seed {seed}: {} pieces damaged, {unharmed} cost no answer", rounds());
        assert!(unharmed < rounds(), "the damage did nothing");
    }
}
