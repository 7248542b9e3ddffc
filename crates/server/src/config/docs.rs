use std::fmt::Write;

use super::args::{flag, variable};
use super::{Key, PROCESS_KEYS, limits};

/// The page `docs/configuration.md`.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Printed by `vivace config-docs` from the tables in `crates/server/src/config.rs` and `config/limits.rs`; a test\n\
         compares the two.\n\n\
         Every key can stand in the YAML file named by `--config` (or `VIVACE_CONFIG`), in the environment, and on the\n\
         command line of `vivace serve`. A flag wins over the environment, the environment over the file, the file over\n\
         the default. A key the file should not have is an error that names the nearest known key.\n\
         `vivace serve --check-config` prints the configuration that results and exits.\n\n\
         Sizes are written `256MiB`, `1.5GiB`, `20MB` or as a number of bytes; durations `250ms`, `30s`, `1h30m`.\n",
    );
    PROCESS_KEYS.iter().for_each(|key| write_key(&mut page, key));
    page.push_str(LIMITS);
    limits::KEYS.iter().for_each(|key| write_key(&mut page, key));
    page
}

const LIMITS: &str = "
# Limits of tenants

The keys below hold for every tenant that has nothing of its own. Limits of single tenants stand in the file that
`per_tenant_override_config` names, under the names given with each key:

```yaml
overrides:
  payments:
    ingestion:
      rate_limit_bytes: 5MB
    read:
      max_search_duration: 24h
  \"*\":
    compaction:
      block_retention: 72h
```

What a tenant does not set it has from `*`, and what that does not set from the configuration. (In Tempo an entry
replaces all of these, and what it does not set is zero.) Without `multitenancy` the tenant is `single-tenant`. A
question to several tenants together (`a|b`) is held to the strictest limit of each kind.

The file is read again every `per_tenant_override_period`. What is wrong with it, an unknown name included, is an
error at the start. Later it is logged, `tempo_runtime_config_last_reload_successful` is 0, and what was read before
stays. `/status/runtime_config`, `/status/overrides` and `/status/overrides/{tenant}` show what holds;
`tempo_limits_defaults` and `tempo_limits_overrides` have it as metrics. `/api/overrides`, by which Tempo lets tenants
set some limits themselves, is not there.

`unlimited` can also be written 0.
";

fn write_key(page: &mut String, key: &Key) {
    let doc = key.doc.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let (flag, variable) = (flag(key), variable(key));
    let (name, doc, kind, default) = (key.name, doc.trim(), key.kind, key.default);
    // Writing to a String cannot fail.
    let _ = match key.path {
        None => write!(
            page,
            "\n## `{name}`\n\n{doc}\n\n\
             | type | default | flag | environment |\n|---|---|---|---|\n\
             | {kind} | `{default}` | `--{flag}` | `{variable}` |\n"
        ),
        Some(path) => write!(
            page,
            "\n## `{name}`\n\n{doc}\n\n\
             | type | default | flag | environment | of a tenant |\n|---|---|---|---|---|\n\
             | {kind} | `{default}` | `--{flag}` | `{variable}` | `{path}` |\n"
        ),
    };
}
