//! Whose request it is (`reference/tempo.md` 1.4).

use axum::http::HeaderMap;
use vivace_model::{InvalidTenant, TenantId, Tenants};

/// HTTP header and gRPC metadata that name the tenant.
pub(crate) const HEADER: &str = "x-scope-orgid";

/// The tenant of spans sent with these headers.
///
/// # Errors
/// With multi-tenancy: [`InvalidTenant::Missing`] unless there is exactly one value, others when it is not an id.
pub(crate) fn of(headers: &HeaderMap, multitenancy: bool) -> Result<TenantId, InvalidTenant> {
    if multitenancy { text(headers)?.parse() } else { Ok(TenantId::single()) }
}

/// The tenants a question with these headers is about: ids joined by `|`.
///
/// # Errors
/// As [`of`].
pub(crate) fn asked(headers: &HeaderMap, multitenancy: bool) -> Result<Tenants, InvalidTenant> {
    if multitenancy { text(headers)?.parse() } else { Ok(TenantId::single().into()) }
}

fn text(headers: &HeaderMap) -> Result<&str, InvalidTenant> {
    let mut values = headers.get_all(HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(InvalidTenant::Missing) };
    value.to_str().map_err(|_| InvalidTenant::Unsafe(String::from_utf8_lossy(value.as_bytes()).into()))
}

#[cfg(test)]
mod tests;
