use vivace_model::TraceId;
use vivace_query::trace::{GroupBy, Hierarchy, Levels, Pruning, SpanFilter};

use crate::api::error::ApiError;
use crate::api::params::Params;
use crate::config::Config;

/// A fifth similar span makes a group.
const MIN_SPANS: usize = 5;
const MAX_PARENT_DEPTH: Levels = Some(1);

/// What v2 does to a trace before it is sent (`reference/tempo.md` 2.2).
#[derive(Debug)]
pub(in crate::api) struct Shape {
    pub(super) filter: Option<(SpanFilter, Hierarchy)>,
    pub(super) pruning: Option<Pruning>,
}

/// The trace asked for. All parameters that only help Tempo to find it are checked and not needed.
pub(super) fn trace_id(text: &str, params: &Params) -> Result<TraceId, ApiError> {
    let id = text.parse().map_err(|error| ApiError::bad(format!("{error}")))?;
    check_times(integer(params, "start")?, integer(params, "end")?)?;
    if let Some(mode) = params.get("mode")
        && !["all", "ingesters", "blocks", "external"].contains(&mode)
    {
        return Err(ApiError::bad(format!(
            "invalid value for mode: `{mode}` is none of all, ingesters, blocks and external"
        )));
    }
    for name in ["blockStart", "blockEnd"] {
        if let Some(text) = params.get(name).filter(|text| !is_uuid(text)) {
            return Err(ApiError::bad(format!("invalid value for {name}: `{text}` is not a UUID")));
        }
    }
    Ok(id)
}

/// Checks the times that came with a trace id, in Unix seconds.
pub(in crate::api) fn check_times(start: Option<i64>, end: Option<i64>) -> Result<(), ApiError> {
    match (start, end) {
        (Some(start), Some(end)) if start >= end => Err(ApiError::bad(format!(
            "http parameter start must be before end. received start={start} end={end}"
        ))),
        _ => Ok(()),
    }
}

fn integer(params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = params.get(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|error| ApiError::bad(format!("invalid {name}: `{text}`: {error}")))
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    hex && (lengths.clone().eq([8, 4, 4, 4, 12]) || lengths.eq([32]))
}

impl Shape {
    /// Reads the parameters that shape a trace.
    pub(super) fn read(config: &Config, params: &Params) -> Result<Self, ApiError> {
        Ok(Self { filter: filter(params)?, pruning: pruning(config, params)? })
    }

    /// Whether a trace is sent as it is.
    pub(super) fn is_none(&self) -> bool {
        self.filter.is_none() && self.pruning.is_none()
    }
}

/// Without `q` nothing else about it is even read.
fn filter(params: &Params) -> Result<Option<(SpanFilter, Hierarchy)>, ApiError> {
    let Some(text) = params.get("q").filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let filter = SpanFilter::parse(text)?;
    let ancestors = match boolean(params, "keep_hierarchy")? {
        Some(true) => levels(params, "ancestor_depth", None)?,
        _ => Some(0),
    };
    let descendants = levels(params, "match_depth", Some(0))?;
    Ok(Some((filter, Hierarchy { ancestors, descendants })))
}

/// Without the configuration's consent the parameters are not even read.
fn pruning(config: &Config, params: &Params) -> Result<Option<Pruning>, ApiError> {
    if !config.span_pruning_enabled {
        return Ok(None);
    }
    let wanted = boolean(params, "span_pruning")?.unwrap_or(config.span_pruning_enabled_by_default);
    let group_by = params.get("span_pruning_group_by").unwrap_or_default();
    let group_by = GroupBy::parse(group_by)
        .map_err(|reason| ApiError::bad(format!("invalid span_pruning_group_by: {reason}")))?;
    let min_spans = match integer(params, "span_pruning_min_spans")? {
        None => MIN_SPANS,
        Some(number) if number < 2 => {
            return Err(ApiError::bad(format!(
                "invalid span_pruning_min_spans: {number} is less than 2, the fewest spans that can be alike"
            )));
        }
        Some(number) => usize::try_from(number).unwrap_or(usize::MAX),
    };
    let max_parent_depth = levels(params, "span_pruning_max_parent_depth", MAX_PARENT_DEPTH)?;
    Ok(wanted.then_some(Pruning { group_by, min_spans, max_parent_depth }))
}

/// A number of generations; -1 for all there are.
fn levels(params: &Params, name: &str, default: Levels) -> Result<Levels, ApiError> {
    match integer(params, name)? {
        None => Ok(default),
        Some(-1) => Ok(None),
        Some(number) => usize::try_from(number).map(Some).map_err(|_| {
            ApiError::bad(format!("invalid {name}: {number} is less than -1, which stands for no limit"))
        }),
    }
}

/// As Go reads truth.
fn boolean(params: &Params, name: &str) -> Result<Option<bool>, ApiError> {
    match params.get(name) {
        None => Ok(None),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
        Some(text) => Err(ApiError::bad(format!("invalid {name}: `{text}` is neither true nor false"))),
    }
}
