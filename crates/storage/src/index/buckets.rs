//! Buckets whose bounds grow geometrically (Masson, Rim, Lee: "DDSketch", 2019): what quantiles are computed from, in
//! queries as in summaries.

use std::sync::LazyLock;

/// How far the middle of a bucket may be from a number in it, relative to the number.
const ACCURACY: f64 = 0.005;
/// Ratio of the bounds of a bucket.
const GAMMA: f64 = (1.0 + ACCURACY) / (1.0 - ACCURACY);
/// The bucket of zeros.
const ZERO: i32 = 0;
/// Logarithms of all doubles, in buckets, lie between minus this and this.
const MIDDLE: i32 = 1 << 17;

/// The bucket of a number that is not NaN: 0 for zero, above it those of positive numbers, below it those of negative
/// ones, in the order of the numbers.
pub fn bucket(number: f64) -> i32 {
    if number == 0.0 {
        return ZERO;
    }
    let bucket = logarithm(number.abs()) + MIDDLE;
    if number > 0.0 { bucket } else { -bucket }
}

/// The number that is equally far, relatively, from both bounds of a bucket: at most 0.5 % from any number in it.
pub fn middle(bucket: i32) -> f64 {
    match bucket {
        ZERO => 0.0,
        1.. => 2.0 * GAMMA.powi(bucket - MIDDLE) / (GAMMA + 1.0),
        _ => -middle(-bucket),
    }
}

/// The bucket of a whole number that is not negative, in few bits: 0 for zero, else at most 4,400.
fn small_bucket(number: i64) -> u16 {
    match bucket(number as f64) {
        ZERO => 0,
        bucket => (bucket - MIDDLE + 1) as u16,
    }
}

/// The least power of two that is not less than a number: its logarithm plus 1; 0 for what is not above 0.
fn power(number: f64) -> u16 {
    if number <= 0.0 {
        return 0;
    }
    let bits = number.to_bits();
    let (exponent, mantissa) = ((bits >> 52) as u16, bits << 12);
    (exponent + u16::from(mantissa != 0)).saturating_sub(1023) + 1
}

/// The slot of a duration in nanoseconds: durations have one slot if both their buckets and their powers of two are
/// the same. Less than 8,192. Neither falls when a duration grows, so that no two pairs have one sum.
pub(super) fn slot(nanos: i64) -> u16 {
    small_bucket(nanos) + power(nanos as f64)
}

/// The [`bucket`] of a slot's durations in nanoseconds.
pub fn bucket_of_slot(slot: u16) -> i32 {
    SLOTS.get(usize::from(slot)).map_or(ZERO, |(bucket, _)| *bucket)
}

/// The least power of two that is not less than a slot's durations in nanoseconds; 0 for 0.
pub fn power_of_slot(slot: u16) -> f64 {
    SLOTS.get(usize::from(slot)).map_or(0.0, |(_, power)| *power)
}

/// Bucket and power of two by slot; slots that no number has repeat the one before.
static SLOTS: LazyLock<Vec<(i32, f64)>> = LazyLock::new(|| {
    let mut slots = vec![(ZERO, 0.0)];
    let mut above = 0.0_f64;
    for (small, bound) in (1..).zip(&POWERS.bounds) {
        for power in power(above.next_up())..=power(*bound) {
            let last = slots.last().copied().unwrap_or_default();
            slots.resize(usize::from(small + power), last);
            slots.push((MIDDLE + i32::from(small) - 1, 2.0_f64.powi(i32::from(power) - 1)));
        }
        above = *bound;
    }
    slots
});

/// How many buckets a wide one is made of.
const WIDE: u16 = 8;

/// The wide bucket of a duration in nanoseconds, for where 4 % are near enough; less than 1,024.
pub fn wide_bucket(nanos: u64) -> u16 {
    match small_bucket(i64::try_from(nanos).unwrap_or(i64::MAX)) {
        0 => 0,
        small => (small - 1).div_ceil(WIDE) + 1,
    }
}

/// The duration in nanoseconds that is at most 4 % from any in a wide bucket.
pub fn wide_middle(bucket: u16) -> f64 {
    let ratio = GAMMA.powi(WIDE.into());
    match bucket {
        0 => 0.0,
        _ => 2.0 * ratio.powi(i32::from(bucket) - 1) / (ratio + 1.0),
    }
}

/// The least n for which `GAMMA^n` is not below a positive number.
fn logarithm(number: f64) -> i32 {
    let bits = number.to_bits();
    let first = (bits >> MANTISSA_LEFT).wrapping_sub(ONE_BITS >> MANTISSA_LEFT) as usize;
    let table = &*POWERS;
    match table.first.get(first) {
        Some(first) => {
            let mut power = usize::from(*first);
            while table.bounds[power] < number {
                power += 1;
            }
            power as i32
        }
        // Infinity is as good as the greatest double.
        None => ((number.ln() / GAMMA.ln()).ceil() as i32).clamp(1 - MIDDLE, MIDDLE - 1),
    }
}

/// Bits of a double's mantissa that the table does not look at: steps of 2^-8 are finer than buckets.
const MANTISSA_LEFT: u32 = 52 - 8;
const ONE_BITS: u64 = 1.0_f64.to_bits();
/// Numbers below this power of two, and not below 1, are looked up: durations in nanoseconds above all.
const LOOKED_UP: u32 = 63;

/// So that the bucket of a duration needs no logarithm.
struct Powers {
    /// `GAMMA^n` by n, up to the first beyond all numbers that are looked up.
    bounds: Vec<f64>,
    /// By upper bits: the least n that any number with them may have.
    first: Vec<u16>,
}

static POWERS: LazyLock<Powers> = LazyLock::new(|| {
    let end = 2.0_f64.powi(LOOKED_UP as i32);
    let mut bounds = vec![1.0];
    while bounds.last().is_some_and(|last| *last < end) {
        bounds.push(GAMMA.powi(bounds.len() as i32));
    }
    let lowest = |at: u64| f64::from_bits(ONE_BITS + (at << MANTISSA_LEFT));
    let least = |number: f64| bounds.partition_point(|bound| *bound < number) as u16;
    let first = (0..u64::from(LOOKED_UP) << 8).map(|at| least(lowest(at))).collect();
    Powers { bounds, first }
});

#[cfg(test)]
mod tests;
