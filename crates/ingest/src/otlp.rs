//! OTLP to columns, and spans to OTLP. The only place that knows how one becomes the other.

mod any;
mod columns;
mod count;
#[cfg(test)]
mod decode;
mod encode;
mod lenient;
mod rejections;
mod wire;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::IngestError;

pub use columns::{Columns, columns};
pub use count::count_spans;
pub use encode::{encode, key_value};
pub use rejections::{Rejections, Truncated};

/// Turns a JSON request into a binary one.
///
/// # Errors
/// [`IngestError::Malformed`] says what is wrong and where.
pub fn json_to_protobuf(body: &[u8]) -> Result<Bytes, IngestError> {
    Ok(decode_json(body)?.encode_to_vec().into())
}

fn decode_json(body: &[u8]) -> Result<ExportTraceServiceRequest, IngestError> {
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
