use std::path::Path;

use clap::{Args, Command, FromArgMatches};

use super::{Config, ConfigArgs, ConfigError, KEYS, file, markdown};

fn args(flags: &[&str]) -> ConfigArgs {
    let command = ConfigArgs::augment_args(Command::new("test"));
    let words = std::iter::once("test").chain(flags.iter().copied());
    ConfigArgs::from_arg_matches(&command.get_matches_from(words)).unwrap()
}

fn in_file(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vivace.yaml");
    std::fs::write(&path, text).unwrap();
    Config::load(&args(&["--config", path.to_str().unwrap()]))
}

#[test]
fn the_documentation_is_what_the_table_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(written == markdown(), "docs/configuration.md is stale: write what `vivace config-docs` prints");
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = Config::load(&args(&["--data-dir", "/data"])).unwrap();
    assert_eq!(config.http_listen, "127.0.0.1:3200");
    assert_eq!(config.otlp_http_listen, "127.0.0.1:4318");
    assert_eq!(config.storage_url, vivace_storage::object::default_url(Path::new("/data")).unwrap());
    assert!(!config.multitenancy);
    assert!(config.memory_limit.bytes() > 0);
    assert_eq!(config.limits.max_search_duration.as_secs(), 168 * 3600);
    assert_eq!((config.limits.block_retention.as_secs(), config.limits.max_stored_bytes), (336 * 3600, None));
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vivace.yaml");
    std::fs::write(&path, "max_block_age: 5s\ndefault_result_limit: 7\nmultitenancy: true\n").unwrap();
    let config = Config::load(&args(&["--config", path.to_str().unwrap(), "--max-block-age", "9s"])).unwrap();
    assert_eq!(config.max_block_age.as_secs(), 9);
    assert_eq!(config.limits.default_result_limit, 7);
    assert!(config.multitenancy);
    assert_eq!(config.limits.max_spans_per_span_set, 100);
}

#[test]
fn a_switch_needs_no_value() {
    assert!(Config::load(&args(&["--multitenancy"])).unwrap().multitenancy);
    assert!(!Config::load(&args(&["--multitenancy=false"])).unwrap().multitenancy);
}

#[test]
fn an_unknown_key_names_the_file_and_the_nearest() {
    let error = in_file("max_blok_bytes: 1MiB\n").unwrap_err().to_string();
    assert!(error.contains("vivace.yaml: unknown key `max_blok_bytes`"), "{error}");
    assert!(error.ends_with("did you mean `max_block_bytes`?"), "{error}");
    let error = in_file("query:\n  deadline: 5s\n").unwrap_err().to_string();
    assert!(error.contains("`query.deadline`; did you mean `query_deadline`?"), "{error}");
}

#[test]
fn wrong_values_name_their_source() {
    let error = in_file("memory_limit: lots\n").unwrap_err().to_string();
    assert!(error.contains("vivace.yaml: key `memory_limit`: `lots` is not a size"), "{error}");
    let error = in_file("log_format: [json]\n").unwrap_err().to_string();
    assert!(error.contains("key `log_format`: expected text or json, found a list"), "{error}");
    let error = Config::load(&args(&["--max-block-age", "soon"])).unwrap_err().to_string();
    assert!(error.starts_with("--max-block-age: `soon` is not a duration"), "{error}");
    assert!(in_file("- a\n").unwrap_err().to_string().contains("expected `key: value` lines"));
    assert!(in_file("a: b: c\n").unwrap_err().to_string().contains("not valid YAML"));
    let missing = Config::load(&args(&["--config", "/nowhere.yaml"])).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the config file /nowhere.yaml"), "{missing}");
}

#[test]
fn a_limit_may_be_none() {
    let limit = |text: &str| {
        in_file(&format!("max_stored_bytes: {text}\n")).map(|config| config.limits.max_stored_bytes)
    };
    assert_eq!(limit("unlimited").unwrap(), None);
    assert_eq!(limit("0").unwrap(), None, "as Tempo writes it");
    assert_eq!(limit("2GiB").unwrap(), Some("2GiB".parse().unwrap()));
    let error = limit("none").unwrap_err().to_string();
    assert!(error.contains("key `max_stored_bytes`: `none` is not a size"), "{error}");
}

#[test]
fn spans_of_its_own_go_to_a_url_without_tls() {
    let endpoint = |text: &str| in_file(&format!("self_tracing_endpoint: {text}\n"));
    assert!(Config::load(&args(&[])).unwrap().self_tracing_endpoint.is_none());
    assert_eq!(endpoint("http://a:4317").unwrap().self_tracing_endpoint.unwrap().url(), "http://a:4317");
    for wrong in ["https://a:4317", "a:4317", "localhost"] {
        let error = endpoint(wrong).unwrap_err().to_string();
        assert!(error.contains("key `self_tracing_endpoint`: `"), "{error}");
    }
    assert_eq!(in_file("self_tracing_ratio: 0.25\n").unwrap().self_tracing_ratio.share(), 0.25);
    let error = in_file("self_tracing_ratio: 1.5\n").unwrap_err().to_string();
    assert!(error.contains("`1.5` is not a number from 0 to 1"), "{error}");
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let config = Config::load(&args(&["--memory-limit", "1234567B", "--data-dir", "a \"b\": c"])).unwrap();
    let yaml = config.to_yaml();
    let values = file::parse(Path::new("printed"), &yaml).unwrap();
    assert_eq!(values.len(), KEYS.len());
    let again = Config::from_texts(|key| values[key.name].clone()).unwrap();
    assert_eq!(again.to_yaml(), yaml);
}

#[test]
fn the_smallest_limit_of_a_control_group_and_its_parents_counts() {
    let root = tempfile::tempdir().unwrap();
    let group = root.path().join("pod/container");
    std::fs::create_dir_all(&group).unwrap();
    std::fs::write(group.join("memory.max"), "max\n").unwrap();
    std::fs::write(root.path().join("pod/memory.max"), "1000\n").unwrap();
    assert_eq!(super::memory::limit_of(root.path(), "0::/pod/container\n"), Some(1000));
    assert_eq!(super::memory::limit_of(root.path(), "0::/\n"), None);
    let v1 = root.path().join("memory/x");
    std::fs::create_dir_all(&v1).unwrap();
    std::fs::write(v1.join("memory.limit_in_bytes"), "2000\n").unwrap();
    std::fs::write(root.path().join("memory/memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
    assert_eq!(super::memory::limit_of(root.path(), "4:cpu,memory:/x\n1:cpu:/y\n"), Some(2000));
}
