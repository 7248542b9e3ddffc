use std::fmt::Write;

const SECOND: i64 = 1_000_000_000;

/// Units of Prometheus durations, in the only order they may be written in.
const PROMETHEUS_UNITS: &[(&str, i64)] = &[
    ("y", 365 * 24 * 3600 * SECOND),
    ("w", 7 * 24 * 3600 * SECOND),
    ("d", 24 * 3600 * SECOND),
    ("h", 3600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", 1_000_000),
];

/// Units of Go durations; those a shorter one is a prefix of come first.
const GO_UNITS: &[(&str, i64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];

pub(super) fn is_duration_char(c: char) -> bool {
    c.is_ascii_digit() || "nsu\u{b5}\u{3bc}mhdwy.".contains(c)
}

/// Nanoseconds of an unsigned duration: Prometheus' form (`1d2h`) or else Go's (`1.5h`, `10ns`).
pub fn parse_duration(text: &str) -> Option<i64> {
    parse_prometheus(text).or_else(|| parse_go(text))
}

fn parse_prometheus(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_i64;
    let mut units = PROMETHEUS_UNITS.iter();
    while !rest.is_empty() {
        let (number, unit, after) = split_part(rest)?;
        let (_, nanos) = units.by_ref().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(*nanos)?)?;
        rest = after;
    }
    Some(total)
}

fn parse_go(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (number, unit, after) = split_part(rest)?;
        let (_, nanos) = GO_UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scale(number, *nanos)?)?;
        rest = after;
    }
    Some(total)
}

/// Splits `1.5h30m` into `1.5`, `h` and `30m`.
fn split_part(text: &str) -> Option<(&str, &str, &str)> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, rest) = text.split_at(text.find(|c| !is_number(c))?);
    let (unit, after) = rest.split_at(rest.find(is_number).unwrap_or(rest.len()));
    Some((number, unit, after))
}

/// `number * nanos` for a decimal number; what is less than a nanosecond is cut off.
fn scale(number: &str, nanos: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
    // 3600e9 * 1e18 fits into 128 bits; further digits are below a nanosecond.
    let digits = fraction.get(..fraction.len().min(18)).unwrap_or_default();
    let numerator = if digits.is_empty() { 0 } else { digits.parse::<i128>().ok()? };
    let part = numerator * i128::from(nanos) / 10_i128.pow(u32::try_from(digits.len()).ok()?);
    whole.checked_mul(nanos)?.checked_add(i64::try_from(part).ok()?)
}

/// A duration in nanoseconds the way Go and Tempo write it: `1h30m0s`, `1.5s`, `250ms`, `12µs`, `0s`.
pub fn format_duration(nanos: i64) -> String {
    let mut out = String::new();
    if nanos < 0 {
        out.push('-');
    }
    let total = nanos.unsigned_abs();
    match total {
        0 => out.push_str("0s"),
        1..1_000 => push_decimal(&mut out, total, 1, "ns"),
        1_000..1_000_000 => push_decimal(&mut out, total, 1_000, "\u{b5}s"),
        1_000_000..1_000_000_000 => push_decimal(&mut out, total, 1_000_000, "ms"),
        _ => {
            let second = SECOND.unsigned_abs();
            let minutes = total / (60 * second);
            if minutes >= 60 {
                push_decimal(&mut out, minutes / 60, 1, "h");
            }
            if minutes > 0 {
                push_decimal(&mut out, minutes % 60, 1, "m");
            }
            push_decimal(&mut out, total % (60 * second), second, "s");
        }
    }
    out
}

/// Appends `value / unit` with as many decimals as it needs. `unit` is a power of ten.
fn push_decimal(out: &mut String, value: u64, unit: u64, name: &str) {
    let width = usize::try_from(unit.ilog10()).unwrap_or(0);
    let fraction = format!("{:0width$}", value % unit);
    let fraction = if unit == 1 { "" } else { fraction.trim_end_matches('0') };
    let dot = if fraction.is_empty() { "" } else { "." };
    // Writing to a string cannot fail.
    let _ = write!(out, "{}{dot}{fraction}{name}", value / unit);
}

#[cfg(test)]
mod tests;
