use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use vivace_model::TimeRange;
use vivace_query::SearchRequest;
use vivace_traceql::parse_validated;

use super::error::{ApiError, backend, mark_partial, tenants_of};
use super::json;
use super::params::Params;
use crate::config::Config;
use crate::duration;
use crate::state::App;

/// `GET /api/search` (`reference/tempo.md` 2.3).
pub(super) async fn search(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let tenants = tenants_of(&app, &headers)?;
    let request = request(&app.config, &Params::parse(query.as_deref()))?;
    let found = backend(&app)?.search(&tenants, &request, &mut |_| {}).await?;
    let partial = found.partial.clone();
    let mut response = json::search(found);
    mark_partial(&mut response, partial.as_deref());
    Ok(response)
}

/// What a search may be asked with. Anything else, without these, would be a tag to search for.
const KNOWN: [&str; 10] = [
    "q",
    "tags",
    "minDuration",
    "maxDuration",
    "limit",
    "spss",
    "start",
    "end",
    "most_recent",
    "skip_ast_transformations",
];

pub(super) fn request(config: &Config, params: &Params) -> Result<SearchRequest, ApiError> {
    let text = match (params.get("q"), params.get("tags")) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad("invalid request: can't specify tags and q in the same query"));
        }
        (None, Some(_)) => {
            return Err(ApiError::bad(
                "searching by `tags` is not supported yet: use `q`, such as q={ .key = \"value\" }",
            ));
        }
        (Some(q), None) => q,
        (None, None) => {
            if let (TimeRange::ALL, Some(name)) = (params.range()?, params.unknown(&KNOWN)) {
                let text =
                    format!("unknown parameter `{name}`: searching by tags is not supported yet: use `q`");
                return Err(ApiError::bad(text));
            }
            "{ }"
        }
    };
    let query =
        parse_validated(text).map_err(|error| ApiError::bad(format!("invalid TraceQL query: {error}")))?;
    let (min, max) = (params.duration("minDuration")?, params.duration("maxDuration")?);
    if let (Some(min), Some(max)) = (min, max)
        && max < min
    {
        return Err(ApiError::bad("invalid maxDuration: must be greater than minDuration"));
    }
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Ok(SearchRequest {
        query,
        limit: limit(config, params)?,
        spans_per_span_set: spans_per_span_set(config, params)?,
        range: range(config, params)?,
        min_duration: min.map(nanos),
        max_duration: max.map(nanos),
    })
}

fn limit(config: &Config, params: &Params) -> Result<usize, ApiError> {
    let max = config.max_result_limit;
    match params.number("limit")?.map(|limit| limit as usize) {
        None => Ok(config.default_result_limit),
        Some(0) => Err(ApiError::bad("invalid limit: must be a positive number")),
        Some(limit) if limit > max => {
            Err(ApiError::bad(format!("limit {limit} exceeds max limit {max}; ask for less")))
        }
        Some(limit) => Ok(limit),
    }
}

/// Zero means the default, as Tempo's engine takes it.
fn spans_per_span_set(config: &Config, params: &Params) -> Result<usize, ApiError> {
    let max = config.max_spans_per_span_set;
    match params.number("spss")?.map(|spans| spans as usize) {
        None | Some(0) => Ok(config.default_spans_per_span_set),
        Some(spans) if spans > max => {
            Err(ApiError::bad(format!("spss {spans} exceeds max spans per span set {max}; ask for less")))
        }
        Some(spans) => Ok(spans),
    }
}

fn range(config: &Config, params: &Params) -> Result<TimeRange, ApiError> {
    let range = params.range()?;
    let max = config.max_search_duration;
    // A range includes its last second whole, which does not count as length.
    let length = Duration::from_secs((range.end - range.start) / 1_000_000_000);
    if range != TimeRange::ALL && length > max {
        let max = duration::print(max);
        return Err(ApiError::bad(format!("range specified by start and end exceeds {max}; ask for less")));
    }
    Ok(range)
}
