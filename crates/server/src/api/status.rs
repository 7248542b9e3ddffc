use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use vivace_base::ErrorKind;
use vivace_model::TimeRange;
use vivace_query::TagValuesRequest;
use vivace_traceql::{Attribute, Scope};

use super::error::{ApiError, backend, tenants_of};
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

pub(super) async fn metrics(State(app): State<App>) -> Result<Response, ApiError> {
    let page =
        app.metrics.page(&app).map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, content_type)], page).into_response())
}

pub(super) async fn version() -> String {
    format!("vivace, version {VERSION}\n")
}

pub(super) async fn config(State(app): State<App>) -> String {
    app.config.to_yaml()
}

const ENDPOINTS: &str = "/api/search\n/api/traces/{traceID}\n/api/v2/traces/{traceID}\n/api/search/tags\n\
    /api/v2/search/tags\n/api/search/tag/{tagName}/values\n/api/v2/search/tag/{tagName}/values\n/api/echo\n\
    /api/status/buildinfo\n/ready\n/metrics\n/status\n/status/version\n/status/config\n/status/services\n\
    /status/endpoints\n";

pub(super) async fn endpoints() -> &'static str {
    ENDPOINTS
}

pub(super) async fn overview(State(app): State<App>) -> String {
    format!("vivace, version {VERSION}\nphase: {:?}\n\n{ENDPOINTS}\n{}", app.phase(), app.config.to_yaml())
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
