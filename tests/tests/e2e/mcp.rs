//! What a language model sees over MCP, as plain JSON-RPC.

use serde_json::{Value as Json, json};
use vivace_e2e::spans::{self, batch, scope, service, span};
use vivace_e2e::{Client, Server, ServerBuilder};

use crate::ten_minutes_ago;

const TRACE: [u8; 16] = [0x33; 16];
const HEADERS: [(&str, &str); 3] = [
    ("Accept", "application/json, text/event-stream"),
    ("Content-Type", "application/json"),
    ("MCP-Protocol-Version", "2025-06-18"),
];

async fn rpc(client: &Client, method: &str, params: Json) -> Json {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    client.post_json_with("/api/mcp", &body, &HEADERS).await.ok().json()["result"].clone()
}

async fn call(client: &Client, tool: &str, arguments: Json) -> Json {
    let result = rpc(client, "tools/call", json!({"name": tool, "arguments": arguments})).await;
    assert_eq!(result["isError"], false, "{result}");
    serde_json::from_str(result["content"][0]["text"].as_str().expect("a text")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_finds_what_was_sent() {
    let server = Server::start().await;
    let sent = vec![span(TRACE, 1, None, "buy", ten_minutes_ago())];
    server.otlp().send(vec![batch(service("shop"), scope("lib", "1"), sent)]).await;
    let client = server.client();
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    assert_eq!(rpc(&client, "initialize", hello).await["serverInfo"]["name"], "vivace");
    assert_eq!(rpc(&client, "tools/list", json!({})).await["tools"].as_array().map(Vec::len), Some(9));
    let found = call(&client, "traceql-search", json!({"query": "{ name = \"buy\" }"})).await;
    assert_eq!(found["traces"][0]["traceID"], spans::short_id(TRACE));
    let trace = call(&client, "get-trace", json!({"trace_id": spans::hex_id(TRACE)})).await;
    assert_eq!(trace["trace"]["traceId"], spans::hex_id(TRACE));
    let values = call(&client, "get-attribute-values", json!({"name": "resource.service.name"})).await;
    assert_eq!(values["tagValues"]["string"], json!(["shop"]));
    let counted = json!({"query": "{ } | count_over_time()"});
    let counted = call(&client, "traceql-metrics-instant", counted).await;
    assert_eq!(counted["series"][0]["value"], 1.0, "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_mcp_has_no_such_page() {
    let server = ServerBuilder::new().config("mcp_enabled", "false").start().await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    server.client().post_json_with("/api/mcp", &body, &HEADERS).await.expect(404);
}
