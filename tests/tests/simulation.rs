//! Crashes, simulated: `docs/operations/simulation.md`.

use vivace_base::{Randomness, SystemRandomness};
use vivace_e2e::simulation::{Options, Simulation};
use vivace_testkit::seeds;

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
