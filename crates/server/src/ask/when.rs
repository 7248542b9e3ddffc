use std::time::Duration;

use vivace_base::UnixNanos;
use vivace_model::TimeRange;

use super::InvalidQuestion;
use crate::{duration, rfc3339};

const NANOS: u64 = 1_000_000_000;
/// How far metrics look back when nobody says.
const DEFAULT_SINCE: Duration = Duration::from_secs(3600);

/// When, as a client says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct When {
    /// From.
    pub(crate) start: Option<UnixNanos>,
    /// Until.
    pub(crate) end: Option<UnixNanos>,
    /// This far back from now, or from `end`.
    pub(crate) since: Option<Duration>,
}

impl When {
    /// From whole seconds, 0 for not given, as protobuf has them.
    pub(crate) fn from_seconds(start: u32, end: u32) -> Self {
        let nanos = |seconds: u32| (seconds > 0).then(|| u64::from(seconds) * NANOS);
        Self { start: nanos(start), end: nanos(end), since: None }
    }

    /// The range of a search or of tags: whole seconds, `since` before all else, everything when nothing is said.
    pub(super) fn range(&self, now: UnixNanos) -> Result<TimeRange, InvalidQuestion> {
        let (start, end) = match (self.since, self.start, self.end) {
            (Some(since), _, _) => (now.saturating_sub(duration::nanos(since)), now),
            (None, None, None) => return Ok(TimeRange::ALL),
            (None, Some(start), Some(end)) => (start, end),
            _ => {
                return Err(InvalidQuestion::new(
                    "error parsing date range: only one of start and end provided: must provide both or neither",
                ));
            }
        };
        let (start, end) = (start / NANOS, end / NANOS);
        if start >= end {
            return Err(InvalidQuestion::new(format!(
                "http parameter start must be before end. received start={start} end={end}"
            )));
        }
        Ok(TimeRange::from_seconds(start, end))
    }

    /// Start and end of a metrics query: the last hour when nothing is said.
    pub(super) fn bounds(&self, now: UnixNanos) -> Result<(UnixNanos, UnixNanos), InvalidQuestion> {
        let end = self.end.unwrap_or(now);
        let since = duration::nanos(self.since.unwrap_or(DEFAULT_SINCE));
        let start = self.start.unwrap_or(end.saturating_sub(since));
        if end <= start {
            return Err(InvalidQuestion::new("end must be greater than start"));
        }
        Ok((start, end))
    }
}

/// Seconds, seconds with a fraction (to the millisecond), nanoseconds when there are more than ten digits, or RFC 3339.
pub(crate) fn parse_timestamp(name: &str, text: &str) -> Result<UnixNanos, InvalidQuestion> {
    let refuse = || {
        let expected = "unix seconds, unix nanoseconds or RFC 3339";
        InvalidQuestion::new(format!("invalid {name}: `{text}` is not a time: write {expected}"))
    };
    if let Ok(number) = text.parse::<u64>() {
        let unit = if text.len() <= 10 { NANOS } else { 1 };
        return number.checked_mul(unit).ok_or_else(refuse);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let millis = (seconds * 1e3).round();
        let fits = millis >= 0.0 && millis < (u64::MAX / 1_000_000) as f64;
        return if fits { Ok(millis as u64 * 1_000_000) } else { Err(refuse()) };
    }
    rfc3339::parse(text).ok_or_else(refuse)
}
