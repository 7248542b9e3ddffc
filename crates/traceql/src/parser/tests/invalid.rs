//! Queries that are refused: the text, the column, and what the message says.

use crate::{ErrorStage, TraceqlError, parse, parse_validated};

type Row = (&'static str, u32, &'static str);

const PARSE: &[Row] = &[
    ("", 1, "syntax error: unexpected $end"),
    ("   ", 4, "syntax error: unexpected $end"),
    ("{", 2, "syntax error: unexpected $end"),
    ("}", 1, "syntax error: unexpected }"),
    ("{ .a", 5, "syntax error: unexpected $end, expecting }"),
    ("{ .a } }", 8, "syntax error: unexpected }"),
    ("{ .a } { .b }", 8, "syntax error: unexpected {"),
    ("{ .a == 4 }", 7, "syntax error: unexpected ="),
    ("{ .a = }", 8, "syntax error: unexpected }"),
    ("{ = .a }", 3, "syntax error: unexpected ="),
    ("{ .a && }", 9, "syntax error: unexpected }"),
    ("{ && .a }", 3, "syntax error: unexpected &&"),
    ("{ .a .b }", 6, "syntax error: unexpected IDENTIFIER, expecting }"),
    ("{ .a 5 }", 6, "syntax error: unexpected INTEGER, expecting }"),
    ("{ .a | .b }", 6, "syntax error: unexpected |, expecting }"),
    ("{ (.a }", 7, "syntax error: unexpected }, expecting )"),
    ("{ .a) }", 5, "syntax error: unexpected ), expecting }"),
    ("{ () }", 4, "syntax error: unexpected )"),
    ("{ foo = 4 }", 3, "unknown identifier: foo"),
    ("{ foo.bar = 4 }", 3, "unknown identifier: foo"),
    ("{ .a = foo }", 8, "unknown identifier: foo"),
    ("{ . }", 3, "attribute name missing after the dot"),
    ("{ . foo }", 3, "attribute name missing after the dot"),
    ("{ span. foo }", 3, "attribute name missing after the dot"),
    ("{ .\"\" }", 3, "attribute name missing after the dot"),
    ("{ .\"a }", 3, "quoted attribute name not terminated"),
    ("{ .\"a\\n\" }", 3, "invalid escape in attribute name"),
    ("{ trace:status = ok }", 3, "unknown intrinsic: trace:status"),
    ("{ trace:kind = server }", 3, "unknown intrinsic: trace:kind"),
    ("{ span:rootName = \"a\" }", 3, "unknown intrinsic: span:rootName"),
    ("{ trace:rootServiceName = \"a\" }", 3, "unknown intrinsic: trace:rootServiceName"),
    ("{ event:foo = 1 }", 3, "unknown intrinsic: event:foo"),
    ("{ foo:bar = 1 }", 3, "unknown identifier: foo"),
    ("{ .a = 'x' }", 8, "invalid character '\\''"),
    ("{ .a = \"x }", 8, "string not terminated"),
    ("{ .a = \"x\n\" }", 8, "string not terminated"),
    ("{ .a = `x }", 8, "string not terminated"),
    ("{ .a = \"\\q\" }", 8, "invalid escape in string"),
    ("{ .a = \"\\xff\" }", 8, "string is not UTF-8"),
    ("{ .a = 0x10 }", 8, "invalid number: 0x10"),
    ("{ .a = 1_000 }", 8, "invalid number: 1_000"),
    ("{ .a = 9223372036854775808 }", 8, "invalid number: 9223372036854775808"),
    ("{ .a = 1e999 }", 8, "invalid number: 1e999"),
    ("{ .a = 1e }", 8, "exponent has no digits"),
    ("{ .a = 1h1d }", 8, "invalid duration: 1h1d"),
    ("{ .a = 1.5d }", 8, "invalid duration: 1.5d"),
    ("{ .a = 300y }", 8, "invalid duration: 300y"),
    ("{ .a = 5 foo }", 10, "unknown identifier: foo"),
    ("{ .a = 1 } /* never ends", 12, "comment not terminated"),
    ("{ .a & .b }", 6, "invalid character '&'"),
    ("{ .a # .b }", 6, "invalid character '#'"),
    ("count()", 8, "syntax error: unexpected $end, expecting comparison"),
    ("{ } | count()", 14, "syntax error: unexpected $end, expecting comparison"),
    ("{ } | count() > 1 && { }", 19, "syntax error: unexpected &&"),
    ("{ } && count() > 1", 8, "syntax error: unexpected count"),
    ("{ } | count(.a) > 1", 13, "syntax error: unexpected IDENTIFIER, expecting )"),
    ("{ } | avg() > 1", 11, "syntax error: unexpected )"),
    ("{ } | sum(.a, .b) > 1", 13, "syntax error: unexpected ,, expecting )"),
    ("{ } | count() =~ 1", 15, "syntax error: unexpected =~"),
    ("{ } | count() > \"a\"", 17, "syntax error: unexpected STRING"),
    ("{ } | count() > .a", 17, "syntax error: unexpected IDENTIFIER"),
    ("{ } | count() > { }", 17, "syntax error: unexpected {"),
    ("{ } | -count() > 1", 8, "syntax error: unexpected count, expecting number"),
    ("{ } | count() > 1 / 0", 19, "out of range or divided by zero"),
    ("{ } | count() > 2 ^ 3", 19, "syntax error: unexpected ^"),
    ("2 + 3", 6, "syntax error: unexpected $end"),
    ("1 > 2", 6, "syntax error: unexpected $end"),
    ("true", 1, "syntax error: unexpected true"),
    (".a = 1", 1, "syntax error: unexpected IDENTIFIER"),
    ("{ } | ", 7, "syntax error: unexpected $end"),
    ("| { }", 1, "syntax error: unexpected |"),
    ("{ } | .a", 7, "syntax error: unexpected IDENTIFIER"),
    ("{ } | foo()", 7, "unknown identifier: foo"),
    ("{ } + { }", 5, "syntax error: unexpected +"),
    ("{ } = { }", 5, "syntax error: unexpected ="),
    ("{ } > 5", 7, "syntax error: unexpected INTEGER"),
    ("count() > { }", 11, "syntax error: unexpected {"),
    ("{ } &&", 7, "syntax error: unexpected $end"),
    ("{ } && || { }", 8, "syntax error: unexpected ||"),
    ("!{ }", 1, "syntax error: unexpected !"),
    ("coalesce()", 1, "syntax error: unexpected coalesce"),
    ("{ } | coalesce(.a)", 16, "syntax error: unexpected IDENTIFIER, expecting )"),
    ("{ } | by()", 10, "syntax error: unexpected )"),
    ("{ } | by(.a, .b)", 12, "syntax error: unexpected ,, expecting )"),
    ("{ } | select()", 14, "syntax error: unexpected ), expecting attribute"),
    ("{ } | select(.a + 1)", 17, "syntax error: unexpected +, expecting )"),
    ("{ } | select(.a,)", 17, "syntax error: unexpected ), expecting attribute"),
    ("({ } | count() > 1) | { .a }", 21, "syntax error: unexpected |"),
    ("{ .a } | ({ .b } | count() > 1)", 10, "syntax error: unexpected ("),
    ("({ } | count()", 15, "syntax error: unexpected $end, expecting )"),
    ("({ } | count())", 16, "syntax error: unexpected $end, expecting comparison"),
    ("({ } | count()) > count()", 19, "syntax error: unexpected count"),
    ("{ } with", 9, "syntax error: unexpected $end, expecting ("),
    ("{ } with()", 10, "syntax error: unexpected ), expecting IDENTIFIER"),
    ("{ } with(a)", 11, "syntax error: unexpected ), expecting ="),
    ("{ } with(a=)", 12, "syntax error: unexpected ), expecting literal"),
    ("{ } with(a=.b)", 12, "syntax error: unexpected IDENTIFIER, expecting literal"),
    ("{ } with(a=1) | { }", 15, "syntax error: unexpected |"),
    ("rate()", 1, "syntax error: unexpected rate"),
    ("{ } | rate", 11, "syntax error: unexpected $end, expecting ("),
    ("{ } | rate(.a)", 12, "syntax error: unexpected IDENTIFIER, expecting )"),
    ("{ } | rate() + 5", 14, "syntax error: unexpected +"),
    ("{ } | rate() | { }", 16, "syntax error: unexpected {, expecting topk or bottomk"),
    ("{ } | rate() by .a", 17, "syntax error: unexpected IDENTIFIER, expecting ("),
    ("{ } | rate() by (.a + 1)", 21, "syntax error: unexpected +, expecting )"),
    ("{ } | rate() > \"a\"", 16, "syntax error: unexpected STRING"),
    ("{ } | rate() > count()", 16, "syntax error: unexpected count, expecting number"),
    ("{ } | topk(5)", 7, "syntax error: unexpected topk"),
    ("{ } | rate() | topk()", 21, "syntax error: unexpected ), expecting INTEGER"),
    ("{ } | rate() | topk(1.5)", 21, "syntax error: unexpected FLOAT, expecting INTEGER"),
    ("{ } | min_over_time()", 21, "syntax error: unexpected ), expecting attribute"),
    ("{ } | quantile_over_time(.a)", 28, "syntax error: unexpected ), expecting ,"),
    ("{ } | quantile_over_time(.a, \"x\")", 30, "syntax error: unexpected STRING, expecting number"),
    ("{ } | compare()", 15, "syntax error: unexpected ), expecting {"),
    ("{ } | compare({ .a }, 5, 100)", 29, "syntax error: unexpected ), expecting ,"),
    ("{ } | compare({ .a }) by (.b)", 23, "syntax error: unexpected by"),
    ("({ } | rate()) * 10s", 18, "syntax error: unexpected DURATION"),
    ("({ } | rate()) % 10", 16, "syntax error: unexpected %"),
    ("({ } | rate()) ^ 2", 16, "syntax error: unexpected ^"),
    ("({ } | rate()) + { }", 18, "syntax error: unexpected {"),
    ("({ } | rate()) && { }", 16, "syntax error: unexpected &&"),
    ("5 < ({ } | rate())", 5, "syntax error: unexpected ("),
    ("-({ } | rate())", 2, "syntax error: unexpected (, expecting number"),
    ("(({ } | rate()) > 5) + 1", 17, "syntax error: unexpected >, expecting )"),
    ("{ } | ({ } | rate())", 7, "syntax error: unexpected ("),
];

