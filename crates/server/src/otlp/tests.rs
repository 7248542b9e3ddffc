use std::io::Write;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tower::ServiceExt;
use vivace_base::ByteSize;
use vivace_ingest::Accepted;

use super::refusal::{RetryInfo, RpcStatus};
use super::{grpc_router, http_router};
use crate::backend::fake::{FakeBackend, app, starting};
use crate::metrics::Exposition;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Answer { status, headers, body: collected.to_bytes(), trailers }
}

fn post(content_type: &str, encoding: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/v1/traces").header("content-type", content_type);
    let request = if encoding.is_empty() { request } else { request.header("content-encoding", encoding) };
    request.body(body.into()).unwrap()
}

fn batch(spans: usize) -> ExportTraceServiceRequest {
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "a name".into(), ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span; spans], ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

#[tokio::test]
async fn protobuf_of_every_encoding_arrives_whole() {
    let message = batch(3).encode_to_vec();
    let encoded = [
        ("", message.clone()),
        ("identity", message.clone()),
        ("gzip", gzip(&message)),
        ("zstd", zstd::encode_all(message.as_slice(), 1).unwrap()),
        ("deflate", zlib(&message)),
        ("zlib", zlib(&message)),
    ];
    for (encoding, body) in encoded {
        let (app, backend) = app(FakeBackend::default(), |_| {});
        let answer = send(http_router(&app), post(PROTOBUF, encoding, body)).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0), "{encoding}");
        assert_eq!(answer.headers["content-type"], PROTOBUF);
        let received = backend.received.lock().unwrap();
        assert_eq!(received.as_slice(), [(vivace_model::TenantId::single(), batch(3))], "{encoding}");
        assert_eq!(app.budget.reserved().bytes(), 0);
    }
}

#[tokio::test]
async fn json_is_read_leniently() {
    let (app, backend) = app(FakeBackend::default(), |_| {});
    let body = r#"{"resourceSpans":[{"future":1,"scopeSpans":[{"spans":[
        {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","name":"n","kind":2,
         "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000,"unknown":{"a":[1]},
         "attributes":[{"key":"s","value":{"intValue":"5"}},{"key":"n","value":{"intValue":6}}]},
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"EEE19B7EC3C1B175"}]}]}]}"#;
    let answer = send(http_router(&app), post("application/json; charset=utf-8", "", body)).await;
    assert_eq!(answer.body, r#"{"partialSuccess":{}}"#);
    let received = backend.received.lock().unwrap();
    let spans = &received[0].1.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans[0].trace_id, spans[1].trace_id);
    assert_eq!((spans[0].start_time_unix_nano, spans[0].kind), (1_544_712_660_000_000_000, 2));
    assert_eq!(spans[0].end_time_unix_nano, 1_544_712_661_000_000_000);
    let value = |index: usize| spans[0].attributes[index].value.clone().and_then(|value| value.value);
    assert_eq!((value(0), value(1)), (Some(Value::IntValue(5)), Some(Value::IntValue(6))));
}

#[tokio::test]
async fn rejected_spans_are_told_as_partial_success() {
    let rejecting = || {
        let accepted = Accepted {
            accepted: 1,
            invalid_span_id: 2,
            message: "bad \"id\"".to_owned(),
            ..Accepted::default()
        };
        app(FakeBackend { accepted, ..FakeBackend::default() }, |_| {}).0
    };
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}"#;
    let answer = send(http_router(&rejecting()), post(JSON, "", json)).await;
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let expected =
        serde_json::json!({"partialSuccess": {"rejectedSpans": "2", "errorMessage": "bad \"id\""}});
    assert_eq!(told, expected);
    let answer = send(http_router(&rejecting()), post(PROTOBUF, "", batch(3).encode_to_vec())).await;
    let told = ExportTraceServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!((told.rejected_spans, told.error_message.as_str()), (2, "bad \"id\""));
}

#[tokio::test]
async fn attributes_left_out_are_told_though_no_span_is_rejected() {
    let accepted = Accepted { accepted: 1, message: "left out".to_owned(), ..Accepted::default() };
    let app = app(FakeBackend { accepted, ..FakeBackend::default() }, |_| {}).0;
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}"#;
    let answer = send(http_router(&app), post(JSON, "", json)).await;
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let expected = serde_json::json!({"partialSuccess": {"rejectedSpans": "0", "errorMessage": "left out"}});
    assert_eq!(told, expected);
    let answer = send(http_router(&app), post(PROTOBUF, "", batch(3).encode_to_vec())).await;
    let told = ExportTraceServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!((told.rejected_spans, told.error_message.as_str()), (0, "left out"));
}

