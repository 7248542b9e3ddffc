//! Quantiles of many numbers in little memory.

use std::sync::LazyLock;

/// How far an answer may be from the number of its rank, relative to it.
const ACCURACY: f64 = 0.005;
/// Ratio of the bounds of a bucket.
const GAMMA: f64 = (1.0 + ACCURACY) / (1.0 - ACCURACY);
/// The bucket of zeros.
const ZERO: i32 = 0;
/// Logarithms of all doubles, in buckets, lie between minus this and this.
const MIDDLE: i32 = 1 << 17;

/// Counts numbers in buckets whose bounds grow geometrically, so that any quantile is known within a relative error of
/// 0.5 % (Masson, Rim, Lee: "DDSketch", 2019). Merging loses nothing: the sketch depends on the numbers alone. It takes
/// at most some 8,000 buckets for all of nanoseconds to years.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    /// Bucket and weight, in the order of the numbers.
    buckets: Vec<(i32, f64)>,
    least: f64,
    greatest: f64,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { buckets: Vec::new(), least: f64::INFINITY, greatest: f64::NEG_INFINITY }
    }
}

impl Sketch {
    /// Adds a number that counts `weight` times.
    pub(crate) fn add(&mut self, number: f64, weight: f64) {
        if !number.is_nan() {
            self.add_buckets(&[(bucket(number), weight)], number, number);
        }
    }

    /// Adds buckets, in order, of numbers that lie between the two.
    pub(crate) fn add_buckets(&mut self, buckets: &[(i32, f64)], least: f64, greatest: f64) {
        self.least = self.least.min(least);
        self.greatest = self.greatest.max(greatest);
        if let [(bucket, weight)] = buckets {
            match self.buckets.binary_search_by_key(bucket, |(bucket, _)| *bucket) {
                Ok(at) => self.buckets[at].1 += weight,
                Err(at) => self.buckets.insert(at, (*bucket, *weight)),
            }
            return;
        }
        let mut merged = Vec::with_capacity(self.buckets.len() + buckets.len());
        let mut theirs = buckets.iter().copied().peekable();
        for (bucket, weight) in self.buckets.drain(..) {
            while let Some(other) = theirs.next_if(|(other, _)| *other < bucket) {
                merged.push(other);
            }
            let same = theirs.next_if(|(other, _)| *other == bucket);
            merged.push((bucket, weight + same.map_or(0.0, |(_, weight)| weight)));
        }
        merged.extend(theirs);
        self.buckets = merged;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.add_buckets(&other.buckets, other.least, other.greatest);
    }

    /// The number of rank `max(1, ceil(quantile * n))`; [`None`] when there are none.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<f64> {
        let total: f64 = self.buckets.iter().map(|(_, weight)| weight).sum();
        if total == 0.0 {
            return None;
        }
        let rank = (quantile * total).ceil().max(1.0);
        let mut seen = 0.0;
        let found = self.buckets.iter().find(|(_, weight)| {
            seen += weight;
            seen >= rank
        });
        Some(found.map_or(self.greatest, |(bucket, _)| middle(*bucket).clamp(self.least, self.greatest)))
    }

    /// How many buckets it holds.
    pub(crate) fn buckets(&self) -> usize {
        self.buckets.len()
    }
}

/// The bucket of a number that is not NaN: [`ZERO`], above it those of positive numbers, below it those of negative ones.
pub(crate) fn bucket(number: f64) -> i32 {
    if number == 0.0 {
        return ZERO;
    }
    let bucket = logarithm(number.abs()) + MIDDLE;
    if number > 0.0 { bucket } else { -bucket }
}

/// The number that is equally far, relatively, from both bounds of a bucket.
fn middle(bucket: i32) -> f64 {
    match bucket {
        ZERO => 0.0,
        1.. => 2.0 * GAMMA.powi(bucket - MIDDLE) / (GAMMA + 1.0),
        _ => -middle(-bucket),
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
