//! Tells the memory budget what the process really takes, and what it may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use vivace_base::{ByteSize, MemoryBudget};

use crate::config::detected_memory_limit;

/// Between two looks: a core touches new memory at about a gigabyte a second, so some megabytes come in between.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Looks between two of the control group's limit.
const LIMIT_EVERY: u32 = 500;

/// Looks until it is dropped. A thread of its own, which busy workers do not hold up.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MemoryWatch {
    /// Watches for a process that was started with this limit. One that the control group gave is followed.
    pub(super) fn start(budget: &Arc<MemoryBudget>, memory_limit: ByteSize) -> std::io::Result<Self> {
        let follows = detected_memory_limit() == memory_limit;
        let (budget, stop) = (Arc::clone(budget), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let look = move || {
            for looks in 1_u32.. {
                std::thread::sleep(LOOK_EVERY);
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(resident) = resident() {
                    budget.see_resident(resident);
                }
                if follows && looks.is_multiple_of(LIMIT_EVERY) {
                    follow(&budget);
                }
            }
        };
        let thread = std::thread::Builder::new().name("memory-watch".to_owned()).spawn(look)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

fn follow(budget: &MemoryBudget) {
    let (before, now) = (budget.memory_limit(), detected_memory_limit());
    if before != now {
        tracing::info!(%before, %now, "the control group's memory limit has changed");
        budget.set_memory_limit(now);
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say that matters at the end.
            let _ = thread.join();
        }
    }
}

/// The resident set of this process; [`None`] where the system does not tell.
fn resident() -> Option<ByteSize> {
    resident_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Out of the content of `/proc/self/status`.
fn resident_of(status: &str) -> Option<ByteSize> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(ByteSize::from_bytes(kib * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_set_is_read() {
        let status = "Name:\tvivace\nVmHWM:\t  200 kB\nVmRSS:\t    1234 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(resident_of(status), Some(ByteSize::from_bytes(1234 * 1024)));
        assert_eq!(resident_of("Name:\tvivace\n"), None);
        assert!(resident().is_some_and(|resident| resident.bytes() > 1 << 20));
    }

    #[test]
    fn the_budget_hears_of_it() {
        let budget = MemoryBudget::of_process(ByteSize::from_mib(100_000));
        let watch = MemoryWatch::start(&budget, ByteSize::from_mib(100_000)).unwrap();
        while budget.resident().bytes() == 0 {
            std::thread::yield_now();
        }
        drop(watch);
        assert!(budget.unreserved().bytes() > 1 << 20);
    }
}
