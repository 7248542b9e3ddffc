//! Memory control groups: the kernel kills what takes more than it was given.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A control group with a memory limit, removed when dropped. Processes enter it by [`MemoryCgroup::procs`].
#[derive(Debug)]
pub struct MemoryCgroup {
    folder: PathBuf,
    version_1: bool,
}

impl MemoryCgroup {
    /// A group whose processes together may take so many bytes, swap included.
    ///
    /// # Errors
    /// Why none can be made here: not root, or no memory controller.
    pub fn new(bytes: u64) -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("vivace-test-{}-{number}", std::process::id());
        let version_1 = Path::new("/sys/fs/cgroup/memory").is_dir();
        let root = Path::new(if version_1 { "/sys/fs/cgroup/memory" } else { "/sys/fs/cgroup" });
        if !version_1 {
            // Fails where it is on already and may not be changed; what matters shows below.
            let _ = std::fs::write(root.join("cgroup.subtree_control"), "+memory");
        }
        let group = Self { folder: root.join(name), version_1 };
        let failed = |what: &Path, error: std::io::Error| format!("{}: {error}", what.display());
        std::fs::create_dir(&group.folder).map_err(|error| failed(&group.folder, error))?;
        let limit = group.folder.join(if version_1 { "memory.limit_in_bytes" } else { "memory.max" });
        std::fs::write(&limit, bytes.to_string()).map_err(|error| failed(&limit, error))?;
        // Where swap is not counted there is none.
        let swap = if version_1 { ("memory.memsw.limit_in_bytes", bytes) } else { ("memory.swap.max", 0) };
        let _ = std::fs::write(group.folder.join(swap.0), swap.1.to_string());
        Ok(group)
    }

    /// The same, or a line that says why the test is skipped. `VIVACE_REQUIRE_CGROUP` makes that a failure.
    pub fn or_skip(bytes: u64) -> Option<Self> {
        match Self::new(bytes) {
            Ok(group) => Some(group),
            Err(reason) if std::env::var_os("VIVACE_REQUIRE_CGROUP").is_none() => {
                eprintln!("skipped: no memory control group can be made here: {reason}");
                None
            }
            Err(reason) => panic!("no memory control group can be made here: {reason}"),
        }
    }

    /// Where a process writes its id to enter.
    pub fn procs(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// How many processes the kernel has killed for taking too much.
    pub fn kills(&self) -> u64 {
        let file = self.folder.join(if self.version_1 { "memory.oom_control" } else { "memory.events" });
        let text = std::fs::read_to_string(&file).expect("the group tells its events");
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no kills in {text}"))
    }

    /// Sets another limit.
    pub fn limit(&self, bytes: u64) {
        let file = if self.version_1 { "memory.limit_in_bytes" } else { "memory.max" };
        std::fs::write(self.folder.join(file), bytes.to_string()).expect("the limit can be changed");
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // The last process may still be ending.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
