//! The index of rules, `tests/cases/RULES.md`.

use std::collections::BTreeSet;

use super::folder;

/// A row of the index.
#[derive(Debug)]
pub struct Rule {
    /// Section of the reference and the rule's place in it, `4.5.1` for instance.
    pub number: String,
    /// Files of `tests/cases/` without ending, or paths from the root of the repository.
    pub proven_in: Vec<String>,
}

/// All rules, in the order of the index.
///
/// # Panics
/// When a row does not have a number, a wording and places.
pub fn rules() -> Vec<Rule> {
    let text = std::fs::read_to_string(folder().join("RULES.md")).expect("the index of rules is there");
    text.lines().filter(|line| line.starts_with("| 4.")).map(rule).collect()
}

fn rule(line: &str) -> Rule {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [number, _wording, places] = cells[..] else { panic!("no number, wording and places: {line}") };
    let proven_in = places.split(' ').map(|place| place.trim_matches('`').to_owned()).collect();
    Rule { number: number.to_owned(), proven_in }
}

/// The numbers of rules that comments of a test name.
pub fn named_in(text: &str) -> BTreeSet<String> {
    let comments = text.lines().map(str::trim).filter(|line| line.starts_with('#') || line.starts_with("//"));
    let words = comments.flat_map(|line| line.split(|c: char| !c.is_ascii_digit() && c != '.'));
    let number = |word: &str| {
        let word = word.trim_matches('.');
        let parts: Vec<&str> = word.split('.').collect();
        (parts.len() == 3 && parts[0] == "4" && parts.iter().all(|part| !part.is_empty()))
            .then(|| word.to_owned())
    };
    words.filter_map(number).collect()
}
