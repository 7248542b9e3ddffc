use std::fmt;
use std::str::FromStr;

/// A trace's 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId(pub [u8; 16]);

/// A span's 8 bytes; never all zero in a stored span.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId(pub [u8; 8]);

/// The text is not a trace id. Messages as `reference/tempo.md` 2.1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// A character that is not hex, and where (from 1).
    #[error(
        "trace IDs can only contain hex characters: invalid character '{character}' at position {position}"
    )]
    NotHex {
        /// The offending character.
        character: char,
        /// Its position, counted from 1.
        position: usize,
    },
    /// More than 32 hex digits.
    #[error("trace IDs can't be larger than 128 bits")]
    TooLong,
    /// Nothing at all.
    #[error("trace ID is empty: up to 32 hex digits expected")]
    Empty,
}

impl TraceId {
    /// 32 hex digits with leading zeros stripped, as search results print it (`reference/tempo.md` 2.0).
    pub fn short_hex(&self) -> String {
        let hex = self.to_string();
        match hex.trim_start_matches('0') {
            "" => "0".to_owned(),
            short => short.to_owned(),
        }
    }
}

impl FromStr for TraceId {
    type Err = ParseIdError;

    /// Hex of any case and of up to 32 digits, padded on the left.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((at, character)) = text.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit()) {
            return Err(ParseIdError::NotHex { character, position: at + 1 });
        }
        match text.len() {
            0 => Err(ParseIdError::Empty),
            1..=32 => u128::from_str_radix(text, 16)
                .map(|value| Self(value.to_be_bytes()))
                .map_err(|_| ParseIdError::TooLong),
            _ => Err(ParseIdError::TooLong),
        }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SpanId {
    /// Whether every byte is zero, which OTLP does not allow for a span and uses for "no parent".
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 8]
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
