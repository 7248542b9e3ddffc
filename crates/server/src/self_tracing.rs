//! Spans of this process, sent to whoever takes OTLP. Off unless an endpoint is configured; then nothing here runs, and the
//! places that make spans find out by one look at a flag that nobody wants them.

use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tonic::metadata::{MetadataMap, MetadataValue};
use tracing::field::Empty;
use tracing::{Instrument, trace_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use vivace_base::SPANS;

use crate::config::Config;
use crate::state::App;

/// Marks exports of spans of this kind: nobody makes spans of taking them in, or each export would bring the next.
const MARK: &str = "x-vivace-self-tracing";
/// How long the last spans may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Sends spans, in batches, from a queue that drops what does not fit.
#[derive(Debug)]
pub(crate) struct SelfTracing(SdkTracerProvider);

impl SelfTracing {
    /// [`None`] when it is off. Must be called in the runtime.
    ///
    /// # Errors
    /// When the endpoint is no URL.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, ExporterBuildError> {
        let Some(endpoint) = &config.self_tracing_endpoint else { return Ok(None) };
        let mut mark = MetadataMap::new();
        mark.insert(MARK, MetadataValue::from_static("1"));
        let exporter =
            SpanExporter::builder().with_tonic().with_endpoint(endpoint.url()).with_metadata(mark).build()?;
        let sampler = Sampler::TraceIdRatioBased(config.self_tracing_ratio.share());
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder().with_service_name("vivace").build())
            .build();
        Ok(Some(Self(provider)))
    }

    /// Makes spans.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.0.tracer("vivace")
    }

    /// Sends what is left.
    pub(crate) async fn stop(self) {
        let sent = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_WORDS)).await;
        if let Ok(Err(error)) = sent {
            tracing::debug!(%error, "the last spans of this process are lost");
        }
    }
}

/// Makes a span of every request of `router`, within the trace of who sent it.
pub(crate) fn traced(router: Router, app: &App) -> Router {
    if app.config.self_tracing_endpoint.is_none() {
        return router;
    }
    router.layer(from_fn(trace))
}

async fn trace(request: Request, next: Next) -> Response {
    if request.headers().contains_key(MARK) {
        return next.run(request).await;
    }
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map_or("other", MatchedPath::as_str);
    let span = trace_span!(
        target: SPANS,
        "request",
        otel.name = format!("{} {route}", request.method()),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %request.method(),
        http.route = route,
        http.response.status_code = Empty,
    );
    let caller = TraceContextPropagator::new().extract(&Headers(request.headers()));
    // A span that nobody wants has no parent either.
    let _ = span.set_parent(caller);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
