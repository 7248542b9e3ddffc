//! The limits of tenants, to look at (`reference/tempo.md` 2.9).

use std::fmt::Write;

use axum::extract::{Path, RawQuery, State};
use axum::response::Html;
use vivace_model::TenantId;

use super::error::ApiError;
use super::params::Params;
use crate::config::{Key, Limits, TenantOverrides};
use crate::state::App;

/// Defaults and overrides as YAML: all that holds for each tenant of the overrides file; with `mode=diff` what the file
/// sets.
pub(super) async fn runtime_config(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<String, ApiError> {
    let params = Params::parse(query.as_deref());
    let is_whole = match params.get("mode") {
        None => true,
        Some("diff") => false,
        Some(mode) => return Err(ApiError::bad(format!("invalid mode: `{mode}`: write diff"))),
    };
    let mut page = String::new();
    if is_whole {
        page.push_str("defaults:\n");
        page.push_str(&nested(app.limits.defaults(), "  ", |_| true, |_| ""));
    }
    let overrides = app.limits.overrides();
    page.push_str(if overrides.all().next().is_none() { "overrides: {}\n" } else { "overrides:\n" });
    for (name, tenant) in overrides.all() {
        // A tenant may be called 42 or null.
        let _ = writeln!(page, "  {}:", serde_json::Value::from(name));
        page.push_str(&nested(&tenant.limits, "    ", |key| is_whole || tenant.is_set(key), |_| ""));
    }
    Ok(page)
}

/// Who has limits of its own, and those of everyone else.
pub(super) async fn list(State(app): State<App>) -> Html<String> {
    let overrides = app.limits.overrides();
    let link = |(name, _): (&str, &TenantOverrides)| {
        if name == "*" { String::new() } else { format!("<li><a href=\"overrides/{name}\">{name}</a>\n") }
    };
    let tenants: String = overrides.all().map(link).collect();
    let tenants = if tenants.is_empty() { "<li>none\n".to_owned() } else { tenants };
    let everyone = overrides.everyone();
    let limits = nested(&everyone.limits, "", |_| true, |key| everyone.source(key));
    Html(format!(
        "{}<h2>Tenants with limits of their own</h2>\n<ul>\n{tenants}</ul>\n\
         <h2>Everyone else</h2>\n<pre>\n{limits}</pre>\n",
        head("Limits of tenants")
    ))
}

/// What holds for one tenant, and where it comes from.
pub(super) async fn of_tenant(
    State(app): State<App>,
    Path(tenant): Path<String>,
) -> Result<Html<String>, ApiError> {
    let tenant: TenantId = tenant.parse()?;
    let overrides = app.limits.overrides();
    let own = overrides.of(&tenant);
    let limits = nested(&own.limits, "", |_| true, |key| own.source(key));
    Ok(Html(format!("{}<pre>\n{limits}</pre>\n", head(&format!("Limits of tenant {tenant}")))))
}

/// Ids of tenants and values of limits have no character that means something in HTML.
fn head(title: &str) -> String {
    format!("<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n")
}

/// Limits as they stand in the overrides file, each with a remark.
fn nested(
    limits: &Limits,
    indent: &str,
    is_shown: impl Fn(&Key) -> bool,
    remark: impl Fn(&Key) -> &'static str,
) -> String {
    let (mut page, mut section) = (String::new(), "");
    let mut values: Vec<_> = limits.yaml_values().filter(|(key, _)| is_shown(key)).collect();
    values.sort_by_key(|(key, _)| key.path.and_then(|path| path.split('.').next()));
    for (key, value) in values {
        let (of, name) = key.path.and_then(|path| path.split_once('.')).unwrap_or_default();
        // Writing to a String cannot fail.
        if of != section {
            let _ = writeln!(page, "{indent}{of}:");
            section = of;
        }
        let _ = match remark(key) {
            "" => writeln!(page, "{indent}  {name}: {value}"),
            remark => writeln!(page, "{indent}  {name}: {value}  # {remark}"),
        };
    }
    page
}
