use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use vivace_base::ErrorKind;
use vivace_model::{Tenants, Trace, TraceId};
use vivace_query::trace::{Pruned, prune};
use vivace_query::{TracePortions, TraceResponse};

use super::accept::{Format, LLM};
use super::error::{ApiError, backend, mark_partial, tenants_of};
use super::json::{self, LlmJson, TraceJson};
use super::params::Params;
use crate::state::App;

mod body;
mod protobuf;
mod request;
mod size;

pub(super) use body::TraceForm;
pub(super) use protobuf::encoded_len;
pub(super) use request::check_times;
pub(super) use size::find_within;

use body::{Remarks, Sending};

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
    let (TraceResponse { trace, partial }, too_large) = find_within(&app, &tenants, id).await?;
    if let Some(too_large) = too_large {
        return Err(ApiError::new(ErrorKind::TooLarge, too_large.refusal()));
    }
    let Some(portions) = trace else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    let remarks = Remarks { partial: partial.clone(), notes: Vec::new() };
    let format = Format::asked(&headers);
    let content_type = match format {
        // Tempo's header, which its JSON does not keep.
        Format::Llm => HeaderValue::from_static(LLM),
        Format::Json | Format::Protobuf => format.content_type(),
    };
    let mut response = if format == Format::Protobuf {
        streamed(&app, &tenants, portions, TraceProtobuf::Bare, remarks).respond(content_type)
    } else {
        streamed(&app, &tenants, portions, TraceJson::Batches, remarks).respond(content_type)
    };
    mark_partial(&mut response, partial.as_deref());
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
    let (mut found, _) = find_within(&app, &tenants, id).await?;
    let mut notes = Vec::new();
    if !shape.is_none()
        && let Some(portions) = found.trace.take()
    {
        let whole = portions.whole(&app.budget).await?;
        found.partial = found.partial.or(whole.partial);
        let reserved = whole.reserved;
        let (trace, done) = off_thread(move || shaped(whole.trace, &shape)).await?;
        found.trace = trace.map(|trace| TracePortions::of(trace, Some(reserved)));
        notes = done;
    }
    Ok(answer(&app, &tenants, found, notes, Format::asked(&headers)))
}

/// `TraceByIDResponse`
pub(super) fn answer(
    app: &App,
    tenants: &Tenants,
    found: TraceResponse,
    notes: Vec<&'static str>,
    format: Format,
) -> Response {
    let content_type = format.content_type();
    let TraceResponse { trace, partial } = found;
    let remarks = Remarks { partial: partial.clone(), notes };
    let mut response = match (trace, format) {
        (None, format) => {
            let message = remarks.message(None);
            let body: Bytes = match format {
                Format::Protobuf => protobuf::empty(message.as_deref()),
                Format::Json => json::empty_trace(message.as_deref()).into(),
                Format::Llm => json::empty_llm(message.as_deref()).into(),
            };
            ([(CONTENT_TYPE, content_type)], body).into_response()
        }
        (Some(portions), Format::Protobuf) => {
            streamed(app, tenants, portions, TraceProtobuf::Response, remarks).respond(content_type)
        }
        (Some(portions), Format::Json) => {
            streamed(app, tenants, portions, TraceJson::Response, remarks).respond(content_type)
        }
        (Some(portions), Format::Llm) => {
            let form = LlmJson { trace: portions.id() };
            streamed(app, tenants, portions, form, remarks).respond(content_type)
        }
    };
    mark_partial(&mut response, partial.as_deref());
    response
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
async fn find(app: &App, tenants: &Tenants, id: TraceId) -> Result<TraceResponse, ApiError> {
    Ok(backend(app)?.trace(tenants, id).await?)
}

/// Runs work on a whole trace where it does not hold up other requests.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ApiError::new(ErrorKind::Unavailable, "the server is stopping")),
        },
    }
}

fn streamed<F: TraceForm>(
    app: &App,
    tenants: &Tenants,
    portions: TracePortions,
    form: F,
    remarks: Remarks,
) -> Sending<F> {
    Sending { portions, form, remarks, patience: app.limits.of_all(tenants).query_deadline }
}
