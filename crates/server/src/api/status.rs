use std::collections::HashSet;

use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use vivace_base::ErrorKind;
use vivace_model::TimeRange;
use vivace_query::TagValuesRequest;
use vivace_traceql::{Attribute, Scope};

use super::endpoints;
use super::error::{ApiError, backend, tenants_of};
use super::params::Params;
use crate::config::{Config, ConfigArgs};
use crate::console;
use crate::metrics::Exposition;
use crate::state::{App, Phase};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Grafana's health check, and Kiali's.
pub(super) async fn echo() -> &'static str {
    "echo\n"
}

pub(super) async fn build_info() -> Response {
    let info = serde_json::json!({
        "version": VERSION, "revision": "", "branch": "", "buildDate": "", "buildUser": "", "goVersion": "",
    });
    json(&info)
}

fn json(value: &serde_json::Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

pub(super) async fn ready(State(app): State<App>) -> Response {
    match app.phase() {
        Phase::Ready => "ready\n".into_response(),
        Phase::Starting => {
            (StatusCode::SERVICE_UNAVAILABLE, "starting: replaying the write-ahead log\n").into_response()
        }
        Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
    }
}

pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    let exposition = Exposition::asked(&headers);
    let page = app.metrics.page(&app, exposition);
    let page = page.map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
    Ok(([(CONTENT_TYPE, exposition.content_type())], page).into_response())
}

pub(super) async fn version() -> String {
    format!("vivace, version {VERSION}\n")
}

/// The configuration; with `mode=defaults` the one of a server that is told nothing, with `mode=diff` the keys that
/// differ from it.
pub(super) async fn config(State(app): State<App>, RawQuery(query): RawQuery) -> Result<String, ApiError> {
    let params = Params::parse(query.as_deref());
    let defaults = || Config::load(&ConfigArgs::default()).map(|config| config.to_yaml());
    let defaults =
        || defaults().map_err(|error| ApiError::new(ErrorKind::Internal, format!("no defaults: {error}")));
    match params.get("mode") {
        None => Ok(app.config.to_yaml()),
        Some("defaults") => defaults(),
        Some("diff") => Ok(difference(&app.config.to_yaml(), &defaults()?)),
        Some(mode) => Err(ApiError::bad(format!("invalid mode: `{mode}`: write diff or defaults"))),
    }
}

/// The lines of `text` that `other` does not have.
fn difference(text: &str, other: &str) -> String {
    let known: HashSet<&str> = other.lines().collect();
    text.lines().filter(|line| !known.contains(line)).map(|line| format!("{line}\n")).collect()
}

pub(super) async fn endpoints() -> String {
    endpoints::paths()
}

/// Everything in one text; the console for a browser.
pub(super) async fn overview(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    if console::wants_page(&headers) {
        return console::page(uri, headers).await;
    }
    let (phase, config) = (app.phase(), app.config.to_yaml());
    format!("vivace, version {VERSION}\nphase: {phase:?}\n\n{}\n{config}", endpoints::paths()).into_response()
}

/// Names of the services that have spans: a JSON array for who asks for JSON, as Kiali does, or one a line.
pub(super) async fn services(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    let tenants = tenants_of(&app, &headers)?;
    let attribute =
        Attribute::Named { scope: Scope::Resource, name: "service.name".to_owned(), parent: false };
    let request = TagValuesRequest { attribute, filter: None, range: TimeRange::ALL, limit: 0 };
    let found = backend(&app)?.tag_values(&tenants, &request, &mut |_| {}).await?;
    let names: Vec<String> = found.values.into_iter().map(|value| value.text).collect();
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.contains("application/json") {
        return Ok(json(&serde_json::json!(names)));
    }
    Ok(names.iter().map(|name| format!("{name}\n")).collect::<String>().into_response())
}
