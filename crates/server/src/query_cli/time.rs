use std::time::Duration;

use clap::Args;
use vivace_base::{Clock as _, SystemClock, UnixNanos};

use super::QueryError;
use crate::{duration, rfc3339};

/// The time range of a query.
#[derive(Debug, Args, Default)]
pub(super) struct TimeArgs {
    /// Look back this far from now, such as 30m, 2h or 7d [default: 1h]
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["start", "end"])]
    since: Option<String>,
    /// From when: RFC 3339, unix seconds, or now-2h [default: an hour before the end]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    start: Option<String>,
    /// Until when, written like --start [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    end: Option<String>,
}

const NANOS: u64 = 1_000_000_000;
const DEFAULT_SINCE: u64 = 3600 * NANOS;

impl TimeArgs {
    /// Start and end in unix seconds; the second that is now is inside.
    pub(super) fn resolve(&self, now: UnixNanos) -> Result<(u64, u64), QueryError> {
        let end = self.end.as_deref().map_or(Ok(now), |text| parse_time(text, now))?;
        let start = match (&self.start, &self.since) {
            (Some(text), _) => parse_time(text, now)?,
            (None, Some(text)) => end.saturating_sub(duration::nanos(parse_duration(text)?)),
            (None, None) => end.saturating_sub(DEFAULT_SINCE),
        };
        if start >= end {
            return Err(QueryError::Usage(format!(
                "the time range is empty: it starts at {} and ends at {}",
                utc_text(start),
                utc_text(end)
            )));
        }
        Ok((start / NANOS, end.div_ceil(NANOS)))
    }

    /// The range as request parameters.
    pub(super) fn params(&self) -> Result<Vec<(&'static str, String)>, QueryError> {
        let (start, end) = self.resolve(SystemClock::default().now())?;
        Ok(vec![("start", start.to_string()), ("end", end.to_string())])
    }
}

/// Reads a time as `--start` and `--end` take it.
pub(crate) fn parse_time(text: &str, now: UnixNanos) -> Result<UnixNanos, QueryError> {
    let refuse = || {
        let expected = "RFC 3339 (2026-01-31T12:00:00Z), unix seconds, now or now-1h";
        QueryError::Usage(format!("`{text}` is not a time: write {expected}"))
    };
    if let Some(rest) = text.strip_prefix("now") {
        return match rest.strip_prefix('-') {
            Some(ago) => Ok(now.saturating_sub(duration::nanos(parse_duration(ago)?))),
            None if rest.is_empty() => Ok(now),
            None => Err(refuse()),
        };
    }
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(NANOS).ok_or_else(refuse);
    }
    rfc3339::parse(text).ok_or_else(refuse)
}

/// Reads `1h30m`, `500ms`, and whole days and weeks as Prometheus writes them: `7d`, `2w`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, QueryError> {
    let days = text.strip_suffix('d').map(|number| (number, 1));
    let weeks = text.strip_suffix('w').map(|number| (number, 7));
    let parsed = match days.or(weeks) {
        Some((number, days)) => {
            number.parse::<u32>().ok().map(|n| Duration::from_secs(u64::from(n) * days * 86_400))
        }
        None => duration::parse(text).ok(),
    };
    let refuse = || QueryError::Usage(format!("`{text}` is not a duration: write 500ms, 30m, 1h30m or 7d"));
    parsed.ok_or_else(refuse)
}

/// A duration for the server, which reads Go's units only: days and weeks become hours.
pub(super) fn parse_go_duration(text: &str) -> Result<String, String> {
    parse_duration(text).map(duration::print).map_err(|error| error.to_string())
}

/// `2026-01-31 12:00:00.250`, in UTC.
pub(crate) fn utc_text(time: UnixNanos) -> String {
    let seconds = time / NANOS;
    let (year, month, day) = rfc3339::date_from_days(i64::try_from(seconds / 86_400).unwrap_or_default());
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = time % NANOS / 1_000_000;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}")
}

/// A duration with three digits: `812ns`, `1.25ms`, `3.40s`, `2m05s`, `1h02m`.
pub(crate) fn duration_text(nanos: u64, unicode: bool) -> String {
    let scaled = |unit: f64, name: &str| {
        let value = nanos as f64 / unit;
        let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
        format!("{value:.digits$}{name}")
    };
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..999_500 => scaled(1e3, if unicode { "µs" } else { "us" }),
        999_500..999_500_000 => scaled(1e6, "ms"),
        999_500_000..60_000_000_000 => scaled(1e9, "s"),
        60_000_000_000..3_600_000_000_000 => {
            format!("{}m{:02}s", nanos / (60 * NANOS), nanos / NANOS % 60)
        }
        _ => format!("{}h{:02}m", nanos / (3600 * NANOS), nanos / (60 * NANOS) % 60),
    }
}

#[cfg(test)]
mod tests;
