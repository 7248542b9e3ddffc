use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use vivace_base::ByteSize;

use crate::duration;
use crate::logging::LogFormat;

/// The word for nothing.
const OFF: &str = "off";
/// The word for no limit.
const UNLIMITED: &str = "unlimited";
/// The word for no file.
const NO_PATH: &str = "none";

/// A type that a configuration value can have.
pub(super) trait Setting: Sized {
    /// Its name in the documentation.
    const KIND: &'static str;
    /// Whether YAML needs quotes around it.
    const QUOTED: bool = true;

    fn parse(text: &str) -> Result<Self, String>;

    /// The text [`Setting::parse`] reads as the same value.
    fn print(&self) -> String;
}

/// A value as YAML.
pub(super) fn yaml<T: Setting>(value: &T) -> String {
    let text = value.print();
    // A JSON string is a YAML string.
    if T::QUOTED { serde_json::Value::String(text).to_string() } else { text }
}

/// Appends `name: value`.
pub(super) fn write_yaml(yaml: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(yaml, "{name}: {value}");
}

/// A limit that need not be; Tempo writes 0 for none.
fn parse_optional<T: Setting>(text: &str) -> Result<Option<T>, String> {
    if text == UNLIMITED || text == "0" { Ok(None) } else { T::parse(text).map(Some) }
}

impl Setting for String {
    const KIND: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
    }

    fn print(&self) -> String {
        self.clone()
    }
}

impl Setting for PathBuf {
    const KIND: &'static str = "path";

    fn parse(text: &str) -> Result<Self, String> {
        String::parse(text).map(PathBuf::from)
    }

    fn print(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for bool {
    const KIND: &'static str = "true or false";
    const QUOTED: bool = false;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Setting for usize {
    const KIND: &'static str = "number from 1";
    const QUOTED: bool = false;

    fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| format!("`{text}` is not a whole number greater than 0"))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Setting for ByteSize {
    const KIND: &'static str = "size";

    fn parse(text: &str) -> Result<Self, String> {
        let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
        if size.bytes() == 0 { Err("must be more than 0".to_owned()) } else { Ok(size) }
    }

    fn print(&self) -> String {
        let short = self.to_string();
        if short.parse() == Ok(*self) { short } else { format!("{}B", self.bytes()) }
    }
}

impl Setting for Option<ByteSize> {
    const KIND: &'static str = "size or unlimited";

    fn parse(text: &str) -> Result<Self, String> {
        parse_optional(text)
    }

    fn print(&self) -> String {
        self.as_ref().map_or(UNLIMITED.to_owned(), Setting::print)
    }
}

impl Setting for Option<usize> {
    const KIND: &'static str = "number or unlimited";

    fn parse(text: &str) -> Result<Self, String> {
        parse_optional(text)
    }

    fn print(&self) -> String {
        self.as_ref().map_or(UNLIMITED.to_owned(), Setting::print)
    }
}

impl Setting for Option<PathBuf> {
    const KIND: &'static str = "path or none";

    fn parse(text: &str) -> Result<Self, String> {
        if text == NO_PATH { Ok(None) } else { PathBuf::parse(text).map(Some) }
    }

    fn print(&self) -> String {
        self.as_ref().map_or(NO_PATH.to_owned(), Setting::print)
    }
}

/// A URL without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(String);

impl Endpoint {
    pub(crate) fn url(&self) -> &str {
        &self.0
    }
}

impl Setting for Option<Endpoint> {
    const KIND: &'static str = "http URL or off";

    fn parse(text: &str) -> Result<Self, String> {
        if text == OFF {
            return Ok(None);
        }
        let url = url::Url::parse(text).map_err(|error| format!("`{text}` is no URL: {error}"))?;
        if url.scheme() != "http" || !url.has_host() {
            return Err(format!("`{text}` is neither a URL that begins with http:// nor off"));
        }
        Ok(Some(Endpoint(text.to_owned())))
    }

    fn print(&self) -> String {
        self.as_ref().map_or(OFF.to_owned(), |endpoint| endpoint.0.clone())
    }
}

/// A share of a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio(f64);

impl Ratio {
    pub(crate) fn share(self) -> f64 {
        self.0
    }
}

impl Setting for Ratio {
    const KIND: &'static str = "number from 0 to 1";
    const QUOTED: bool = false;

    fn parse(text: &str) -> Result<Self, String> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| format!("`{text}` is not a number from 0 to 1"))
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}

impl Setting for Duration {
    const KIND: &'static str = "duration";

    fn parse(text: &str) -> Result<Self, String> {
        let time = duration::parse(text).map_err(|error| error.to_string())?;
        if time.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(time) }
    }

    fn print(&self) -> String {
        duration::print(*self)
    }
}

impl Setting for LogFormat {
    const KIND: &'static str = "text or json";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn print(&self) -> String {
        self.to_string()
    }
}
