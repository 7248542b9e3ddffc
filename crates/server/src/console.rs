//! The web console: the files of `web/dist`, embedded, where Tempo has no page. It works under any prefix that a proxy
//! puts before its paths, since every address in it is relative to a base that each page states.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::state::App;

mod status;

/// What `npm run build` makes in `web/`; committed, so that building the server needs no Node.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Dist;

/// Paths of the console; what is shown at each is decided in the browser. `/status` is one too, for browsers only: it
/// is Tempo's for everybody else.
const PAGES: [&str; 7] =
    ["/", "/explore", "/search", "/trace/{id}", "/compare/{ids}", "/mesh", "/service/{name}"];
/// The base that `index.html` is built with.
const BASE: &str = "<base href=\"./\"";
/// The proxy's prefix, which it took off the path.
const PREFIX_HEADER: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Nothing from elsewhere, no script or style in the page, nothing evaluated.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; \
                      form-action 'self'; frame-ancestors 'self'";
/// Names of assets have a hash of their content in them.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// The console's pages, its assets, and what only it asks.
pub(crate) fn routes() -> Router<App> {
    let pages = PAGES.into_iter().fold(Router::new(), |router, path| router.route(path, get(page)));
    pages.route("/assets/{name}", get(asset)).route("/api/console/status", get(status::status))
}

/// Whether who asks is a browser that shows a page.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// The one page there is, with the base that fits the path it is asked under.
pub(crate) async fn page(uri: Uri, headers: HeaderMap) -> Response {
    let Some(file) = Dist::get("index.html") else { return absent() };
    let base = base(uri.path(), &headers);
    let etag = format!("W/\"{}-{base}\"", fingerprint(&file));
    let security = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (VARY, "accept, x-forwarded-prefix"),
    ];
    let caching = [(CACHE_CONTROL, "no-cache"), (ETAG, etag.as_str())];
    if is_known(&headers, &etag) {
        return (StatusCode::NOT_MODIFIED, security, caching).into_response();
    }
    let text = String::from_utf8_lossy(&file.data).replacen(BASE, &format!("<base href=\"{base}\""), 1);
    (security, caching, [(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(file) = Dist::get(&format!("assets/{name}")) else { return absent() };
    let etag = format!("W/\"{}\"", fingerprint(&file));
    let caching = [(CACHE_CONTROL, FOREVER), (ETAG, etag.as_str()), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    if is_known(&headers, &etag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(CONTENT_TYPE, content_type(&name))], file.data).into_response()
}

fn absent() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// The console's root as seen from `path`: what the proxy says it is, or as many levels up as the path is deep.
fn base(path: &str, headers: &HeaderMap) -> String {
    let prefix = headers.get(PREFIX_HEADER).and_then(|value| value.to_str().ok());
    if let Some(prefix) = prefix.filter(|prefix| is_prefix(prefix)) {
        return format!("{}/", prefix.trim_end_matches('/'));
    }
    match path.matches('/').count().saturating_sub(1) {
        0 => "./".to_owned(),
        depth => "../".repeat(depth),
    }
}

/// A path of this host that can stand in HTML as it is.
fn is_prefix(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%".contains(c);
    text.starts_with('/') && !text.starts_with("//") && text.chars().all(is_plain)
}

fn fingerprint(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    hex::encode(hash.first_chunk::<8>().unwrap_or(&[0; 8]))
}

fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| known.split(',').any(|known| known.trim() == etag))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
