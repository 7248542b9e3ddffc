use std::time::Duration;

use vivace_base::ByteSize;
use vivace_model::TimeRange;

use super::*;

fn block(stored: u64, bytes: u64) -> BlockMeta {
    BlockMeta {
        id: format!("{stored:032x}").parse().expect("valid"),
        rows: 1,
        traces: 1,
        bytes,
        range: TimeRange { start: 0, end: 1 },
        format: 1,
        wal: None,
        level: 0,
        stored,
        file: None,
    }
}

fn policy(seconds: u64, bytes: Option<u64>) -> TenantPolicy {
    TenantPolicy {
        block_retention: Duration::from_secs(seconds),
        max_stored_bytes: bytes.map(ByteSize::from_bytes),
        compaction_window: Duration::from_secs(3600),
        compaction_disabled: false,
    }
}

fn ages(ids: &[BlockId]) -> Vec<u128> {
    ids.iter().map(|id| u128::from_str_radix(&id.to_string(), 16).expect("hex")).collect()
}

#[test]
fn what_came_in_too_long_ago_goes() {
    let blocks = [block(3_000_000_000, 1), block(1_000_000_000, 1), block(2_000_000_000, 1)];
    let gone = |now| ages(&expired(&blocks, now, &policy(10, None)));
    assert_eq!(gone(11_000_000_000), [0_u128; 0], "to the nanosecond");
    assert_eq!(gone(11_000_000_001), [1_000_000_000]);
    assert_eq!(gone(u64::MAX), [1_000_000_000, 2_000_000_000, 3_000_000_000]);
}

#[test]
fn of_too_much_the_oldest_goes() {
    let blocks = [block(3, 10), block(1, 10), block(2, 10)];
    let gone = |bytes| ages(&expired(&blocks, 4, &policy(1, Some(bytes))));
    assert_eq!(gone(30), [0_u128; 0]);
    assert_eq!(gone(29), [1]);
    assert_eq!(gone(10), [1, 2]);
    assert_eq!(gone(9), [1, 2, 3]);
}
