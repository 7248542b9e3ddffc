//! What a metrics query measures, taken apart.

use std::ops::RangeInclusive;

use vivace_traceql::{Attribute, Hint, Intrinsic, MetricsFunction, MetricsOp, Pipeline, Scope, Static};

use crate::eval::{Filter, trace_level};
use crate::plan::SearchPlan;
use crate::{MetricsWindow, QueryError};

/// Nanoseconds in a second.
const NANOS: f64 = 1e9;

/// A metrics function over a pipeline, ready to run.
#[derive(Debug)]
pub(crate) struct MetricsPlan {
    pub(crate) search: SearchPlan,
    pub(crate) function: Function,
    /// The function's name.
    pub(crate) name: &'static str,
    pub(crate) by: Vec<Grouping>,
    pub(crate) window: MetricsWindow,
    /// Spans weigh as much as their sampling says they stand for.
    pub(crate) extrapolate: bool,
    pub(crate) exemplars: usize,
    /// What exemplars show.
    pub(crate) labels: Vec<(String, Attribute)>,
}

/// What is computed of the spans of a group.
#[derive(Debug)]
pub(crate) enum Function {
    Count { per_second: bool },
    Min(Measured),
    Max(Measured),
    Sum(Measured),
    Average(Measured),
    Quantiles { measured: Measured, quantiles: Vec<f64> },
    Histogram(Measured),
    Compare(Compare),
}

/// The number taken from each span.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) attribute: Attribute,
    /// What its values are divided by for the answer.
    pub(crate) unit: f64,
}

/// `compare({selection}, top_n, start, end)`
#[derive(Debug)]
pub(crate) struct Compare {
    pub(crate) selection: Filter,
    pub(crate) top_n: usize,
    pub(crate) window: Option<(i64, i64)>,
}

/// One of the attributes that series are grouped by.
#[derive(Debug)]
pub(crate) struct Grouping {
    /// Key of the label.
    pub(crate) label: String,
    /// Where the value is looked for, in this order.
    pub(crate) sources: Vec<Attribute>,
}

impl MetricsPlan {
    pub(crate) fn compile(
        pipeline: &Pipeline,
        function: &MetricsFunction,
        hints: &[Hint],
        window: MetricsWindow,
        exemplars: usize,
    ) -> Result<Self, QueryError> {
        let mut search = SearchPlan::of_pipeline(pipeline)?;
        let by: Vec<Grouping> = function.by.iter().map(Grouping::new).collect();
        search.show_also(&function.by);
        let (name, function) = self::function(&function.op)?;
        search.show_also(function.measured().map(|measured| &measured.attribute));
        let extrapolate =
            hints.iter().any(|hint| hint.key == "extrapolate" && hint.value == Static::Bool(true));
        let exemplars = match window {
            MetricsWindow::Range { .. } => allowed_exemplars(hints, exemplars),
            MetricsWindow::Instant { .. } => 0,
        };
        let labels = labels(&search);
        Ok(Self { search, function, name, by, window, extrapolate, exemplars, labels })
    }

    /// Whether each span can be decided on and measured alone.
    pub(crate) fn is_local(&self) -> bool {
        let grouped = self.by.iter().flat_map(|grouping| &grouping.sources);
        let mut used = grouped.chain(self.function.measured().map(|measured| &measured.attribute));
        let whole = matches!(self.function, Function::Compare(_));
        let shown = || self.exemplars > 0 && self.search.shown.iter().any(trace_level);
        self.search.local.is_some() && !whole && !used.any(trace_level) && !shown()
    }

    /// At which step a span counts that started then, if only those within the range do.
    pub(crate) fn step_of(&self, start: u64, within: &RangeInclusive<u64>) -> Option<u32> {
        self.window.step_of(start).filter(|_| within.contains(&start))
    }
}

