//! Each bad input gets its stated error, and the server answers afterwards.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use vivace_e2e::otlp::{self, ExportRequest, gzip};
use vivace_e2e::spans::{SECOND, batch, hex_id, scope, service, span};
use vivace_e2e::traffic::all_spans;
use vivace_e2e::{Client, Compression, Encoding, Otlp, Reply, Server, ServerBuilder, Traffic};
use vivace_testkit::{SeededRandomness, seeds};

use crate::{recent, ten_minutes_ago};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const MIB: usize = 1 << 20;

/// `google.rpc.Status`
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

const INVALID_ARGUMENT: i32 = 3;

async fn post(otlp: &Otlp, content_type: &str, body: Vec<u8>) -> Reply {
    otlp.post(content_type, None, body).await.expect("an answer")
}

/// The error in the encoding of the request.
fn status(reply: &Reply, content_type: &str) -> RpcStatus {
    assert_eq!(reply.header("content-type"), content_type, "{reply:?}");
    if content_type == PROTOBUF {
        return RpcStatus::decode(reply.body.as_slice()).expect("google.rpc.Status");
    }
    let json = reply.json();
    RpcStatus {
        code: json["code"].as_i64().and_then(|code| code.try_into().ok()).unwrap_or(0),
        message: json["message"].as_str().unwrap_or_default().to_owned(),
    }
}

fn one_span(trace: [u8; 16]) -> ExportRequest {
    request(vec![span(trace, 1, None, "ok", ten_minutes_ago())])
}

fn request(spans: Vec<Span>) -> ExportRequest {
    otlp::request(vec![batch(service("input"), scope("x", "1"), spans)])
}

