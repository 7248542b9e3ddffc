//! What holds of any text. The fuzz target (`fuzz/fuzz_targets/traceql.rs`) runs this file as it is.

use vivace_traceql::{
    ErrorStage, FieldExpr, MAX_NESTING, MAX_TEXT, TraceqlError, check_condition_groups, parse,
    parse_attribute, parse_tag_filter, parse_validated,
};

/// Panics where the front end breaks a promise about `text`.
pub(crate) fn check(text: &str) {
    match parse(text) {
        Ok(query) => {
            let printed = query.to_string();
            match parse(&printed) {
                Ok(again) => {
                    assert_eq!(again, query, "{text:?} prints as {printed:?}");
                    assert_eq!(again.to_string(), printed, "{text:?}");
                }
                Err(error) => assert!(meets_limit(text, &printed), "{text:?} prints as {printed:?}: {error}"),
            }
        }
        Err(error) => check_error(text, &error, &[ErrorStage::Parse]),
    }
    check_validation(text);
    check_attribute(text);
    check_tag_filter(text);
}

/// Whether the printed form may be refused: it spells out what the text leaves out, and puts brackets around negative
/// numbers.
fn meets_limit(text: &str, printed: &str) -> bool {
    let nesting = printed.matches(['(', '-', '!', '^']).count();
    printed.len() > MAX_TEXT && text.len() <= MAX_TEXT || nesting > MAX_NESTING as usize
}

fn check_validation(text: &str) {
    match parse_validated(text) {
        Ok(query) => assert_eq!(parse(text), Ok(query), "{text:?}"),
        Err(error) if error.stage == ErrorStage::Parse => assert_eq!(parse(text), Err(error), "{text:?}"),
        Err(error) => {
            assert!(parse(text).is_ok(), "{text:?}: {error}");
            check_error(text, &error, &[ErrorStage::Validate, ErrorStage::Unsupported]);
        }
    }
}

fn check_attribute(text: &str) {
    match parse_attribute(text) {
        Ok(attribute) => assert_eq!(parse_attribute(&attribute.to_string()), Ok(attribute), "{text:?}"),
        Err(error) => check_error(text, &error, &[ErrorStage::Parse]),
    }
}

/// A filter is made of comparisons, `&&` and `||`, and is its own filter.
fn check_tag_filter(text: &str) {
    let Some(filter) = parse_tag_filter(text) else { return };
    assert!(is_conditions(&filter), "{text:?}: {filter}");
    let printed = format!("{{ {filter} }}");
    if printed.len() <= MAX_TEXT {
        assert_eq!(parse_tag_filter(&printed).as_ref(), Some(&filter), "{text:?}");
    }
    let _ = check_condition_groups(&filter, usize::MAX);
}

fn is_conditions(filter: &FieldExpr) -> bool {
    match filter {
        FieldExpr::Binary { op, left, right } if op.is_logical() => {
            is_conditions(left) && is_conditions(right)
        }
        FieldExpr::Binary { op, .. } => op.is_comparison(),
        _ => false,
    }
}

fn check_error(text: &str, error: &TraceqlError, stages: &[ErrorStage]) {
    assert!(stages.contains(&error.stage), "{text:?}: {error}");
    assert!(!error.message.is_empty(), "{text:?}: {error}");
    let index = |position: u32| (position as usize).checked_sub(1);
    let line = index(error.line).and_then(|line| text.split('\n').nth(line));
    let length = line.map(|line| line.chars().count());
    let within = length.zip(index(error.column)).is_some_and(|(length, column)| column <= length);
    assert!(within, "{text:?}: {error} lies outside");
}
