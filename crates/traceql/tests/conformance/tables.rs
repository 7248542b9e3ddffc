//! Reads `valid.txt` and `invalid.txt`. One query a line, headings (`## 4.2 …`) name the rule of `reference/tempo.md`,
//! lines with one `#` are comments. `↵`, `⇥`, `⍽` and `␠` stand for newline, tab, no-break space and a space at the end.
//!
//! - valid: `QUERY`, or `QUERY ⇒ MEANING`, another text of the same meaning that brackets every nested operator
//! - refused: `STAGE LINE:COLUMN QUERY ⇒ MESSAGE`; a message ending in `…` is only the start of the expected one

use vivace_base::ErrorKind;
use vivace_traceql::{ErrorStage, Query, parse, parse_validated};

use crate::invariants;

const VALID: &str = include_str!("valid.txt");
const INVALID: &str = include_str!("invalid.txt");

struct Refused {
    query: String,
    stage: ErrorStage,
    /// As in the text of an error: `line 1, col 3`.
    position: String,
    message: String,
}

/// The lines of a table that hold queries.
fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn unescaped(text: &str) -> String {
    let escapes = [('↵', "\n"), ('⇥', "\t"), ('⍽', "\u{a0}"), ('␠', " ")];
    escapes
        .iter()
        .fold(text.trim_matches(' ').to_owned(), |text, (escape, plain)| text.replace(*escape, plain))
}

/// Queries and, where the table tells, their meaning.
fn valid() -> impl Iterator<Item = (String, Option<String>)> {
    rows(VALID).map(|row| match row.split_once('⇒') {
        Some((query, meaning)) => (unescaped(query), Some(unescaped(meaning))),
        None => (unescaped(row), None),
    })
}

fn refused(row: &str) -> Refused {
    let (left, message) = row.split_once('⇒').unwrap_or_else(|| panic!("no message: {row}"));
    let mut words = left.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("no stage, position or query: {row}"));
    let stage = match word() {
        "parse" => ErrorStage::Parse,
        "validate" => ErrorStage::Validate,
        "unsupported" => ErrorStage::Unsupported,
        other => panic!("no stage: {other}"),
    };
    let (line, column) = word().split_once(':').unwrap_or_else(|| panic!("no position: {row}"));
    Refused {
        query: unescaped(word()),
        stage,
        position: format!("line {line}, col {column}"),
        message: unescaped(message),
    }
}

/// Every query of both tables.
pub(crate) fn queries() -> Vec<String> {
    valid().map(|(query, _)| query).chain(rows(INVALID).map(|row| refused(row).query)).collect()
}

fn parsed(query: &str) -> Query {
    parse_validated(query).unwrap_or_else(|error| panic!("{query}\n{error}"))
}

#[test]
fn tables_are_not_thin_and_name_the_rules() {
    assert!(valid().count() >= 150);
    assert!(rows(INVALID).count() >= 150);
    for table in [VALID, INVALID] {
        let headings = table.lines().filter_map(|line| line.strip_prefix("## "));
        assert!(
            headings.clone().all(|heading| heading.starts_with("4.")),
            "headings name a rule of section 4"
        );
        for rule in ["4.1 ", "4.2 ", "4.3 ", "4.4 ", "4.8 ", "4.9 "] {
            assert!(headings.clone().any(|heading| heading.starts_with(rule)), "rule {rule}");
        }
    }
}

#[test]
fn no_query_is_listed_twice() {
    let mut queries = queries();
    queries.sort_unstable();
    for pair in queries.windows(2) {
        assert_ne!(pair[0], pair[1]);
    }
}

#[test]
fn valid_queries_mean_what_the_table_says() {
    for (query, meaning) in valid() {
        let tree = parsed(&query);
        if let Some(meaning) = meaning {
            assert_eq!(tree, parsed(&meaning), "{query}");
        }
    }
}

#[test]
fn refused_queries_fail_where_and_why_the_table_says() {
    let wrong: Vec<_> = rows(INVALID).map(refused).filter_map(|row| contradiction(&row)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with a row.
fn contradiction(Refused { query, stage, position, message }: &Refused) -> Option<String> {
    let error = match parse_validated(query) {
        Ok(tree) => return Some(format!("{query}\n    is {tree}")),
        Err(error) => error,
    };
    let label = match stage {
        ErrorStage::Parse => "parse error",
        ErrorStage::Validate => "validation error",
        ErrorStage::Unsupported => "unsupported",
    };
    let expected = format!("{label} at {position}: {message}");
    let found = error.to_string();
    let as_expected = match expected.strip_suffix('…') {
        Some(start) => found.starts_with(start),
        None => found == expected,
    };
    let kinds_fit = error.stage == *stage && error.kind() == ErrorKind::InvalidInput;
    let fails_to_parse = parse(query).is_err() == (*stage == ErrorStage::Parse);
    let right = as_expected && kinds_fit && fails_to_parse;
    (!right).then(|| format!("{query}\n    expected {expected}\n    found    {found}"))
}

#[test]
fn tables_keep_what_holds_of_any_text() {
    queries().iter().for_each(|query| invariants::check(query));
}

#[test]
fn whitespace_and_comments_leave_the_canonical_form_as_it_is() {
    // Spaces within quotes and comments are not between tokens.
    let is_plain = |query: &String| !query.contains(['"', '`', '/']);
    let queries: Vec<_> = valid().map(|(query, _)| query).filter(is_plain).collect();
    assert!(queries.len() >= 150);
    for query in queries {
        let printed = parsed(&query).to_string();
        for space in ["\n", " \t\r\n ", "/* any */", " // any\n"] {
            let spaced = format!("{space}{}{space}", query.replace(' ', &format!(" {space}")));
            assert_eq!(parsed(&spaced).to_string(), printed, "{spaced}");
        }
    }
}
