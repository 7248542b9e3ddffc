//! What one tenant may use. The table at the end of this file is the only place that names a limit: the struct, the
//! keys of its defaults, the paths in the overrides file, the documentation and the metrics come from it.

use std::time::Duration;

use vivace_base::ByteSize;

use super::setting::{self, Setting};
use super::{ConfigError, Given, Key, read};

/// A type that a limit can have.
trait Limit: Setting {
    /// What holds for a question about tenants with these two limits.
    fn strictest(&self, other: &Self) -> Self;

    /// As a metric: bytes, a number, nanoseconds, 1 for true; 0 for no limit. Tempo's, all of them.
    fn figure(&self) -> f64;
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:literal at $path:literal;)+) => {
        /// The limits of one tenant.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct Limits {
            $($(#[doc = $doc])+ pub(crate) $name: $type,)+
        }

        /// Every limit, as the key of its default.
        pub(super) const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            kind: <$type as Setting>::KIND,
            default: $default,
            doc: concat!($($doc, "\n"),+),
            path: Some($path),
        }),+];

        impl Limits {
            pub(super) fn from_texts(text_of: impl Fn(&Key) -> Given) -> Result<Self, ConfigError> {
                let mut keys = KEYS.iter();
                Ok(Self { $($name: read::<$type>(keys.next().map(&text_of))?,)+ })
            }

            /// Sets the limit of this name.
            pub(super) fn set(&mut self, name: &str, given: Given) -> Result<(), ConfigError> {
                match name {
                    $(stringify!($name) => self.$name = read(Some(given))?,)+
                    _ => {}
                }
                Ok(())
            }

            /// For a question about tenants with these limits.
            pub(crate) fn strictest(&self, other: &Self) -> Self {
                Self { $($name: self.$name.strictest(&other.$name),)+ }
            }

            /// Every limit's value as YAML.
            pub(crate) fn yaml_values(&self) -> impl Iterator<Item = (&'static Key, String)> {
                KEYS.iter().zip([$(setting::yaml(&self.$name)),+])
            }

            /// Every limit's value as a metric.
            pub(crate) fn figures(&self) -> impl Iterator<Item = (&'static Key, f64)> {
                KEYS.iter().zip([$(self.$name.figure()),+])
            }
        }
    };
}

impl Limits {
    /// How an error names a limit and says where to raise it.
    pub(crate) fn raise(name: &'static str) -> String {
        let path = KEYS.iter().find(|key| key.name == name).and_then(|key| key.path).unwrap_or_default();
        format!("raise `{name}` (`{path}` of the tenant)")
    }
}

impl Limit for bool {
    fn strictest(&self, other: &Self) -> Self {
        *self && *other
    }

    fn figure(&self) -> f64 {
        f64::from(u8::from(*self))
    }
}

impl Limit for usize {
    fn strictest(&self, other: &Self) -> Self {
        *self.min(other)
    }

    fn figure(&self) -> f64 {
        *self as f64
    }
}

impl Limit for ByteSize {
    fn strictest(&self, other: &Self) -> Self {
        *self.min(other)
    }

    fn figure(&self) -> f64 {
        self.bytes() as f64
    }
}

impl Limit for Duration {
    fn strictest(&self, other: &Self) -> Self {
        *self.min(other)
    }

    fn figure(&self) -> f64 {
        self.as_nanos() as f64
    }
}

impl<T: Limit + Copy> Limit for Option<T>
where
    Self: Setting,
{
    fn strictest(&self, other: &Self) -> Self {
        match (self, other) {
            (Some(one), Some(other)) => Some(one.strictest(other)),
            (one, other) => one.or(*other),
        }
    }

    fn figure(&self) -> f64 {
        self.as_ref().map_or(0.0, Limit::figure)
    }
}

limits! {
    /// Bytes of OTLP, as protobuf without compression, that a tenant may send in a second. What is above is refused as
    /// a whole request, to be sent again later.
    ingestion_rate_limit_bytes: ByteSize = "30MB" at "ingestion.rate_limit_bytes";
    /// Bytes that may come at once after a pause. A request that is larger can never be taken.
    ingestion_burst_size_bytes: ByteSize = "30MB" at "ingestion.burst_size_bytes";
    /// Whether refusals for want of room or for the rate say when to try again. Without that, OpenTelemetry's exporters
    /// drop what they sent over gRPC.
    ingestion_retry_info_enabled: bool = "true" at "ingestion.retry_info_enabled";
    /// Longer keys and texts of attributes are cut, where a character ends. Texts in arrays and maps are left alone.
    max_attribute_bytes: ByteSize = "2048" at "ingestion.max_attribute_bytes";
    /// Largest trace that is returned by id, as OTLP. Tempo has 5 MB; here there is no limit by default, since traces
    /// are streamed. With one, each trace is read twice. Of a trace that is larger `/api/v2/traces` returns a part,
    /// marked partial; `/api/traces` answers 422, a comparison 429.
    max_bytes_per_trace: Option<ByteSize> = "unlimited" at "global.max_bytes_per_trace";
    /// The same in spans.
    max_spans_per_trace: Option<usize> = "unlimited" at "read.max_spans_per_trace";
    /// Longest time range of a search.
    max_search_duration: Duration = "168h" at "read.max_search_duration";
    /// Longest time range of a metrics query.
    max_metrics_duration: Duration = "24h" at "read.max_metrics_duration";
    /// Traces returned by a search that does not say `limit`.
    default_result_limit: usize = "20" at "read.default_result_limit";
    /// Largest `limit` of a search.
    max_result_limit: usize = "262144" at "read.max_result_limit";
    /// Spans returned per trace by a search that does not say `spss`.
    default_spans_per_span_set: usize = "3" at "read.default_spans_per_span_set";
    /// Largest `spss` of a search.
    max_spans_per_span_set: usize = "100" at "read.max_spans_per_span_set";
    /// Most steps of a metrics query: its time range divided by its step.
    max_intervals: usize = "10000" at "read.max_intervals";
    /// Most series of a metrics query's answer; the others are left out, and the answer is marked partial.
    max_response_series: Option<usize> = "unlimited" at "read.max_response_series";
    /// Most exemplars of a metrics query, and how many one has that does not say `exemplars`.
    max_exemplars: usize = "100" at "read.max_exemplars";
    /// Queries that run at the same time; others wait. The default is for all tenants together too.
    max_concurrent_queries: usize = "16" at "read.max_concurrent_queries";
    /// Time a query may take. A search then returns what it has found, marked partial; others are answered with 504.
    query_deadline: Duration = "30s" at "read.query_deadline";
    /// How much of blocks' spans a query may read; what is known of them by their indexes does not count, nor do spans
    /// that are in no block yet, nor a trace by id. A search then returns what it has found, marked partial; others
    /// are answered with 422.
    max_bytes_scanned: Option<ByteSize> = "unlimited" at "read.max_bytes_scanned";
    /// How long spans are kept after they came in.
    block_retention: Duration = "336h" at "compaction.block_retention";
    /// How much is kept of a tenant, in bytes of its blocks; the oldest blocks go first.
    max_stored_bytes: Option<ByteSize> = "unlimited" at "compaction.max_stored_bytes";
    /// Whether blocks stay as they were cut. Small blocks make queries slower and take more room.
    compaction_disabled: bool = "false" at "compaction.compaction_disabled";
    /// Blocks are merged with others whose spans ended in the same stretch of time, this long.
    compaction_window: Duration = "1h" at "compaction.compaction_window";
}
