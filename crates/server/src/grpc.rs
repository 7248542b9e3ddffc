//! The query API over gRPC (`reference/tempo.md` section 3): `tempopb.StreamingQuerier`, health and reflection, on the
//! gRPC port and beside the HTTP API.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::Builder;
use vivace_base::Holder;

use crate::metrics::observe_calls;
use crate::otlp::Refusal;
use crate::state::App;

mod convert;
mod health;
mod packets;
mod querier;
mod stream;
pub(crate) mod tempopb;

pub(crate) use packets::{Packet, Packets, whole};

use health::PhaseHealth;
use querier::Querier;
use tempopb::streaming_querier_server::StreamingQuerierServer;

/// The most bytes of a request, compressed or not: the longest query is half as long.
const MAX_REQUEST_BYTES: usize = 256 << 10;

/// The methods by their exact paths, which are the labels they are measured under.
const QUERIER: [&str; 7] = [
    "/tempopb.StreamingQuerier/Search",
    "/tempopb.StreamingQuerier/SearchTags",
    "/tempopb.StreamingQuerier/SearchTagsV2",
    "/tempopb.StreamingQuerier/SearchTagValues",
    "/tempopb.StreamingQuerier/SearchTagValuesV2",
    "/tempopb.StreamingQuerier/MetricsQueryRange",
    "/tempopb.StreamingQuerier/MetricsQueryInstant",
];
const HEALTH: [&str; 2] = ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"];
const REFLECTION_V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const REFLECTION_V1ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// All calls there are; what else is asked for is left to the router this is merged into.
pub(crate) fn routes(app: &App) -> Router {
    let querier = StreamingQuerierServer::new(Querier::new(app))
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Zstd);
    let health = HealthServer::new(PhaseHealth(App::clone(app))).max_decoding_message_size(MAX_REQUEST_BYTES);
    let mut router = Router::new();
    for path in QUERIER {
        router = router.route_service(path, querier.clone());
    }
    for path in HEALTH {
        router = router.route_service(path, health.clone());
    }
    let router = reflection(router).layer(from_fn_with_state(App::clone(app), admit));
    observe_calls(router, app)
}

/// In both versions, as clients still ask for the older one first.
fn reflection(router: Router) -> Router {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(tempopb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let readable = "descriptors made by the compiler can be read";
    let v1 = builder().build_v1().expect(readable).max_decoding_message_size(MAX_REQUEST_BYTES);
    let v1alpha = builder().build_v1alpha().expect(readable).max_decoding_message_size(MAX_REQUEST_BYTES);
    router.route_service(REFLECTION_V1, v1).route_service(REFLECTION_V1ALPHA, v1alpha)
}

/// Takes memory for the request before it is read, until its answer begins. An answer is compressed only for who
/// compresses requests, as Go's library does, and not for everybody who could read it.
async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let _reservation = match app.budget.reserve(Holder::Decode, MAX_REQUEST_BYTES as u64) {
        Ok(reservation) => reservation,
        Err(refused) => return tonic::Status::from(Refusal::from(refused)).into_http(),
    };
    let encoding = request.headers().get("grpc-encoding").map(|name| name.as_bytes());
    if encoding.is_none_or(|name| name == b"identity") {
        request.headers_mut().remove("grpc-accept-encoding");
    }
    next.run(request).await
}

#[cfg(test)]
mod tests;
