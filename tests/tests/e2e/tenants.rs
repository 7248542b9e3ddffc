//! With `--multitenancy` tenants see their own data only.

use vivace_e2e::spans::{SECOND, attribute, batch, hex_id, scope, service, short_id, span, text};
use vivace_e2e::{Client, Compression, Encoding, Server, ServerBuilder, otlp};

use crate::ten_minutes_ago;

/// In both tenants.
const SHARED: [u8; 16] = [7; 16];
const PATHS: [&str; 9] = [
    "/api/search?q=%7B%7D",
    "/api/metrics/query?q=%7B%7D%7Crate()",
    "/api/metrics/query_range?q=%7B%7D%7Crate()%20by%20(resource.service.name)",
    "/api/traces/07070707070707070707070707070707",
    "/api/v2/traces/07070707070707070707070707070707",
    "/api/search/tags",
    "/api/v2/search/tags",
    "/api/search/tag/service.name/values",
    "/api/v2/search/tag/resource.service.name/values",
];

fn spans_of(tenant: &str, id: u64, trace: [u8; 16], start: u64) -> otlp::ExportRequest {
    let mut span = span(trace, id, None, &format!("work of {tenant}"), start);
    span.attributes = vec![attribute(&format!("only.{tenant}"), text(tenant))];
    otlp::request(vec![batch(service(&format!("{tenant}-service")), scope("test", "1"), vec![span])])
}

async fn two_tenants() -> (Server, u64) {
    let server = ServerBuilder::new().flag("--multitenancy").start().await;
    let start = ten_minutes_ago();
    for (id, tenant) in [(1, "red"), (2, "blue")] {
        let otlp = server.otlp().tenant(tenant);
        otlp.send_as(&spans_of(tenant, id, SHARED, start), Encoding::Protobuf, Compression::None).await;
        let own = spans_of(tenant, id, [id as u8; 16], start + SECOND);
        otlp.export_grpc(own, Compression::None).await.expect("gRPC takes the tenant from the metadata");
    }
    (server, start)
}

