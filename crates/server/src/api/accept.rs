use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
    /// JSON with names and values put together, for language models.
    Llm,
}

/// Tempo's media type for [`Format::Llm`].
pub(super) const LLM: &str = "application/vnd.grafana.llm";

impl Format {
    /// The first form the header mentions anywhere, in this order; JSON when it mentions none
    /// (`reference/tempo.md` 2.0).
    pub(super) fn asked(headers: &HeaderMap) -> Self {
        let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let forms =
            [("application/protobuf", Self::Protobuf), ("application/json", Self::Json), (LLM, Self::Llm)];
        forms.into_iter().find(|(name, _)| accepted.contains(name)).map_or(Self::Json, |(_, form)| form)
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
