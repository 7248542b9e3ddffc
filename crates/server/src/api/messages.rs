//! Answers as protobuf, for who asks for it (`reference/tempo.md` 2.0).

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use prost::Message;
use vivace_query::SearchResponse;

use crate::grpc::{Packet, Packets, tempopb};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/protobuf");

/// `SearchResponse`, made while it is sent: messages one after the other read as one.
pub(super) fn search(found: SearchResponse) -> Response {
    let pieces =
        Packets::<tempopb::SearchResponse>::of(found).map(|piece| Bytes::from(piece.encode_to_vec()));
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, std::convert::Infallible>)));
    ([(CONTENT_TYPE, PROTOBUF)], body).into_response()
}

/// An answer as one message.
pub(super) fn whole<M: Packet>(answer: M::Answer) -> Response {
    ([(CONTENT_TYPE, PROTOBUF)], crate::grpc::whole::<M>(answer).encode_to_vec()).into_response()
}
