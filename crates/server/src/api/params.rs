use std::time::Duration;

use vivace_model::TimeRange;

use super::error::ApiError;
use crate::duration;

/// The parameters of a URL, decoded.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first value, unless it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// The first parameter that is not one of `known`.
    pub(super) fn unknown(&self, known: &[&str]) -> Option<&str> {
        self.0.iter().map(|(key, _)| key.as_str()).find(|key| !known.contains(key))
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number =
            text.parse().map_err(|error| ApiError::bad(format!("invalid {name}: `{text}`: {error}")))?;
        Ok(Some(number))
    }

    /// A duration as Go writes it.
    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let time =
            duration::parse(text).map_err(|error| ApiError::bad(format!("invalid {name}: {error}")))?;
        Ok(Some(time))
    }

    /// `start` and `end` in seconds; everything when there is neither.
    pub(super) fn range(&self) -> Result<TimeRange, ApiError> {
        match (self.number("start")?, self.number("end")?) {
            (None, None) => Ok(TimeRange::ALL),
            (Some(start), Some(end)) if start >= end => Err(ApiError::bad(format!(
                "http parameter start must be before end. received start={start} end={end}"
            ))),
            (Some(start), Some(end)) => Ok(TimeRange::from_seconds(u64::from(start), u64::from(end))),
            _ => Err(ApiError::bad(
                "error parsing date range: only one of start and end provided: must provide both or neither",
            )),
        }
    }
}
