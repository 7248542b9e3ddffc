//! SIGTERM flushes and loses nothing; a data directory has one server.

use vivace_base::SystemRandomness;
use vivace_e2e::traffic::{all_spans, range_of};
use vivace_e2e::{SentTrace, Server, ServerBuilder, Traffic, flatten};
use vivace_model::TenantId;
use vivace_storage::object::default_url;
use vivace_storage::{Catalog, open_store};

use crate::ten_minutes_ago;

async fn assert_all_found(server: &Server, traces: &[SentTrace]) {
    let answer = server.client().search("{ }", traces.len() + 1, 100, range_of(traces)).await;
    assert_eq!(answer["traces"].as_array().map(Vec::len), Some(traces.len()));
    for trace in traces {
        let found = server.client().trace(&trace.hex()).await.expect("the trace is found");
        assert_eq!(flatten(&found.resource_spans), flatten(&trace.resource_spans));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_flushes_and_a_restart_finds_everything() {
    let server = Server::start().await;
    let traces = Traffic::new(3, ten_minutes_ago()).traces(60);
    server.otlp().send(all_spans(&traces)).await;
    let (status, builder) = server.terminate().await;
    assert_eq!(status.code(), Some(0));
    let blocks = default_url(&builder.data_dir()).expect("a temporary directory has a URL");
    let store = open_store(&blocks).expect("the blocks are a directory");
    let catalog = Catalog::open(store, TenantId::single(), std::sync::Arc::new(SystemRandomness)).await;
    let snapshot = catalog.expect("the catalog opens").snapshot();
    let sent: usize = traces.iter().map(SentTrace::span_count).sum();
    assert_eq!(snapshot.blocks.iter().map(|block| block.rows).sum::<u64>(), sent as u64, "spans in blocks");
    let server = builder.start().await;
    assert_all_found(&server, &traces).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_twice_without_work_is_clean() {
    let (status, builder) = Server::start().await.terminate().await;
    assert_eq!(status.code(), Some(0));
    let (status, _builder) = builder.start().await.terminate().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_data_is_refused() {
    let server = Server::start().await;
    let traces = Traffic::new(4, ten_minutes_ago()).traces(5);
    server.otlp().send(all_spans(&traces)).await;
    let exit = server.builder().clone().start_refused().await;
    assert_eq!(exit.status.code(), Some(1), "{}", exit.output);
    assert!(exit.output.contains("in use by another process"), "{}", exit.output);
    assert!(exit.output.contains(&server.builder().data_dir().display().to_string()), "{}", exit.output);
    assert_all_found(&server, &traces).await;
    let server = server.kill().start().await;
    assert_all_found(&server, &traces).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let server = Server::start().await;
    let taken = &server.addresses().http;
    let exit = ServerBuilder::new().listen_http(taken).start_refused().await;
    assert_eq!(exit.status.code(), Some(1), "{}", exit.output);
    assert!(exit.output.contains(taken), "{}", exit.output);
    assert!(exit.output.contains("http-listen"), "{}", exit.output);
}
