use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use vivace_ingest::otlp;
use vivace_model::Span;

use super::body::TraceForm;

/// Spans that are converted and held as messages at the same time.
const SPANS_AT_ONCE: usize = 512;

/// Number of `TraceByIDResponse`'s fields, and of `Trace`'s one field.
const TRACE: u32 = 1;
const METRICS: u32 = 2;
const STATUS: u32 = 3;
const MESSAGE: u32 = 4;
const RESOURCE_SPANS: u32 = 1;
/// `PartialStatus.PARTIAL`
const PARTIAL: u64 = 1;

/// A trace as protobuf.
#[derive(Debug, Clone, Copy)]
pub(super) enum TraceProtobuf {
    /// `tempopb.Trace`
    Bare,
    /// `tempopb.TraceByIDResponse`, with a `trace` for each portion: readers put repeated messages together.
    Response,
}

impl TraceForm for TraceProtobuf {
    fn has_message(&self) -> bool {
        matches!(self, Self::Response)
    }

    fn portion(&self, spans: Vec<Span>, _: bool) -> Box<dyn Iterator<Item = Bytes> + Send> {
        match self {
            Self::Bare => {
                let mut done = 0;
                Box::new(std::iter::from_fn(move || {
                    let spans = spans.get(done..)?.chunks(SPANS_AT_ONCE).next()?;
                    done += spans.len();
                    Some(piece(spans))
                }))
            }
            // Its length comes first.
            Self::Response => {
                let pieces: Vec<Bytes> = spans.chunks(SPANS_AT_ONCE).map(piece).collect();
                let head = head(pieces.iter().map(Bytes::len).sum());
                Box::new(std::iter::once(head).chain(pieces))
            }
        }
    }

    fn tail(&self, message: Option<&str>) -> Bytes {
        match self {
            Self::Bare => Bytes::new(),
            Self::Response => tail(message),
        }
    }
}

/// The answer of v2 when there is no such trace, or no span of it is left.
pub(super) fn empty(message: Option<&str>) -> Bytes {
    [head(0), tail(message)].concat().into()
}

fn head(length: usize) -> Bytes {
    let mut head = BytesMut::new();
    encode_key(TRACE, WireType::LengthDelimited, &mut head);
    encode_varint(length as u64, &mut head);
    head.freeze()
}

fn tail(message: Option<&str>) -> Bytes {
    let mut tail = BytesMut::new();
    encode_key(METRICS, WireType::LengthDelimited, &mut tail);
    tail.put_u8(0);
    if let Some(reason) = message {
        encode_key(STATUS, WireType::Varint, &mut tail);
        encode_varint(PARTIAL, &mut tail);
        encode_key(MESSAGE, WireType::LengthDelimited, &mut tail);
        encode_varint(reason.len() as u64, &mut tail);
        tail.put_slice(reason.as_bytes());
    }
    tail.freeze()
}

/// How many bytes these spans take as `tempopb.Trace`.
pub(in crate::api) fn encoded_len(spans: &[Span]) -> usize {
    spans.chunks(SPANS_AT_ONCE).map(piece_len).sum()
}

fn piece_len(spans: &[Span]) -> usize {
    let field = |length: usize| key_len(RESOURCE_SPANS) + encoded_len_varint(length as u64) + length;
    otlp::encode(spans).iter().map(|resource| field(resource.encoded_len())).sum()
}

fn piece(spans: &[Span]) -> Bytes {
    let mut out = BytesMut::new();
    for resource in otlp::encode(spans) {
        prost::encoding::message::encode(RESOURCE_SPANS, &resource, &mut out);
    }
    out.freeze()
}