async fn check_isolation(client: &Client, start: u64, own: (u64, &str), other: (u64, &str)) {
    let client = client.tenant(own.1);
    let found = client.search("{ }", 10, 10, (start / SECOND - 10, start / SECOND + 10)).await;
    let hits = found["traces"].as_array().expect("traces");
    let ids: Vec<&str> = hits.iter().filter_map(|hit| hit["traceID"].as_str()).collect();
    assert_eq!(ids, [short_id([own.0 as u8; 16]), short_id(SHARED)], "newest first, own traces only");
    assert!(!found.to_string().contains(other.1), "{found}");
    let shared = client.trace(&hex_id(SHARED)).await.expect("the tenant's part of the shared trace");
    let spans = vivace_e2e::flatten(&shared.resource_spans);
    assert_eq!(
        spans.iter().map(|flat| flat.span.name.clone()).collect::<Vec<_>>(),
        [format!("work of {}", own.1)]
    );
    assert!(client.trace(&hex_id([other.0 as u8; 16])).await.is_none(), "the other tenant's trace is found");
    let by_name = format!("{{ resource.service.name = \"{}-service\" }}", other.1);
    let foreign = client.search(&by_name, 10, 10, (start / SECOND - 10, start / SECOND + 10)).await;
    assert_eq!(foreign["traces"].as_array().map_or(0, Vec::len), 0, "{foreign}");
    for path in &PATHS[5..] {
        let body = client.get(path).await.ok().text();
        assert!(body.contains(own.1), "{path}: {body}");
        assert!(!body.contains(other.1), "{path}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_see_their_own_data_only() {
    let (mut server, start) = two_tenants().await;
    for _ in 0..2 {
        check_isolation(&server.client(), start, (1, "red"), (2, "blue")).await;
        check_isolation(&server.client(), start, (2, "blue"), (1, "red")).await;
        let nobody = server.client().tenant("nobody");
        assert!(nobody.trace(&hex_id(SHARED)).await.is_none());
        let (status, builder) = server.terminate().await;
        assert!(status.success(), "{status}");
        server = builder.start().await;
    }
}

/// `a|b` asks for the data of both as if one tenant had it.
#[tokio::test(flavor = "multi_thread")]
async fn several_tenants_are_asked_together() {
    let (server, start) = two_tenants().await;
    let range = (start / SECOND - 10, start / SECOND + 10);
    for together in ["red|blue", "blue|red", "red|blue|red|nobody"] {
        let client = server.client().tenant(together);
        let found = client.search("{ }", 10, 10, range).await;
        let hits = found["traces"].as_array().expect("traces");
        let mut ids: Vec<&str> = hits.iter().filter_map(|hit| hit["traceID"].as_str()).collect();
        ids.sort_unstable();
        let mut expected = [short_id([1; 16]), short_id([2; 16]), short_id(SHARED)];
        expected.sort_unstable();
        assert_eq!(ids, expected, "{together}");
        let shared = client.trace(&hex_id(SHARED)).await.expect("the shared trace");
        assert_eq!(vivace_e2e::flatten(&shared.resource_spans).len(), 2, "{together}");
        for own in [[1; 16], [2; 16]] {
            assert!(client.trace(&hex_id(own)).await.is_some(), "{together}");
        }
        for path in &PATHS[5..] {
            let body = client.get(path).await.ok().text();
            assert!(body.contains("red") && body.contains("blue"), "{together} {path}: {body}");
        }
        let counted = client.query_range("{ } | count_over_time()", range, 10).await;
        assert_eq!(total(&counted), 4.0, "{together}: {counted}");
    }
    let alone = server.client().tenant("red").query_range("{ } | count_over_time()", range, 10).await;
    assert_eq!(total(&alone), 2.0, "{alone}");
    for (bad, status) in [("red|a b", 400), ("red|..", 400), ("red|", 401), ("|", 401)] {
        server.client().tenant(bad).get("/api/search").await.expect(status);
    }
}

fn total(answer: &serde_json::Value) -> f64 {
    let series = answer["series"].as_array().expect("series");
    let samples = series.iter().flat_map(|series| series["samples"].as_array().expect("samples"));
    samples.map(|sample| sample["value"].as_f64().unwrap_or(0.0)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_tenant_is_refused() {
    let (server, start) = two_tenants().await;
    for path in PATHS {
        let reply = server.client().get(path).await.expect(401);
        assert_eq!(reply.text().trim_end(), "no org id", "{path}");
    }
    let export = spans_of("nobody", 3, [3; 16], start);
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let reply = server.otlp().export(&export, encoding, Compression::None).await.expect("an answer");
        assert!((400..=503).contains(&reply.status), "{reply:?}");
        assert!(reply.text().contains("no org id"), "{reply:?}");
    }
    let status = server.otlp().export_grpc(export, Compression::None).await.expect_err("no tenant");
    assert!(status.message().contains("no org id"), "{status:?}");
    for path in ["/ready", "/api/echo", "/api/status/buildinfo", "/metrics"] {
        server.client().get(path).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_tenant_is_refused() {
    let (server, start) = two_tenants().await;
    let long = "x".repeat(151);
    for tenant in ["..", ".", "a/b", "a b", "red/../blue", long.as_str()] {
        for path in PATHS {
            server.client().tenant(tenant).get(path).await.expect(400);
        }
        let export = spans_of("nobody", 3, [3; 16], start);
        let reply = server.otlp().tenant(tenant).export(&export, Encoding::Protobuf, Compression::None).await;
        reply.expect("an answer").expect(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_multitenancy_the_header_means_nothing() {
    let server = Server::start().await;
    let export = spans_of("red", 1, SHARED, ten_minutes_ago());
    server.otlp().tenant("red").send_as(&export, Encoding::Protobuf, Compression::None).await;
    for client in [server.client(), server.client().tenant("blue"), server.client().tenant("../etc")] {
        assert!(client.trace(&hex_id(SHARED)).await.is_some());
    }
}
