//! OTLP in, over HTTP and gRPC (`reference/tempo.md` 1.1 to 1.4). Both read the body under the same limits and the
//! same memory budget; only framing and the encoding of answers differ.

use axum::Router;
use axum::routing::any;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use vivace_ingest::Accepted;
use vivace_model::TenantId;

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

/// Hands a decoded request on. A request without spans succeeds and goes no further.
async fn take(
    app: &App,
    tenant: &TenantId,
    request: ExportTraceServiceRequest,
    bytes: u64,
) -> Result<Accepted, Refusal> {
    let backend = app.backend().ok_or_else(Refusal::starting)?;
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    if scopes.map(|scope| scope.spans.len()).sum::<usize>() == 0 {
        return Ok(Accepted::default());
    }
    let accepted = backend.export(tenant, request).await?;
    app.metrics.received(tenant, &accepted, bytes);
    Ok(accepted)
}

#[cfg(test)]
mod tests;
