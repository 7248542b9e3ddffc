//! `POST /api/v2/traces/diff` (`reference/tempo.md` 2.6).

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use vivace_base::Holder;
use vivace_model::{Tenants, Trace, TraceId};
use vivace_query::trace::{DiffFormat, TraceDiff, diff as difference};
use vivace_query::{QueryError, WholeTrace};

use super::accept::Format;
use super::error::{ApiError, tenants_of};
use super::traces::{check_times, encoded_len, find_within, off_thread};
use crate::state::App;

/// A request names two traces; longer bodies are refused.
const MAX_BODY: usize = 16 * 1024;
/// Outlines and result of a comparison take up to about this many times what the traces take as OTLP.
const WORKING_FACTOR: u64 = 8;

/// Which traces are compared, and how the difference is told.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DiffRequest {
    /// What is.
    pub(super) base: Side,
    /// What differs from it.
    pub(super) compare: Side,
    /// One of three names; the patch when there is none.
    #[serde(default)]
    pub(super) format: String,
}

/// One of the two traces.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Side {
    #[serde(rename = "traceId")]
    pub(super) trace_id: String,
    /// Unix seconds; checked and not needed.
    pub(super) start: Option<i64>,
    /// As `start`.
    pub(super) end: Option<i64>,
}

/// Answers a comparison as JSON, whatever is accepted.
pub(super) async fn diff(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let tenants = tenants_of(&app, &headers)?;
    let body = axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| ApiError::bad(format!("a trace diff request has at most {MAX_BODY} bytes")))?;
    let request = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad(format!("invalid trace diff request: {error}")))?;
    let json = compare(&app, &tenants, &request).await?;
    Ok(([("content-type", Format::Json.content_type())], json).into_response())
}

/// The difference between two traces, as JSON.
///
/// # Errors
/// 400 for a wrong request, 404 for a trace that is not there, 422 for one that is incomplete, 429 when they are too
/// large or memory is short.
pub(super) async fn compare(app: &App, tenants: &Tenants, request: &DiffRequest) -> Result<String, ApiError> {
    let format: DiffFormat = request.format.parse().map_err(|error| ApiError::bad(format!("{error}")))?;
    let (base, compare) = (request.base.id("base")?, request.compare.id("compare")?);
    let limit = app.config.max_trace_diff_bytes.bytes();
    let (base, base_bytes) = complete(app, tenants, base).await?;
    check_size(base_bytes, limit)?;
    let (compare, compare_bytes) = complete(app, tenants, compare).await?;
    let bytes = base_bytes.saturating_add(compare_bytes);
    check_size(bytes, limit)?;
    let working = bytes.saturating_mul(WORKING_FACTOR);
    let reserved = app.budget.reserve(Holder::Query, working).map_err(QueryError::from)?;
    off_thread(move || {
        let told = tell(&base.trace, &compare.trace, format);
        drop((reserved, base, compare));
        told
    })
    .await?
}

fn tell(base: &Trace, compare: &Trace, format: DiffFormat) -> Result<String, ApiError> {
    let too_large = |error| ApiError::with_status(StatusCode::TOO_MANY_REQUESTS, format!("{error}"));
    let told: TraceDiff = difference(base, compare, format).map_err(too_large)?;
    serde_json::to_string(&told)
        .map_err(|error| ApiError::new(vivace_base::ErrorKind::Internal, format!("trace diff: {error}")))
}

impl Side {
    fn id(&self, name: &str) -> Result<TraceId, ApiError> {
        check_times(self.start, self.end)?;
        let wrong = |error| ApiError::bad(format!("invalid {name}.traceId: {error}"));
        self.trace_id.parse().map_err(wrong)
    }
}

/// A trace that is all there, and its size as OTLP.
async fn complete(app: &App, tenants: &Tenants, id: TraceId) -> Result<(WholeTrace, u64), ApiError> {
    let (found, too_large) = find_within(app, tenants, id).await?;
    if let Some(too_large) = too_large {
        return Err(ApiError::with_status(StatusCode::TOO_MANY_REQUESTS, too_large.refusal()));
    }
    let missing = || ApiError::with_status(StatusCode::NOT_FOUND, "Not Found");
    let whole = match (found.trace, found.partial) {
        (Some(portions), None) => portions.whole(&app.budget).await?,
        (None, None) => return Err(missing()),
        (_, Some(reason)) => return Err(incomplete(id, &reason)),
    };
    if let Some(reason) = &whole.partial {
        return Err(incomplete(id, reason));
    }
    let bytes = encoded_len(whole.trace.spans()) as u64;
    Ok((whole, bytes))
}

fn incomplete(id: TraceId, reason: &str) -> ApiError {
    let text = format!("trace {id} may not be complete: {reason}");
    ApiError::with_status(StatusCode::UNPROCESSABLE_ENTITY, text)
}

fn check_size(bytes: u64, limit: u64) -> Result<(), ApiError> {
    if bytes <= limit {
        return Ok(());
    }
    let text =
        format!("trace diff input too large: combined trace size {bytes} bytes exceeds limit {limit} bytes");
    Err(ApiError::with_status(StatusCode::TOO_MANY_REQUESTS, text))
}
