//! The query API over HTTP (`reference/tempo.md` section 2).

use std::any::Any;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::metrics::observe;
use crate::otlp;
use crate::state::App;

mod accept;
mod diff;
mod error;
mod json;
mod params;
mod search;
mod status;
mod tags;
mod traces;

/// Smaller answers are sent as they are.
const COMPRESS_FROM: u64 = 1024;

/// Everything on the HTTP port. As Tempo does, any method is taken for any path.
pub(crate) fn router(app: &App) -> Router {
    let routes = Router::new()
        .route("/api/search", any(search::search))
        .route("/api/traces/{traceID}", any(traces::v1))
        .route("/api/v2/traces/{traceID}", any(traces::v2))
        .route("/api/v2/traces/diff", post(diff::diff))
        .route("/api/search/tags", any(tags::names_v1))
        .route("/api/v2/search/tags", any(tags::names_v2))
        .route("/api/search/tag/{tagName}/values", any(tags::values_v1))
        .route("/api/v2/search/tag/{tagName}/values", any(tags::values_v2))
        .route("/api/echo", any(status::echo))
        .route("/api/status/buildinfo", any(status::build_info))
        .route("/ready", any(status::ready))
        .route("/metrics", any(status::metrics))
        .route("/status", any(status::overview))
        .route("/status/version", any(status::version))
        .route("/status/config", any(status::config))
        .route("/status/services", any(status::services))
        .route("/status/endpoints", any(status::endpoints))
        .fallback(not_found)
        .with_state(App::clone(app));
    let worthwhile = SizeAbove::new(COMPRESS_FROM).and(NotForContentType::GRPC);
    let compressed = routes.layer(CompressionLayer::new().compress_when(worthwhile));
    guarded(observe(compressed, app))
}

/// Everything on the gRPC port: nothing yet.
pub(crate) fn grpc_router(app: &App) -> Router {
    guarded(observe(Router::new().fallback(otlp::unimplemented), app))
}

/// Keeps a panic inside its request.
pub(crate) fn guarded(router: Router) -> Router {
    router.layer(CatchPanicLayer::custom(panicked))
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a request failed by a defect of ours");
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error; the server's log says more").into_response()
}

async fn not_found(request: Request) -> Response<Body> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|text| text.starts_with("application/grpc")) {
        return otlp::unimplemented(request).await;
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

#[cfg(test)]
mod tests;
