//! Which spans count at which time.

use crate::MetricsWindow;

impl MetricsWindow {
    /// At which of the times a span counts that started then.
    pub(crate) fn step_of(self, start: u64) -> Option<u32> {
        match self {
            Self::Range { start: from, end, step } => {
                let inside = start > from && start <= end;
                inside.then(|| u32::try_from((start - from - 1) / step.max(1)).ok()).flatten()
            }
            Self::Instant { start: from, end } => (from..=end).contains(&start).then_some(0),
        }
    }

    /// How many times there are.
    pub(crate) fn steps(self) -> usize {
        match self {
            Self::Range { start, end, step } => {
                usize::try_from(end.saturating_sub(start) / step.max(1)).unwrap_or(usize::MAX)
            }
            Self::Instant { .. } => 1,
        }
    }

    /// A time in Unix milliseconds.
    pub(crate) fn timestamp_ms(self, step: usize) -> i64 {
        let nanos = match self {
            Self::Range { start, step: length, .. } => {
                start.saturating_add((step as u64 + 1).saturating_mul(length))
            }
            Self::Instant { end, .. } => end,
        };
        milliseconds(nanos)
    }

    /// How many seconds of spans a value is about.
    pub(crate) fn seconds_per_step(self) -> f64 {
        let nanos = match self {
            Self::Range { step, .. } => step,
            Self::Instant { start, end } => end.saturating_sub(start),
        };
        nanos as f64 / 1e9
    }

    /// Where in the window a span started, as one of `parts` equal parts.
    pub(crate) fn part_of(self, start: u64, parts: usize) -> usize {
        let (Self::Range { start: from, end, .. } | Self::Instant { start: from, end }) = self;
        let length = u128::from(end.saturating_sub(from).max(1));
        let part = u128::from(start.saturating_sub(from)) * parts as u128 / length;
        usize::try_from(part).unwrap_or(usize::MAX).min(parts.saturating_sub(1))
    }
}

/// Unix nanoseconds as milliseconds.
pub(crate) fn milliseconds(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
}
