//! Quantiles of many numbers in little memory.

use std::collections::BTreeMap;

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
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
    zeros: f64,
    least: f64,
    greatest: f64,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
            zeros: 0.0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
        }
    }
}

impl Sketch {
    /// Adds a number that counts `weight` times.
    pub(crate) fn add(&mut self, number: f64, weight: f64) {
        if number.is_nan() {
            return;
        }
        self.widen(number, number);
        self.add_bucket(Self::bucket(number), weight);
    }

    /// The bucket of a number that is not NaN. Those of negative numbers are numbered downwards from [`ZERO`], those of
    /// positive ones upwards.
    pub(crate) fn bucket(number: f64) -> i32 {
        if number == 0.0 {
            return ZERO;
        }
        let bucket = (number.abs().ln() / GAMMA.ln()).ceil() as i32 + MIDDLE;
        if number > 0.0 { bucket } else { -bucket }
    }

    /// Adds numbers of one bucket that count `weight` times together. They must lie within the bounds.
    pub(crate) fn add_bucket(&mut self, bucket: i32, weight: f64) {
        match bucket {
            ZERO => self.zeros += weight,
            1.. => *self.positive.entry(bucket - MIDDLE).or_default() += weight,
            _ => *self.negative.entry(-bucket - MIDDLE).or_default() += weight,
        }
    }

    /// Notes that numbers lie between these.
    pub(crate) fn widen(&mut self, least: f64, greatest: f64) {
        self.least = self.least.min(least);
        self.greatest = self.greatest.max(greatest);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let add = |mine: &mut BTreeMap<i32, f64>, theirs: &BTreeMap<i32, f64>| {
            theirs.iter().for_each(|(bucket, weight)| *mine.entry(*bucket).or_default() += weight);
        };
        add(&mut self.positive, &other.positive);
        add(&mut self.negative, &other.negative);
        self.zeros += other.zeros;
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }

    /// The number of rank `max(1, ceil(quantile * n))`; [`None`] when there are none.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<f64> {
        let total = self.zeros + self.positive.values().sum::<f64>() + self.negative.values().sum::<f64>();
        if total == 0.0 {
            return None;
        }
        let rank = (quantile * total).ceil().max(1.0);
        let ascending = self
            .negative
            .iter()
            .rev()
            .map(|(bucket, weight)| (-middle(*bucket), weight))
            .chain(std::iter::once((0.0, &self.zeros)))
            .chain(self.positive.iter().map(|(bucket, weight)| (middle(*bucket), weight)));
        let mut seen = 0.0;
        for (number, weight) in ascending {
            seen += weight;
            if seen >= rank {
                return Some(number.clamp(self.least, self.greatest));
            }
        }
        Some(self.greatest)
    }

    /// How many buckets it holds.
    pub(crate) fn buckets(&self) -> usize {
        self.positive.len() + self.negative.len()
    }
}

/// The number that is equally far, relatively, from both bounds of a bucket.
fn middle(bucket: i32) -> f64 {
    2.0 * GAMMA.powi(bucket) / (GAMMA + 1.0)
}

#[cfg(test)]
mod tests;
