use axum::Router;
use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode};
use http_body_util::BodyExt;
use prost::Message;
use tokio_stream::StreamExt;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tower::ServiceExt;
use vivace_base::ByteSize;
use vivace_query::{SearchResponse as Found, TagScope};

use super::convert::samples;
use super::tempopb::streaming_querier_client::StreamingQuerierClient;
use super::tempopb::{
    QueryInstantRequest, QueryRangeRequest, SearchRequest, SearchTagValuesRequest, SearchTagsRequest,
};
use super::{tempopb, whole};
use crate::api;
use crate::backend::fake::{FakeBackend, app, starting};
use crate::state::App;

fn full() -> FakeBackend {
    FakeBackend {
        found: samples::search(),
        names: samples::names(),
        values: samples::values(),
        series: samples::series(),
        ..FakeBackend::default()
    }
}

/// Both routers serve it.
fn routers(app: &App) -> [Router; 2] {
    [api::router(app), api::grpc_router(app)]
}

fn client(router: Router) -> StreamingQuerierClient<Router> {
    StreamingQuerierClient::new(router)
}

/// The one message of a short answer.
async fn one<M>(answer: Result<tonic::Response<Streaming<M>>, Status>) -> M {
    let mut answers = answer.unwrap().into_inner();
    let first = answers.next().await.unwrap().unwrap();
    assert!(answers.next().await.is_none());
    first
}

#[tokio::test]
async fn every_method_answers_on_both_ports() {
    let (app, _) = app(full(), |_| {});
    for router in routers(&app) {
        let mut client = client(router);
        assert_eq!(one(client.search(SearchRequest::default()).await).await, whole(samples::search()));
        let tags = SearchTagsRequest::default;
        assert_eq!(one(client.search_tags(tags()).await).await, whole(samples::names()));
        assert_eq!(one(client.search_tags_v2(tags()).await).await, whole(samples::names()));
        let values = || SearchTagValuesRequest { tag_name: ".a".into(), ..Default::default() };
        assert_eq!(one(client.search_tag_values(values()).await).await, whole(samples::values()));
        assert_eq!(one(client.search_tag_values_v2(values()).await).await, whole(samples::values()));
        let range = QueryRangeRequest { query: "{ } | rate()".into(), ..Default::default() };
        assert_eq!(one(client.metrics_query_range(range).await).await, whole(samples::series()));
        let instant = QueryInstantRequest { query: "{ } | rate()".into(), ..Default::default() };
        assert_eq!(one(client.metrics_query_instant(instant).await).await, whole(samples::series()));
    }
}

#[tokio::test]
async fn a_large_answer_comes_in_messages_that_clients_take() {
    let mut traces: Vec<_> = (0..200).map(|id| samples::hit(id, 1)).collect();
    traces.iter_mut().for_each(|trace| trace.root_trace_name = Some("x".repeat(20_000)));
    let traces: Vec<_> = traces.into_iter().map(Into::into).collect();
    let found = Found { traces, ..Found::default() };
    let (app, _) = app(FakeBackend { found: found.clone(), ..FakeBackend::default() }, |_| {});
    let mut client = client(api::grpc_router(&app)).max_decoding_message_size(1 << 20);
    let mut answers = client.search(SearchRequest::default()).await.unwrap().into_inner();
    let mut traces = Vec::new();
    let mut messages = 0;
    while let Some(message) = answers.next().await {
        traces.extend(message.unwrap().traces);
        messages += 1;
    }
    assert_eq!(messages, 4);
    assert!(traces == whole::<super::tempopb::SearchResponse>(found).traces);
}

async fn refused(app: &App, query: &str, tenant: Option<&'static str>) -> Status {
    let mut request = Request::new(SearchRequest { query: query.into(), ..SearchRequest::default() });
    if let Some(tenant) = tenant {
        request.metadata_mut().insert("x-scope-orgid", MetadataValue::from_static(tenant));
    }
    match client(api::grpc_router(app)).search(request).await {
        Err(status) => status,
        Ok(answers) => answers.into_inner().next().await.unwrap().unwrap_err(),
    }
}

