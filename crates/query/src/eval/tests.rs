use arrow::array::RecordBatch;
use vivace_model::{Attribute as KeyValue, Span, Trace, Value};
use vivace_storage::columns::SpanBatchBuilder;
use vivace_testkit::SpanBuilder;
use vivace_traceql::{SpansetExpr, Stage, parse_validated};

use super::*;

fn filter(text: &str) -> Filter {
    let query = parse_validated(text).expect(text);
    let Some(Stage::Spanset(SpansetExpr::Filter(expr))) = query.pipeline.stages.first() else {
        panic!("{text} is not one filter");
    };
    Filter::compile(expr).expect(text)
}

fn batch(span: &Span) -> RecordBatch {
    let mut builder = SpanBatchBuilder::default();
    builder.push(span);
    builder.finish()
}

/// Both sources of operands must say the same.
#[track_caller]
fn check(span: &Span, cases: &[(&str, bool)]) {
    let columns = batch(span);
    let trace = Trace::assemble(vec![span.clone()]).expect("a span");
    for (text, expected) in cases {
        let filter = filter(text);
        let by_columns = vector::holds(&filter, &columns).expect("layout").value(0);
        assert_eq!(by_columns, *expected, "{text} on columns");
        assert_eq!(rows::holds(&filter, &trace, 0), *expected, "{text} on the span");
    }
}

#[test]
fn missing_and_mismatched_values_never_compare() {
    let span = SpanBuilder::new("s").attribute("text", "x").attribute("int", 5_i64).build();
    check(
        &span,
        &[
            ("{ .gone != \"x\" }", false),
            ("{ .gone !~ \"x\" }", false),
            ("{ .gone = nil }", true),
            ("{ .gone != nil }", false),
            ("{ .text != nil }", true),
            ("{ .text = 3 }", false),
            ("{ .text != 3 }", false),
            ("{ .int = \"5\" }", false),
            ("{ !.gone }", false),
            ("{ !(.gone = 1) }", true),
            ("{ .text && true }", false),
        ],
    );
}

#[test]
fn numbers_compare_across_types_exactly() {
    let span = SpanBuilder::new("s")
        .attribute("big", 9_007_199_254_740_993_i64)
        .attribute("int", 7_i64)
        .attribute("float", 499.5)
        .duration_ms(1500)
        .build();
    check(
        &span,
        &[
            ("{ .big > 9007199254740992.0 }", true),
            ("{ .big = 9007199254740992.0 }", false),
            ("{ .int > 6.9 && .int < 7.1 }", true),
            ("{ .float > 499 }", true),
            ("{ duration > 1s }", true),
            ("{ duration = 1500000000 }", true),
            ("{ duration > 1s + 600ms }", false),
            ("{ .int / 2 = 3 }", true),
            ("{ .int % 4 = 3 }", true),
            ("{ .int ^ 2 = 49 }", true),
            ("{ .int / 0 = 0 }", false),
            ("{ -.int < 0 }", true),
            ("{ -.gone < 0 }", false),
        ],
    );
}

#[test]
fn arrays_match_any_and_exclude_all() {
    let tags = Value::Array(vec![Value::from("a"), Value::from("b")]);
    let mixed = Value::Array(vec![Value::from("a"), Value::from(1_i64)]);
    let span = SpanBuilder::new("s")
        .attribute("tags", tags)
        .attribute("none", Value::Array(Vec::new()))
        .attribute("mixed", mixed)
        .build();
    check(
        &span,
        &[
            ("{ .tags = \"a\" }", true),
            ("{ \"b\" = .tags }", true),
            ("{ .tags != \"a\" }", false),
            ("{ .tags != \"c\" }", true),
            ("{ .tags =~ \"[bc]\" }", true),
            ("{ .tags !~ \"c\" }", true),
            ("{ .none != \"a\" }", true),
            ("{ .none = \"a\" }", false),
            ("{ .mixed = \"a\" }", false),
            ("{ .mixed = nil }", true),
        ],
    );
}

#[test]
fn unscoped_names_are_looked_up_in_order() {
    let event = vec![KeyValue::new("x", "event"), KeyValue::new("only", 1_i64)];
    let span = SpanBuilder::new("s")
        .resource_attribute("x", "resource")
        .event("e", 1, event)
        .event("f", 2, vec![KeyValue::new("only", 2_i64)])
        .scope_attribute("x", "scope")
        .build();
    check(
        &span,
        &[
            ("{ .x = \"resource\" }", true),
            ("{ event.x = \"event\" }", true),
            ("{ instrumentation.x = \"scope\" }", true),
            ("{ span.x = nil }", true),
            ("{ .only = 2 }", true),
            ("{ event.x = \"event\" && event.only = 2 }", false),
            ("{ event.x = nil }", true),
            ("{ event.y != nil }", false),
            ("{ link.x = nil }", false),
            ("{ event:name = \"f\" && event:timeSinceStart = 2ms }", true),
        ],
    );
}

#[test]
fn a_regular_expression_matches_the_whole_value() {
    let span = SpanBuilder::new("GET /a\nb").build();
    check(
        &span,
        &[
            ("{ name =~ \"GET.*\" }", true),
            ("{ name =~ \"GET\" }", false),
            ("{ name !~ \"GET\" }", true),
            ("{ kind = internal && status = unset }", true),
            ("{ kind != client }", true),
            ("{ span:parentID = \"\" }", true),
            ("{ trace:id = \"00000001\" }", true),
        ],
    );
}
