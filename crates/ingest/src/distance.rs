use arrow::array::{Int64Array, RecordBatch, UInt64Array};
use vivace_base::UnixNanos;
use vivace_model::schema;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How far from now spans ended when they came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Distances {
    /// Of those that ended before.
    pub past: Distance,
    /// Of those that end later.
    pub future: Distance,
}

/// How many spans are how far away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Distance {
    /// By [`Distance::BOUNDS`], and those beyond.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    /// Seconds of all of them together.
    pub seconds: u64,
}

impl Distance {
    /// Upper bounds in seconds, Tempo's: 5 minutes, 30 minutes, 1 hour.
    pub const BOUNDS: [u64; 3] = [300, 1800, 3600];

    fn count(&mut self, nanos: u64) {
        let bucket = Self::BOUNDS.partition_point(|bound| bound * NANOS_PER_SECOND < nanos);
        self.counts[bucket] += 1;
        self.seconds = self.seconds.saturating_add(nanos / NANOS_PER_SECOND);
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.seconds = self.seconds.saturating_add(other.seconds);
    }
}

/// Measures a batch of spans.
pub(crate) fn distances(spans: &RecordBatch, now: UnixNanos) -> Distances {
    let mut distances = Distances::default();
    let starts = spans.column_by_name(schema::START).and_then(|column| column.as_any().downcast_ref());
    let durations = spans.column_by_name(schema::DURATION).and_then(|column| column.as_any().downcast_ref());
    let (Some(starts), Some(durations)): (Option<&UInt64Array>, Option<&Int64Array>) = (starts, durations)
    else {
        return distances;
    };
    for (start, duration) in starts.values().iter().zip(durations.values()) {
        let end = start.wrapping_add(duration.cast_unsigned());
        if end > now {
            distances.future.count(end - now);
        } else {
            distances.past.count(now - end);
        }
    }
    distances
}

#[cfg(test)]
mod tests;
