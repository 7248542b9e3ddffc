use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use vivace_model::TraceId;
use vivace_query::TraceResponse;

use super::error::{ApiError, backend, mark_partial, tenants_of};
use super::json::{self, TraceJson};
use super::params::Params;
use crate::state::App;

mod protobuf;

use protobuf::TraceProtobuf;

/// `GET /api/traces/{traceID}` (`reference/tempo.md` 2.1).
pub(super) async fn v1(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let found = find(&app, &headers, &id, query.as_deref()).await?;
    let Some(trace) = found.trace else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    let mut response = if wants_protobuf(&headers) {
        streamed(PROTOBUF, TraceProtobuf::bare(trace))
    } else {
        streamed(JSON, TraceJson::batches(trace))
    };
    mark_partial(&mut response, found.partial.as_deref());
    Ok(response)
}

/// `GET /api/v2/traces/{traceID}` (`reference/tempo.md` 2.2).
pub(super) async fn v2(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let filter = Params::parse(query.as_deref()).get("q").is_some_and(|q| !q.trim().is_empty());
    if filter {
        return Err(ApiError::bad("filtering the spans of a trace with `q` is not supported yet"));
    }
    let TraceResponse { trace, partial } = find(&app, &headers, &id, query.as_deref()).await?;
    let mut response = match (trace, wants_protobuf(&headers)) {
        (None, true) => whole(PROTOBUF, protobuf::EMPTY_RESPONSE),
        (None, false) => whole(JSON, json::EMPTY_TRACE.as_bytes()),
        (Some(trace), true) => streamed(PROTOBUF, TraceProtobuf::response(trace, partial.as_deref())),
        (Some(trace), false) => streamed(JSON, TraceJson::response(trace, partial.as_deref())),
    };
    mark_partial(&mut response, partial.as_deref());
    Ok(response)
}

async fn find(
    app: &App,
    headers: &HeaderMap,
    id: &str,
    query: Option<&str>,
) -> Result<TraceResponse, ApiError> {
    let tenants = tenants_of(app, headers)?;
    let id: TraceId = id.parse().map_err(|error| ApiError::bad(format!("{error}")))?;
    check_times(&Params::parse(query))?;
    Ok(backend(app)?.trace(&tenants, id).await?)
}

/// The times only help to find the trace; here they are checked and not needed.
fn check_times(params: &Params) -> Result<(), ApiError> {
    let (start, end) = (params.number("start")?, params.number("end")?);
    match (start, end) {
        (Some(start), Some(end)) if start >= end => Err(ApiError::bad(format!(
            "http parameter start must be before end. received start={start} end={end}"
        ))),
        _ => Ok(()),
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/protobuf");

fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.contains("application/protobuf")
}

fn whole(content_type: HeaderValue, body: &'static [u8]) -> Response {
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

fn streamed(content_type: HeaderValue, chunks: impl Iterator<Item = Bytes> + Send + 'static) -> Response {
    let chunks = chunks.map(Ok::<_, std::convert::Infallible>);
    ([(CONTENT_TYPE, content_type)], Body::from_stream(stream::iter(chunks))).into_response()
}
