use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value as Json;
use tower::ServiceExt;

use super::*;
use crate::api::router;
use crate::backend::fake::{FakeBackend, app};

async fn ask(path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    let (app, _) = app(FakeBackend::default(), |_| {});
    let request =
        headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    let response = router(&app).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn pages_state_their_base_relative_to_their_path() {
    for (path, base) in
        [("/", "./"), ("/explore?q=%7B%7D", "./"), ("/trace/abc?uiFind=1", "../"), ("/service/a%2Fb", "../")]
    {
        let (status, headers, text) = ask(path, &[]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(text.contains(&format!("<base href=\"{base}\"")), "{path}: {text}");
        assert_eq!(headers["content-security-policy"], POLICY);
    }
}

#[tokio::test]
async fn a_proxys_prefix_is_the_base_unless_it_could_be_anything_else() {
    let base =
        |prefix: &'static str| async move { ask("/trace/1", &[("x-forwarded-prefix", prefix)]).await.2 };
    assert!(base("/tools/vivace").await.contains("<base href=\"/tools/vivace/\""));
    for prefix in ["//elsewhere.example", "/\"><script>", "tools"] {
        assert!(base(prefix).await.contains("<base href=\"../\""), "{prefix}");
    }
}

#[tokio::test]
async fn assets_are_kept_forever_and_pages_are_asked_for_again() {
    let (_, headers, page) = ask("/", &[]).await;
    let etag = headers["etag"].to_str().unwrap();
    assert_eq!(headers["cache-control"], "no-cache");
    assert_eq!(ask("/", &[("if-none-match", etag)]).await.0, StatusCode::NOT_MODIFIED);

    let script = page.split('"').find(|part| part.ends_with(".js")).unwrap().trim_start_matches("./");
    let (status, headers, _) = ask(&format!("/{script}"), &[]).await;
    assert_eq!((status, headers["cache-control"].to_str().unwrap()), (StatusCode::OK, FOREVER));
    assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
    let etag = headers["etag"].to_str().unwrap();
    assert_eq!(ask(&format!("/{script}"), &[("if-none-match", etag)]).await.0, StatusCode::NOT_MODIFIED);
    assert_eq!(ask("/assets/none.js", &[]).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn status_is_a_page_for_browsers_and_tempos_text_for_everybody_else() {
    assert!(ask("/status", &[("accept", "text/html,*/*")]).await.2.starts_with("<!doctype html>"));
    for accept in ["*/*", "text/plain"] {
        assert!(ask("/status", &[("accept", accept)]).await.2.starts_with("vivace, version"));
    }
}

#[tokio::test]
async fn the_status_names_memory_limits_and_addresses() {
    let (_, _, text) = ask("/api/console/status", &[]).await;
    let status: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(status["phase"], "ready");
    assert_eq!(status["memory"]["limitBytes"], 256 * 1024 * 1024);
    assert_eq!(status["memory"]["holders"].as_array().unwrap().len(), vivace_base::Holder::ALL.len());
    assert_eq!(status["addresses"]["otlpGrpc"], "127.0.0.1:4317");
    let limits = status["limits"].as_array().unwrap();
    let limit = limits.iter().find(|limit| limit["name"] == "max_result_limit").unwrap();
    assert_eq!(limit["value"], "262144");
}
