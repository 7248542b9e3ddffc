//! What differs between two traces (`reference/tempo.md` 2.6). Deterministic: the same two traces give the same text.

use serde::Serialize;
use vivace_model::Trace;

mod outline;
mod patch;
mod result;
mod summary;

pub use result::{
    Change, ComposedDiff, DiffWarning, ModifiedSpan, PatchOmitted, ServiceRollup, Signals, SpanChange,
    SpanRef, SpanSnapshot, SpanTarget, Stats, SummaryStats, Target, TraceMeta, TracePatch, TraceSummary,
    TraceSummaryDiff, Trust,
};

use outline::Outline;
use patch::{Matching, patch};
use summary::summarise;

/// A longer patch is left out of the composed format, in bytes of JSON.
const MAX_COMPOSED_PATCH: usize = 65_536;
/// Spans are located by the steps from the root. So many steps may all spans of both traces take together, or a long
/// enough chain of spans would fill any memory.
const MAX_STEPS: usize = 4_000_000;

/// In which form a difference is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiffFormat {
    /// Every change: `trace-patch-v0`.
    #[default]
    Patch,
    /// What changed on the whole and by service: `trace-summary-v0-native`.
    Native,
    /// The summary, and the patch unless it is long: `trace-summary-v0-composed`.
    Composed,
}

/// No such format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown format `{0}`: choose `trace-patch-v0`, `trace-summary-v0-native` or `trace-summary-v0-composed`"
)]
pub struct UnknownFormat(String);

/// The traces are too deep to tell where their spans are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "trace diff input too large: the spans lie {steps} steps from their roots in all, at most {MAX_STEPS} can be told"
)]
pub struct DiffTooLarge {
    steps: usize,
}

/// A difference, in the format asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names are those of the formats")]
pub enum TraceDiff {
    Patch(TracePatch),
    Native(Box<TraceSummaryDiff>),
    Composed(Box<ComposedDiff>),
}

impl DiffFormat {
    /// Its name on the wire, which is also the version the result states.
    pub fn name(self) -> &'static str {
        match self {
            Self::Patch => "trace-patch-v0",
            Self::Native => "trace-summary-v0-native",
            Self::Composed => "trace-summary-v0-composed",
        }
    }
}

impl std::str::FromStr for DiffFormat {
    type Err = UnknownFormat;

    /// The default for an empty text.
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let known = [Self::Patch, Self::Native, Self::Composed];
        known.into_iter().find(|format| format.name() == text).ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// What differs in `compare` from `base`.
///
/// # Errors
/// [`DiffTooLarge`] when the result could not be held.
pub fn diff(base: &Trace, compare: &Trace, format: DiffFormat) -> Result<TraceDiff, DiffTooLarge> {
    let (base, compare) = (Outline::of(base), Outline::of(compare));
    let steps = base.steps().saturating_add(compare.steps());
    if steps > MAX_STEPS {
        return Err(DiffTooLarge { steps });
    }
    let matching = Matching::of(&base, &compare);
    let patch = patch(&base, &compare, &matching);
    Ok(match format {
        DiffFormat::Patch => TraceDiff::Patch(patch),
        DiffFormat::Native => TraceDiff::Native(Box::new(summarise(&base, &compare, &patch))),
        DiffFormat::Composed => {
            TraceDiff::Composed(Box::new(compose(summarise(&base, &compare, &patch), patch)))
        }
    })
}

fn compose(summary: TraceSummaryDiff, patch: TracePatch) -> ComposedDiff {
    let bytes = length(&patch);
    let fits = bytes <= MAX_COMPOSED_PATCH;
    let omitted = PatchOmitted { bytes, reason: "over_budget" };
    ComposedDiff {
        version: DiffFormat::Composed.name(),
        summary,
        patch: fits.then_some(patch),
        patch_omitted: (!fits).then_some(omitted),
    }
}

/// How many bytes of JSON it takes.
fn length(patch: &TracePatch) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail, and all keys are text; were it otherwise, the patch would be left out.
    if serde_json::to_writer(&mut count, patch).is_err() { usize::MAX } else { count.0 }
}

#[cfg(test)]
mod tests;
