//! The query API over HTTP (`reference/tempo.md` section 2).

use std::any::Any;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::metrics::observe;
use crate::self_tracing::traced;
use crate::state::App;
use crate::{console, grpc, otlp};

mod accept;
mod diff;
mod endpoints;
mod error;
mod graph;
mod json;
mod mcp;
mod messages;
mod metrics;
mod overrides;
mod params;
mod pprof;
mod search;
mod status;
mod tags;
mod traces;

pub(crate) use endpoints::markdown;
pub(crate) use error::{PARTIAL_HEADER, partial_reason};
pub(crate) use json::{NO_ROOT, complete};

/// Smaller answers are sent as they are.
const COMPRESS_FROM: u64 = 1024;

/// Everything on the HTTP port. As Tempo does, any method is taken for any path.
pub(crate) fn router(app: &App) -> Router {
    let add = |router: Router<App>, (path, handler): (&str, MethodRouter<App>)| router.route(path, handler);
    let routes = routes().into_iter().fold(Router::new(), add);
    let routes = routes.merge(console::routes()).fallback(not_found).with_state(App::clone(app));
    let worthwhile = SizeAbove::new(COMPRESS_FROM).and(NotForContentType::GRPC);
    let compressed = routes.layer(CompressionLayer::new().compress_when(worthwhile));
    guarded(observe(compressed, app).merge(grpc::routes(app)), app)
}

/// Every path; `endpoints` says what there is to know about each. Names of tags may have slashes in them, so that only
/// the handler finds where they end.
fn routes() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("/api/search", any(search::search)),
        ("/api/traces/{traceID}", any(traces::v1)),
        ("/api/v2/traces/{traceID}", any(traces::v2)),
        ("/api/v2/traces/diff", post(diff::diff)),
        ("/api/search/tags", any(tags::names_v1)),
        ("/api/v2/search/tags", any(tags::names_v2)),
        ("/api/search/tag/{*tagName_values}", any(tags::values_v1)),
        ("/api/v2/search/tag/{*tagName_values}", any(tags::values_v2)),
        ("/api/metrics/query_range", any(metrics::range)),
        ("/api/metrics/query", any(metrics::instant)),
        ("/api/service-graph", any(graph::services)),
        ("/api/mcp", any(mcp::serve)),
        ("/api/echo", any(status::echo)),
        ("/api/status/buildinfo", any(status::build_info)),
        ("/ready", any(status::ready)),
        ("/metrics", any(status::metrics)),
        ("/debug/pprof/profile", any(pprof::cpu)),
        ("/debug/pprof/heap", any(pprof::heap)),
        ("/status", any(status::overview)),
        ("/status/version", any(status::version)),
        ("/status/config", any(status::config)),
        ("/status/runtime_config", any(overrides::runtime_config)),
        ("/status/overrides", any(overrides::list)),
        ("/status/overrides/{tenant}", any(overrides::of_tenant)),
        ("/status/services", any(status::services)),
        ("/status/endpoints", any(status::endpoints)),
    ]
}

/// Everything on the gRPC port.
pub(crate) fn grpc_router(app: &App) -> Router {
    let unknown = Router::new().fallback(otlp::unimplemented);
    guarded(observe(unknown, app).merge(grpc::routes(app)), app)
}

/// Keeps a panic inside its request, and the request inside its span.
pub(crate) fn guarded(router: Router, app: &App) -> Router {
    traced(router.layer(CatchPanicLayer::custom(panicked)), app)
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, panic_text(panic.as_ref())).into_response()
}

/// Logs a panic; returns what its client is told.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &'static str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a request failed by a defect of ours");
    "internal error; the server's log says more"
}

async fn not_found(request: Request) -> Response<Body> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|text| text.starts_with("application/grpc")) {
        return otlp::unimplemented(request).await;
    }
    no_such_page()
}

fn no_such_page() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

#[cfg(test)]
mod tests;
