use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::api::{router, routes};
use crate::backend::fake::{FakeBackend, app};

#[test]
fn the_page_is_what_the_table_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.md");
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(written == markdown(), "docs/api.md is stale: write what `vivace api-docs` prints");
}

#[test]
fn every_route_is_listed() {
    for (route, _) in routes() {
        let path = route.replace("{*tagName_values}", "{tagName}/values");
        let listed = HTTP.iter().find(|(listed, ..)| *listed == path);
        let (_, standing, _) = listed.unwrap_or_else(|| panic!("{path} is not in the table"));
        assert_ne!(*standing, NotYet, "{path} is there");
    }
}

/// A missing trace is 404 too, but without the router's words.
#[tokio::test]
async fn every_path_that_is_listed_answers() {
    let (app, _) = app(FakeBackend::default(), |_| {});
    for (listed, standing, _) in HTTP {
        let path = listed.replace("{traceID}", "1").replace("{tagName}", "name").replace("{tenant}", "a");
        let request = Request::get(&path).body(Body::empty()).unwrap();
        let response = router(&app).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let is_absent = status == StatusCode::NOT_FOUND && body == "404 page not found\n";
        // The path of the trace diff is one of a trace too, with a bad id.
        let is_refused = status.is_client_error();
        assert!(if *standing == NotYet { is_refused } else { !is_absent }, "{path}: {status}");
    }
}

#[tokio::test]
async fn every_method_that_is_listed_answers_on_both_ports() {
    let (app, _) = app(FakeBackend::default(), |_| {});
    let paths = GRPC.iter().map(|(path, ..)| format!("/{path}"));
    for path in paths.chain(["/tempopb.StreamingQuerier/None".to_owned()]) {
        for router in [router(&app), crate::api::grpc_router(&app)] {
            let request =
                Request::post(&path).header("content-type", "application/grpc").header("te", "trailers");
            // A message of no bytes.
            let request = request.body(Body::from(vec![0; 5])).unwrap();
            let response = router.oneshot(request).await.unwrap();
            let status =
                response.headers().get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
            let is_unknown = status.as_deref() == Some("12");
            assert_eq!(is_unknown, path.ends_with("/None"), "{path}: {status:?}");
        }
    }
}
