use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use vivace_query::{
    TagNames, TagNamesRequest, TagScope, TagValue, TagValueKind, TagValues, TagValuesRequest,
};
use vivace_traceql::{Attribute, Intrinsic, Scope, parse_attribute, parse_tag_filter};

use super::error::{ApiError, backend, mark_partial, tenants_of};
use super::json;
use super::params::Params;
use crate::state::App;

/// `GET /api/search/tags` (`reference/tempo.md` 2.4). Intrinsics only when asked for.
pub(super) async fn names_v1(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    let scope = Asked::of(&params)?;
    let mut found = names(&app, &headers, &params, scope).await?;
    if scope != Asked::Scope(TagScope::Intrinsic) {
        found.scopes.remove(&TagScope::Intrinsic);
    }
    let mut response = json::tag_names_v1(&found);
    mark_partial(&mut response, found.partial.as_deref());
    Ok(response)
}

/// `GET /api/v2/search/tags`
pub(super) async fn names_v2(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    let scope = Asked::of(&params)?;
    let found = names(&app, &headers, &params, scope).await?;
    let mut response = json::tag_names_v2(&found);
    mark_partial(&mut response, found.partial.as_deref());
    Ok(response)
}

/// What the parameter `scope` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    All,
    Scope(TagScope),
    /// `trace`, which is a scope that no attribute has.
    Nothing,
}

impl Asked {
    fn of(params: &Params) -> Result<Self, ApiError> {
        Ok(match params.get("scope").unwrap_or("none") {
            "none" => Self::All,
            "trace" => Self::Nothing,
            "resource" => Self::Scope(TagScope::Resource),
            "span" => Self::Scope(TagScope::Span),
            "event" => Self::Scope(TagScope::Event),
            "link" => Self::Scope(TagScope::Link),
            "instrumentation" => Self::Scope(TagScope::Instrumentation),
            "intrinsic" => Self::Scope(TagScope::Intrinsic),
            other => return Err(ApiError::bad(format!("invalid scope: {other}"))),
        })
    }
}

async fn names(app: &App, headers: &HeaderMap, params: &Params, asked: Asked) -> Result<TagNames, ApiError> {
    let tenants = tenants_of(app, headers)?;
    let scope = match asked {
        Asked::All => None,
        Asked::Scope(scope) => Some(scope),
        Asked::Nothing => return Ok(TagNames::default()),
    };
    let request = TagNamesRequest {
        scope,
        filter: params.get("q").and_then(parse_tag_filter),
        range: params.range()?,
        limit: params.number("limit")?.unwrap_or_default() as usize,
    };
    Ok(backend(app)?.tag_names(&tenants, &request, &mut |_| {}).await?)
}

/// `GET /api/search/tag/{tagName}/values`: an attribute of any scope, or an intrinsic, by its bare name.
pub(super) async fn values_v1(
    State(app): State<App>,
    headers: HeaderMap,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let fixed = |texts: &[&str]| {
        let value = |text: &&str| TagValue { kind: TagValueKind::Keyword, text: (*text).to_owned() };
        TagValues { values: texts.iter().map(value).collect(), ..TagValues::default() }
    };
    let found = match name.as_str() {
        "status.code" => fixed(&["unset", "ok", "error"]),
        "error" => fixed(&["true"]),
        _ => {
            let attribute = match Intrinsic::from_name(&name) {
                Some(intrinsic) => Attribute::Intrinsic(intrinsic),
                None => Attribute::Named { scope: Scope::None, name, parent: false },
            };
            values(&app, &headers, &Params::parse(query.as_deref()), attribute, false).await?
        }
    };
    let mut response = json::tag_values_v1(&found);
    mark_partial(&mut response, found.partial.as_deref());
    Ok(response)
}

/// `GET /api/v2/search/tag/{tagName}/values`: the name as TraceQL writes it.
pub(super) async fn values_v2(
    State(app): State<App>,
    headers: HeaderMap,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let invalid = |error| ApiError::bad(format!("please provide a valid tagName: {error}"));
    let attribute = parse_attribute(&name).map_err(invalid)?;
    let found = values(&app, &headers, &Params::parse(query.as_deref()), attribute, true).await?;
    let mut response = json::tag_values_v2(&found);
    mark_partial(&mut response, found.partial.as_deref());
    Ok(response)
}

async fn values(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
    attribute: Attribute,
    filtered: bool,
) -> Result<TagValues, ApiError> {
    let tenants = tenants_of(app, headers)?;
    let request = TagValuesRequest {
        attribute,
        filter: params.get("q").filter(|_| filtered).and_then(parse_tag_filter),
        range: params.range()?,
        limit: params.number("limit")?.unwrap_or_default() as usize,
    };
    Ok(backend(app)?.tag_values(&tenants, &request, &mut |_| {}).await?)
}
