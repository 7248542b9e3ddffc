//! What can be configured. The table at the end of this file, and that of limits in `config/limits.rs`, are the only
//! places that name a key: the structs, the flags, the environment variables, the YAML keys and
//! `docs/configuration.md` all come from them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use vivace_base::ByteSize;
use vivace_storage::object::default_url;

use crate::logging::LogFormat;

mod args;
mod docs;
mod file;
mod limits;
mod memory;
mod overrides;
mod setting;

pub(crate) use args::ConfigArgs;
pub(crate) use docs::markdown;
pub(crate) use limits::Limits;
pub(crate) use memory::detect as detected_memory_limit;
pub(crate) use overrides::{Overrides, TenantOverrides};
use setting::Setting;
pub(crate) use setting::{Endpoint, Ratio};

/// One key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its name in the file; `--with-dashes` as a flag, `VIVACE_IN_CAPITALS` in the environment.
    pub(crate) name: &'static str,
    /// What its value is.
    pub(crate) kind: &'static str,
    /// What it is when nobody sets it.
    pub(crate) default: &'static str,
    /// What it does.
    pub(crate) doc: &'static str,
    /// Where a tenant's own value stands in the overrides file; [`None`] when it is the same for all.
    pub(crate) path: Option<&'static str>,
}

/// Every key, in the order of the documentation.
pub(crate) static KEYS: LazyLock<Vec<Key>> =
    LazyLock::new(|| PROCESS_KEYS.iter().chain(limits::KEYS).copied().collect());

/// Why there is no valid configuration. Says which source and which key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the config file {}: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: std::io::Error },
    #[error("{}: not valid YAML: {reason}", .path.display())]
    Syntax { path: PathBuf, reason: serde_norway::Error },
    #[error("{}: {reason}", .path.display())]
    Shape { path: PathBuf, reason: String },
    #[error("{}: unknown key `{key}`{}", .path.display(), .nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownKey { path: PathBuf, key: String, nearest: Option<&'static str> },
    #[error("{origin}: {reason}")]
    Value { origin: String, reason: String },
}

/// A value as text, and who set it.
#[derive(Debug, Clone)]
struct Given {
    text: String,
    origin: String,
}

/// The words for "work it out yourself".
const AUTO: &str = "auto";

macro_rules! configuration {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:literal;)+) => {
        /// The resolved configuration.
        #[derive(Debug, Clone)]
        pub(crate) struct Config {
            $($(#[doc = $doc])+ pub(crate) $name: $type,)+
            /// What holds for a tenant that has nothing of its own.
            pub(crate) limits: Limits,
        }

        /// The keys that are the same for all tenants.
        const PROCESS_KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            kind: <$type as Setting>::KIND,
            default: $default,
            doc: concat!($($doc, "\n"),+),
            path: None,
        }),+];

        impl Config {
            fn from_texts(text_of: impl Fn(&Key) -> Given) -> Result<Self, ConfigError> {
                let mut keys = PROCESS_KEYS.iter();
                Ok(Self {
                    $($name: read::<$type>(keys.next().map(&text_of))?,)+
                    limits: Limits::from_texts(&text_of)?,
                })
            }

            /// The resolved configuration as YAML that reads back as the same.
            pub(crate) fn to_yaml(&self) -> String {
                let mut yaml = String::new();
                $(setting::write_yaml(&mut yaml, stringify!($name), &setting::yaml(&self.$name));)+
                for (key, value) in self.limits.yaml_values() {
                    setting::write_yaml(&mut yaml, key.name, &value);
                }
                yaml
            }
        }
    };
}

fn read<T: Setting>(given: Option<Given>) -> Result<T, ConfigError> {
    let Given { text, origin } = given.unwrap_or(Given { text: String::new(), origin: String::new() });
    T::parse(&text).map_err(|reason| ConfigError::Value { origin, reason })
}

impl Config {
    /// How long the objects of a block stay that no catalog names any more.
    pub(crate) fn removed_block_retention(&self) -> Duration {
        self.compacted_block_retention.max(self.limits.query_deadline)
    }