#[tokio::test]
async fn errors_have_the_codes_of_http() {
    let (multi, _) = app(full(), |config| config.multitenancy = true);
    let missing = refused(&multi, "{ }", None).await;
    assert_eq!((missing.code(), missing.message()), (Code::Unauthenticated, "no org id"));
    assert_eq!(refused(&multi, "{ }", Some("a/b")).await.code(), Code::InvalidArgument);
    let invalid = refused(&multi, "{", Some("a|b")).await;
    assert_eq!(invalid.code(), Code::InvalidArgument);
    assert!(invalid.message().starts_with("invalid TraceQL query: "), "{invalid:?}");
    let (full, _) = app(FakeBackend { full: true, ..FakeBackend::default() }, |_| {});
    assert_eq!(refused(&full, "{ }", None).await.code(), Code::ResourceExhausted);
    assert_eq!(refused(&starting(|_| {}), "{ }", None).await.code(), Code::Unavailable);
    let (defect, _) = app(FakeBackend { defect: true, ..FakeBackend::default() }, |_| {});
    assert_eq!(refused(&defect, "{ }", None).await.code(), Code::Internal);
    let long = format!("{{ .a = \"{}\" }}", "x".repeat(300 << 10));
    assert_eq!(refused(&full, &long, None).await.code(), Code::OutOfRange);
    let (small, _) = app(FakeBackend::default(), |config| config.memory_limit = ByteSize::from_bytes(1000));
    let no_memory = refused(&small, "{ }", None).await;
    assert_eq!(no_memory.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_partial_answer_is_marked_in_the_trailers() {
    let found = Found { partial: Some("a block is corrupt".into()), ..samples::search() };
    let (app, _) = app(FakeBackend { found, ..FakeBackend::default() }, |_| {});
    let mut answers = client(api::router(&app)).search(SearchRequest::default()).await.unwrap().into_inner();
    while let Some(message) = answers.next().await {
        message.unwrap();
    }
    let trailers = answers.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("x-vivace-partial").unwrap(), "a block is corrupt");
}

/// The headers of an answer to a search framed by hand.
async fn encoding_for(headers: &[(&str, &str)]) -> Option<String> {
    let (app, _) = app(full(), |_| {});
    let mut frame = vec![0; 5];
    SearchRequest::default().encode(&mut frame).unwrap();
    let request =
        HttpRequest::post("/tempopb.StreamingQuerier/Search").header("content-type", "application/grpc");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = api::grpc_router(&app).oneshot(request.body(Body::from(frame)).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.headers().get("grpc-encoding").map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn answers_are_compressed_for_who_compresses() {
    let accepts = ("grpc-accept-encoding", "identity,deflate,gzip");
    assert_eq!(encoding_for(&[accepts]).await, None);
    assert_eq!(encoding_for(&[accepts, ("grpc-encoding", "identity")]).await, None);
    let (app, _) = app(full(), |_| {});
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let client = client(api::router(&app)).send_compressed(encoding);
        let answer = client.accept_compressed(encoding).search(SearchRequest::default()).await.unwrap();
        let named = answer.metadata().get("grpc-encoding").unwrap().to_str().unwrap();
        assert_eq!(named, encoding.to_string());
        let mut answers = answer.into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap(), whole(samples::search()));
    }
}

async fn health(app: &App, service: &str) -> Result<ServingStatus, Code> {
    let mut client = HealthClient::new(api::router(app));
    let answer = client.check(HealthCheckRequest { service: service.into() }).await;
    answer.map(|answer| answer.get_ref().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn health_follows_the_phase() {
    let app = starting(|_| {});
    let mut watcher = HealthClient::new(api::grpc_router(&app));
    let mut watched = watcher.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let mut next = async || watched.next().await.map(|status| status.unwrap().status());
    assert_eq!(health(&app, "").await, Ok(ServingStatus::NotServing));
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    app.ready(std::sync::Arc::new(FakeBackend::default()));
    assert_eq!(health(&app, "tempopb.StreamingQuerier").await, Ok(ServingStatus::Serving));
    assert_eq!(next().await, Some(ServingStatus::Serving));
    assert_eq!(health(&app, "tempopb.Querier").await, Err(Code::NotFound));
    app.stopping();
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    assert_eq!(next().await, None, "who watches must not keep the server from stopping");
    assert_eq!(health(&app, "").await, Ok(ServingStatus::NotServing));
}

#[tokio::test]
async fn services_and_their_messages_are_described() {
    let (app, _) = app(full(), |_| {});
    for router in routers(&app) {
        let mut client = ServerReflectionClient::new(router);
        let ask = |message_request| {
            let message_request = Some(message_request);
            ServerReflectionRequest { message_request, ..ServerReflectionRequest::default() }
        };
        let asked = [
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol("tempopb.SearchRequest".into())),
            ask(MessageRequest::FileByFilename("tempopb/common/v1/common.proto".into())),
        ];
        let answers = client.server_reflection_info(tokio_stream::iter(asked)).await.unwrap().into_inner();
        let answers: Vec<_> = answers.map(|answer| answer.unwrap().message_response.unwrap()).collect().await;
        let [MessageResponse::ListServicesResponse(services), files @ ..] = &answers[..] else {
            panic!("{answers:?}")
        };
        let mut names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "tempopb.StreamingQuerier"]
        );
        let is_file = |answer: &MessageResponse| matches!(answer, MessageResponse::FileDescriptorResponse(_));
        assert!(files.len() == 2 && files.iter().all(is_file), "{files:?}");
    }
}

