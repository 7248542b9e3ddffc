use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use vivace_base::{ErrorKind, Retry};
use vivace_model::{InvalidTenant, Tenants};
use vivace_query::QueryError;

use crate::ask::InvalidQuestion;
use crate::state::App;
use crate::{codes, tenant};

/// An answer that is an error: a status and plain text.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    retry: Retry,
}

impl ApiError {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { status: codes::http(kind), message: message.into(), retry: kind.retry() }
    }

    /// An answer with this status; the same request fails again.
    pub(super) fn with_status(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry: Retry::Never }
    }

    /// The request is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<InvalidQuestion> for ApiError {
    fn from(error: InvalidQuestion) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<InvalidTenant> for ApiError {
    fn from(error: InvalidTenant) -> Self {
        let mut answer = Self::bad(error.to_string());
        if error == InvalidTenant::Missing {
            answer.status = StatusCode::UNAUTHORIZED;
        }
        answer
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        tracing::debug!(status = self.status.as_u16(), error = self.message, "request refused");
        let mut response = (self.status, self.message).into_response();
        if let Retry::After(time) = self.retry {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
        }
        response
    }
}

/// The tenants whose data is asked for.
pub(super) fn tenants_of(app: &App, headers: &HeaderMap) -> Result<Tenants, ApiError> {
    Ok(tenant::asked(headers, app.config.multitenancy)?)
}

/// What answers questions; an error while the server starts.
pub(super) fn backend(app: &App) -> Result<&dyn crate::backend::Backend, ApiError> {
    let starting =
        || ApiError::new(ErrorKind::Unavailable, "starting: the write-ahead log is being replayed");
    app.backend().map(AsRef::as_ref).ok_or_else(starting)
}

/// Marks an answer that may not be complete.
pub(super) fn mark_partial(response: &mut Response, reason: Option<&str>) {
    let Some(reason) = reason else { return };
    response.headers_mut().insert(PARTIAL_HEADER, partial_reason(reason));
}

/// Header or trailer that says why an answer may not be complete.
pub(crate) const PARTIAL_HEADER: HeaderName = HeaderName::from_static("x-vivace-partial");

/// The reason as a header's value: in visible ASCII.
pub(crate) fn partial_reason(reason: &str) -> HeaderValue {
    let visible: String = reason.chars().map(|c| if matches!(c, ' '..='~') { c } else { ' ' }).collect();
    HeaderValue::from_str(&visible).unwrap_or(HeaderValue::from_static("partial"))
}
