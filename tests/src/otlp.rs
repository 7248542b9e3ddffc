//! Sends spans as any OTLP exporter does.

use std::io::Write;
use std::time::Duration;

pub use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse as ExportResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::{Addresses, Reply};

pub use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as ExportRequest;

const TIMEOUT: Duration = Duration::from_secs(60);

/// How a body of OTLP/HTTP is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// A sender to one server, perhaps for one tenant.
#[derive(Debug, Clone)]
pub struct Otlp {
    http: reqwest::Client,
    url: String,
    grpc: String,
    tenant: Option<String>,
}

impl Encoding {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    fn encode(self, request: &ExportRequest) -> Vec<u8> {
        match self {
            Self::Protobuf => request.encode_to_vec(),
            Self::Json => serde_json::to_vec(request).expect("OTLP has a JSON form"),
        }
    }
}

impl Compression {
    fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    fn compress(self, body: Vec<u8>) -> Vec<u8> {
        match self {
            Self::None => body,
            Self::Gzip => gzip(&body),
            Self::Zstd => zstd::encode_all(body.as_slice(), 1).expect("memory can be compressed"),
        }
    }
}

/// `body` in gzip.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory can be compressed")
}

/// An export request of these spans.
pub fn request(resource_spans: Vec<ResourceSpans>) -> ExportRequest {
    ExportRequest { resource_spans }
}

impl Otlp {
    /// To the server at these addresses.
    pub fn new(addresses: &Addresses) -> Self {
        let http = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        Self {
            http: http.expect("a plain client can be made"),
            url: format!("http://{}/v1/traces", addresses.otlp_http),
            grpc: format!("http://{}", addresses.otlp_grpc),
            tenant: None,
        }
    }

    /// The same, for a tenant.
    pub fn tenant(&self, tenant: &str) -> Self {
        Self { tenant: Some(tenant.to_owned()), ..self.clone() }
    }

    /// Sends spans as protobuf over HTTP; they must all be accepted.
    pub async fn send(&self, resource_spans: Vec<ResourceSpans>) {
        self.send_as(&request(resource_spans), Encoding::Protobuf, Compression::None).await;
    }

    /// Sends spans over HTTP; they must all be accepted.
    pub async fn send_as(&self, request: &ExportRequest, encoding: Encoding, compression: Compression) {
        let reply = self.export(request, encoding, compression).await.expect("the server answers").ok();
        assert_eq!(reply.header("content-type"), encoding.content_type());
        let accepted =
            response(&reply, encoding).partial_success.is_none_or(|partial| partial.rejected_spans == 0);
        assert!(accepted, "spans were rejected: {}", reply.text());
    }

    /// Sends spans over HTTP.
    ///
    /// # Errors
    /// No answer came, or half of one.
    pub async fn export(
        &self,
        request: &ExportRequest,
        encoding: Encoding,
        compression: Compression,
    ) -> Result<Reply, reqwest::Error> {
        let body = compression.compress(encoding.encode(request));
        self.post(encoding.content_type(), compression.content_encoding(), body).await
    }

    /// POSTs any body.
    ///
    /// # Errors
    /// No answer came, or half of one.
    pub async fn post(
        &self,
        content_type: &str,
        content_encoding: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self.http.post(&self.url).header("Content-Type", content_type).body(body);
        if let Some(encoding) = content_encoding {
            request = request.header("Content-Encoding", encoding);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        Reply::read(request.send().await?).await
    }

    /// GETs the path that only takes POST.
    pub async fn get(&self) -> Reply {
        let response = self.http.get(&self.url).send().await.expect("the server answers");
        Reply::read(response).await.expect("a whole answer")
    }

    /// Sends spans over gRPC.
    ///
    /// # Errors
    /// The status the server answered with.
    pub async fn export_grpc(
        &self,
        export: ExportRequest,
        compression: Compression,
    ) -> Result<ExportResponse, tonic::Status> {
        let mut client = TraceServiceClient::new(self.channel().await);
        client = match compression {
            Compression::None => client,
            Compression::Gzip => client.send_compressed(CompressionEncoding::Gzip),
            Compression::Zstd => client.send_compressed(CompressionEncoding::Zstd),
        };
        let mut request = tonic::Request::new(export);
        if let Some(tenant) = &self.tenant {
            let value = MetadataValue::try_from(tenant).expect("a tenant's name is a header value");
            request.metadata_mut().insert("x-scope-orgid", value);
        }
        client.export(request).await.map(tonic::Response::into_inner)
    }

    async fn channel(&self) -> Channel {
        let endpoint =
            Endpoint::from_shared(self.grpc.clone()).expect("an address is a URL").timeout(TIMEOUT);
        endpoint.connect().await.expect("the server listens")
    }
}

/// The response message of a 200.
pub fn response(reply: &Reply, encoding: Encoding) -> ExportResponse {
    match encoding {
        Encoding::Protobuf => ExportResponse::decode(reply.body.as_slice()).expect("protobuf"),
        Encoding::Json => {
            let partial = &reply.json()["partialSuccess"];
            let rejected = &partial["rejectedSpans"];
            let rejected = rejected.as_str().and_then(|text| text.parse().ok()).or(rejected.as_i64());
            let message = partial["errorMessage"].as_str().unwrap_or_default().to_owned();
            let partial = opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess {
                rejected_spans: rejected.unwrap_or(0),
                error_message: message,
            };
            ExportResponse { partial_success: Some(partial) }
        }
    }
}
