use std::time::Duration;

use vivace_traceql::parse_duration;

use super::error::ApiError;
use crate::ask::{When, parse_timestamp};
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

    /// The first value; empty when there is none.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// The parameters that are not one of `known`; of each the first value.
    pub(super) fn others(&self, known: &[&str]) -> Vec<(String, String)> {
        let mut others: Vec<(String, String)> = Vec::new();
        for (name, value) in &self.0 {
            let is_new = !known.contains(&name.as_str()) && others.iter().all(|(other, _)| other != name);
            if is_new {
                others.push((name.clone(), value.clone()));
            }
        }
        others
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

    /// `start`, `end` and `since` where only whole seconds are taken; 0 is not given, as in protobuf.
    pub(super) fn when_in_seconds(&self) -> Result<When, ApiError> {
        let seconds = |name| self.number(name).map(Option::unwrap_or_default);
        Ok(When { since: self.since()?, ..When::from_seconds(seconds("start")?, seconds("end")?) })
    }

    /// `start`, `end` and `since` in any of the forms times are written in.
    pub(super) fn when(&self) -> Result<When, ApiError> {
        let time = |name| self.get(name).map(|text| parse_timestamp(name, text)).transpose();
        Ok(When { start: time("start")?, end: time("end")?, since: self.since()? })
    }

    /// As Prometheus writes durations.
    fn since(&self) -> Result<Option<Duration>, ApiError> {
        let Some(text) = self.get("since") else { return Ok(None) };
        let nanos = parse_duration(text).and_then(|nanos| u64::try_from(nanos).ok());
        let refuse =
            || ApiError::bad(format!("invalid since: `{text}` is not a duration: write 30m, 2h or 7d"));
        Ok(Some(Duration::from_nanos(nanos.ok_or_else(refuse)?)))
    }
}
