use std::time::Duration;

/// Upper bounds of the buckets in seconds, from a sync of a good disk to a stuck one.
const BOUNDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];

/// How often something took how long. Plain data: whoever counts guards it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DurationHistogram {
    counts: [u64; BOUNDS.len() + 1],
    nanos: u64,
}

impl DurationHistogram {
    /// Counts one that took so long.
    pub fn record(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.counts[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.nanos = self.nanos.saturating_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they took together.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// Each bucket's upper bound in seconds and how many fell into it and no lower one. The last has no bound:
    /// infinity.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.counts)
    }
}

#[cfg(test)]
mod tests;
