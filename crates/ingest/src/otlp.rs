//! OTLP messages to spans and back. The only place that knows how one becomes the other.

mod decode;
mod encode;
mod lenient;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::IngestError;

pub use decode::{Rejections, keep_valid, spans};
pub use encode::{encode, key_value};

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
    let malformed =
        |error: serde_json::Error| IngestError::Malformed { format: "JSON", reason: error.to_string() };
    if body.trim_ascii_start().first() != Some(&b'{') {
        let reason = "a JSON object is expected, beginning at line 1 column 1".to_owned();
        return Err(IngestError::Malformed { format: "JSON", reason });
    }
    serde_json::from_slice(body).or_else(|strict| {
        let mut relaxed: serde_json::Value = serde_json::from_slice(body).map_err(malformed)?;
        lenient::normalize(&mut relaxed);
        // The strict reading's error has line and column.
        serde_json::from_value(relaxed).map_err(|_| malformed(strict))
    })
}

#[cfg(test)]
mod tests;
