//! Crashes, simulated: `docs/operations/simulation.md`.

use vivace_base::{Randomness, SystemRandomness};
use vivace_e2e::simulation::{End, Options, Simulation};
use vivace_testkit::{Fault, seeds};

/// How many seeds, lives of each, and steps of a life there are, each in an environment variable.
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not `{text}`")),
        Err(_) => default,
    }
}

fn run(seed: u64, options: Options) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let mut simulation = Simulation::new(seed, options);
    runtime.block_on(simulation.run());
    let (sent, acknowledged) = simulation.sent();
    eprintln!("seed {seed}: {sent} batches, {acknowledged} acknowledged");
}

fn options(concurrent: bool) -> Options {
    Options {
        lives: setting("VIVACE_SIMULATION_LIVES", 8),
        steps: setting("VIVACE_SIMULATION_STEPS", 60),
        concurrent,
    }
}

/// The fixed seeds, and a random one.
fn drawn_seeds(count: u64) -> Vec<u64> {
    let fixed = seeds(setting("VIVACE_SIMULATION_SEEDS", count));
    let drawn = SystemRandomness.next_u64();
    if fixed.len() == 1 { fixed } else { fixed.into_iter().chain([drawn]).collect() }
}

#[test]
fn what_is_acknowledged_survives_crashes_at_random_calls() {
    for seed in drawn_seeds(20) {
        run(seed, options(false));
    }
}

#[test]
fn the_same_with_concurrent_senders() {
    for seed in drawn_seeds(5) {
        run(seed, options(true));
    }
}

/// A short life ends before and after each of its calls to disk and store, and with one that comes through late.
#[test]
fn a_crash_at_any_call_loses_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    for seed in seeds(setting("VIVACE_SIMULATION_CRASH_SEEDS", 1)) {
        for (end, last) in [
            (End::Kill, Fault::BeforeEffect),
            (End::Kill, Fault::AfterEffect),
            (End::Kill, Fault::Late),
            (End::PowerCut, Fault::BeforeEffect),
            (End::PowerCut, Fault::AfterEffect),
            (End::KillThenPowerCut, Fault::BeforeEffect),
        ] {
            let crash_at = |calls: u64| {
                let mut simulation = Simulation::new(seed, options(false));
                runtime.block_on(simulation.crash_at(calls, last, end))
            };
            let calls = (0..).take_while(|calls| crash_at(*calls)).count();
            eprintln!("seed {seed}, {end:?}, {last:?}: a crash at each of {calls} calls");
            assert!(calls > 50, "only {calls} calls");
        }
    }
}
