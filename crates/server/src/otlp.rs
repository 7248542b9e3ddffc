//! OTLP in, over HTTP and gRPC (`reference/tempo.md` 1.1 to 1.4). Both read the body under the same limits and the
//! same memory budget; only framing and the encoding of answers differ.

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use vivace_ingest::{Accepted, otlp};
use vivace_model::TenantId;

use crate::config::Limits;
use crate::metrics::observe;
use crate::state::App;

mod body;
mod grpc;
mod http;
mod refusal;

pub(crate) use refusal::Refusal;

/// `POST /v1/traces`.
pub(crate) fn http_router(app: &App) -> Router {
    let routes = Router::new().route("/v1/traces", any(http::export)).with_state(App::clone(app));
    crate::api::guarded(observe(routes, app))
}

/// `opentelemetry.proto.collector.trace.v1.TraceService`; anything else is unimplemented.
pub(crate) fn grpc_router(app: &App) -> Router {
    let routes = Router::new()
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", any(grpc::export))
        .fallback(grpc::unimplemented)
        .with_state(App::clone(app));
    crate::api::guarded(observe(routes, app))
}

/// Answers any gRPC call that nothing else answers.
pub(crate) use grpc::unimplemented;

/// Hands a binary request on. One without spans succeeds and counts for nothing; one of no bytes goes no further.
async fn take(
    app: &App,
    tenant: &TenantId,
    limits: &Limits,
    request: Bytes,
    received: u64,
) -> Result<Accepted, Refusal> {
    let backend = app.backend().ok_or_else(Refusal::starting)?;
    if request.is_empty() {
        return Ok(Accepted::default());
    }
    if let Err(limited) = app.rates.take(tenant, request.len() as u64, limits, app.clock.monotonic()) {
        return match otlp::count_spans(&request) {
            0 => Ok(Accepted::default()),
            spans => {
                app.metrics.discarded(tenant, "rate_limited", spans);
                Err(limited.into())
            }
        };
    }
    let accepted = backend.export(tenant, request).await?;
    if accepted.accepted + accepted.rejected() > 0 {
        app.metrics.received(tenant, &accepted, received);
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests;
