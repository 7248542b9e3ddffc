//! How many spans a sampled span stands for (`reference/tempo.md` 4.8, W3C tracestate `ot=th:`).

/// 2^56: what a threshold of 14 hex digits is out of.
const ALL: f64 = (1_u64 << 56) as f64;
const DIGITS: usize = 14;

/// 1 / p of the sampling threshold in a tracestate; 1 without one.
pub(super) fn weight(trace_state: &str) -> f64 {
    let vendors = trace_state.split(',').map(str::trim);
    let threshold = vendors
        .filter_map(|vendor| vendor.strip_prefix("ot="))
        .flat_map(|fields| fields.split(';'))
        .find_map(|field| field.strip_prefix("th:"));
    threshold.and_then(parse).map_or(1.0, |threshold| ALL / (ALL - threshold))
}

/// Trailing zeros may be left out.
fn parse(digits: &str) -> Option<f64> {
    if digits.is_empty() || digits.len() > DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let number = u64::from_str_radix(digits, 16).ok()?;
    Some((number << (4 * (DIGITS - digits.len()))) as f64)
}

#[cfg(test)]
mod tests;