    /// Merges file, environment and flags, later ones first, over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] names the source, the key and what is wrong with it.
    pub(crate) fn load(args: &ConfigArgs) -> Result<Self, ConfigError> {
        let from_file = args.file().map(file::read).transpose()?.unwrap_or_default();
        let given = |key: &Key| args.given(key).or_else(|| from_file.get(key.name).cloned());
        let or_default = |key: &Key| {
            let default =
                || Given { text: key.default.to_owned(), origin: format!("default of {}", key.name) };
            given(key).unwrap_or_else(default)
        };
        let data_dir = KEYS.iter().find(|key| key.name == "data_dir").map(or_default);
        let data_dir = data_dir.map(|given| given.text).unwrap_or_default();
        let local_url = default_url(Path::new(&data_dir)).map_err(|error| ConfigError::Value {
            origin: "data_dir".to_owned(),
            reason: error.to_string(),
        })?;
        Self::from_texts(|key| {
            let mut value = or_default(key);
            match key.name {
                "memory_limit" if value.text == AUTO => value.text = memory::detect().bytes().to_string(),
                "storage_url" if value.text == AUTO => value.text.clone_from(&local_url),
                _ => {}
            }
            value
        })
    }
}

configuration! {
    /// Directory of the write-ahead log and of everything else kept on local disk.
    data_dir: PathBuf = "./vivace-data";
    /// Object store that holds the blocks: `file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix` or
    /// `az://container/prefix`. `auto` is the directory `objects` inside `data_dir`.
    storage_url: String = "auto";
    /// Memory the process may use. `auto` is 80 % of the limit of its control group, which is followed when it changes, or
    /// 1 GiB without one.
    memory_limit: ByteSize = "auto";
    /// Address of the query API over HTTP. Port 0 takes any free port.
    http_listen: String = "127.0.0.1:3200";
    /// Address of the query API over gRPC.
    grpc_listen: String = "127.0.0.1:9095";
    /// Address that takes spans as OTLP over gRPC.
    otlp_grpc_listen: String = "127.0.0.1:4317";
    /// Address that takes spans as OTLP over HTTP, at `/v1/traces`.
    otlp_http_listen: String = "127.0.0.1:4318";
    /// Whether requests must name a tenant in `X-Scope-OrgID`. Without it every request is tenant `single-tenant`.
    multitenancy: bool = "false";
    /// File with limits of single tenants, which win over those below. It is read again while the server runs.
    per_tenant_override_config: Option<PathBuf> = "none";
    /// How often it is read.
    per_tenant_override_period: Duration = "10s";
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,vivace=debug`.
    log_level: String = "info";
    /// How it is logged.
    log_format: LogFormat = "text";
    /// Largest OTLP/HTTP request body as received.
    max_request_bytes: ByteSize = "20MiB";
    /// Largest OTLP request body after decompression, over HTTP and gRPC.
    max_decompressed_bytes: ByteSize = "64MiB";
    /// Largest OTLP/gRPC message as received.
    max_grpc_message_bytes: ByteSize = "16MiB";
    /// A tenant's newest spans become a block when they take this much memory.
    max_block_bytes: ByteSize = "16MiB";
    /// A tenant's newest spans become a block when the oldest of them has waited this long.
    max_block_age: Duration = "60s";
    /// Largest write-ahead log. It grows while the object store takes no blocks; when it has this size, or memory is used
    /// up before, senders are told to try again later.
    max_wal_bytes: ByteSize = "2GiB";
    /// When nothing has come into a stretch of time for so long after its end, what is left of its blocks is merged.
    compaction_settle: Duration = "10m";
    /// How long the objects of a block stay after it was merged or dropped, for queries that still read it. Never
    /// shorter than `query_deadline`.
    compacted_block_retention: Duration = "10m";
    /// Whether a trace may be asked for with `span_pruning`, which replaces groups of similar spans by summaries.
    span_pruning_enabled: bool = "false";
    /// Whether a trace is pruned when the request does not say `span_pruning`.
    span_pruning_enabled_by_default: bool = "false";
    /// Largest two traces together that are compared, as OTLP.
    max_trace_diff_bytes: ByteSize = "5MB";
    /// Whether language models may ask over MCP, at `/api/mcp` of the query API over HTTP.
    mcp_enabled: bool = "true";
    /// Where the server sends spans of its own work, as OTLP over gRPC: `http://host:4317`. Or `off`.
    self_tracing_endpoint: Option<Endpoint> = "off";
    /// Share of requests that it makes spans of, unless their sender says whether it wants them.
    self_tracing_ratio: Ratio = "0.1";
    /// Whether profiles of the processor and of memory can be taken, at `/debug/pprof/` of the query API over HTTP.
    pprof_enabled: bool = "true";
}

#[cfg(test)]
mod tests;
