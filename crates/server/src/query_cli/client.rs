use std::error::Error;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use url::Url;

use super::QueryError;

/// The most that is read of an answer, in bytes.
const MAX_BODY: usize = 64 << 20;
/// The most that is shown of a refusal, in bytes.
const MAX_REFUSAL: usize = 4 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A request header from the command line.
pub(crate) type Header = (HeaderName, HeaderValue);

/// Reads `NAME=VALUE`.
pub(super) fn parse_header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is not a header name"))?;
    let value = HeaderValue::try_from(value)
        .map_err(|_| "the value has a character headers may not have".to_owned())?;
    Ok((name, value))
}

/// A client of Tempo's HTTP API.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Body {
    /// As the server sent it; at most 64 MiB.
    pub(crate) bytes: Vec<u8>,
    /// Why it is not complete, from `X-Vivace-Partial`.
    pub(crate) partial: Option<String>,
    /// What was asked.
    pub(crate) url: String,
}

impl Client {
    /// A client for the server at `base`.
    ///
    /// # Errors
    /// [`QueryError::Usage`] when `base` is not an HTTP address or the tenant cannot be a header.
    pub(crate) fn new(base: Url, tenant: Option<&str>, headers: &[Header]) -> Result<Self, QueryError> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(QueryError::Usage(format!("`{base}` is not an http:// or https:// address")));
        }
        let mut all = HeaderMap::new();
        all.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(tenant) = tenant {
            let value = HeaderValue::try_from(tenant)
                .map_err(|_| QueryError::Usage(format!("`{tenant}` cannot be a tenant id")))?;
            all.insert("x-scope-orgid", value);
        }
        for (name, value) in headers {
            all.append(name.clone(), value.clone());
        }
        let http = reqwest::Client::builder()
            .default_headers(all)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| unreachable(&base, &error))?;
        Ok(Self { http, base })
    }

    /// Asks for `path` below the base address.
    ///
    /// # Errors
    /// Any [`QueryError`] but the one for usage.
    pub(crate) async fn get(&self, path: &[&str], params: &[(&str, String)]) -> Result<Body, QueryError> {
        let (url, response) = self.send(path, params).await?;
        accept(url, response).await
    }

    /// Asks for `path` below the base address, whose answer the caller reads as it comes: it may be of any size.
    ///
    /// # Errors
    /// Any [`QueryError`] but the ones for usage and size.
    pub(crate) async fn stream(
        &self,
        path: &[&str],
        params: &[(&str, String)],
    ) -> Result<Response, QueryError> {
        let (url, mut response) = self.send(path, params).await?;
        let status = response.status();
        if status.is_success() { Ok(response) } else { Err(refusal(&url, &mut response).await?) }
    }

    /// Asks for one trace: by the v2 API, which tells when a trace is not complete, and where the server does not
    /// have that, by v1. `None` when the server does not know the trace.
    ///
    /// # Errors
    /// Any [`QueryError`] but the one for usage.
    pub(crate) async fn trace(&self, id: &str) -> Result<Option<Body>, QueryError> {
        for path in [&["api", "v2", "traces", id][..], &["api", "traces", id]] {
            let (url, response) = self.send(path, &[]).await?;
            if response.status() != StatusCode::NOT_FOUND {
                return accept(url, response).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn send(&self, path: &[&str], params: &[(&str, String)]) -> Result<(Url, Response), QueryError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        let response = self.http.get(url.clone()).send().await.map_err(|error| unreachable(&url, &error))?;
        Ok((url, response))
    }
}

async fn accept(url: Url, mut response: Response) -> Result<Body, QueryError> {
    let place = place(&url);
    if !response.status().is_success() {
        return Err(refusal(&url, &mut response).await?);
    }
    let partial = partial_reason(&response);
    match read(&mut response, &url, MAX_BODY).await? {
        (bytes, true) => Ok(Body { bytes, partial, url: place }),
        (_, false) => Err(QueryError::TooLarge { url: place, limit: MAX_BODY }),
    }
}

/// What the server says instead of an answer.
async fn refusal(url: &Url, response: &mut Response) -> Result<QueryError, QueryError> {
    let status = response.status();
    let bytes = read(response, url, MAX_REFUSAL).await?.0;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    Ok(QueryError::Refused { url: place(url), status, text })
}

/// Why the answer is not complete, from `X-Vivace-Partial`.
pub(crate) fn partial_reason(response: &Response) -> Option<String> {
    let value = response.headers().get("x-vivace-partial")?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Reads at most `limit` bytes; says whether that was all.
async fn read(response: &mut Response, url: &Url, limit: usize) -> Result<(Vec<u8>, bool), QueryError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(url, &error))? {
        let room = limit - bytes.len();
        if chunk.len() > room {
            bytes.extend_from_slice(chunk.get(..room).unwrap_or_default());
            return Ok((bytes, false));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, true))
}

/// No connection, or it broke.
pub(crate) fn unreachable(url: &Url, error: &reqwest::Error) -> QueryError {
    let mut reason = String::new();
    let mut cause: Option<&dyn Error> = error.source().or(Some(error));
    while let Some(error) = cause {
        if !reason.is_empty() {
            reason.push_str(": ");
        }
        reason.push_str(&error.to_string());
        cause = error.source();
    }
    QueryError::Unreachable { url: place(url), reason }
}

/// The address without its parameters and password.
fn place(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // fails only for addresses that cannot have one
    let _ = url.set_password(None);
    url.to_string()
}
