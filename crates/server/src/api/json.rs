//! Answers as JSON, by the rules of Go's `jsonpb` (`reference/tempo.md` 2.0): lowerCamelCase names, zero values left
//! out, 64-bit integers as strings and 32-bit ones as numbers, enums as names, bytes as base64, and NaN and infinities
//! as strings. Written straight from the model, nothing is cloned.
//!
//! Nothing written here may be of a shape that Kiali breaks on (`reference/kiali.md` 2.9).

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use vivace_query::{MetricsResponse, SearchResponse, ServiceGraph, TagNames, TagValueKind, TagValues};

use super::accept::Format;

mod chunks;
mod graph;
mod llm;
mod metrics;
mod search;
mod trace;
mod value;
mod writer;

pub(super) use llm::LlmJson;
pub(crate) use search::{NO_ROOT, complete};
pub(super) use trace::TraceJson;

use chunks::{Chunks, Pieces};
use metrics::MetricsJson;
use search::SearchJson;
use writer::Object;

/// The answer of v2 when there is no such trace, or no span of it is left.
pub(super) fn empty_trace(partial: Option<&str>) -> String {
    let mut text = String::new();
    let mut root = Object::open(&mut text);
    root.object("trace", |_| {});
    root.object("metrics", |_| {});
    status(&mut root, partial);
    root.close();
    text
}

/// As [`empty_trace`], for a language model.
pub(super) fn empty_llm(partial: Option<&str>) -> String {
    let mut text = String::new();
    let mut root = Object::open(&mut text);
    status(&mut root, partial);
    root.close();
    text
}

/// `status` and `message` of an answer that is not all there is.
fn status(root: &mut Object<'_>, partial: Option<&str>) {
    if let Some(message) = partial {
        root.string("status", "PARTIAL");
        root.string("message", message);
    }
}

/// `SearchResponse`
pub(super) fn search(found: SearchResponse) -> Response {
    streamed(SearchJson::new(found))
}

/// `QueryRangeResponse`
pub(super) fn metrics_range(found: MetricsResponse) -> Response {
    streamed(MetricsJson::range(found))
}

/// `QueryInstantResponse`
pub(super) fn metrics_instant(found: MetricsResponse) -> Response {
    streamed(MetricsJson::instant(found))
}

/// Written while it is sent.
/// Services and the calls between them.
pub(super) fn service_graph(found: &ServiceGraph) -> Response {
    respond(|root| graph::write(found, root))
}

fn streamed(pieces: impl Pieces + Send + 'static) -> Response {
    let chunks = Chunks::new(pieces).map(Ok::<_, std::convert::Infallible>);
    let body = axum::body::Body::from_stream(futures::stream::iter(chunks));
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// `SearchTagsResponse`: the names of all scopes together, sorted.
pub(super) fn tag_names_v1(found: &TagNames) -> Response {
    let mut names: Vec<&String> = found.scopes.values().flatten().collect();
    names.sort_unstable();
    names.dedup();
    respond(|root| {
        root.array("tagNames", &names, |name, out| writer::string(out, name));
        metadata(root, found.inspected_bytes);
    })
}

/// `SearchTagsV2Response`
pub(super) fn tag_names_v2(found: &TagNames) -> Response {
    let scopes: Vec<_> = found.scopes.iter().filter(|(_, names)| !names.is_empty()).collect();
    respond(|root| {
        root.array("scopes", &scopes, |(scope, names), out| {
            let mut object = Object::open(out);
            object.string("name", scope.name());
            object.array("tags", names, |name, out| writer::string(out, name));
            object.close();
        });
        metadata(root, found.inspected_bytes);
    })
}

/// `SearchTagValuesResponse`
pub(super) fn tag_values_v1(found: &TagValues) -> Response {
    let mut texts: Vec<&String> = found.values.iter().map(|value| &value.text).collect();
    texts.sort_unstable();
    texts.dedup();
    respond(|root| {
        root.array("tagValues", &texts, |text, out| writer::string(out, text));
        metadata(root, found.inspected_bytes);
    })
}

/// `SearchTagValuesV2Response`
pub(super) fn tag_values_v2(found: &TagValues) -> Response {
    respond(|root| {
        root.array("tagValues", &found.values, |value, out| {
            let mut object = Object::open(out);
            object.string("type", value.kind.name());
            object.string("value", &value.text);
            object.close();
        });
        metadata(root, found.inspected_bytes);
    })
}

/// The values by their types, for language models (`reference/tempo.md` 2.4).
pub(super) fn tag_values_llm(found: &TagValues) -> Response {
    let mut kinds: Vec<TagValueKind> = found.values.iter().map(|value| value.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut response = respond(|root| {
        root.object("tagValues", |by_kind| {
            for kind in kinds {
                let texts: Vec<&String> =
                    found.values.iter().filter(|value| value.kind == kind).map(|value| &value.text).collect();
                by_kind.array(kind.name(), &texts, |text, out| writer::string(out, text));
            }
        });
        metadata(root, found.inspected_bytes);
    });
    response.headers_mut().insert(CONTENT_TYPE, Format::Llm.content_type());
    response
}

fn respond(fill: impl FnOnce(&mut Object<'_>)) -> Response {
    let mut text = String::new();
    let mut root = Object::open(&mut text);
    fill(&mut root);
    root.close();
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

fn metadata(root: &mut Object<'_>, inspected_bytes: u64) {
    root.object("metrics", |metrics| metrics.u64("inspectedBytes", inspected_bytes));
}

#[cfg(test)]
mod tests;
