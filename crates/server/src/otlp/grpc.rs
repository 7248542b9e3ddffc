//! The gRPC call is framed here and not by a generated server, which would read and decode a message before memory
//! for it could be asked for.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response};
use bytes::{BufMut, BytesMut};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::{Code, Status};
use vivace_base::ErrorKind;
use vivace_ingest::Accepted;
use vivace_model::TenantId;

use super::body::{Encoding, Incoming, PROTOBUF_MEMORY, Sizes};
use super::http::response_message;
use super::{Refusal, take};
use crate::config::Limits;
use crate::metrics::Transport;
use crate::state::App;
use crate::tenant;

/// Compression flag and length in front of a message.
const PREFIX: usize = 5;

/// Takes spans.
pub(super) async fn export(State(app): State<App>, request: Request) -> Response<Body> {
    match accept(&app, request).await {
        Ok(accepted) => success(&response_message(accepted)),
        Err(refusal) => {
            app.metrics.refused_export(Transport::Grpc, refusal.kind);
            Status::from(refusal).into_http()
        }
    }
}

/// The answer to a method that does not exist.
pub(crate) async fn unimplemented(request: Request) -> Response<Body> {
    let path = request.uri().path();
    Status::new(Code::Unimplemented, format!("unknown method {path}")).into_http()
}

async fn accept(app: &App, request: Request) -> Result<Accepted, Refusal> {
    let (parts, body) = request.into_parts();
    let tenant = tenant::of(&parts.headers, app.config.multitenancy)?;
    let limits = app.limits.of(&tenant);
    let taken = receive(app, &tenant, &limits, &parts.headers, body).await;
    taken.map_err(|refusal| refusal.for_tenant(&limits))
}

async fn receive(
    app: &App,
    tenant: &TenantId,
    limits: &Limits,
    headers: &HeaderMap,
    body: Body,
) -> Result<Accepted, Refusal> {
    let sizes = Sizes {
        wire: app.config.max_grpc_message_bytes,
        decompressed: app.config.max_decompressed_bytes,
        memory_per_byte: PROTOBUF_MEMORY,
    };
    let mut incoming = Incoming::new(body, sizes.wire);
    let prefix = incoming.exactly(PREFIX).await?;
    let (compressed, length) = parse_prefix(&prefix)?;
    let encoding = if compressed { encoding(headers)? } else { Encoding::Identity };
    let payload = incoming.read(encoding, Some(length), sizes, &app.budget).await?;
    let message = payload.received.saturating_sub(PREFIX as u64);
    if message != length {
        let text = format!("the message should be {length} bytes long and is {message}");
        return Err(Refusal::new(ErrorKind::InvalidInput, text));
    }
    let accepted = take(app, Transport::Grpc, tenant, limits, payload.bytes, payload.received).await?;
    drop(payload.reservation);
    Ok(accepted)
}

fn parse_prefix(prefix: &[u8]) -> Result<(bool, u64), Refusal> {
    let wrong = || Refusal::new(ErrorKind::InvalidInput, "the body is not a gRPC message");
    let (flag, length) = prefix.split_first().ok_or_else(wrong)?;
    let length = u32::from_be_bytes(length.try_into().map_err(|_| wrong())?);
    match flag {
        0 => Ok((false, u64::from(length))),
        1 => Ok((true, u64::from(length))),
        _ => Err(wrong()),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let name = headers.get("grpc-encoding").map(|value| String::from_utf8_lossy(value.as_bytes()));
    let known = name.as_deref().and_then(Encoding::from_name).filter(|encoding| *encoding != Encoding::Zlib);
    known.ok_or_else(|| {
        let name = name.as_deref().unwrap_or("none");
        let mut refusal = Refusal::new(
            ErrorKind::InvalidInput,
            format!("unsupported grpc-encoding `{name}`: gzip and zstd are supported"),
        );
        refusal.code = Code::Unimplemented;
        refusal
    })
}

/// One message, then the status in the trailers.
fn success(message: &impl Message) -> Response<Body> {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    let trailers = HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    let accepted = HeaderValue::from_static("identity,gzip,zstd");
    response.headers_mut().insert("grpc-accept-encoding", accepted);
    response
}
