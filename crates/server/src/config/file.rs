use std::collections::BTreeMap;
use std::path::Path;

use serde_norway::{Mapping, Value};

use super::{ConfigError, Given, KEYS};

/// Longer files are refused: a configuration is a few hundred bytes, a tenant's overrides are as many.
const MAX_BYTES: u64 = 4 << 20;

/// Reads a YAML file of known keys with scalar values.
pub(super) fn read(path: &Path) -> Result<BTreeMap<&'static str, Given>, ConfigError> {
    parse(path, &read_text(path)?)
}

/// The content of a file of settings.
pub(super) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason| ConfigError::Unreadable { path: path.to_owned(), reason };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_BYTES {
        let reason = format!("{bytes} bytes are too many for a config file; at most {MAX_BYTES}");
        return Err(ConfigError::Shape { path: path.to_owned(), reason });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// The entries of a YAML file; none of an empty one.
pub(super) fn entries(path: &Path, text: &str) -> Result<Mapping, ConfigError> {
    let syntax = |reason| ConfigError::Syntax { path: path.to_owned(), reason };
    match serde_norway::from_str(text).map_err(syntax)? {
        Value::Null => Ok(Mapping::new()),
        Value::Mapping(mapping) => Ok(mapping),
        other => {
            let reason = format!("expected `key: value` lines, found {}", name_of(&other));
            Err(ConfigError::Shape { path: path.to_owned(), reason })
        }
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<BTreeMap<&'static str, Given>, ConfigError> {
    let shape = |reason: String| ConfigError::Shape { path: path.to_owned(), reason };
    let mapping = entries(path, text)?;
    let mut values = BTreeMap::new();
    for (key, value) in mapping {
        let Value::String(name) = key else {
            return Err(shape(format!("expected a key's name, found {}", name_of(&key))));
        };
        let Some(known) = KEYS.iter().find(|known| known.name == name) else {
            return Err(unknown(path, name, &value));
        };
        let text = scalar(&value).ok_or_else(|| {
            shape(format!("key `{name}`: expected {}, found {}", known.kind, name_of(&value)))
        })?;
        let origin = format!("{}: key `{name}`", path.display());
        values.insert(known.name, Given { text, origin });
    }
    Ok(values)
}

/// Names the whole path of an unknown key that holds a single further key, so that `query: {deadline: 5s}` is told
/// about `query.deadline` and the nearest known key, `query_deadline`.
fn unknown(path: &Path, mut key: String, value: &Value) -> ConfigError {
    let mut below = value;
    while let Value::Mapping(mapping) = below {
        let Some((Value::String(name), next)) = mapping.iter().next() else { break };
        key = format!("{key}.{name}");
        below = next;
    }
    let known = KEYS.iter().map(|key| key.name);
    ConfigError::UnknownKey {
        path: path.to_owned(),
        nearest: nearest(&key.replace(['.', '-'], "_"), known),
        key,
    }
}

/// The known key most like `name`, if any is.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let scored = known.map(|known| (strsim::jaro_winkler(name, known), known));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(score, _)| *score > 0.75).map(|(_, name)| name)
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a tagged value",
    }
}