#[tokio::test]
async fn calls_are_measured_by_method_and_outcome() {
    let (app, _) = app(full(), |_| {});
    one(client(api::router(&app)).search(SearchRequest::default()).await).await;
    client(api::grpc_router(&app))
        .search(SearchRequest { query: "{".into(), ..Default::default() })
        .await
        .unwrap_err();
    let left = client(api::grpc_router(&app)).search_tags(SearchTagsRequest::default()).await.unwrap();
    drop(left);
    let unknown =
        HttpRequest::post("/tempopb.StreamingQuerier/Nothing").header("content-type", "application/grpc");
    for router in routers(&app) {
        let response = router.oneshot(clone(&unknown)).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "12");
    }
    let page =
        api::router(&app).oneshot(HttpRequest::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    let page = page.into_body().collect().await.unwrap().to_bytes();
    let page = std::str::from_utf8(&page).unwrap();
    for (method, outcome) in [("Search", "success"), ("Search", "error"), ("SearchTags", "cancel")] {
        let series = format!(
            "tempo_request_duration_seconds_count{{method=\"gRPC\",route=\"/tempopb.StreamingQuerier/{method}\",\
             status_code=\"{outcome}\",ws=\"false\"}} 1\n"
        );
        assert!(page.contains(&series), "{series}{page}");
    }
    assert!(!page.contains("Nothing"), "{page}");
}

fn clone(request: &axum::http::request::Builder) -> HttpRequest<Body> {
    let mut copy = HttpRequest::post(request.uri_ref().unwrap()).body(Body::empty()).unwrap();
    *copy.headers_mut() = request.headers_ref().unwrap().clone();
    copy
}

#[tokio::test]
async fn the_first_version_of_tags_hides_intrinsics_and_knows_two_values() {
    let mut names = samples::names();
    names.scopes.insert(TagScope::Intrinsic, vec!["status".to_owned()]);
    let (app, _) = app(FakeBackend { names, ..full() }, |_| {});
    let mut client = client(api::grpc_router(&app));
    let mut tags = async |scope: &str| {
        let request = SearchTagsRequest { scope: scope.into(), ..SearchTagsRequest::default() };
        one(client.search_tags(request).await).await.tag_names
    };
    assert_eq!(tags("").await, ["a", "b", "c"]);
    assert_eq!(tags("intrinsic").await, ["a", "b", "c", "status"]);
    assert!(tags("trace").await.is_empty());
    let request = SearchTagValuesRequest { tag_name: "status.code".into(), ..Default::default() };
    assert_eq!(one(client.search_tag_values(request).await).await.tag_values, ["error", "ok", "unset"]);
    let request = SearchTagsRequest { scope: "x".into(), ..SearchTagsRequest::default() };
    let refused = client.search_tags(request).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "invalid scope: x"));
}

#[tokio::test]
async fn http_answers_protobuf_to_who_accepts_it() {
    let (app, _) = app(full(), |_| {});
    let get = async |path: &str| {
        let request = HttpRequest::get(path).header("accept", "application/protobuf").body(Body::empty());
        let response = api::router(&app).oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/protobuf", "{path}");
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    };
    let search: tempopb::SearchResponse = whole(samples::search());
    assert_eq!(get("/api/search").await, search.encode_to_vec());
    let tags: tempopb::SearchTagsResponse = whole(samples::names());
    assert_eq!(get("/api/search/tags").await, tags.encode_to_vec());
    let tags: tempopb::SearchTagsV2Response = whole(samples::names());
    assert_eq!(get("/api/v2/search/tags").await, tags.encode_to_vec());
    let values: tempopb::SearchTagValuesResponse = whole(samples::values());
    assert_eq!(get("/api/search/tag/a/values").await, values.encode_to_vec());
    let values: tempopb::SearchTagValuesV2Response = whole(samples::values());
    assert_eq!(get("/api/v2/search/tag/.a/values").await, values.encode_to_vec());
}
