//! Which error is reported where there are several, and where it is.

use crate::{ErrorStage, parse, parse_validated};

#[test]
fn syntax_errors_come_before_validation_errors() {
    assert_eq!(parse_validated("{ status } }").unwrap_err().stage, ErrorStage::Parse);
}

#[test]
fn the_first_problem_is_reported() {
    let error = parse_validated("{ .a =~ \"(\" && status = 2 }").unwrap_err();
    assert!(error.message.contains("regular expression"), "{error}");
}

#[test]
fn lines_and_characters_are_counted() {
    let error = parse("{ .\u{e9}\u{e9} = 1 &&\n  // \u{e9}\n  .b = \"\u{e9}\" = }").unwrap_err();
    assert_eq!((error.line, error.column), (3, 14));
    assert_eq!(error.to_string(), "parse error at line 3, col 14: syntax error: unexpected }");
    assert_eq!(error.kind(), vivace_base::ErrorKind::InvalidInput);
}
