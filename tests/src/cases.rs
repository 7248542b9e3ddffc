//! The data-driven cases of `tests/cases/`: spans, queries, and what they find. The format stands in
//! `tests/cases/README.md`.

mod blocks;
mod expected;
mod parse;
mod question;
mod rules;
mod series;
mod span;
mod stores;
mod words;

use std::path::PathBuf;

use vivace_model::Span;

pub use expected::{ExpectedSet, ExpectedTraces, differs};
pub use question::{Ask, Question, aligned, unbounded};
pub use rules::{Rule, named_in, rules};
pub use series::{ExpectedAnswer, ExpectedSeries, differs_in_series};
pub use stores::{Store, Way};

/// One file: spans and what queries find in them.
#[derive(Debug)]
pub struct Case {
    /// The spans, in the order of the file, which is the order they are sent in.
    pub spans: Vec<Span>,
    /// The queries.
    pub queries: Vec<Question>,
}

impl Case {
    /// Reads `tests/cases/{name}.case`.
    ///
    /// # Panics
    /// Names file and line when the file does not follow the format.
    pub fn read(name: &str) -> Self {
        let path = folder().join(format!("{name}.case"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        parse::parse(name, &text)
    }
}

/// Where the cases are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases")
}
