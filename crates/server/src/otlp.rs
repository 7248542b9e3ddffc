//! OTLP in, over HTTP and gRPC (`reference/tempo.md` 1.1 to 1.4). Both read the body under the same limits and the
//! same memory budget; only framing and the encoding of answers differ.

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use vivace_base::ErrorKind;
use vivace_ingest::{Accepted, otlp};
use vivace_model::TenantId;

use crate::config::Limits;
use crate::metrics::{Transport, observe, observe_calls};
use crate::state::App;

mod body;
mod grpc;
mod http;
mod refusal;

pub(crate) use refusal::Refusal;

/// `POST /v1/traces`.
pub(crate) fn http_router(app: &App) -> Router {
    let routes = Router::new().route("/v1/traces", any(http::export)).with_state(App::clone(app));
    crate::api::guarded(observe(routes, app), app)
}

/// `opentelemetry.proto.collector.trace.v1.TraceService`; anything else is unimplemented.
pub(crate) fn grpc_router(app: &App) -> Router {
    let export = Router::new()
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", any(grpc::export))
        .with_state(App::clone(app));
    let unknown = Router::new().fallback(grpc::unimplemented);
    crate::api::guarded(observe(unknown, app).merge(observe_calls(export, app)), app)
}

/// Answers any gRPC call that nothing else answers.
pub(crate) use grpc::unimplemented;

/// Hands a binary request on. One without spans succeeds and counts for nothing; one of no bytes goes no further.
async fn take(
    app: &App,
    transport: Transport,
    tenant: &TenantId,
    limits: &Limits,
    request: Bytes,
    received: u64,
) -> Result<Accepted, Refusal> {
    let backend = app.backend().ok_or_else(Refusal::starting)?;
    if request.is_empty() {
        return Ok(Accepted::default());
    }
    app.metrics.arrived(tenant, received);
    let began = app.clock.monotonic();
    if let Err(limited) = app.rates.take(tenant, request.len() as u64, limits, began) {
        return match otlp::count_spans(&request) {
            0 => Ok(Accepted::default()),
            spans => {
                app.metrics.discarded(tenant, "rate_limited", spans);
                app.metrics.refused_spans(transport, spans);
                Err(limited.into())
            }
        };
    }
    let exported = backend.export(tenant, request.clone()).await;
    let accepted = exported.inspect_err(|error| {
        // Spans of a request that is no request cannot be counted.
        if error.kind() != ErrorKind::InvalidInput {
            app.metrics.refused_spans(transport, otlp::count_spans(&request));
        }
    })?;
    if accepted.accepted + accepted.rejected() > 0 {
        let took = app.clock.monotonic().saturating_sub(began);
        app.metrics.taken(transport, tenant, &accepted, received, took);
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests;
