//! What is done to one assembled trace when it is asked for by id or compared with another
//! (`reference/tempo.md` 2.1, 2.2, 2.6).

mod diff;
mod filter;
mod prune;

pub use diff::{
    Change, ComposedDiff, DiffFormat, DiffTooLarge, DiffWarning, ModifiedSpan, PatchOmitted, ServiceRollup,
    Signals, SpanChange, SpanRef, SpanSnapshot, SpanTarget, Stats, SummaryStats, Target, TraceDiff,
    TraceMeta, TracePatch, TraceSummary, TraceSummaryDiff, Trust, UnknownFormat, diff,
};
pub use filter::{Hierarchy, Kept, Levels, SpanFilter};
pub use prune::{GroupBy, Pruned, Pruning, prune};
