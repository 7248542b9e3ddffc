//! The documentation that language models can read: chapters of `docs/`.

use std::borrow::Cow;

use rmcp::model::Resource;

use crate::config;

/// Media type of all pages.
pub(super) const MARKDOWN: &str = "text/markdown";

const TRACEQL: &str = include_str!("../../../../../docs/traceql.md");

const CONFIG_OVERVIEW: &str = "# Configuration\n\n\
    Vivace is one program that keeps all it has in one directory and needs no configuration to run: \
    `vivace serve`.\n\n\
    - Where data is: `data_dir` for the write-ahead log, `storage_url` for blocks, which can be S3, Google Cloud \
    Storage or Azure.\n\
    - Who is listened to: `http_listen`, `grpc_listen`, `otlp_grpc_listen` and `otlp_http_listen`, all on this \
    machine only unless set. `multitenancy` asks every request for a tenant.\n\
    - How much is used: `memory_limit` bounds the whole process, `max_concurrent_queries` and `query_deadline` bound \
    queries.\n\
    - How much is answered: the keys that begin with `max_` and `default_`.\n\n\
    Keys come from a YAML file, `VIVACE_` variables or flags, the later ones first. \
    `vivace serve --check-config` prints what results. The page `reference` has every key with its default.\n";

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    topic: &'static str,
    name: &'static str,
    description: &'static str,
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    /// The chapter of `docs/traceql.md` with this title.
    Chapter(&'static str),
    ConfigOverview,
    ConfigReference,
}

const fn traceql(name: &'static str, title: &'static str, description: &'static str) -> Page {
    Page { topic: "traceql", name, description, source: Source::Chapter(title) }
}

const fn config(name: &'static str, source: Source, description: &'static str) -> Page {
    Page { topic: "config", name, description, source }
}

/// All of them.
pub(super) const PAGES: &[Page] = &[
    traceql("basic", "Basics", "TraceQL: filters, attributes, values and operators"),
    traceql("aggregates", "Aggregates", "TraceQL: conditions on many spans, and groups"),
    traceql("structural", "Structural operators", "TraceQL: spans by their place in the trace"),
    traceql("metrics", "Metrics", "TraceQL: time series of spans"),
    config("overview", Source::ConfigOverview, "Configuration: what there is to decide"),
    config("reference", Source::ConfigReference, "Configuration: every key"),
];

impl Page {
    /// Its address as a resource.
    pub(super) fn uri(&self) -> String {
        format!("docs://{}/{}", self.topic, self.name)
    }

    /// As `resources/list` has it.
    pub(super) fn listed(&self) -> Resource {
        let name = format!("{}-{}", self.topic, self.name);
        Resource::new(self.uri(), name).with_description(self.description).with_mime_type(MARKDOWN)
    }

    /// In Markdown.
    pub(super) fn text(&self) -> Cow<'static, str> {
        match self.source {
            Source::Chapter(title) => chapter(TRACEQL, title).into(),
            Source::ConfigOverview => CONFIG_OVERVIEW.into(),
            Source::ConfigReference => config::markdown().into(),
        }
    }
}

/// The page of this name.
pub(super) fn page(topic: &str, name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| (page.topic, page.name) == (topic, name))
}

/// The names of a topic's pages, for people.
pub(super) fn names(topic: &str) -> String {
    let names: Vec<&str> = PAGES.iter().filter(|page| page.topic == topic).map(|page| page.name).collect();
    names.join(", ")
}

/// From the title to the next of the same rank; empty when there is no such chapter.
fn chapter<'a>(page: &'a str, title: &str) -> &'a str {
    let heading = format!("\n## {title}\n");
    let Some(at) = page.find(&heading) else { return "" };
    // without the newline before the heading
    let from = page.get(at + 1..).unwrap_or_default();
    from.find("\n## ").and_then(|end| from.get(..end)).unwrap_or(from).trim_end()
}

#[cfg(test)]
mod tests;
