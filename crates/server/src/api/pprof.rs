use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use vivace_base::ErrorKind;

use super::error::ApiError;
use super::no_such_page;
use super::params::Params;
use crate::profiling::ProfileError;
use crate::state::App;

const LONGEST: u32 = 60;
/// As Go's handler has it.
const DEFAULT_CPU: u32 = 30;
const DEFAULT_HEAP: u32 = 10;

/// `GET /debug/pprof/profile`
pub(super) async fn cpu(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    if !app.config.pprof_enabled {
        return Ok(no_such_page());
    }
    let time = seconds(query.as_deref(), DEFAULT_CPU)?;
    Ok(attachment("profile", app.profiler.cpu(&app.budget, time).await?))
}

/// `GET /debug/pprof/heap`
pub(super) async fn heap(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    if !app.config.pprof_enabled {
        return Ok(no_such_page());
    }
    let time = seconds(query.as_deref(), DEFAULT_HEAP)?;
    Ok(attachment("heap", app.profiler.heap(&app.config.data_dir, time).await?))
}

fn seconds(query: Option<&str>, default: u32) -> Result<Duration, ApiError> {
    let seconds = Params::parse(query).number("seconds")?.unwrap_or(default);
    if !(1..=LONGEST).contains(&seconds) {
        return Err(ApiError::bad(format!("invalid seconds: {seconds}: write 1 to {LONGEST}")));
    }
    Ok(Duration::from_secs(seconds.into()))
}

fn attachment(name: &str, profile: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(CONTENT_TYPE, "application/octet-stream"), (CONTENT_DISPOSITION, disposition.as_str())];
    (headers, profile).into_response()
}

impl From<ProfileError> for ApiError {
    fn from(error: ProfileError) -> Self {
        let kind = match &error {
            ProfileError::Busy | ProfileError::NoMemory(_) => ErrorKind::Overloaded,
            ProfileError::NoHeapProfiles => ErrorKind::NotFound,
            ProfileError::Failed(_) => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}
