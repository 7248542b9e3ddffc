//! Reads what `/metrics` says, and which metrics a text is about.

use std::collections::{BTreeMap, BTreeSet};

/// Prefixes of all metrics a server has.
const PREFIXES: [&str; 4] = ["tempo_", "tempodb_", "vivace_", "process_"];
const HISTOGRAM_SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// A page in Prometheus' text format.
#[derive(Debug)]
pub struct Exposition {
    /// Type by name.
    types: BTreeMap<String, String>,
    /// Names that have samples; a histogram's own, without what is appended.
    sampled: BTreeSet<String>,
}

impl Exposition {
    /// Reads a page.
    pub fn parse(page: &str) -> Self {
        let typed = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let types: BTreeMap<_, _> = typed.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
        let mut read = Self { types, sampled: BTreeSet::new() };
        for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let family = read.family(name).unwrap_or_else(|| panic!("a sample without a type: {line}"));
            read.sampled.insert(family);
        }
        read
    }

    /// All names that have samples.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.sampled
    }

    /// Whether a name is that of a sample, what is appended to a histogram's included.
    pub fn has(&self, name: &str) -> bool {
        self.family(name).is_some_and(|family| self.sampled.contains(&family))
    }

    fn family(&self, name: &str) -> Option<String> {
        if self.types.contains_key(name) {
            return Some(name.to_owned());
        }
        let base = HISTOGRAM_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix))?;
        (self.types.get(base)? == "histogram").then(|| base.to_owned())
    }
}

/// Names in a text that are those of metrics of a server.
pub fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix) && word.len() > prefix.len()))
        .map(str::to_owned)
        .collect()
}
