use super::*;
use crate::config::{Config, ConfigArgs};

fn limits(rate: u64, burst: u64) -> Limits {
    Limits {
        ingestion_rate_limit_bytes: ByteSize::from_bytes(rate),
        ingestion_burst_size_bytes: ByteSize::from_bytes(burst),
        ..Config::load(&ConfigArgs::default()).unwrap().limits
    }
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_burst_passes_and_then_the_rate() {
    let (limiter, limits, red) = (RateLimiter::default(), limits(100, 250), tenant("red"));
    assert_eq!(limiter.take(&red, 200, &limits, SECOND), Ok(()));
    assert_eq!(limiter.take(&red, 50, &limits, SECOND), Ok(()));
    let refused = limiter.take(&red, 1, &limits, SECOND).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "RATE_LIMITED: ingestion rate limit (100 bytes/s, burst: 250 bytes) exceeded while adding 1 bytes for user \
         red: send less, or raise `ingestion_rate_limit_bytes` (`ingestion.rate_limit_bytes` of the tenant)"
    );
    assert_eq!(limiter.take(&tenant("blue"), 250, &limits, SECOND), Ok(()), "another tenant's is full");
    assert_eq!(limiter.take(&red, 100, &limits, 2 * SECOND), Ok(()));
    assert!(limiter.take(&red, 1, &limits, 2 * SECOND).is_err());
    assert_eq!(limiter.take(&red, 250, &limits, 100 * SECOND), Ok(()), "no more than a burst is saved");
    assert!(limiter.take(&red, 1, &limits, 100 * SECOND).is_err());
}

#[test]
fn what_is_larger_than_a_burst_never_passes_and_is_told_so() {
    let (limiter, limits, red) = (RateLimiter::default(), limits(100, 250), tenant("red"));
    let refused = limiter.take(&red, 251, &limits, SECOND).unwrap_err();
    assert!(matches!(refused, RateLimited::TooLarge { .. }));
    let expected =
        "RATE_LIMITED: batch size (251 bytes) exceeds ingestion limit (100 bytes/s, burst: 250 bytes)";
    assert!(refused.to_string().starts_with(expected), "{refused}");
    assert_eq!(limiter.take(&red, 250, &limits, SECOND), Ok(()), "nothing was taken for it");
}

#[test]
fn limits_that_change_count_at_once() {
    let (limiter, red) = (RateLimiter::default(), tenant("red"));
    assert_eq!(limiter.take(&red, 100, &limits(100, 100), SECOND), Ok(()));
    assert!(limiter.take(&red, 50, &limits(10, 100), SECOND).is_err());
    assert!(limiter.take(&red, 50, &limits(10, 100), 2 * SECOND).is_err(), "10 a second from now on");
    assert_eq!(limiter.take(&red, 50, &limits(10, 100), 6 * SECOND), Ok(()));
}

#[test]
fn tenants_that_are_silent_are_forgotten() {
    let (limiter, limits) = (RateLimiter::default(), limits(100, 100));
    let busy = tenant("busy");
    for at in 0..10_000_u32 {
        let _ = limiter.take(&busy, 100, &limits, SECOND * at);
        assert_eq!(limiter.take(&tenant(&format!("t{at}")), 1, &limits, SECOND * at), Ok(()));
    }
    let remembered = limiter.buckets.lock().unwrap().by_tenant.len();
    assert!(remembered <= MIN_REMEMBERED, "{remembered}");
}