const VALIDATE: &[Row] = &[
    ("{ status }", 3, "must be true or false"),
    ("{ 1 + 1 }", 3, "must be true or false"),
    ("{ \"a\" }", 3, "must be true or false"),
    ("{ nil }", 3, "must be true or false"),
    ("{ .a + 1 }", 3, "must be true or false"),
    ("{ (duration) }", 3, "must be true or false"),
    ("{ true } && { 5 }", 15, "must be true or false"),
    ("{ 1 = \"foo\" }", 5, "types of = do not match: int and string"),
    ("{ rootName != 3.2 }", 12, "types of != do not match: string and float"),
    ("{ status = 2 }", 10, "types of = do not match: status and int"),
    ("{ status = server }", 10, "types of = do not match: status and kind"),
    ("{ .a && 1 }", 6, "operator && does not work on type int"),
    ("{ .a && duration }", 6, "operator && does not work on type duration"),
    ("{ status > ok }", 10, "operator > does not work on type status"),
    ("{ kind =~ \"a\" }", 8, "types of =~ do not match"),
    ("{ true > false }", 8, "operator > does not work on type bool"),
    ("{ .a > nil }", 6, "operator > does not work on type nil"),
    ("{ nil + 1 = 2 }", 7, "operator + does not work on type nil"),
    ("{ \"a\" + \"b\" = .c }", 7, "operator + does not work on type string"),
    ("{ name + 1 = .c }", 8, "types of + do not match"),
    ("{ .a =~ 5 }", 6, "operator =~ does not work on type int"),
    ("{ .a = 1 = 2 }", 10, "types of = do not match: bool and int"),
    ("{ -name = .a }", 3, "operator - does not work on type string"),
    ("{ -true }", 3, "operator - does not work on type bool"),
    ("{ !name }", 3, "operator ! does not work on type string"),
    ("{ !5 }", 3, "operator ! does not work on type int"),
    ("{ .a =~ \"(\" }", 9, "invalid regular expression"),
    ("{ .a !~ \"[a\" }", 9, "invalid regular expression"),
    ("{ .a =~ \"a{3,1}\" }", 9, "invalid regular expression"),
    ("{ .a =~ `\\1` }", 9, "invalid regular expression"),
    ("{ \"a\" =~ \")(\" }", 10, "invalid regular expression"),
    ("{ .a =~ .b }", 9, "must be a string literal"),
    ("{ .a =~ name }", 9, "must be a string literal"),
    ("{ name = nil }", 8, "every span has it"),
    ("{ nil = span:status }", 7, "every span has it"),
    ("{ resource.service.name = nil }", 25, "every span has it"),
    ("{ } | sum(3) > 1", 11, "3 is constant"),
    ("{ } | avg(name) > 1", 11, "not on type string"),
    ("{ } | min(status) > 1", 11, "not on type status"),
    ("{ } | max(.a = 1) > 1", 11, "not on type bool"),
    ("{ } | by(1)", 10, "1 is constant"),
    ("by(\"a\")", 4, "is constant"),
    ("{ } | rate() | topk(0)", 21, "topk needs a number above 0"),
    ("{ } | rate() | bottomk(-1)", 24, "bottomk needs a number above 0"),
    ("{ } | quantile_over_time(.a, 1.1)", 30, "between 0 and 1"),
    ("{ } | quantile_over_time(.a, 0.5, 99)", 35, "between 0 and 1"),
    ("{ } | compare({ 1 })", 17, "must be true or false"),
    ("{ } | compare({ .a }, 0)", 23, "1 to 1000 values, not 0"),
    ("{ } | compare({ .a }, 1001)", 23, "1 to 1000 values, not 1001"),
    ("{ } | compare({ .a }, 5, 200, 100)", 26, "0 < start < end"),
    ("{ } | compare({ .a }, 5, 0, 100)", 26, "0 < start < end"),
    ("{ } | compare({ .a }) | topk(1)", 23, "cannot be followed by a second stage"),
    ("({ } | compare({ .a })) + 1", 25, "cannot be an operand of arithmetic"),
    ("{ } | rate() by (.a, .b, .c, .d, .e, .f)", 14, "metrics group by 6 values not yet supported"),
    ("{ } | avg_over_time(.x) by (.a, .b, .c, .d, .e)", 25, "metrics group by 5 values not yet supported"),
    ("{ } | histogram_over_time(.x) by (.a, .b, .c, .d, .e)", 31, "metrics group by 5 values"),
    ("{ } | quantile_over_time(.x, .5) by (.a, .b, .c, .d, .e)", 34, "metrics group by 5 values"),
];

