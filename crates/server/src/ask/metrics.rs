use std::time::Duration;

use vivace_base::UnixNanos;
use vivace_query::{MetricsRequest, MetricsWindow};
use vivace_traceql::{Query, parse_duration};

use super::{InvalidQuestion, When, traceql};
use crate::config::Limits;
use crate::duration;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// About as many steps as a range has when nobody says.
const DEFAULT_STEPS: u64 = 240;

/// A metrics query over a range (`reference/tempo.md` 2.5).
#[derive(Debug, Clone, Default)]
pub(crate) struct MetricsQuestion {
    /// TraceQL.
    pub(crate) query: String,
    /// When; the last hour if nothing is said.
    pub(crate) when: When,
    /// Nanoseconds between values; [`None`] or 0 for the default.
    pub(crate) step: Option<u64>,
    /// How many exemplars; the most allowed if nothing is said.
    pub(crate) exemplars: Option<u32>,
    /// How many series; 0 for the engine's own limit.
    pub(crate) max_series: u32,
}

/// A metrics query with one value per series.
#[derive(Debug, Clone, Default)]
pub(crate) struct InstantQuestion {
    /// TraceQL.
    pub(crate) query: String,
    /// When; the last hour if nothing is said.
    pub(crate) when: When,
    /// How many series; 0 for the engine's own limit.
    pub(crate) max_series: u32,
}

impl MetricsQuestion {
    /// What the engine is to do. The window is aligned to the step.
    ///
    /// # Errors
    /// [`InvalidQuestion`] says which part is wrong.
    pub(crate) fn request(&self, limits: &Limits, now: UnixNanos) -> Result<MetricsRequest, InvalidQuestion> {
        let query = metrics_query(&self.query)?;
        let (start, end) = bounds(&self.when, limits, now)?;
        let step = self.step.filter(|step| *step > 0).unwrap_or_else(|| default_step(end - start));
        let max = limits.max_intervals as u64;
        if (end - start) / step > max {
            let print = |nanos| duration::print(Duration::from_nanos(nanos));
            let (step, least) = (print(step), print((end - start).div_ceil(max)));
            return Err(InvalidQuestion::beyond(
                "max_intervals",
                format!("step of {step} is too small, minimum step for given range is {least}"),
            ));
        }
        let exemplars = self.exemplars.map_or(usize::MAX, |exemplars| exemplars as usize);
        Ok(MetricsRequest {
            query,
            window: MetricsWindow::aligned(start, end, step),
            exemplars: exemplars.min(limits.max_exemplars),
            max_series: max_series(self.max_series, limits),
        })
    }
}

impl InstantQuestion {
    /// What the engine is to do.
    ///
    /// # Errors
    /// [`InvalidQuestion`] says which part is wrong.
    pub(crate) fn request(&self, limits: &Limits, now: UnixNanos) -> Result<MetricsRequest, InvalidQuestion> {
        let query = metrics_query(&self.query)?;
        let (start, end) = bounds(&self.when, limits, now)?;
        let window = MetricsWindow::Instant { start, end };
        Ok(MetricsRequest { query, window, exemplars: 0, max_series: max_series(self.max_series, limits) })
    }
}

fn metrics_query(text: &str) -> Result<Query, InvalidQuestion> {
    let query = traceql(text)?;
    if query.metrics.is_none() {
        return Err(InvalidQuestion::new("not a metrics query: end it with a function such as `| rate()`"));
    }
    Ok(query)
}

/// What is asked for, as far as it is allowed; 0 for the engine's own limit.
fn max_series(asked: u32, limits: &Limits) -> usize {
    let asked = Some(asked as usize).filter(|asked| *asked > 0);
    let allowed = limits.max_response_series;
    asked.into_iter().chain(allowed).min().unwrap_or_default()
}

fn bounds(when: &When, limits: &Limits, now: UnixNanos) -> Result<(UnixNanos, UnixNanos), InvalidQuestion> {
    let (start, end) = when.bounds(now)?;
    let max = limits.max_metrics_duration;
    if end - start > duration::nanos(max) {
        let (max, length) = (duration::print(max), duration::print(Duration::from_nanos(end - start)));
        return Err(InvalidQuestion::beyond(
            "max_metrics_duration",
            format!("metrics query time range exceeds the maximum allowed duration of {max}, it is {length}"),
        ));
    }
    Ok((start, end))
}

/// For a range of `length` nanoseconds.
fn default_step(length: u64) -> u64 {
    let wanted = length / DEFAULT_STEPS;
    if length < MINUTE {
        let unit = 50 * MILLISECOND;
        return (wanted / unit * unit).max(unit);
    }
    let units = [HOUR, 5 * MINUTE, MINUTE, 15 * SECOND, 5 * SECOND, SECOND];
    let fitting = units.into_iter().find(|unit| *unit <= wanted);
    fitting.map_or(SECOND, |unit| wanted / unit * unit)
}

/// A step: seconds, perhaps with a fraction, or a duration of Go's or Prometheus'. In nanoseconds.
pub(crate) fn parse_step(text: &str) -> Result<u64, InvalidQuestion> {
    let refuse = |reason: &str| InvalidQuestion::new(format!("invalid step: `{text}` {reason}"));
    if text.starts_with('-') {
        return Err(refuse("is negative: write a step greater than 0"));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let nanos = (seconds * 1e9).round();
        let fits = nanos >= 0.0 && nanos < i64::MAX as f64;
        return if fits { Ok(nanos as u64) } else { Err(refuse("is too large")) };
    }
    let nanos = parse_duration(text).filter(|_| !text.is_empty()).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.ok_or_else(|| refuse("is not a step: write seconds or a duration such as 30s"))
}

#[cfg(test)]
mod tests;
