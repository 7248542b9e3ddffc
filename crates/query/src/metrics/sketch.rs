//! Quantiles of many numbers in little memory.

use vivace_storage::index::{bucket, middle};

/// Counts numbers in buckets whose bounds grow geometrically, so that any quantile is known within a relative error of
/// 0.5 %. Merging loses nothing, and what was added can be taken away: the sketch depends on the numbers alone. It takes
/// at most some 8,000 buckets for all of nanoseconds to years.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sketch {
    /// Bucket and weight, in the order of the numbers.
    buckets: Vec<(i32, f64)>,
}

impl Sketch {
    /// Adds a number that counts `weight` times.
    pub(crate) fn add(&mut self, number: f64, weight: f64) {
        if !number.is_nan() {
            self.add_buckets(&[(bucket(number), weight)]);
        }
    }

    /// Adds buckets, in order.
    pub(crate) fn add_buckets(&mut self, buckets: &[(i32, f64)]) {
        if let [(bucket, weight)] = buckets {
            match self.buckets.binary_search_by_key(bucket, |(bucket, _)| *bucket) {
                Ok(at) => self.buckets[at].1 += weight,
                Err(at) => self.buckets.insert(at, (*bucket, *weight)),
            }
            return;
        }
        if self.buckets.is_empty() {
            self.buckets.extend_from_slice(buckets);
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
        self.add_buckets(&other.buckets);
    }

    /// The number of rank `max(1, ceil(quantile * n))`; [`None`] when there are none.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<f64> {
        let total = self.weight();
        if total == 0.0 {
            return None;
        }
        let rank = (quantile * total).ceil().max(1.0);
        let mut seen = 0.0;
        let found = self.buckets.iter().find(|(_, weight)| {
            seen += weight;
            seen >= rank
        });
        found.or(self.buckets.last()).map(|(bucket, _)| middle(*bucket))
    }

    /// How much its numbers count together.
    pub(crate) fn weight(&self) -> f64 {
        self.buckets.iter().map(|(_, weight)| weight).sum()
    }

    /// How many buckets it holds.
    pub(crate) fn buckets(&self) -> usize {
        self.buckets.len()
    }
}

#[cfg(test)]
mod tests;
