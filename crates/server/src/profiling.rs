//! Profiles of this process in pprof's format, one at a time. Until the first is asked for nothing runs and nothing is
//! kept. They hold addresses, not names: `docs/operations/profiling.md` tells how to read them.

use std::sync::Arc;
use std::time::Duration;

use jemalloc_pprof::{JemallocProfCtl, PROF_CTL};
use mappings::MAPPINGS;
use nix::sys::signal::{Signal, raise};
use pprof::{ProfilerGuard, ProfilerGuardBuilder, UnresolvedReport};
use pprof_util::{StackProfile, WeightedStack};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use vivace_base::{ByteSize, Holder, MemoryBudget, MemoryRefused, Reservation};

/// Samples per second of processor time; no divisor of what programs do regularly.
const FREQUENCY: i32 = 99;
const NANOS_PER_SAMPLE: f64 = 1e9 / FREQUENCY as f64;
/// What the sampler allocates with its first profile, and keeps.
const SAMPLER_MEMORY: ByteSize = ByteSize::from_mib(64);

/// Takes profiles.
#[derive(Debug, Default)]
pub(crate) struct Profiler {
    /// Locked while a profile is taken. The memory of the sampler, once there was one.
    sampler: Mutex<Option<Reservation>>,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("a profile is being taken: retry when it is done")]
    Busy,
    #[error("{0}; a profile of the processor needs that much for good")]
    NoMemory(#[from] MemoryRefused),
    #[error("the allocator does not profile: start the server without prof:false in _RJEM_MALLOC_CONF")]
    NoHeapProfiles,
    #[error("cannot take the profile: {0}")]
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> ProfileError {
    ProfileError::Failed(error.to_string())
}

impl Profiler {
    /// Where the processor's time goes, for so long.
    ///
    /// # Errors
    /// [`ProfileError`]
    pub(crate) async fn cpu(
        &self,
        budget: &Arc<MemoryBudget>,
        time: Duration,
    ) -> Result<Vec<u8>, ProfileError> {
        let mut sampler = self.sampler.try_lock().map_err(|_| ProfileError::Busy)?;
        if sampler.is_none() {
            *sampler = Some(budget.reserve(Holder::Query, SAMPLER_MEMORY.bytes())?);
        }
        let sampling = spawn_blocking(start_sampling).await.map_err(failed)??;
        tokio::time::sleep(time).await;
        let encoded = spawn_blocking(move || {
            let report = sampling.report().build_unresolved().map_err(failed)?;
            drop(sampling);
            Ok(encode(&report))
        });
        encoded.await.map_err(failed)?
    }

    /// Which allocations of those made in so long are still there at its end; of all since the start, at once, when the
    /// allocator was told to sample from the start.
    ///
    /// # Errors
    /// [`ProfileError`]
    pub(crate) async fn heap(&self, time: Duration) -> Result<Vec<u8>, ProfileError> {
        let _one_at_a_time = self.sampler.try_lock().map_err(|_| ProfileError::Busy)?;
        let allocator = PROF_CTL.as_ref().ok_or(ProfileError::NoHeapProfiles)?;
        let allocator = Arc::clone(allocator).lock_owned().await;
        let mut sampling = HeapSampling { always: allocator.activated(), allocator };
        if !sampling.always {
            sampling.allocator.activate().map_err(failed)?;
            tokio::time::sleep(time).await;
        }
        spawn_blocking(move || sampling.allocator.dump_pprof().map_err(failed)).await.map_err(failed)?
    }
}

/// The first signal makes the sampler read the program's unwind tables. It is raised here, where the thread holds no lock of
/// the allocator, before the timer raises one wherever.
fn start_sampling() -> Result<ProfilerGuard<'static>, ProfileError> {
    let builder = ProfilerGuardBuilder::default().frequency(FREQUENCY);
    let sampling = builder.blocklist(&["libc.so", "libgcc", "vdso"]).build().map_err(failed)?;
    raise(Signal::SIGPROF).map_err(failed)?;
    Ok(sampling)
}

fn encode(report: &UnresolvedReport) -> Vec<u8> {
    let mut profile = StackProfile::default();
    for mapping in MAPPINGS.iter().flatten() {
        profile.push_mapping(mapping.clone());
    }
    for (stack, count) in &report.data {
        // From the outermost call, as the encoder has it.
        let addrs = stack.frames.iter().rev().map(|frame| frame.ip).collect();
        let weight = *count as f64 * NANOS_PER_SAMPLE;
        profile.push_stack(WeightedStack { addrs, weight }, None);
    }
    profile.to_pprof(("cpu", "nanoseconds"), ("cpu", "nanoseconds"), None)
}

/// Stops sampling at its end, also when who asked for the profile went away.
struct HeapSampling {
    allocator: OwnedMutexGuard<JemallocProfCtl>,
    always: bool,
}

impl Drop for HeapSampling {
    fn drop(&mut self) {
        if self.always {
            return;
        }
        if let Err(error) = self.allocator.deactivate() {
            tracing::error!(%error, "the allocator goes on sampling");
        }
    }
}
