use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vivace_base::ByteSize;
use vivace_model::TenantId;

use crate::config::Limits;

/// From so many tenants on, those who have not sent for a while are forgotten.
const MIN_REMEMBERED: usize = 1024;

/// Why a request is not taken: its tenant sends too much. Texts begin as Tempo's do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RateLimited {
    /// It can be taken later.
    #[error(
        "RATE_LIMITED: ingestion rate limit ({rate} bytes/s, burst: {burst} bytes) exceeded while adding {bytes} bytes \
         for user {tenant}: send less, or {}",
        Limits::raise("ingestion_rate_limit_bytes")
    )]
    TooFast { tenant: TenantId, bytes: u64, rate: u64, burst: u64 },
    /// It is larger than what can come at once.
    #[error(
        "RATE_LIMITED: batch size ({bytes} bytes) exceeds ingestion limit ({rate} bytes/s, burst: {burst} bytes) for \
         user {tenant}: send smaller batches, or {}",
        Limits::raise("ingestion_burst_size_bytes")
    )]
    TooLarge { tenant: TenantId, bytes: u64, rate: u64, burst: u64 },
}

/// A token bucket for each tenant: it holds as many bytes as a burst has, and fills by so many a second.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    by_tenant: HashMap<TenantId, Bucket>,
    /// How many there were after those that are full were last forgotten.
    kept: usize,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Bytes.
    level: f64,
    /// When, since the clock's origin.
    at: Duration,
    /// How much there is room for, and by how much it fills a second.
    burst: f64,
    rate: f64,
}

impl Bucket {
    fn fill(&mut self, now: Duration) {
        let gained = now.saturating_sub(self.at).as_secs_f64() * self.rate;
        (self.level, self.at) = ((self.level + gained).min(self.burst), self.at.max(now));
    }
}

impl RateLimiter {
    /// Takes `bytes` out of a tenant's bucket, all of them or none. `now` is the time of a clock that never goes back.
    pub(crate) fn take(
        &self,
        tenant: &TenantId,
        bytes: u64,
        limits: &Limits,
        now: Duration,
    ) -> Result<(), RateLimited> {
        let of = |size: ByteSize| size.bytes();
        let (rate, burst) = (of(limits.ingestion_rate_limit_bytes), of(limits.ingestion_burst_size_bytes));
        if bytes > burst {
            return Err(RateLimited::TooLarge { tenant: tenant.clone(), bytes, rate, burst });
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.forget(now);
        let (rate_bytes, burst_bytes) = (rate as f64, burst as f64);
        let full = Bucket { level: burst_bytes, at: now, burst: burst_bytes, rate: rate_bytes };
        let bucket = buckets.by_tenant.entry(tenant.clone()).or_insert(full);
        bucket.fill(now);
        (bucket.burst, bucket.rate) = (burst_bytes, rate_bytes);
        bucket.level = bucket.level.min(burst_bytes);
        if bucket.level < bytes as f64 {
            return Err(RateLimited::TooFast { tenant: tenant.clone(), bytes, rate, burst });
        }
        bucket.level -= bytes as f64;
        Ok(())
    }
}

impl Buckets {
    /// A bucket that is full is like one that is not there.
    fn forget(&mut self, now: Duration) {
        if self.by_tenant.len() < MIN_REMEMBERED.max(2 * self.kept) {
            return;
        }
        self.by_tenant.retain(|_, bucket| {
            bucket.fill(now);
            bucket.level < bucket.burst
        });
        self.kept = self.by_tenant.len();
    }
}

#[cfg(test)]
mod tests;
