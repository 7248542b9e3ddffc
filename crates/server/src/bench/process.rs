//! What Linux knows about a process and the machine.

use std::path::Path;
use std::time::Duration;

/// Ticks a second in `/proc/PID/stat`, whatever the kernel's own timer does.
const TICKS: u64 = 100;

/// Processor time of all threads, in user and system mode, of those that ended included.
pub(super) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_cpu_time(&stat)
}

fn parse_cpu_time(stat: &str) -> Option<Duration> {
    // the program's name, in parentheses, may contain anything
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS))
}

/// The most memory that was resident so far, in bytes.
pub(super) fn peak_memory(pid: u32) -> Option<u64> {
    status_kib(&format!("/proc/{pid}/status"), "VmHWM:").map(|kib| kib << 10)
}

/// The machine's memory, in bytes.
pub(super) fn machine_memory() -> Option<u64> {
    status_kib("/proc/meminfo", "MemTotal:").map(|kib| kib << 10)
}

fn status_kib(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The kernel's version.
pub(super) fn kernel() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(text.trim().to_owned())
}

/// What the processors are called.
pub(super) fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Bytes of all files below `dir`; files that vanish meanwhile count nothing.
pub(super) fn disk_use(dir: &Path) -> u64 {
    let mut total = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => dirs.push(entry.path()),
                Ok(meta) => total += meta.len(),
                Err(_) => {}
            }
        }
    }
    total
}

/// Makes the kernel forget what it has cached of files.
///
/// # Errors
/// Why it would not, in words.
pub(super) fn drop_page_cache() -> Result<(), String> {
    let synced = std::process::Command::new("sync").status();
    if !synced.is_ok_and(|status| status.success()) {
        return Err("`sync` failed".to_owned());
    }
    let path = "/proc/sys/vm/drop_caches";
    std::fs::write(path, "3").map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests;
