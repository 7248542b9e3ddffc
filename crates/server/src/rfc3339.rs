//! Times as RFC 3339 writes them: `2026-01-31T12:00:00.25+01:00`.

use vivace_base::UnixNanos;

const NANOS: u64 = 1_000_000_000;

/// Days since 1970-01-01 of a date in the Gregorian calendar.
fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    // years that begin in March put the leap day last
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day of days since 1970-01-01.
pub(crate) fn date_from_days(days: i64) -> (i64, i64, i64) {
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

/// Unix nanoseconds of a time with any offset, `T` or a blank between date and time.
pub(crate) fn parse(text: &str) -> Option<UnixNanos> {
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

#[cfg(test)]
mod tests;
