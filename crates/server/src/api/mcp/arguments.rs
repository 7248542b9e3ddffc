use rmcp::model::JsonObject;
use serde_json::Value;
use vivace_base::UnixNanos;

use super::tools::{Parameter, ToolSpec};
use crate::api::error::ApiError;
use crate::ask::{When, parse_timestamp};

const HOUR: u64 = 3600 * 1_000_000_000;

/// What a tool is asked with: texts it knows the names of, those it needs among them.
#[derive(Debug)]
pub(super) struct Arguments(Vec<(&'static str, String)>);

impl Arguments {
    /// Takes what fits the tool's parameters. `null` is as good as nothing.
    ///
    /// # Errors
    /// 400 names the argument that is unknown, missing or no text.
    pub(super) fn check(spec: &ToolSpec, given: JsonObject) -> Result<Self, ApiError> {
        let mut known = Vec::new();
        for (name, value) in given {
            let Some(parameter) = spec.parameters.iter().find(|parameter| parameter.name == name) else {
                return Err(ApiError::bad(unknown(spec, &name)));
            };
            match value {
                Value::Null => {}
                Value::String(text) => known.push((parameter.name, text)),
                other => return Err(ApiError::bad(format!("argument `{name}` must be a text, not {other}"))),
            }
        }
        let arguments = Self(known);
        let is_missing =
            |parameter: &&Parameter| parameter.required && arguments.get(parameter.name).is_none();
        match spec.parameters.iter().find(is_missing) {
            Some(missing) => {
                Err(ApiError::bad(format!("{} needs the argument `{}`", spec.name, missing.name)))
            }
            None => Ok(arguments),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }

    /// The text, empty when there is none.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// A moment.
    ///
    /// # Errors
    /// 400 when the text is none.
    pub(super) fn time(&self, name: &str) -> Result<Option<UnixNanos>, ApiError> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        Ok(Some(parse_timestamp(name, text)?))
    }

    /// From `start` to `end`, the last hour if nothing is said.
    ///
    /// # Errors
    /// 400 when one of them is no time.
    pub(super) fn when(&self, now: UnixNanos) -> Result<When, ApiError> {
        let end = self.time("end")?.unwrap_or(now);
        let start = self.time("start")?.unwrap_or(end.saturating_sub(HOUR));
        Ok(When { start: Some(start), end: Some(end), since: None })
    }
}

fn unknown(spec: &ToolSpec, name: &str) -> String {
    let known: Vec<&str> = spec.parameters.iter().map(|parameter| parameter.name).collect();
    format!("unknown argument `{name}`: {} takes {}", spec.name, known.join(", "))
}
