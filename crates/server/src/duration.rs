//! Durations written as Go writes them (`1h30m`, `250ms`, `1.5s`), which is what Tempo's parameters and files use.

use std::time::Duration;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write numbers with units, such as 250ms, 1.5s or 1h30m")]
pub(crate) struct ParseDurationError(String);

/// Reads a duration that is not negative.
///
/// # Errors
/// [`ParseDurationError`] for anything else, a number without unit included (`0` excepted).
pub(crate) fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let refuse = || ParseDurationError(text.to_owned());
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(refuse());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (step, left) = leading_part(rest).ok_or_else(refuse)?;
        total = total.checked_add(step).ok_or_else(refuse)?;
        rest = left;
    }
    Ok(total)
}

/// The first `<number><unit>` and what follows it.
fn leading_part(text: &str) -> Option<(Duration, &str)> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, rest) = text.split_at(text.find(|c| !is_number(c))?);
    let (unit, rest) = rest.split_at(rest.find(is_number).unwrap_or(rest.len()));
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    if let Ok(whole) = number.parse::<u64>() {
        return Some((Duration::from_nanos(whole.checked_mul(*nanos)?), rest));
    }
    let fraction = number.parse::<f64>().ok()? * *nanos as f64;
    let fits = fraction.is_finite() && fraction < u64::MAX as f64;
    fits.then(|| (Duration::from_nanos(fraction.round() as u64), rest))
}

/// A duration in nanoseconds, as long as 64 bits can say.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes a duration so that [`parse`] reads the same: in one unit, the largest that leaves no fraction.
pub(crate) fn print(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fits = |(_, unit): &&(&str, u64)| nanos.is_multiple_of(u128::from(*unit));
    match UNITS.iter().rev().find(fits) {
        Some((name, unit)) if nanos > 0 => format!("{}{name}", nanos / u128::from(*unit)),
        _ => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests;
