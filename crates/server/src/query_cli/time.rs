use std::time::Duration;

use clap::Args;
use vivace_base::{Clock as _, SystemClock, UnixNanos};

use super::QueryError;
use crate::duration;

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
            (None, Some(text)) => end.saturating_sub(nanos(parse_duration(text)?)),
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

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn parse_time(text: &str, now: UnixNanos) -> Result<UnixNanos, QueryError> {
    let refuse = || {
        let expected = "RFC 3339 (2026-01-31T12:00:00Z), unix seconds, now or now-1h";
        QueryError::Usage(format!("`{text}` is not a time: write {expected}"))
    };
    if let Some(rest) = text.strip_prefix("now") {
        return match rest.strip_prefix('-') {
            Some(ago) => Ok(now.saturating_sub(nanos(parse_duration(ago)?))),
            None if rest.is_empty() => Ok(now),
            None => Err(refuse()),
        };
    }
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(NANOS).ok_or_else(refuse);
    }
    parse_rfc3339(text).ok_or_else(refuse)
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

/// Days since 1970-01-01 of a date in the Gregorian calendar.
fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    // years that begin in March put the leap day last
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

fn date_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let in_era = days.rem_euclid(146_097);
    let year_in_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let year = year_in_era + era * 400;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

fn parse_rfc3339(text: &str) -> Option<UnixNanos> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let mark = |at: usize, allowed: &str| allowed.contains(text.get(at..=at)?).then_some(());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")].iter().try_for_each(|(at, c)| mark(*at, c))?;
    let days = days_from_date(year, month, day);
    if date_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, offset) = fraction_and_offset(text.get(19..)?)?;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    u64::try_from(seconds).ok()?.checked_mul(NANOS)?.checked_add(fraction)
}

/// Nanoseconds of `.25` and seconds east of Greenwich of `+01:00` in `.25+01:00`.
fn fraction_and_offset(text: &str) -> Option<(u64, i64)> {
    let (fraction, zone) = match text.strip_prefix('.') {
        None => (0, text),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| (1..=9).contains(end))?;
            let (digits, zone) = rest.split_at(end);
            (format!("{digits:0<9}").parse().ok()?, zone)
        }
    };
    if matches!(zone, "Z" | "z") {
        return Some((fraction, 0));
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok())?;
    let (hours, minutes) = (i64::from(two(hours)?), i64::from(two(minutes)?));
    (hours < 24 && minutes < 60).then_some((fraction, sign * (hours * 3600 + minutes * 60)))
}

/// `2026-01-31 12:00:00.250`, in UTC.
pub(crate) fn utc_text(time: UnixNanos) -> String {
    let seconds = time / NANOS;
    let (year, month, day) = date_from_days(i64::try_from(seconds / 86_400).unwrap_or_default());
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
