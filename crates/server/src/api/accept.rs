use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue};

/// In which form an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
    /// JSON with what a language model needs; answers without such a form come as [`Format::Json`].
    Llm,
}

/// What Tempo looks for in `Accept`, in its order; anything else is JSON (`reference/tempo.md` 2.0).
const KNOWN: [(&str, Format); 3] = [
    ("application/protobuf", Format::Protobuf),
    ("application/json", Format::Json),
    ("application/vnd.grafana.llm", Format::Llm),
];

impl Format {
    /// The form these headers ask for.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let known = KNOWN.into_iter().find(|(name, _)| accepted.contains(name));
        known.map_or(Self::Json, |(_, format)| format)
    }

    /// The media type of an answer in this form.
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/protobuf",
            Self::Json => "application/json",
            Self::Llm => "application/vnd.grafana.llm+json",
        })
    }
}

#[cfg(test)]
mod tests;
