//! The memory the process is allowed, as its control group says.

use std::path::{Path, PathBuf};

use vivace_base::ByteSize;

const FALLBACK: ByteSize = ByteSize::from_mib(1024);

/// 80 % of the smallest limit of the process's control groups, or 1 GiB without one.
pub(crate) fn detect() -> ByteSize {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = limit_of(Path::new("/sys/fs/cgroup"), &groups);
    limit.map_or(FALLBACK, |bytes| ByteSize::from_bytes(bytes / 5 * 4))
}

/// The smallest limit of the groups listed in `groups` (the content of `/proc/self/cgroup`) and of their parents.
pub(super) fn limit_of(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let group = group.trim_start_matches('/');
        if controllers.is_empty() {
            smallest(root.to_owned(), group, "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            smallest(root.join("memory"), group, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

fn smallest(root: PathBuf, group: &str, file: &str) -> Option<u64> {
    let group = root.join(group);
    let levels = group.ancestors().take_while(|level| level.starts_with(&root));
    levels.filter_map(|level| read_limit(&level.join(file))).min()
}

/// Version 1 writes "no limit" as a number near 2⁶³, version 2 as `max`.
fn read_limit(file: &Path) -> Option<u64> {
    let bytes: u64 = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (bytes < 1 << 60).then_some(bytes)
}