#[tokio::test]
async fn no_spans_succeed_without_the_backend() {
    let (app, backend) = app(FakeBackend { full: true, ..FakeBackend::default() }, |_| {});
    let answer = send(http_router(&app), post(JSON, "", "{}")).await;
    assert_eq!(
        (answer.status, answer.body.as_ref()),
        (StatusCode::OK, b"{\"partialSuccess\":{}}".as_slice())
    );
    assert!(backend.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn wrong_methods_and_types_are_told_in_text() {
    let (app, _) = app(FakeBackend::default(), |_| {});
    let get = Request::builder().method(Method::GET).uri("/v1/traces").body(Body::empty()).unwrap();
    let answer = send(http_router(&app), get).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.body, "405 method not allowed, supported: [POST]");
    let answer = send(http_router(&app), post("text/plain", "", "x")).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains(JSON) && text.contains(PROTOBUF), "{text}");
}

#[tokio::test]
async fn undecodable_bodies_are_refused_in_their_own_encoding() {
    let (app, _) = app(FakeBackend::default(), |_| {});
    let truncated = Bytes::from(batch(3).encode_to_vec()).slice(..40);
    let answer = send(http_router(&app), post(PROTOBUF, "", truncated)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let status = RpcStatus::decode(answer.body).unwrap();
    assert_eq!((status.code, status.details.len()), (3, 0));
    assert!(status.message.contains("protobuf"), "{}", status.message);
    let answer = send(http_router(&app), post(JSON, "", r#"{"resourceSpans":5}"#)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["code"], 3);
    assert!(told["message"].as_str().unwrap().contains("line 1 column"), "{told}");
    for (encoding, body) in [("gzip", b"nonsense".as_slice()), ("zstd", b"nonsense"), ("br", b"x")] {
        let answer = send(http_router(&app), post(PROTOBUF, encoding, body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{encoding}");
    }
}

#[tokio::test]
async fn truncated_compression_is_refused() {
    let message = batch(50).encode_to_vec();
    let bodies = [("gzip", gzip(&message)), ("zstd", zstd::encode_all(message.as_slice(), 1).unwrap())];
    for (encoding, body) in bodies {
        let (app, backend) = app(FakeBackend::default(), |_| {});
        let cut = Bytes::from(body.clone()).slice(..body.len() - 6);
        let answer = send(http_router(&app), post(PROTOBUF, encoding, cut)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{encoding}");
        assert!(backend.received.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn both_size_limits_hold_while_reading() {
    let limited = || {
        app(FakeBackend::default(), |config| {
            config.max_request_bytes = ByteSize::from_bytes(2_000);
            config.max_decompressed_bytes = ByteSize::from_bytes(100_000);
        })
        .0
    };
    let bomb = vec![0; 5_000_000];
    let bodies = [
        ("", vec![0; 2_001]),
        ("gzip", gzip(&bomb)),
        ("zstd", zstd::encode_all(bomb.as_slice(), 1).unwrap()),
    ];
    for (encoding, body) in bodies {
        let app = limited();
        let answer = send(http_router(&app), post(PROTOBUF, encoding, body)).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
        assert!(answer.headers.get("retry-after").is_none());
        assert!(RpcStatus::decode(answer.body).unwrap().message.contains("send smaller batches"));
        assert_eq!(app.budget.reserved().bytes(), 0);
    }
}

#[tokio::test]
async fn pressure_is_told_with_the_time_to_wait() {
    let (app, _) = app(FakeBackend { full: true, ..FakeBackend::default() }, |_| {});
    let answer = send(http_router(&app), post(PROTOBUF, "", batch(1).encode_to_vec())).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers["retry-after"], "5");
    let status = RpcStatus::decode(answer.body).unwrap();
    assert_eq!((status.code, status.details.len()), (8, 1));
    assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    let info = RetryInfo::decode(status.details[0].value.as_slice()).unwrap();
    assert_eq!(info.retry_delay.unwrap().seconds, 5);
}

#[tokio::test]
async fn a_body_that_finds_no_memory_is_not_read() {
    let (app, backend) = app(FakeBackend::default(), |_| {});
    let _taken = app.budget.reserve(vivace_base::Holder::Head, app.budget.limit().bytes() - 10).unwrap();
    let answer = send(http_router(&app), post(PROTOBUF, "", batch(1).encode_to_vec())).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(backend.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_stops_holds_memory_for_what_has_arrived() {
    let (app, _) = app(FakeBackend::default(), |_| {});
    let (arrived, body) = futures::channel::mpsc::unbounded();
    let mut request = post(PROTOBUF, "", Body::from_stream(body));
    request.headers_mut().insert("content-length", "1000000".parse().unwrap());
    let sending = tokio::spawn(send(http_router(&app), request));
    arrived.unbounded_send(Ok::<_, std::io::Error>(Bytes::from_static(&[0; 1000]))).unwrap();
    while app.budget.reserved().bytes() == 0 || app.budget.reserved().bytes() > 1_000_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.budget.reserved().bytes(), 4 * 1000);
    sending.abort();
}

#[tokio::test]
async fn tenants_are_needed_only_with_multitenancy() {
    let multi = || app(FakeBackend::default(), |config| config.multitenancy = true).0;
    let message = batch(1).encode_to_vec();
    let answer = send(http_router(&multi()), post(PROTOBUF, "", message.clone())).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(RpcStatus::decode(answer.body).unwrap().message, "no org id");
    let mut named = post(PROTOBUF, "", message.clone());
    named.headers_mut().insert("X-Scope-OrgID", "team-a".parse().unwrap());
    assert_eq!(send(http_router(&multi()), named).await.status, StatusCode::OK);
    let answer = send(grpc_router(&multi()), call("", &message)).await;
    assert_eq!(answer.headers["grpc-status"], "16");
}

#[tokio::test]
async fn a_server_that_starts_says_so() {
    let answer = send(http_router(&starting(|_| {})), post(JSON, "", "{}")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "5");
}

#[tokio::test]
async fn a_defect_is_kept_inside_its_request() {
    let (app, _) = app(FakeBackend { defect: true, ..FakeBackend::default() }, |_| {});
    let answer = send(http_router(&app), post(PROTOBUF, "", batch(1).encode_to_vec())).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(app.budget.reserved().bytes(), 0);
}

fn call(encoding: &str, message: &[u8]) -> Request<Body> {
    let mut frame = BytesMut::new();
    frame.put_u8(u8::from(!encoding.is_empty()));
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.extend_from_slice(message);
    let request = Request::post("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        .header("content-type", "application/grpc");
    let request = if encoding.is_empty() { request } else { request.header("grpc-encoding", encoding) };
    request.body(Body::from(frame.freeze())).unwrap()
}

#[tokio::test]
async fn grpc_takes_every_encoding() {
    let message = batch(3).encode_to_vec();
    let zstd = zstd::encode_all(message.as_slice(), 1).unwrap();
    for (encoding, body) in [("", message.clone()), ("gzip", gzip(&message)), ("zstd", zstd)] {
        let (app, backend) = app(FakeBackend::default(), |_| {});
        let answer = send(grpc_router(&app), call(encoding, &body)).await;
        assert_eq!(answer.trailers["grpc-status"], "0", "{encoding}");
        assert_eq!(answer.body.as_ref(), [0; 5]);
        assert_eq!(backend.received.lock().unwrap()[0].1, batch(3));
    }
}

#[tokio::test]
async fn grpc_errors_carry_code_and_details() {
    let (app, _) = app(FakeBackend { full: true, ..FakeBackend::default() }, |config| {
        config.max_grpc_message_bytes = ByteSize::from_bytes(1_000);
    });
    let code = async |request| send(grpc_router(&app), request).await.headers["grpc-status"].clone();
    assert_eq!(code(call("", &batch(1).encode_to_vec())).await, "8");
    assert_eq!(code(call("", &[0; 1_001])).await, "8");
    assert_eq!(code(call("", b"\xff\xff")).await, "3");
    assert_eq!(code(call("snappy", b"x")).await, "12");
    let unknown = Request::post("/a.B/C").header("content-type", "application/grpc");
    assert_eq!(code(unknown.body(Body::empty()).unwrap()).await, "12");
    let short = Request::post("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(code(short.body(Body::from(&b"\0\0"[..])).unwrap()).await, "3");
    let answer = send(grpc_router(&app), call("", &batch(1).encode_to_vec())).await;
    let encoded = answer.headers["grpc-status-details-bin"].as_bytes();
    let details = base64::Engine::decode(&base64::engine::general_purpose::STANDARD_NO_PAD, encoded).unwrap();
    assert_eq!(RpcStatus::decode(details.as_slice()).unwrap().details.len(), 1);
}

fn rates(rate: u64, burst: u64) -> impl FnOnce(&mut crate::config::Config) {
    move |config| {
        config.limits.ingestion_rate_limit_bytes = ByteSize::from_bytes(rate);
        config.limits.ingestion_burst_size_bytes = ByteSize::from_bytes(burst);
    }
}

#[tokio::test]
async fn who_sends_too_fast_is_told_when_to_try_again() {
    let body = batch(3).encode_to_vec();
    let size = body.len() as u64;
    let (app, backend) = app(FakeBackend::default(), rates(1, size));
    assert_eq!(send(http_router(&app), post(PROTOBUF, "gzip", gzip(&body))).await.status, StatusCode::OK);
    let answer = send(http_router(&app), post(PROTOBUF, "gzip", gzip(&body))).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers["retry-after"], "5");
    let status = RpcStatus::decode(answer.body).unwrap();
    let expected = format!("RATE_LIMITED: ingestion rate limit (1 bytes/s, burst: {size} bytes) exceeded");
    assert!(status.code == 8 && status.message.starts_with(&expected), "{status:?}");
    let info = RetryInfo::decode(status.details[0].value.as_slice()).unwrap();
    assert_eq!(info.retry_delay.unwrap().seconds, 5);
    assert_eq!(
        send(http_router(&app), post(PROTOBUF, "", Vec::new())).await.status,
        StatusCode::OK,
        "no spans"
    );
    let no_spans = batch(0).encode_to_vec();
    assert_eq!(send(http_router(&app), post(PROTOBUF, "", no_spans)).await.status, StatusCode::OK);
    assert_eq!(backend.received.lock().unwrap().len(), 1);
    let page = app.metrics.page(&app, Exposition::Text).unwrap();
    let counted = "tempo_discarded_spans_total{reason=\"rate_limited\",tenant=\"single-tenant\"} 3\n";
    assert!(page.contains(counted), "{page}");
}

#[tokio::test]
async fn a_batch_that_can_never_pass_is_not_to_be_sent_again() {
    let body = batch(3).encode_to_vec();
    let size = body.len() as u64;
    let (app, _) = app(FakeBackend::default(), rates(size - 1, size - 1));
    let answer = send(http_router(&app), post(PROTOBUF, "", body)).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers.get("retry-after").is_none());
    let status = RpcStatus::decode(answer.body).unwrap();
    assert!(status.message.starts_with(&format!("RATE_LIMITED: batch size ({size} bytes)")), "{status:?}");
    assert!(status.details.is_empty());
}

#[tokio::test]
async fn a_tenant_may_be_told_nothing_of_trying_again() {
    let backend = FakeBackend { full: true, ..FakeBackend::default() };
    let (app, _) = app(backend, |config| config.limits.ingestion_retry_info_enabled = false);
    let answer = send(http_router(&app), post(PROTOBUF, "", batch(1).encode_to_vec())).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers.get("retry-after").is_none());
    assert!(RpcStatus::decode(answer.body).unwrap().details.is_empty());
}

#[tokio::test]
async fn what_is_refused_is_counted_by_protocol_and_reason() {
    let (app, _) = app(FakeBackend { full: true, ..FakeBackend::default() }, |_| {});
    let message = batch(3).encode_to_vec();
    send(grpc_router(&app), call("", &message)).await;
    send(http_router(&app), post(PROTOBUF, "", message.clone())).await;
    send(http_router(&app), post(PROTOBUF, "", &b"\xff\xff"[..])).await;
    let page = app.metrics.page(&app, Exposition::Text).unwrap();
    for line in [
        "tempo_receiver_refused_spans{receiver=\"otlp/otlp_receiver\",transport=\"grpc\"} 3",
        "tempo_receiver_refused_spans{receiver=\"otlp/otlp_receiver\",transport=\"http\"} 3",
        "tempo_receiver_accepted_spans{receiver=\"otlp/otlp_receiver\",transport=\"http\"} 0",
        "vivace_refused_exports_total{transport=\"grpc\",reason=\"overloaded\"} 1",
        "vivace_refused_exports_total{transport=\"http\",reason=\"overloaded\"} 1",
        "vivace_refused_exports_total{transport=\"http\",reason=\"invalid_input\"} 1",
        &format!(
            "tempo_distributor_ingress_bytes_total{{tenant=\"single-tenant\"}} {}",
            2 * message.len() + 5 + 2
        ),
        "tempo_request_duration_seconds_count{method=\"gRPC\",\
         route=\"opentelemetry_proto_collector_trace_v1_traceservice_export\",status_code=\"error\",ws=\"false\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "no `{line}` in\n{page}");
    }
}