const UNSUPPORTED: &[Row] = &[
    ("{ parent.a = 1 }", 3, "parent attributes"),
    ("{ parent.span.a = 1 }", 3, "parent attributes"),
    ("{ parent.resource.a = 1 }", 3, "parent attributes"),
    ("{ parent = nil }", 3, "parent attributes"),
    ("{ } | select(parent.a)", 14, "parent attributes"),
    ("{ } | rate() by (parent.a)", 18, "parent attributes"),
    ("min(.a) < max(.b)", 1, "only `aggregate op literal` is supported"),
    ("{ } | 3 < count()", 7, "only `aggregate op literal` is supported"),
    ("count() + count() = 1", 1, "only `aggregate op literal` is supported"),
    ("(1 + 2) * (count() % 2) = 1", 1, "only `aggregate op literal` is supported"),
    ("({ .a } | count()) > ({ .b } | count())", 1, "only `aggregate op literal` is supported"),
    ("({ .a } | count()) + 1 = 2", 1, "only `aggregate op literal` is supported"),
    ("({ .a } | avg(.b) + 1) ^ 2 = 2", 1, "only `aggregate op literal` is supported"),
];

fn check(text: &str, error: &TraceqlError, stage: ErrorStage, column: u32, message: &str) {
    assert_eq!(error.stage, stage, "{text}: {error}");
    assert_eq!((error.line, error.column), (1, column), "{text}: {error}");
    assert!(error.message.contains(message), "{text}: {error}");
}

#[test]
fn the_tables_are_not_thin() {
    assert!(PARSE.len() + VALIDATE.len() + UNSUPPORTED.len() >= 150);
}

#[test]
fn parse_errors() {
    for (text, column, message) in PARSE {
        let error = parse(text).expect_err(text);
        check(text, &error, ErrorStage::Parse, *column, message);
        assert_eq!(parse_validated(text), Err(error));
    }
}

#[test]
fn validation_errors() {
    for (rows, stage) in [(VALIDATE, ErrorStage::Validate), (UNSUPPORTED, ErrorStage::Unsupported)] {
        for (text, column, message) in rows {
            let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(parse(&query.to_string()), Ok(query), "{text}");
            check(text, &parse_validated(text).expect_err(text), stage, *column, message);
        }
    }
}

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
