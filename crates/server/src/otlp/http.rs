use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use vivace_base::ErrorKind;
use vivace_ingest::{Accepted, otlp};
use vivace_model::TenantId;

use super::body::{Encoding, Incoming, JSON_MEMORY, PROTOBUF_MEMORY, Sizes};
use super::{Refusal, take};
use crate::config::Limits;
use crate::metrics::Transport;
use crate::state::App;
use crate::tenant;

/// How a request and its answer are written.
#[derive(Debug, Clone, Copy)]
enum Format {
    Protobuf,
    Json,
}

impl Format {
    /// By `Content-Type`, whose parameters do not matter.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        match text.split(';').next()?.trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    fn memory_per_byte(self) -> u64 {
        match self {
            Self::Protobuf => PROTOBUF_MEMORY,
            Self::Json => JSON_MEMORY,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }
}

/// Takes spans.
pub(super) async fn export(State(app): State<App>, request: Request) -> Response {
    if request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed, supported: [POST]").into_response();
    }
    let Some(format) = Format::of(request.headers()) else {
        let text = "415 unsupported media type, supported: [application/json, application/x-protobuf]";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    };
    match accept(&app, format, request).await {
        Ok(accepted) => success(format, accepted),
        Err(refusal) => {
            app.metrics.refused_export(Transport::Http, refusal.kind);
            failure(format, &refusal)
        }
    }
}

async fn accept(app: &App, format: Format, request: Request) -> Result<Accepted, Refusal> {
    let (parts, body) = request.into_parts();
    let tenant = tenant::of(&parts.headers, app.config.multitenancy)?;
    let limits = app.limits.of(&tenant);
    let taken = receive(app, &tenant, &limits, format, (&parts.headers, body)).await;
    taken.map_err(|refusal| refusal.for_tenant(&limits))
}

async fn receive(
    app: &App,
    tenant: &TenantId,
    limits: &Limits,
    format: Format,
    (headers, body): (&HeaderMap, Body),
) -> Result<Accepted, Refusal> {
    let encoding = encoding(headers)?;
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let sizes = Sizes {
        wire: app.config.max_request_bytes,
        decompressed: app.config.max_decompressed_bytes,
        memory_per_byte: format.memory_per_byte(),
    };
    let incoming = Incoming::new(body, sizes.wire);
    let payload = incoming.read(encoding, declared, sizes, &app.budget).await?;
    let request = match format {
        Format::Protobuf => payload.bytes,
        Format::Json => otlp::json_to_protobuf(&payload.bytes)?,
    };
    let accepted = take(app, Transport::Http, tenant, limits, request, payload.received).await?;
    drop(payload.reservation);
    Ok(accepted)
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(Encoding::Identity) };
    let name = String::from_utf8_lossy(value.as_bytes());
    Encoding::from_name(&name).ok_or_else(|| {
        let message =
            format!("unsupported Content-Encoding `{name}`: gzip, zstd, deflate and zlib are supported");
        Refusal::new(ErrorKind::InvalidInput, message)
    })
}

fn success(format: Format, accepted: Accepted) -> Response {
    let body = match format {
        Format::Protobuf => Body::from(response_message(accepted).encode_to_vec()),
        Format::Json if accepted.message.is_empty() => Body::from(r#"{"partialSuccess":{}}"#),
        Format::Json => {
            let rejected = accepted.rejected().to_string();
            let partial = serde_json::json!({ "rejectedSpans": rejected, "errorMessage": accepted.message });
            Body::from(serde_json::json!({ "partialSuccess": partial }).to_string())
        }
    };
    ([(CONTENT_TYPE, format.content_type())], body).into_response()
}

/// The answer; empty when all was taken as it is.
pub(super) fn response_message(accepted: Accepted) -> ExportTraceServiceResponse {
    let partial_success = (!accepted.message.is_empty()).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(accepted.rejected()).unwrap_or(i64::MAX),
        error_message: accepted.message,
    });
    ExportTraceServiceResponse { partial_success }
}

fn failure(format: Format, refusal: &Refusal) -> Response {
    let body = match format {
        Format::Protobuf => Body::from(refusal.to_protobuf()),
        Format::Json => Body::from(refusal.to_json()),
    };
    let mut response = (refusal.status, [(CONTENT_TYPE, format.content_type())], body).into_response();
    if let Some(time) = refusal.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
    }
    response
}
