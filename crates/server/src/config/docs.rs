use std::fmt::Write;

use super::KEYS;
use super::args::{flag, variable};

/// The page `docs/configuration.md`.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Printed by `vivace config-docs` from the table in `crates/server/src/config.rs`; a test compares the two.\n\n\
         Every key can stand in the YAML file named by `--config` (or `VIVACE_CONFIG`), in the environment, and on the\n\
         command line of `vivace serve`. A flag wins over the environment, the environment over the file, the file over\n\
         the default. A key the file should not have is an error that names the nearest known key.\n\
         `vivace serve --check-config` prints the configuration that results and exits.\n\n\
         Sizes are written `256MiB`, `1.5GiB`, `20MB` or as a number of bytes; durations `250ms`, `30s`, `1h30m`.\n",
    );
    for key in KEYS {
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## `{name}`\n\n{doc}\n\n\
             | type | default | flag | environment |\n|---|---|---|---|\n\
             | {kind} | `{default}` | `--{flag}` | `{variable}` |\n",
            name = key.name,
            doc = key.doc.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim(),
            kind = key.kind,
            default = key.default,
            flag = flag(key),
            variable = variable(key),
        );
    }
    page
}
