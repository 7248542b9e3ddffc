use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_norway::{Mapping, Value};
use vivace_model::TenantId;

use super::file::{entries, name_of, nearest, read_text, scalar};
use super::{ConfigError, Given, KEYS, Key, Limits, setting};

/// The one key of the file.
const OVERRIDES: &str = "overrides";
/// Who stands for all tenants that have no value of their own.
const EVERYONE: &str = "*";

/// What the overrides file says: the limits of single tenants, and of all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overrides {
    everyone: TenantOverrides,
    tenants: BTreeMap<TenantId, TenantOverrides>,
}

/// The limits of a tenant, inherited ones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantOverrides {
    /// What holds for it.
    pub(crate) limits: Arc<Limits>,
    /// Names of the limits that the file sets for it.
    own: Vec<&'static str>,
    /// Names of the limits that the file sets for everyone.
    shared: Vec<&'static str>,
}

impl Overrides {
    /// Nothing but defaults.
    pub(crate) fn none(defaults: &Limits) -> Self {
        let limits = Arc::new(defaults.clone());
        let everyone = TenantOverrides { limits, own: Vec::new(), shared: Vec::new() };
        Self { everyone, tenants: BTreeMap::new() }
    }

    /// Reads the file. What a tenant does not set it has from `*`, what that does not set from the defaults. Deadlines
    /// of queries are not longer than `longest_deadline`.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the tenant, the limit and what is wrong with it.
    pub(crate) fn read(
        path: &Path,
        defaults: &Limits,
        longest_deadline: Duration,
    ) -> Result<Self, ConfigError> {
        Self::parse(path, &read_text(path)?, defaults, longest_deadline)
    }

    pub(super) fn parse(
        path: &Path,
        text: &str,
        defaults: &Limits,
        longest_deadline: Duration,
    ) -> Result<Self, ConfigError> {
        let mut overrides = Self::none(defaults);
        let mut tenants = Vec::new();
        for (key, value) in entries(path, text)? {
            if key != OVERRIDES {
                return Err(unknown(path, "", &text_of(path, &key)?, [OVERRIDES].into_iter()));
            }
            tenants.extend(mapping(path, OVERRIDES, value)?);
        }
        // Everyone first, whom the others inherit from.
        tenants.sort_by_key(|(name, _)| name != EVERYONE);
        for (name, value) in tenants {
            let name = text_of(path, &name)?;
            let mut tenant = overrides.everyone.clone();
            let at = format!("{OVERRIDES}.{name}");
            let set = tenant.set(path, &at, mapping(path, &at, value)?)?;
            tenant.check(path, &at, longest_deadline)?;
            if name == EVERYONE {
                overrides.everyone = TenantOverrides { shared: set, ..tenant };
                continue;
            }
            let id: TenantId = name.parse().map_err(|error| shape(path, format!("`{at}`: {error}")))?;
            if id.as_str() != name {
                return Err(shape(path, format!("`{at}`: a tenant is named without what stands behind `:`")));
            }
            overrides.tenants.insert(id, TenantOverrides { own: set, ..tenant });
        }
        Ok(overrides)
    }

    /// What holds for a tenant.
    pub(crate) fn of(&self, tenant: &TenantId) -> &TenantOverrides {
        self.tenants.get(tenant).unwrap_or(&self.everyone)
    }

    /// What holds for a tenant that the file does not name.
    pub(crate) fn everyone(&self) -> &TenantOverrides {
        &self.everyone
    }

    /// Those that the file names, by name; `*` for all others first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &TenantOverrides)> {
        let everyone = (!self.everyone.shared.is_empty()).then_some((EVERYONE, &self.everyone));
        everyone.into_iter().chain(self.tenants.iter().map(|(id, tenant)| (id.as_str(), tenant)))
    }
}

impl TenantOverrides {
    /// Takes over a tenant's entries; the names of the limits that they set.
    fn set(&mut self, path: &Path, at: &str, sections: Mapping) -> Result<Vec<&'static str>, ConfigError> {
        let mut limits = Limits::clone(&self.limits);
        let mut set = Vec::new();
        for (section, value) in sections {
            let section = text_of(path, &section)?;
            let sections = || paths().filter_map(|known| known.split('.').next());
            if !sections().any(|known| known == section) {
                return Err(unknown(path, at, &section, sections()));
            }
            for (name, value) in mapping(path, &format!("{at}.{section}"), value)? {
                let name = format!("{section}.{}", text_of(path, &name)?);
                let Some(key) = KEYS.iter().find(|key| key.path == Some(name.as_str())) else {
                    return Err(unknown(path, at, &name, paths()));
                };
                let text = scalar(&value).ok_or_else(|| {
                    let (expected, found) = (key.kind, name_of(&value));
                    shape(path, format!("`{at}.{name}`: expected {expected}, found {found}"))
                })?;
                let origin = format!("{}: `{at}.{name}`", path.display());
                limits.set(key.name, Given { text, origin })?;
                set.push(key.name);
            }
        }
        self.limits = Arc::new(limits);
        Ok(set)
    }

    /// Blocks that were merged away are kept for as long as a query may read them, and no longer.
    fn check(&self, path: &Path, at: &str, longest_deadline: Duration) -> Result<(), ConfigError> {
        let deadline = self.limits.query_deadline;
        if deadline <= longest_deadline {
            return Ok(());
        }
        let (deadline, longest) = (setting::yaml(&deadline), setting::yaml(&longest_deadline));
        Err(shape(
            path,
            format!(
                "`{at}.read.query_deadline`: {deadline} is longer than {longest}, for which blocks are kept that \
                 queries still read: raise `compacted_block_retention`"
            ),
        ))
    }

    /// Where a limit's value comes from: the tenant, everyone, or the defaults.
    pub(crate) fn source(&self, key: &Key) -> &'static str {
        if self.own.contains(&key.name) {
            "of the tenant"
        } else if self.shared.contains(&key.name) {
            "of *"
        } else {
            "default"
        }
    }

    /// Whether the file has a say in the value of a limit.
    pub(crate) fn is_set(&self, key: &Key) -> bool {
        self.own.contains(&key.name) || self.shared.contains(&key.name)
    }
}

/// Where limits stand in the file.
fn paths() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(|key| key.path)
}

fn shape(path: &Path, reason: String) -> ConfigError {
    ConfigError::Shape { path: path.to_owned(), reason }
}

fn unknown(path: &Path, at: &str, name: &str, known: impl Iterator<Item = &'static str>) -> ConfigError {
    let key = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    ConfigError::UnknownKey { path: path.to_owned(), nearest: nearest(name, known), key }
}

fn text_of(path: &Path, key: &Value) -> Result<String, ConfigError> {
    // A tenant may be called 42.
    scalar(key).ok_or_else(|| shape(path, format!("expected a name, found {}", name_of(key))))
}

/// The entries below `at`; none if there is nothing.
fn mapping(path: &Path, at: &str, value: Value) -> Result<Mapping, ConfigError> {
    match value {
        Value::Null => Ok(Mapping::new()),
        Value::Mapping(mapping) => Ok(mapping),
        other => Err(shape(path, format!("`{at}`: expected entries, found {}", name_of(&other)))),
    }
}

#[cfg(test)]
mod tests;
