use nix::sys::signal::{Signal, raise};
use pprof::{ProfilerGuard, ProfilerGuardBuilder};

use super::encode::{Stack, encode};
use super::{ProfileError, failed};

/// Samples per second of processor time; no divisor of what programs do regularly.
const FREQUENCY: i32 = 99;
const NANOS_PER_SAMPLE: i64 = 1_000_000_000 / FREQUENCY as i64;

/// Begins to sample. The first signal makes the sampler read the program's unwind tables: it is raised here, where the
/// thread holds no lock of the allocator, before the timer raises one wherever.
pub(super) fn start() -> Result<ProfilerGuard<'static>, ProfileError> {
    let builder = ProfilerGuardBuilder::default().frequency(FREQUENCY);
    let sampling = builder.blocklist(&["libc.so", "libgcc", "vdso"]).build().map_err(failed)?;
    raise(Signal::SIGPROF).map_err(failed)?;
    Ok(sampling)
}

/// Stops, and returns what was sampled.
pub(super) fn finish(sampling: ProfilerGuard<'static>) -> Result<Vec<u8>, ProfileError> {
    let report = sampling.report().build_unresolved().map_err(failed)?;
    drop(sampling);
    let stacks = report.data.iter().map(|(stack, count)| {
        let addresses = stack.frames.iter().enumerate();
        Stack {
            // All but the innermost are where calls return to; the calls are before that.
            addresses: addresses.map(|(depth, frame)| (frame.ip - depth.min(1)) as u64).collect(),
            value: i64::try_from(*count).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_SAMPLE),
        }
    });
    encode(["cpu", "nanoseconds"], NANOS_PER_SAMPLE, stacks)
}
