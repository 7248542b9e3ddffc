//! OTLP messages to spans and back. The only place that knows how one becomes the other.

mod decode;
mod encode;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::IngestError;

pub use decode::{Rejections, keep_valid, spans};
pub use encode::encode;

/// Reads a binary request.
///
/// # Errors
/// [`IngestError::Malformed`] says what is wrong.
pub fn decode_protobuf(body: Bytes) -> Result<ExportTraceServiceRequest, IngestError> {
    ExportTraceServiceRequest::decode(body)
        .map_err(|error| IngestError::Malformed { format: "protobuf", reason: error.to_string() })
}

/// Reads a JSON request.
///
/// # Errors
/// [`IngestError::Malformed`] says what is wrong and where.
pub fn decode_json(body: &[u8]) -> Result<ExportTraceServiceRequest, IngestError> {
    serde_json::from_slice(body)
        .map_err(|error| IngestError::Malformed { format: "JSON", reason: error.to_string() })
}

#[cfg(test)]
mod tests;
