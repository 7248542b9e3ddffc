use super::*;
use crate::config::ConfigArgs;

fn with_file(text: &str) -> (tempfile::TempDir, PathBuf, Config) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("overrides.yaml");
    std::fs::write(&file, text).unwrap();
    let mut config = Config::load(&ConfigArgs::default()).unwrap();
    config.per_tenant_override_config = Some(file.clone());
    (dir, file, config)
}

fn limit_of(limits: &TenantLimits, tenants: &str) -> usize {
    limits.of_all(&tenants.parse().unwrap()).max_result_limit
}

#[test]
fn a_file_that_changes_is_read_again_and_one_that_breaks_changes_nothing() {
    let (_dir, file, config) = with_file("overrides: {red: {read: {max_result_limit: 5}}}");
    let limits = TenantLimits::load(&config).unwrap();
    let default = config.limits.max_result_limit;
    assert_eq!((limit_of(&limits, "red"), limit_of(&limits, "blue")), (5, default));
    let good = "overrides: {red: {read: {max_result_limit: 6}}, '*': {read: {max_result_limit: 9}}}";
    for (text, is_good) in [(good, true), ("overrides: {red: {read: {nonsense: 1}}}", false), (":", false)] {
        std::fs::write(&file, text).unwrap();
        limits.reload();
        assert_eq!(limits.is_current(), Some(is_good), "{text}");
        assert_eq!((limit_of(&limits, "red"), limit_of(&limits, "blue")), (6, 9), "{text}");
    }
    std::fs::remove_file(&file).unwrap();
    limits.reload();
    assert_eq!((limits.is_current(), limit_of(&limits, "red")), (Some(false), 6));
    std::fs::write(&file, "").unwrap();
    limits.reload();
    assert_eq!((limits.is_current(), limit_of(&limits, "red")), (Some(true), default));
}

#[test]
fn a_file_that_is_broken_at_the_start_is_an_error() {
    let (_dir, _file, config) = with_file("overrides: {red: {read: {max_result_limit: x}}}");
    let error = TenantLimits::load(&config).unwrap_err().to_string();
    assert!(error.contains("`overrides.red.read.max_result_limit`"), "{error}");
}

#[test]
fn without_a_file_there_are_defaults() {
    let config = Config::load(&ConfigArgs::default()).unwrap();
    let limits = TenantLimits::load(&config).unwrap();
    limits.reload();
    assert_eq!((limits.is_current(), &*limits.of(&TenantId::single())), (None, &config.limits));
}

#[test]
fn everybody_who_enforces_limits_hears_of_a_tenants() {
    let (_dir, _file, config) = with_file(
        "overrides:
  red:
    ingestion: {max_attribute_bytes: 100}
    read: {query_deadline: 2s, max_bytes_scanned: 1MB, max_concurrent_queries: 3}
    compaction: {block_retention: 1h, compaction_window: 5m, compaction_disabled: true, max_stored_bytes: 1GB}
  blue: {read: {query_deadline: 1s, max_concurrent_queries: 4}}",
    );
    let limits = TenantLimits::load(&config).unwrap();
    let red: TenantId = "red".parse().unwrap();
    assert_eq!(IngestPolicies::policy(&*limits, &red), IngestPolicy { max_attribute_bytes: 100 });
    let kept = TenantPolicies::policy(&*limits, &red);
    assert_eq!((kept.block_retention.as_secs(), kept.compaction_window.as_secs()), (3600, 300));
    assert_eq!((kept.compaction_disabled, kept.max_stored_bytes), (true, Some("1GB".parse().unwrap())));
    let both = QueryPolicies::policy(&*limits, &"red|blue".parse().unwrap());
    assert_eq!((both.deadline, both.max_concurrent), (Duration::from_secs(1), 3));
    assert_eq!(both.max_bytes_scanned, Some("1MB".parse().unwrap()));
}

#[tokio::test]
async fn the_file_is_watched_until_the_server_stops() {
    let (_dir, file, config) = with_file("");
    let limits = TenantLimits::load(&config).unwrap();
    let stop = CancellationToken::new();
    let watching = tokio::spawn(Arc::clone(&limits).watch(Duration::from_millis(5), stop.clone()));
    std::fs::write(&file, "overrides: {red: {read: {max_result_limit: 5}}}").unwrap();
    while limit_of(&limits, "red") != 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    watching.await.unwrap();
}