/// Takes spans and gives them back.
async fn still_works(server: &Server, mark: u8) {
    let trace = [mark; 16];
    server.otlp().send_as(&one_span(trace), Encoding::Protobuf, Compression::None).await;
    assert!(server.client().trace(&hex_id(trace)).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_protobuf() {
    let server = Server::start().await;
    let body = otlp::request(all_spans(&Traffic::new(5, ten_minutes_ago()).traces(3))).encode_to_vec();
    // Of one message in it, the last byte is always missing.
    for length in (1..body.len()).step_by(97) {
        let reply = post(&server.otlp(), PROTOBUF, body[..length].to_vec()).await.expect(400);
        let status = status(&reply, PROTOBUF);
        assert_eq!(status.code, INVALID_ARGUMENT);
        assert!(!status.message.is_empty());
    }
    let empty = server.client().search("{ }", 10, 1, recent()).await;
    assert_eq!(empty["traces"].as_array().map_or(0, Vec::len), 0, "half a request was taken: {empty}");
    still_works(&server, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes() {
    let server = Server::start().await;
    for seed in seeds(1) {
        let random = SeededRandomness::new(seed);
        for _ in 0..200 {
            let body = random.bytes(random.index(400));
            for (content_type, encoding) in
                [(PROTOBUF, None), (JSON, None), (PROTOBUF, Some("gzip")), (PROTOBUF, Some("zstd"))]
            {
                let reply =
                    server.otlp().post(content_type, encoding, body.clone()).await.expect("an answer");
                assert!([200, 400].contains(&reply.status), "{reply:?} to {}", hex::encode(&body));
            }
        }
    }
    still_works(&server, 2).await;
}

/// Protobuf with one byte changed: taken, partly taken or refused, never an error of the server's.
#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes() {
    let server = Server::start().await;
    let body = otlp::request(all_spans(&Traffic::new(6, ten_minutes_ago()).traces(2))).encode_to_vec();
    for seed in seeds(1) {
        let random = SeededRandomness::new(seed);
        for _ in 0..300 {
            let mut body = body.clone();
            let at = random.index(body.len());
            body[at] ^= 1 << random.below(8);
            let reply = post(&server.otlp(), PROTOBUF, body.clone()).await;
            assert!([200, 400].contains(&reply.status), "{reply:?} to {}", hex::encode(&body));
        }
    }
    still_works(&server, 3).await;
    let server = server.kill().start().await;
    still_works(&server, 4).await;
    server.client().search("{ }", 1000, 100, recent()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_wrong_types() {
    let server = Server::start().await;
    let bodies = [
        "",
        "{",
        "7",
        "\"text\"",
        "[]",
        r#"{"resourceSpans": 7}"#,
        r#"{"resourceSpans": [7]}"#,
        r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 7}]}]}]}"#,
        r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}"#,
        r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": {}}]}]}]}"#,
        r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "soon"}]}]}]}"#,
        r#"{"resourceSpans": [{"resource": {"attributes": [{"key": "a", "value": {"intValue": "x"}}]}}]}"#,
    ];
    for body in bodies {
        let reply = post(&server.otlp(), JSON, body.as_bytes().to_vec()).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        let status = status(&reply, JSON);
        assert_eq!(status.code, INVALID_ARGUMENT, "{body}");
        assert!(!status.message.is_empty(), "{body}");
    }
    still_works(&server, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_as_the_specification_has_it() {
    let server = Server::start().await;
    let start = ten_minutes_ago();
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174", "name": "json", "kind": 2,
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": start + 1, "unknownField": [1, {"a": null}],
        "attributes": [{"key": "n", "value": {"intValue": 7}}], "status": {}
    }]}]}], "unknown": true});
    let reply =
        post(&server.otlp(), "application/json; charset=utf-8", body.to_string().into_bytes()).await.ok();
    assert_eq!(reply.json(), json!({"partialSuccess": {}}));
    let found = server.client().trace("5b8efff798038103d269b633813fc60c").await.expect("the trace is found");
    let spans = vivace_e2e::flatten(&found.resource_spans);
    assert_eq!(hex::encode(&spans[0].span.span_id), "eee19b7ec3c1b174");
    assert_eq!((spans[0].span.name.as_str(), spans[0].span.kind), ("json", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_request_is_fine() {
    let server = Server::start().await;
    let empty = ExportRequest::default();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        server.otlp().send_as(&empty, encoding, Compression::None).await;
    }
    let reply = post(&server.otlp(), PROTOBUF, Vec::new()).await.ok();
    assert!(reply.body.is_empty(), "{reply:?}");
    server.otlp().export_grpc(empty, Compression::None).await.expect("gRPC takes it too");
}

/// Two good spans and four bad ones, by id.
fn with_bad_ids(mark: u8) -> ExportRequest {
    let start = ten_minutes_ago();
    let good = |id| span([mark; 16], id, None, "good", start);
    let bad = |trace_id: usize, span_id: usize| Span {
        trace_id: vec![9; trace_id],
        span_id: vec![9; span_id],
        name: "bad".to_owned(),
        ..good(1)
    };
    let zero = Span { span_id: vec![0; 8], ..good(1) };
    request(vec![good(1), bad(15, 8), bad(16, 7), zero, bad(0, 0), good(2)])
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_with_bad_ids_are_named_and_the_rest_kept() {
    let server = Server::start().await;
    let check = async |mark: u8, response: otlp::ExportResponse| {
        let partial = response.partial_success.expect("a partial success");
        assert_eq!(partial.rejected_spans, 4, "{partial:?}");
        assert!(partial.error_message.contains("trace id"), "{partial:?}");
        assert!(partial.error_message.contains("span id"), "{partial:?}");
        let found = server.client().trace(&hex_id([mark; 16])).await.expect("the good spans are found");
        let names: Vec<String> =
            vivace_e2e::flatten(&found.resource_spans).into_iter().map(|flat| flat.span.name).collect();
        assert_eq!(names, ["good", "good"]);
    };
    for (mark, encoding) in [(1, Encoding::Protobuf), (2, Encoding::Json)] {
        let reply = server.otlp().export(&with_bad_ids(mark), encoding, Compression::None).await;
        check(mark, otlp::response(&reply.expect("an answer").ok(), encoding)).await;
    }
    let response = server.otlp().export_grpc(with_bad_ids(3), Compression::None).await.expect("an answer");
    check(3, response).await;
    let bad = server.client().search("{ name = \"bad\" }", 10, 1, recent()).await;
    assert_eq!(bad["traces"].as_array().map_or(0, Vec::len), 0, "{bad}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_the_limit() {
    let limited =
        ServerBuilder::new().config("max_request_bytes", "1MiB").config("max_decompressed_bytes", "2MiB");
    let server = limited.config("max_grpc_message_bytes", "1MiB").start().await;
    let big = vec![0; 4 * MIB];
    assert_eq!(post(&server.otlp(), PROTOBUF, big.clone()).await.status, 413);
    for (encoding, body) in [("gzip", gzip(&big)), ("zstd", zstd::encode_all(&big[..], 1).expect("zstd"))] {
        assert!(body.len() < MIB, "small on the wire");
        let reply = server.otlp().post(PROTOBUF, Some(encoding), body).await.expect("an answer");
        assert_eq!(reply.status, 413, "{encoding}: {}", reply.text());
    }
    let mut wide = one_span([1; 16]);
    wide.resource_spans[0].scope_spans[0].spans[0].name = "x".repeat(4 * MIB);
    let status = server.otlp().export_grpc(wide, Compression::None).await.expect_err("too large");
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
    still_works(&server, 6).await;
}

/// 256 MiB in 256 KiB over HTTP, less over gRPC; the limit on what they become is far below.
#[tokio::test(flavor = "multi_thread")]
async fn gzip_bomb() {
    let server = ServerBuilder::new().flag("--memory-limit").flag("256MiB").start().await;
    let bomb = gzip(&vec![0; 256 * MIB]);
    for _ in 0..3 {
        let reply = server.otlp().post(PROTOBUF, Some("gzip"), bomb.clone()).await.expect("an answer");
        assert_eq!(reply.status, 413, "{}", reply.text());
    }
    let mut wide = one_span([1; 16]);
    wide.resource_spans[0].scope_spans[0].spans[0].name = "x".repeat(64 * MIB);
    let status = server.otlp().export_grpc(wide, Compression::Gzip).await.expect_err("too large");
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
    still_works(&server, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_method_type_and_compression() {
    let server = Server::start().await;
    let reply = server.otlp().get().await.expect(405);
    assert_eq!(reply.text(), "405 method not allowed, supported: [POST]");
    let reply = post(&server.otlp(), "text/csv", b"a,b".to_vec()).await.expect(415);
    assert!(reply.text().contains(JSON) && reply.text().contains(PROTOBUF), "{reply:?}");
    let reply = server.otlp().post(PROTOBUF, Some("br"), Vec::new()).await.expect("an answer");
    assert!([400, 415].contains(&reply.status), "{reply:?}");
    assert!(reply.text().contains("br"), "{reply:?}");
    still_works(&server, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_config_keys_and_values() {
    for (key, value, expected) in [
        ("max_block_byte", "1MiB", "max_block_bytes"),
        ("storage", "{ur: x}", "storage_url"),
        ("max_block_bytes", "plenty", "max_block_bytes"),
        ("query_deadline", "soon", "query_deadline"),
        ("storage_url", "ftp://x", "ftp"),
    ] {
        let exit = ServerBuilder::new().config(key, value).start_refused().await;
        assert!([Some(1), Some(2)].contains(&exit.status.code()), "{key}: {exit:?}");
        assert!(exit.output.contains(expected), "{key}: {value} says {}", exit.output);
    }
    let exit = ServerBuilder::new().flag("--data-dri").flag("x").start_refused().await;
    assert_eq!(exit.status.code(), Some(2));
    assert!(exit.output.contains("--data-dir"), "{}", exit.output);
}

async fn refused(client: &Client, path: &str, parameters: &[(&str, &str)], parts: &[&str]) {
    let reply = client.get_with(path, parameters, &[]).await;
    assert_eq!(reply.status, 400, "{path} {parameters:?}: {}", reply.text());
    for part in parts {
        assert!(reply.text().contains(part), "{path} {parameters:?} says `{}`, not `{part}`", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_that_make_no_sense() {
    let server = Server::start().await;
    let client = server.client();
    let search = "/api/search";
    refused(&client, search, &[("q", "{ status = }")], &["line 1, col 12"]).await;
    refused(&client, search, &[("q", "{\n  .a = \"x")], &["line 2, col 8"]).await;
    refused(&client, search, &[("q", "{ .a = 1 } }")], &["line 1, col 12"]).await;
    refused(&client, search, &[("q", "{ 1 + true }")], &["line 1, col"]).await;
    refused(
        &client,
        search,
        &[("q", &format!("{}.a = 1{}", "{ (".to_owned() + &"(".repeat(5000), ")".repeat(5001) + " }"))],
        &[],
    )
    .await;
    for (parameter, value) in [
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "many"),
        ("limit", "262145"),
        ("spss", "101"),
        ("spss", "x"),
        ("minDuration", "fast"),
        ("maxDuration", "-"),
    ] {
        refused(&client, search, &[("q", "{ }"), (parameter, value)], &[]).await;
    }
    for (start, end) in
        [("200", "100"), ("100", "100"), ("abc", "100"), ("1", "x"), ("-5", "10"), ("0", "604801")]
    {
        refused(&client, search, &[("q", "{ }"), ("start", start), ("end", end)], &[]).await;
    }
    refused(&client, search, &[("q", "{ }"), ("start", "100")], &["both"]).await;
    refused(&client, search, &[("q", "{ }"), ("minDuration", "2s"), ("maxDuration", "1s")], &[]).await;
    refused(&client, search, &[("q", "{ }"), ("tags", "a=b")], &[]).await;
    still_works(&server, 9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_ids_that_are_none() {
    let server = Server::start().await;
    let client = server.client();
    let hex = "trace IDs can only contain hex characters";
    for version in ["/api/traces", "/api/v2/traces"] {
        refused(&client, &format!("{version}/xyz"), &[], &[hex, "'x' at position 1"]).await;
        refused(&client, &format!("{version}/12g4"), &[], &[hex, "'g' at position 3"]).await;
        refused(&client, &format!("{version}/{}", "1".repeat(33)), &[], &["larger than 128 bits"]).await;
        let range = [("start", "20"), ("end", "10")];
        refused(&client, &format!("{version}/12"), &range, &["start must be before end"]).await;
        refused(&client, &format!("{version}/12"), &[("start", "x")], &[]).await;
    }
    client.trace_json("abc").await.expect(404);
    assert_eq!(client.trace_v2_json("abc").await["trace"], json!({}));
    still_works(&server, 10).await;
    // Any case, and leading zeros may be left out.
    let mut short = [0; 16];
    short[15] = 0xAB;
    server.otlp().send_as(&one_span(short), Encoding::Json, Compression::None).await;
    for id in ["ab", "AB", "0ab", &hex_id(short)] {
        assert!(client.trace(id).await.is_some(), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_make_no_sense() {
    let server = Server::start().await;
    let client = server.client();
    refused(&client, "/api/v2/search/tags", &[("scope", "planet")], &["planet"]).await;
    refused(&client, "/api/search/tags", &[("scope", "planet")], &["planet"]).await;
    refused(&client, "/api/v2/search/tag/plain/values", &[], &["please provide a valid tagName"]).await;
    refused(&client, "/api/v2/search/tags", &[("start", "20"), ("end", "10")], &[]).await;
    // A filter that does not parse is no filter.
    let parameters = [("q", "{ .a = ")];
    let reply = client.get_with("/api/v2/search/tag/resource.service.name/values", &parameters, &[]).await;
    assert_eq!(reply.ok().json()["tagValues"].as_array().map_or(0, Vec::len), 0);
    still_works(&server, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routes() {
    let server = Server::start().await;
    for path in ["/api", "/api/nothing", "/api/search/tag", "/api/traces", "/../etc/passwd", "/%00"] {
        let reply = server.client().get(path).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    still_works(&server, 12).await;
}

/// Clients that stop in the middle do not hold the server up.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_request() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start().await;
    let mut open = Vec::new();
    for address in [&server.addresses().otlp_http, &server.addresses().http, &server.addresses().otlp_grpc] {
        for _ in 0..20 {
            let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
            stream
                .write_all(b"POST /v1/traces HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
                .await
                .expect("it reads");
            open.push(stream);
        }
    }
    still_works(&server, 13).await;
    let (status, _builder) = tokio::time::timeout(Duration::from_secs(60), server.terminate())
        .await
        .expect("it stops all the same");
    assert!(status.success(), "{status}");
    drop(open);
}

/// Metrics name what was refused, and the body of an answer to a client that takes gzip is compressed.
#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_compressed_on_demand() {
    use std::io::Read;
    let server = Server::start().await;
    let traces = Traffic::new(7, ten_minutes_ago()).traces(50);
    server.otlp().send(all_spans(&traces)).await;
    let (from, to) =
        ((ten_minutes_ago() / SECOND - 60).to_string(), (ten_minutes_ago() / SECOND + 600).to_string());
    let parameters = [("q", "{ }"), ("limit", "50"), ("start", &from), ("end", &to)];
    let plain = server.client().get_with("/api/search", &parameters, &[]).await.ok();
    assert_eq!(plain.header("content-encoding"), "");
    let packed =
        server.client().get_with("/api/search", &parameters, &[("Accept-Encoding", "gzip")]).await.ok();
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).expect("gzip");
    let (plain, packed): (Value, Value) = (plain.json(), serde_json::from_str(&text).expect("JSON"));
    assert_eq!(plain["traces"], packed["traces"]);
    assert_eq!(plain["traces"].as_array().map(Vec::len), Some(50));
}
