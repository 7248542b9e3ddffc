//! The fuzz target's checks on the stable compiler: queries of the tables, changed at random, and random text.

use std::panic::catch_unwind;

use proptest::prelude::*;

use crate::{invariants, tables};

const SEED: u64 = 0x7261_6365_716c;
const INPUTS: u32 = 30_000;
/// Characters of a mutated query.
const MAX_LENGTH: usize = 400;

/// Pieces put into queries.
const PIECES: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    ",",
    "|",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "^",
    "=",
    "!=",
    "=~",
    "!~",
    "<",
    ">=",
    ">>",
    "!>>",
    "&<",
    "&~",
    "~",
    "&",
    ".",
    ":",
    "\"",
    "\\",
    "`",
    "'",
    "//",
    "/*",
    "*/",
    " ",
    "\n",
    "\u{a0}",
    "\0",
    "é",
    "😀",
    ".a",
    "span.",
    "parent.",
    "resource.\"x y\"",
    "trace:",
    "event:name",
    "name",
    "status",
    "parent",
    "true",
    "nil",
    "error",
    "minInt",
    "maxInt",
    "0",
    "9223372036854775807",
    "1.5",
    ".5e3",
    "1e400",
    "10ms",
    "1d2h",
    "0x",
    "\"x\"",
    "\"(\"",
    "count()",
    "avg(",
    "by(",
    "select(",
    "coalesce()",
    "rate()",
    "compare({",
    "topk(",
    "with(a=",
    "unknown",
];

/// Xorshift: a fixed sequence from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

/// The language's own words in any order, which get further into the parser than random characters.
fn soup(random: &mut Random) -> Vec<char> {
    (0..random.below(40)).flat_map(|_| [random.pick(PIECES), " "]).flat_map(str::chars).collect()
}

/// `query` with one part removed, doubled or replaced.
fn mutated(query: &[char], queries: &[Vec<char>], random: &mut Random) -> Vec<char> {
    let start = random.below(query.len() + 1);
    let length = random.below(8).min(query.len() - start);
    let end = if random.below(8) == 0 { query.len() } else { start + length };
    let part = &query[start..end];
    let other = &queries[random.below(queries.len())];
    let replacement: Vec<char> = match random.below(6) {
        0 => Vec::new(),
        1 => [part, part].concat(),
        2 => other[random.below(other.len() + 1)..].to_vec(),
        3 => part.iter().rev().copied().collect(),
        _ => random.pick(PIECES).chars().collect(),
    };
    let mut result = [&query[..start], &replacement, &query[end..]].concat();
    result.truncate(MAX_LENGTH);
    result
}

#[test]
fn mutated_queries_keep_what_holds_of_any_text() {
    let queries: Vec<Vec<char>> = tables::queries().iter().map(|query| query.chars().collect()).collect();
    let mut random = Random(SEED);
    let mut parsed = 0_u32;
    for input in 0..INPUTS {
        let is_soup = random.below(8) == 0;
        let mut query =
            if is_soup { soup(&mut random) } else { queries[random.below(queries.len())].clone() };
        for _ in 0..=random.below(2) {
            query = mutated(&query, &queries, &mut random);
        }
        let text: String = query.into_iter().collect();
        let result = catch_unwind(|| invariants::check(&text));
        assert!(result.is_ok(), "input {input} from seed {SEED:#x}: {text:?}");
        parsed += u32::from(vivace_traceql::parse(&text).is_ok());
    }
    // Mutations that leave nothing valid would try the printer on nothing.
    assert!(parsed > INPUTS / 50, "only {parsed} of {INPUTS} inputs parse");
}

proptest! {
    #[test]
    fn random_text_keeps_what_holds_of_any_text(text in any::<String>()) {
        invariants::check(&text);
    }
}
