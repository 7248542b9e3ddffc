use vivace_base::{BlockId, UnixNanos};

use super::TenantPolicy;
use super::plan::nanos;
use crate::BlockMeta;

/// The blocks that are kept no longer, by age and by bytes, the oldest first. Age counts from when the newest spans of
/// a block came in, not from their own times: whoever loads last year's spans today wants to see them, and no clock that
/// runs wrong makes spans vanish or stay for ever. For spans that are sent when they end it is the same.
pub fn expired(blocks: &[BlockMeta], now: UnixNanos, policy: &TenantPolicy) -> Vec<BlockId> {
    let mut by_age: Vec<&BlockMeta> = blocks.iter().collect();
    by_age.sort_by_key(|block| (block.stored, block.id));
    let retention = nanos(policy.block_retention);
    let too_old = by_age.partition_point(|block| block.stored.saturating_add(retention) < now);
    let limit = policy.max_stored_bytes.map_or(u64::MAX, |size| size.bytes());
    let mut kept = 0_u64;
    let within = by_age.iter().rev().take_while(|block| {
        kept = kept.saturating_add(block.bytes);
        kept <= limit
    });
    let too_many = by_age.len() - within.count();
    by_age[..too_old.max(too_many)].iter().map(|block| block.id).collect()
}

#[cfg(test)]
mod tests;
