use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use vivace_model::{Tenants, Trace, TraceId};
use vivace_query::TraceResponse;
use vivace_query::trace::{Pruned, prune, separate_shared_ids};

use super::accept::{Format, LLM};
use super::error::{ApiError, backend, mark_partial, tenants_of};
use super::json::{self, LlmJson, TraceJson};
use super::params::Params;
use crate::state::App;

mod protobuf;
mod request;

pub(super) use protobuf::encoded_len;
pub(super) use request::check_times;

use protobuf::TraceProtobuf;
use request::{Shape, trace_id};

const FILTERED: &str = "Trace filtered, only a subset of spans matching the filter is returned";
const PRUNED: &str = "groups of similar spans were pruned while serving this request: ask with span_pruning=false \
                      for all spans";
const PRUNED_BEFORE: &str =
    "the trace was already pruned before it reached this server: these are all spans it has";

/// `GET /api/traces/{traceID}` (`reference/tempo.md` 2.1).
pub(super) async fn v1(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let tenants = tenants_of(&app, &headers)?;
    let id = trace_id(&id, &Params::parse(query.as_deref()))?;
    let found = find(&app, &tenants, id).await?;
    let Some(trace) = found.trace else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    let format = Format::asked(&headers);
    let mut response = match format {
        Format::Protobuf => streamed(format.content_type(), TraceProtobuf::bare(trace)),
        Format::Json => streamed(format.content_type(), TraceJson::batches(trace)),
        // Tempo's header, which its JSON does not keep.
        Format::Llm => streamed(HeaderValue::from_static(LLM), TraceJson::batches(trace)),
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
    let tenants = tenants_of(&app, &headers)?;
    let params = Params::parse(query.as_deref());
    let id = trace_id(&id, &params)?;
    let shape = Shape::read(&app.config, &params)?;
    let TraceResponse { trace, partial } = find(&app, &tenants, id).await?;
    let (trace, notes) = match trace {
        Some(trace) if !shape.is_none() => off_thread(move || shaped(trace, &shape)).await?,
        as_it_is => (as_it_is, Vec::new()),
    };
    let messages: Vec<&str> = partial.as_deref().into_iter().chain(notes).collect();
    let message = (!messages.is_empty()).then(|| messages.join("; "));
    let mut response = whole(trace, message.as_deref(), Format::asked(&headers));
    mark_partial(&mut response, partial.as_deref());
    Ok(response)
}

fn whole(trace: Option<Trace>, message: Option<&str>, format: Format) -> Response {
    let content_type = format.content_type();
    match (trace, format) {
        (trace, Format::Protobuf) => streamed(content_type, TraceProtobuf::response(trace, message)),
        (None, Format::Json) => ([(CONTENT_TYPE, content_type)], json::empty_trace(message)).into_response(),
        (None, Format::Llm) => ([(CONTENT_TYPE, content_type)], json::empty_llm(message)).into_response(),
        (Some(trace), Format::Json) => streamed(content_type, TraceJson::response(trace, message)),
        (Some(trace), Format::Llm) => streamed(content_type, LlmJson::response(trace, message)),
    }
}

/// The trace as it was asked for, and what to say about it.
fn shaped(trace: Trace, shape: &Shape) -> (Option<Trace>, Vec<&'static str>) {
    let mut notes = Vec::new();
    let mut trace = Some(trace);
    if let Some((filter, hierarchy)) = &shape.filter
        && let Some(whole) = trace.take()
    {
        let kept = filter.keep(whole, *hierarchy);
        notes.extend((kept.dropped > 0).then_some(FILTERED));
        trace = kept.trace;
    }
    if let Some(pruning) = &shape.pruning
        && let Some(whole) = trace.take()
    {
        let (pruned, outcome) = prune(whole, pruning);
        trace = Some(pruned);
        notes.extend(match outcome {
            Pruned::Nothing => None,
            Pruned::Replaced => Some(PRUNED),
            Pruned::BySender => Some(PRUNED_BEFORE),
        });
    }
    (trace, notes)
}

/// A trace as both versions and the comparison see it: no two spans of a call share an id.
pub(super) async fn find(app: &App, tenants: &Tenants, id: TraceId) -> Result<TraceResponse, ApiError> {
    let TraceResponse { trace, partial } = backend(app)?.trace(tenants, id).await?;
    Ok(TraceResponse { trace: trace.map(separate_shared_ids), partial })
}

/// Runs work on a whole trace where it does not hold up other requests.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ApiError::new(vivace_base::ErrorKind::Unavailable, "the server is stopping")),
        },
    }
}

fn streamed(content_type: HeaderValue, chunks: impl Iterator<Item = Bytes> + Send + 'static) -> Response {
    let chunks = chunks.map(Ok::<_, std::convert::Infallible>);
    ([(CONTENT_TYPE, content_type)], Body::from_stream(stream::iter(chunks))).into_response()
}
