use crate::{ErrorStage, MAX_DEPTH, MAX_NESTING, MAX_TEXT, parse, parse_validated};

fn repeated(open: &str, inner: &str, close: &str, count: u32) -> String {
    let count = usize::try_from(count).unwrap();
    format!("{}{inner}{}", open.repeat(count), close.repeat(count))
}

#[test]
fn nesting_has_a_limit_and_no_stack_overflow() {
    let shapes = [("(", "{ }", ")"), ("(", "({ } | rate())", ")")];
    for (open, inner, close) in shapes {
        assert!(parse(&repeated(open, inner, close, MAX_NESTING - 2)).is_ok(), "{open}{inner}");
        let error = parse(&repeated(open, inner, close, MAX_NESTING + 1)).unwrap_err();
        assert!(error.message.contains("nested more than 128 deep"), "{error}");
        assert_eq!(error.column, MAX_NESTING + 2);
    }
    let in_braces =
        [("(", ".a", ")"), ("!", ".a", ""), ("-", ".a", ""), (".a || .b = .c + .d * (", ".a", ")")];
    for (open, inner, close) in in_braces {
        let query = |count| format!("{{ {} }}", repeated(open, inner, close, count));
        assert!(parse(&query(MAX_NESTING)).is_ok() || open.len() > 1, "{open}");
        let error = parse(&query(60_000 / u32::try_from(open.len()).unwrap())).unwrap_err();
        assert_eq!(error.stage, ErrorStage::Parse);
    }
    let powers = format!("{{ {} .a }}", ".a ^ ".repeat(10_000));
    assert!(parse(&powers).unwrap_err().message.contains("nested more than"));
}

#[test]
fn chains_have_a_limit() {
    let limit = usize::try_from(MAX_DEPTH).unwrap();
    for operator in [" || ", " + ", " = "] {
        let chain = |terms: usize| format!("{{ {} }}", vec![".a"; terms].join(operator));
        let query = parse(&chain(limit)).unwrap();
        assert_eq!(parse(&query.to_string()), Ok(query));
        assert!(parse(&chain(limit + 1)).unwrap_err().message.contains("512 operators"));
    }
    let spansets = vec!["{ .a }"; limit + 1].join(" && ");
    assert!(parse(&spansets).is_err());
    let scalars = format!("{{ }} | {} > 1", vec!["count()"; limit + 1].join(" + "));
    assert!(parse(&scalars).is_err());
}

#[test]
fn stages_have_no_limit_but_the_text() {
    let text = vec!["{ .a }"; 10_000].join("|");
    assert_eq!(parse_validated(&text).unwrap().pipeline.stages.len(), 10_000);
}

#[test]
fn long_text_is_refused() {
    let fits = format!("{{ }}{}", " ".repeat(MAX_TEXT - 3));
    assert!(parse(&fits).is_ok());
    let error = parse(&format!("{fits} ")).unwrap_err();
    assert_eq!((error.stage, error.line, error.column), (ErrorStage::Parse, 1, 1));
}
