use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use vivace_model::Tenants;
use vivace_query::{MetricsRequest, MetricsResponse};

use super::error::{ApiError, backend, mark_partial, tenants_of};
use super::json;
use super::params::Params;
use crate::ask::{InstantQuestion, MetricsQuestion, parse_step};
use crate::state::App;

/// `GET /api/metrics/query_range` (`reference/tempo.md` 2.5). Always JSON.
pub(super) async fn range(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (tenants, params) = (tenants_of(&app, &headers)?, Params::parse(query.as_deref()));
    let question = MetricsQuestion {
        query: text(&params),
        when: params.when()?,
        step: params.get("step").map(parse_step).transpose()?,
        exemplars: params.number("exemplars")?,
        max_series: params.number("maxSeries")?.unwrap_or_default(),
    };
    let request = question.request(&app.limits.of_all(&tenants), app.clock.now())?;
    measured(&app, &tenants, &request, json::metrics_range).await
}

/// `GET /api/metrics/query`
pub(super) async fn instant(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (tenants, params) = (tenants_of(&app, &headers)?, Params::parse(query.as_deref()));
    let max_series = params.number("maxSeries")?.unwrap_or_default();
    let question = InstantQuestion { query: text(&params), when: params.when()?, max_series };
    let request = question.request(&app.limits.of_all(&tenants), app.clock.now())?;
    measured(&app, &tenants, &request, json::metrics_instant).await
}

/// `q`, or by its other name `query`.
fn text(params: &Params) -> String {
    params.get("q").or_else(|| params.get("query")).unwrap_or_default().to_owned()
}

async fn measured(
    app: &App,
    tenants: &Tenants,
    request: &MetricsRequest,
    write: fn(MetricsResponse) -> Response,
) -> Result<Response, ApiError> {
    let found = backend(app)?.metrics(tenants, request, &mut |_| {}).await?;
    let partial = found.partial.clone();
    let mut response = write(found);
    mark_partial(&mut response, partial.as_deref());
    Ok(response)
}
