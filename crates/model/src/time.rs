use vivace_base::UnixNanos;

/// An inclusive range of nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First instant inside.
    pub start: UnixNanos,
    /// Last instant inside.
    pub end: UnixNanos,
}

impl TimeRange {
    /// Everything.
    pub const ALL: TimeRange = TimeRange { start: 0, end: UnixNanos::MAX };

    /// From whole seconds: from the first nanosecond of `start` to the last of `end`, so that a client whose clock has
    /// just reached `end` sees what was acknowledged in that second.
    pub fn from_seconds(start: u64, end: u64) -> Self {
        const SECOND: u64 = 1_000_000_000;
        Self {
            start: start.saturating_mul(SECOND),
            end: end.saturating_mul(SECOND).saturating_add(SECOND - 1),
        }
    }

    /// Whether the two share an instant.
    pub fn overlaps(&self, other: &TimeRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The smallest range that holds both.
    pub fn union(&self, other: &TimeRange) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}
