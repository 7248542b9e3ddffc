use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use vivace_query::{TagNames, TagScope, TagValues, TagValuesRequest};

use super::accept::Format;
use super::error::{ApiError, backend, mark_partial, tenants_of};
use super::params::Params;
use super::{json, messages, no_such_page};
use crate::ask::{Answer, TagNamesQuestion, TagValuesQuestion};
use crate::grpc::Packet;
use crate::grpc::tempopb::{
    SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsResponse, SearchTagsV2Response,
};
use crate::state::App;

/// `GET /api/search/tags` (`reference/tempo.md` 2.4). Intrinsics only when asked for.
pub(super) async fn names_v1(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let question = names_question(query.as_deref())?;
    let mut found = names(&app, &headers, &question).await?;
    if question.hides_intrinsics() {
        found.scopes.remove(&TagScope::Intrinsic);
    }
    Ok(answer::<SearchTagsResponse>(&headers, found, json::tag_names_v1))
}

/// `GET /api/v2/search/tags`
pub(super) async fn names_v2(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let found = names(&app, &headers, &names_question(query.as_deref())?).await?;
    Ok(answer::<SearchTagsV2Response>(&headers, found, json::tag_names_v2))
}

/// As `M` or JSON, whichever is accepted.
fn answer<M: Packet>(headers: &HeaderMap, found: M::Answer, json: fn(&M::Answer) -> Response) -> Response {
    let partial = M::partial(&found).map(str::to_owned);
    let mut response = match Format::asked(headers) {
        Format::Protobuf => messages::whole::<M>(found),
        Format::Json | Format::Llm => json(&found),
    };
    mark_partial(&mut response, partial.as_deref());
    response
}

fn names_question(query: Option<&str>) -> Result<TagNamesQuestion, ApiError> {
    let params = Params::parse(query);
    check_stale(&params)?;
    Ok(TagNamesQuestion {
        scope: params.text("scope"),
        query: params.text("q"),
        when: params.when()?,
        limit: params.number("limit")?.unwrap_or_default(),
    })
}

/// `maxStaleValues` ends Tempo's search early; here the answer comes from indexes and is whole.
fn check_stale(params: &Params) -> Result<(), ApiError> {
    params.number("maxStaleValues").map(drop)
}

async fn names(app: &App, headers: &HeaderMap, question: &TagNamesQuestion) -> Result<TagNames, ApiError> {
    let tenants = tenants_of(app, headers)?;
    match question.request(app.clock.now())? {
        Answer::Known(names) => Ok(names),
        Answer::Ask(request) => Ok(backend(app)?.tag_names(&tenants, &request, &mut |_| {}).await?),
    }
}

/// How the paths of tag values end; what is before is the name, slashes included.
const VALUES: &str = "/values";

/// `GET /api/search/tag/{tagName}/values`: an attribute of any scope, or an intrinsic, by its bare name.
pub(super) async fn values_v1(
    State(app): State<App>,
    headers: HeaderMap,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let Some(name) = path.strip_suffix(VALUES) else { return Ok(no_such_page()) };
    let question = values_question(name, query.as_deref())?;
    let found = match question.request_v1(app.clock.now())? {
        Answer::Known(values) => values,
        Answer::Ask(request) => values(&app, &headers, &request).await?,
    };
    Ok(answer::<SearchTagValuesResponse>(&headers, found, json::tag_values_v1))
}

/// `GET /api/v2/search/tag/{tagName}/values`: the name as TraceQL writes it.
pub(super) async fn values_v2(
    State(app): State<App>,
    headers: HeaderMap,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let Some(name) = path.strip_suffix(VALUES) else { return Ok(no_such_page()) };
    let question = values_question(name, query.as_deref())?;
    let found = values(&app, &headers, &question.request_v2(app.clock.now())?).await?;
    let json = match Format::asked(&headers) {
        Format::Llm => json::tag_values_llm,
        Format::Json | Format::Protobuf => json::tag_values_v2,
    };
    Ok(answer::<SearchTagValuesV2Response>(&headers, found, json))
}

fn values_question(name: &str, query: Option<&str>) -> Result<TagValuesQuestion, ApiError> {
    let params = Params::parse(query);
    check_stale(&params)?;
    let limit = params.number("limit")?.unwrap_or_default();
    Ok(TagValuesQuestion { name: name.to_owned(), query: params.text("q"), when: params.when()?, limit })
}

async fn values(app: &App, headers: &HeaderMap, request: &TagValuesRequest) -> Result<TagValues, ApiError> {
    let tenants = tenants_of(app, headers)?;
    Ok(backend(app)?.tag_values(&tenants, request, &mut |_| {}).await?)
}
