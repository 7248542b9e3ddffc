use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use vivace_ingest::otlp;
use vivace_model::{Span, Trace};

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

/// A trace as protobuf, piece by piece; a piece holds a few hundred spans.
#[derive(Debug)]
pub(super) struct TraceProtobuf {
    spans: Vec<Span>,
    done: usize,
    head: Option<Bytes>,
    tail: Option<Bytes>,
}

impl TraceProtobuf {
    /// `tempopb.Trace`
    pub(super) fn bare(trace: Trace) -> Self {
        Self { spans: trace.into_spans(), done: 0, head: None, tail: None }
    }

    /// `tempopb.TraceByIDResponse`. The trace's length comes first, so its pieces are made twice.
    pub(super) fn response(trace: Option<Trace>, partial: Option<&str>) -> Self {
        let spans = trace.map(Trace::into_spans).unwrap_or_default();
        let length = encoded_len(&spans);
        let mut head = BytesMut::new();
        encode_key(TRACE, WireType::LengthDelimited, &mut head);
        encode_varint(length as u64, &mut head);
        let mut tail = BytesMut::new();
        encode_key(METRICS, WireType::LengthDelimited, &mut tail);
        tail.put_u8(0);
        if let Some(reason) = partial {
            encode_key(STATUS, WireType::Varint, &mut tail);
            encode_varint(PARTIAL, &mut tail);
            encode_key(MESSAGE, WireType::LengthDelimited, &mut tail);
            encode_varint(reason.len() as u64, &mut tail);
            tail.put_slice(reason.as_bytes());
        }
        Self { spans, done: 0, head: Some(head.freeze()), tail: Some(tail.freeze()) }
    }
}

impl Iterator for TraceProtobuf {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(head) = self.head.take() {
            return Some(head);
        }
        let rest = self.spans.get(self.done..).unwrap_or_default();
        let Some(spans) = rest.chunks(SPANS_AT_ONCE).next() else { return self.tail.take() };
        self.done += spans.len();
        Some(piece(spans))
    }
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
