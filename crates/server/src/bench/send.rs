//! Sends batches as they are, over either of OTLP's transports.

use std::time::Duration;

use axum::http::uri::PathAndQuery;
use bytes::{Buf, BufMut, Bytes};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status};
use url::Url;

use super::error::BenchError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// When the server does not say how long to wait.
const DEFAULT_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Taken, but for so many spans.
    Taken { rejected: u64, message: String },
    /// Not now: send it again after so long.
    Later { wait: Duration, message: String },
}

/// A way to send batches. Clones share connections.
#[derive(Debug, Clone)]
pub(super) enum Sender {
    Http { client: reqwest::Client, url: Url },
    Grpc(tonic::client::Grpc<Channel>),
}

impl Sender {
    /// Over HTTP to the server at `base`.
    pub(super) fn http(base: &Url) -> Result<Self, BenchError> {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1", "traces"]);
        }
        let client = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT);
        let client = client.build().map_err(|error| BenchError::Refused(error.to_string()))?;
        Ok(Self::Http { client, url })
    }

    /// Over gRPC to the server at `base`.
    pub(super) fn grpc(base: &Url) -> Result<Self, BenchError> {
        let endpoint = Channel::from_shared(base.to_string())
            .map_err(|error| BenchError::Usage(format!("{base} is not a gRPC address: {error}")))?;
        let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT).connect_lazy();
        Ok(Self::Grpc(tonic::client::Grpc::new(channel)))
    }

    /// Sends one `ExportTraceServiceRequest`.
    pub(super) async fn send(&mut self, batch: Bytes) -> Result<Outcome, BenchError> {
        match self {
            Self::Http { client, url } => send_http(client, url, batch).await,
            Self::Grpc(grpc) => send_grpc(grpc, batch).await,
        }
    }
}

async fn send_http(client: &reqwest::Client, url: &Url, batch: Bytes) -> Result<Outcome, BenchError> {
    let refused = |error: reqwest::Error| BenchError::Refused(format!("{url}: {error:?}"));
    let request = client.post(url.clone()).header(CONTENT_TYPE, "application/x-protobuf").body(batch);
    let response = request.send().await.map_err(refused)?;
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.bytes().await.map_err(refused)?;
    match status.as_u16() {
        200 => taken(&body),
        429 | 502..=504 => Ok(Outcome::Later {
            wait: wait.map_or(DEFAULT_WAIT, Duration::from_secs).min(LONGEST_WAIT),
            message: format!("{status}: {}", readable(&body)),
        }),
        _ => Err(BenchError::Refused(format!("{url} answered {status}: {}", readable(&body)))),
    }
}

async fn send_grpc(grpc: &mut tonic::client::Grpc<Channel>, batch: Bytes) -> Result<Outcome, BenchError> {
    let unreachable = |error: tonic::transport::Error| BenchError::Refused(format!("{error:?}"));
    grpc.ready().await.map_err(unreachable)?;
    let path = PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    match grpc.unary(tonic::Request::new(batch), path, AsIs).await {
        Ok(response) => taken(&response.into_inner()),
        Err(status) if matches!(status.code(), Code::ResourceExhausted | Code::Unavailable) => {
            Ok(Outcome::Later { wait: DEFAULT_WAIT, message: status.to_string() })
        }
        Err(status) => Err(BenchError::Refused(status.to_string())),
    }
}

fn taken(body: &[u8]) -> Result<Outcome, BenchError> {
    let response = ExportTraceServiceResponse::decode(body)
        .map_err(|error| BenchError::Refused(format!("the answer is not OTLP's: {error}")))?;
    let partial = response.partial_success.unwrap_or_default();
    Ok(Outcome::Taken {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or_default(),
        message: partial.error_message,
    })
}

/// The text in an answer that may be a binary message.
fn readable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER).take(300).collect()
}

/// Messages that are bytes already.
#[derive(Debug, Clone, Copy, Default)]
struct AsIs;

impl Codec for AsIs {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for AsIs {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for AsIs {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
