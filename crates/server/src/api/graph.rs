use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::error::{ApiError, backend, mark_partial, tenants_of};
use super::json;
use super::params::Params;
use crate::ask::ServiceGraphQuestion;
use crate::state::App;

/// `GET /api/service-graph`: services, and the calls between them, from `start` to `end` in whole minutes.
pub(super) async fn services(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let question = ServiceGraphQuestion { when: Params::parse(query.as_deref()).when()? };
    let request = question.request(app.clock.now())?;
    let tenants = tenants_of(&app, &headers)?;
    let found = backend(&app)?.service_graph(&tenants, &request).await?;
    let mut response = json::service_graph(&found);
    mark_partial(&mut response, found.partial.as_deref());
    Ok(response)
}
