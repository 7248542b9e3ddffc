//! Structured logs, to standard error.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use opentelemetry_sdk::trace::SdkTracer;
use tracing::Level;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};
use vivace_base::SPANS;

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is not a log format: text or json")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Starts logging, and making spans of this process if someone wants them, once per process; a second call changes
/// nothing.
///
/// # Errors
/// When `level` is neither a level nor a filter such as `info,vivace=debug`.
pub(crate) fn start(level: &str, format: LogFormat, spans: Option<SdkTracer>) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(level)?;
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let ours = || Targets::new().with_target(SPANS, Level::TRACE);
    let spans = spans.map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours()));
    // An error means that a subscriber is already set, which the caller does not mind.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init();
    Ok(())
}
