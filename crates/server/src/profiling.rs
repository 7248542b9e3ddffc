//! Profiles of this process in pprof's format, one at a time. Until the first is asked for nothing runs and nothing is
//! kept. They hold addresses, not names: `docs/operations/profiling.md` tells how to read them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use vivace_base::{ByteSize, Holder, MemoryBudget, MemoryRefused, Reservation};

mod cpu;
mod encode;
mod heap;

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
        let sampling = spawn_blocking(cpu::start).await.map_err(failed)??;
        tokio::time::sleep(time).await;
        spawn_blocking(move || cpu::finish(sampling)).await.map_err(failed)?
    }

    /// Which allocations of those made in so long are still there at its end; of all since the start, at once, when the
    /// allocator was told to sample from the start. The allocator writes a file into `dir` on the way.
    ///
    /// # Errors
    /// [`ProfileError`]
    pub(crate) async fn heap(&self, dir: &Path, time: Duration) -> Result<Vec<u8>, ProfileError> {
        let _one_at_a_time = self.sampler.try_lock().map_err(|_| ProfileError::Busy)?;
        let sampling = heap::Sampling::start()?;
        if !sampling.is_permanent() {
            tokio::time::sleep(time).await;
        }
        let dir = dir.to_owned();
        spawn_blocking(move || sampling.finish(&dir)).await.map_err(failed)?
    }
}
