use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::accept::Format;
use super::error::{ApiError, backend, mark_partial, tenants_of};
use super::params::Params;
use super::{json, messages};
use crate::ask::{SearchQuestion, parse_logfmt};
use crate::state::App;

/// `GET /api/search` (`reference/tempo.md` 2.3).
pub(super) async fn search(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let tenants = tenants_of(&app, &headers)?;
    let question = question(&Params::parse(query.as_deref()))?;
    let request = question.request(&app.limits.of_all(&tenants), app.clock.now())?;
    let found = backend(&app)?.search(&tenants, &request, &mut |_| {}).await?;
    let partial = found.partial.clone();
    let mut response = match Format::asked(&headers) {
        Format::Protobuf => messages::search(found),
        Format::Json | Format::Llm => json::search(found),
    };
    mark_partial(&mut response, partial.as_deref());
    Ok(response)
}

/// What a search may be asked with. Anything else, without query, tags and times, is a tag to search for.
const KNOWN: [&str; 11] = [
    "q",
    "tags",
    "minDuration",
    "maxDuration",
    "limit",
    "spss",
    "start",
    "end",
    "since",
    "most_recent",
    "skip_ast_transformations",
];

fn question(params: &Params) -> Result<SearchQuestion, ApiError> {
    let names_nothing = ["q", "tags", "start", "end"].iter().all(|name| params.get(name).is_none());
    let tags = match params.get("tags") {
        Some(text) => parse_logfmt(text)?,
        None if names_nothing => params.others(&KNOWN),
        None => Vec::new(),
    };
    Ok(SearchQuestion {
        query: params.text("q"),
        tags,
        min_duration: params.duration("minDuration")?,
        max_duration: params.duration("maxDuration")?,
        limit: params.number("limit")?,
        spans_per_span_set: params.number("spss")?,
        when: params.when_in_seconds()?,
    })
}
