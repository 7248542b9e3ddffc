use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Endpoint;
use vivace_base::ByteSize;

use super::{ServeError, Server};
use crate::config::{Config, ConfigArgs};

fn config(data_dir: &Path) -> Config {
    let mut args = ConfigArgs::default();
    args.set_default("data_dir", data_dir.to_str().unwrap());
    for key in ["http_listen", "grpc_listen", "otlp_grpc_listen", "otlp_http_listen"] {
        args.set_default(key, "127.0.0.1:0");
    }
    let mut config = Config::load(&args).unwrap();
    // All tests of this program count: they run in the process that is watched.
    config.memory_limit = ByteSize::from_mib(4096);
    config
}

fn batch(trace: u8) -> ExportTraceServiceRequest {
    let span =
        Span { trace_id: vec![trace; 16], span_id: vec![trace; 8], name: "op".into(), ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

async fn client(server: &Server) -> TraceServiceClient<tonic::transport::Channel> {
    let address = format!("http://{}", server.addresses().otlp_grpc);
    TraceServiceClient::new(Endpoint::from_shared(address).unwrap().connect().await.unwrap())
}

async fn status_of_trace(server: &Server, trace: u8) -> u16 {
    let id = format!("{trace:02x}").repeat(16);
    let url = format!("http://{}/api/traces/{id}", server.addresses().http);
    reqwest::get(url).await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_grpc_client_sends_is_found_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(config(dir.path())).await.unwrap();
    let plain = client(&server).await;
    let gzip = plain.clone().send_compressed(CompressionEncoding::Gzip);
    let zstd = plain.clone().send_compressed(CompressionEncoding::Zstd);
    for (trace, mut client) in [(1, plain), (2, gzip), (3, zstd)] {
        let answer = client.export(batch(trace)).await.unwrap().into_inner();
        assert!(answer.partial_success.is_none());
        assert_eq!(status_of_trace(&server, trace).await, 200);
    }
    assert_eq!(status_of_trace(&server, 4).await, 404);
    server.stop().await.unwrap();
    let server = Server::start(config(dir.path())).await.unwrap();
    for trace in 1..=3 {
        assert_eq!(status_of_trace(&server, trace).await, 200);
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_reads_refusals() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.multitenancy = true;
    config.max_grpc_message_bytes = ByteSize::from_bytes(100);
    let server = Server::start(config).await.unwrap();
    let mut client = client(&server).await;
    let missing = client.export(batch(1)).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::Unauthenticated, "no org id"));
    let mut named = tonic::Request::new(batch(1));
    named.metadata_mut().insert("x-scope-orgid", "a".parse().unwrap());
    client.export(named).await.unwrap();
    let mut large = batch(1);
    large.resource_spans[0].scope_spans[0].spans[0].name = "x".repeat(200);
    let mut large = tonic::Request::new(large);
    large.metadata_mut().insert("x-scope-orgid", "a".parse().unwrap());
    assert_eq!(client.export(large).await.unwrap_err().code(), Code::ResourceExhausted);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_told_with_its_flag() {
    let dir = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(dir.path());
    config.otlp_http_listen = taken.local_addr().unwrap().to_string();
    let error = Server::start(config).await.unwrap_err();
    assert!(matches!(error, ServeError::Bind { key: "otlp-http-listen", .. }), "{error}");
}
