use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tikv_jemalloc_ctl::{Access, AsName};

use super::encode::{Stack, encode};
use super::{ProfileError, failed};

const FILE: &str = "heap.profile";

/// The allocator's sampling; it stops in the end, also when who asked for the profile went away.
pub(super) struct Sampling {
    permanent: bool,
}

impl Sampling {
    pub(super) fn start() -> Result<Self, ProfileError> {
        if !b"opt.prof\0".name().read().map_err(failed)? {
            return Err(ProfileError::NoHeapProfiles);
        }
        let permanent: bool = b"prof.active\0".name().read().map_err(failed)?;
        if !permanent {
            b"prof.active\0".name().write(true).map_err(failed)?;
        }
        Ok(Self { permanent })
    }

    /// Whether it was there before, and stays.
    pub(super) fn is_permanent(&self) -> bool {
        self.permanent
    }

    pub(super) fn finish(self, dir: &Path) -> Result<Vec<u8>, ProfileError> {
        let (path, terminated) = dump_path(dir);
        let dumped = b"prof.dump\0".name().write(*terminated).map_err(failed);
        let text = dumped.and_then(|()| fs::read_to_string(path).map_err(failed));
        // What could not be written is not there; what is left over is written over.
        let _ = fs::remove_file(path);
        let dump = Dump::parse(&text?).ok_or_else(|| failed("the allocator's dump cannot be read"))?;
        encode(["inuse_space", "bytes"], dump.sampled_every, dump.stacks.into_iter())
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        if self.permanent {
            return;
        }
        let stopped = b"prof.active\0".name().write(false);
        let reset = b"prof.lg_sample\0".name().read();
        let forgotten = reset.and_then(|rate: usize| b"prof.reset\0".name().write(rate));
        if let Err(error) = stopped.and(forgotten) {
            tracing::error!(%error, "the allocator goes on sampling");
        }
    }
}

/// The path, and the same as the allocator wants it: for ever. There is one a process.
fn dump_path(dir: &Path) -> &'static (PathBuf, &'static [u8]) {
    static PATH: OnceLock<(PathBuf, &[u8])> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = dir.join(FILE);
        let terminated = [path.as_os_str().as_bytes(), b"\0"].concat();
        (path, Box::leak(terminated.into_boxed_slice()))
    })
}

/// jemalloc's text: a line `heap_v2/RATE`, then for each stack `@ ADDRESS…` and a line `t*: OBJECTS: BYTES […]` of what
/// was sampled of it.
struct Dump {
    sampled_every: i64,
    stacks: Vec<Stack>,
}

impl Dump {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let sampled_every = lines.next()?.strip_prefix("heap_v2/")?.parse().ok()?;
        let mut dump = Self { sampled_every, stacks: Vec::new() };
        let mut addresses: Option<Vec<u64>> = None;
        for line in lines {
            if let Some(stack) = line.strip_prefix('@') {
                addresses = Some(stack.split_whitespace().map(call).collect::<Option<_>>()?);
            } else if let Some(counts) = line.strip_prefix("t*:")
                && let Some(addresses) = addresses.take()
            {
                let mut counts = counts.split_whitespace().map(|count| count.trim_end_matches(':').parse());
                let (objects, bytes): (f64, f64) = (counts.next()?.ok()?, counts.next()?.ok()?);
                let value = estimate(objects, bytes, sampled_every as f64);
                dump.stacks.push(Stack { addresses, value });
            }
        }
        Some(dump)
    }
}

/// The call that returns to an address is before it.
fn call(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()?.checked_sub(1)
}

/// How many bytes there are, of how many were sampled: each byte with the same chance, so that large objects are
/// sampled more often than small ones. As `jeprof` does.
fn estimate(objects: f64, bytes: f64, sampled_every: f64) -> i64 {
    if objects <= 0.0 {
        return 0;
    }
    let chance = 1.0 - (-(bytes / objects) / sampled_every).exp();
    (bytes / chance) as i64
}

#[cfg(test)]
mod tests;