impl Function {
    pub(crate) fn measured(&self) -> Option<&Measured> {
        match self {
            Self::Count { .. } | Self::Compare(_) => None,
            Self::Min(measured)
            | Self::Max(measured)
            | Self::Sum(measured)
            | Self::Average(measured)
            | Self::Quantiles { measured, .. }
            | Self::Histogram(measured) => Some(measured),
        }
    }

    /// Whether steps without spans count as zero.
    pub(crate) fn is_zero_filled(&self) -> bool {
        matches!(self, Self::Count { .. } | Self::Quantiles { .. } | Self::Histogram(_) | Self::Compare(_))
    }
}

impl Grouping {
    /// An attribute without scope is looked for on the span, then on its resource (`reference/tempo.md` 4.9).
    fn new(attribute: &Attribute) -> Self {
        let scoped = |name: &String, scope| Attribute::Named { scope, name: name.clone(), parent: false };
        let sources = match attribute {
            Attribute::Named { scope: Scope::None, name, .. } => {
                vec![scoped(name, Scope::Span), scoped(name, Scope::Resource)]
            }
            other => vec![other.clone()],
        };
        Self { label: attribute.to_string(), sources }
    }
}

fn function(op: &MetricsOp) -> Result<(&'static str, Function), QueryError> {
    Ok(match op {
        MetricsOp::Rate => ("rate", Function::Count { per_second: true }),
        MetricsOp::CountOverTime => ("count_over_time", Function::Count { per_second: false }),
        MetricsOp::MinOverTime(attribute) => ("min_over_time", Function::Min(number(attribute))),
        MetricsOp::MaxOverTime(attribute) => ("max_over_time", Function::Max(number(attribute))),
        MetricsOp::SumOverTime(attribute) => ("sum_over_time", Function::Sum(number(attribute))),
        MetricsOp::AvgOverTime(attribute) => ("avg_over_time", Function::Average(number(attribute))),
        MetricsOp::QuantileOverTime { attribute, quantiles } => {
            let quantiles = quantiles.clone();
            ("quantile_over_time", Function::Quantiles { measured: seconds(attribute), quantiles })
        }
        MetricsOp::HistogramOverTime(attribute) => {
            ("histogram_over_time", Function::Histogram(seconds(attribute)))
        }
        MetricsOp::Compare { selection, top_n, window } => {
            let selection = Filter::compile(selection)?;
            let top_n = usize::try_from(*top_n).unwrap_or_default();
            ("compare", Function::Compare(Compare { selection, top_n, window: *window }))
        }
    })
}

/// The span's own duration counts in seconds, all else as it is.
fn number(attribute: &Attribute) -> Measured {
    let is_duration = *attribute == Attribute::Intrinsic(Intrinsic::Duration);
    Measured { attribute: attribute.clone(), unit: if is_duration { NANOS } else { 1.0 } }
}

/// Any duration counts in seconds.
fn seconds(attribute: &Attribute) -> Measured {
    use Intrinsic as I;
    let is_duration =
        matches!(attribute, Attribute::Intrinsic(I::Duration | I::TraceDuration | I::EventTimeSinceStart));
    Measured { attribute: attribute.clone(), unit: if is_duration { NANOS } else { 1.0 } }
}

/// Trace and span, and what the query mentions.
fn labels(search: &SearchPlan) -> Vec<(String, Attribute)> {
    let ids = [("trace:id", Intrinsic::TraceId), ("span:id", Intrinsic::SpanId)];
    let ids = ids.map(|(key, intrinsic)| (key.to_owned(), Attribute::Intrinsic(intrinsic)));
    ids.into_iter().chain(search.shown.iter().map(|shown| (shown.to_string(), shown.clone()))).collect()
}

/// The hint replaces what the request says, up to what it allows.
fn allowed_exemplars(hints: &[Hint], requested: usize) -> usize {
    let hint = hints.iter().find(|hint| hint.key == "exemplars").map(|hint| &hint.value);
    match hint {
        Some(Static::Bool(false)) => 0,
        Some(Static::Int(number)) => usize::try_from(*number).unwrap_or_default().min(requested),
        _ => requested,
    }
}
