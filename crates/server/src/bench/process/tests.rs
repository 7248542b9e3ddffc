use std::time::Duration;

use super::*;

#[test]
fn processor_time_is_found_behind_any_name() {
    let stat = "17 (a) b (c)) S 1 17 17 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 9 0 100 0 0";
    assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(3)));
    assert_eq!(parse_cpu_time("17 (x) S 1"), None);
}

#[test]
fn this_process_uses_memory_and_time() {
    let pid = std::process::id();
    assert!(peak_memory(pid).unwrap() > 1 << 20);
    assert!(cpu_time(pid).is_some());
    assert!(machine_memory().unwrap() > peak_memory(pid).unwrap());
}

#[test]
fn disk_use_counts_files_in_all_directories() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
    std::fs::write(dir.path().join("a/b/c"), [0; 700]).unwrap();
    std::fs::write(dir.path().join("d"), [0; 24]).unwrap();
    assert_eq!(disk_use(dir.path()), 724);
}
