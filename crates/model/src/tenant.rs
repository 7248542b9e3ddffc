use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Whose data it is. Validated once at the edge; safe as a path segment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// The text is not a tenant id; rules of `reference/tempo.md` 1.4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTenant {
    /// Nothing given where an id is required.
    #[error("no org id")]
    Missing,
    /// More than 150 bytes.
    #[error("tenant ID is too long: max 150 characters")]
    TooLong,
    /// More of them in one question than can be answered.
    #[error("too many tenant IDs: max 64 in one query")]
    TooMany,
    /// A character outside the allowed set, or `.` or `..`.
    #[error(
        "tenant ID '{0}' contains unsupported character or is unsafe: letters, digits and !-_.*'() are allowed"
    )]
    Unsafe(String),
}

const MAX_BYTES: usize = 150;

impl TenantId {
    /// The tenant of every request when multi-tenancy is off; Tempo's name for it.
    pub fn single() -> Self {
        Self(Arc::from("single-tenant"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenant;

    /// A `:key=value` suffix is stripped, as Tempo does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = text.split(':').next().unwrap_or_default();
        if id.is_empty() {
            return Err(InvalidTenant::Missing);
        }
        if id.len() > MAX_BYTES {
            return Err(InvalidTenant::TooLong);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!-_.*'()".contains(&b);
        if id == "." || id == ".." || !id.bytes().all(allowed) {
            return Err(InvalidTenant::Unsafe(id.to_owned()));
        }
        Ok(Self(Arc::from(id)))
    }
}

/// Whose data a question is about: at least one tenant, each once, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tenants(Vec<TenantId>);

/// How many tenants one question may be about.
const MAX_TENANTS: usize = 64;

impl Tenants {
    /// The tenants, in order.
    pub fn iter(&self) -> impl Iterator<Item = &TenantId> {
        self.0.iter()
    }
}

impl From<TenantId> for Tenants {
    fn from(tenant: TenantId) -> Self {
        Self(vec![tenant])
    }
}

impl FromStr for Tenants {
    type Err = InvalidTenant;

    /// Ids joined by `|`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut tenants = text.split('|').map(str::parse).collect::<Result<Vec<TenantId>, _>>()?;
        tenants.sort();
        tenants.dedup();
        if tenants.len() > MAX_TENANTS {
            return Err(InvalidTenant::TooMany);
        }
        Ok(Self(tenants))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
