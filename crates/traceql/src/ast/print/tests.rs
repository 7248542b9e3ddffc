//! Random trees of the whole grammar: what is printed parses to the same tree.

use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;

use crate::ast::*;
use crate::token::is_keyword;
use crate::{fold, parse, parse_attribute};

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z][a-z0-9_.]{0,8}",
        1 => "(span|resource|event|parent|name)\\.[a-z]{1,3}",
        1 => "[-+*/%:;\\[\\]?.0-9a-z`']{1,5}",
        1 => "(?s:.){1,6}",
    ]
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop::sample::select(Scope::ALL.to_vec())
}

fn any_named() -> impl Strategy<Value = Attribute> {
    (any_scope(), any_name(), prop::bool::weighted(0.1)).prop_map(|(scope, name, parent)| {
        let parent = parent && matches!(scope, Scope::None | Scope::Span | Scope::Resource);
        Attribute::Named { scope, name, parent }
    })
}

fn any_attribute() -> impl Strategy<Value = Attribute> {
    let intrinsic = prop::sample::select(Intrinsic::ALL.to_vec()).prop_map(Attribute::Intrinsic);
    prop_oneof![any_named(), intrinsic]
}

fn any_number() -> impl Strategy<Value = Static> {
    prop_oneof![
        any::<i64>().prop_map(Static::Int),
        (-9..9_i64).prop_map(Static::Int),
        Just(Static::Int(i64::MIN)),
        any::<f64>().prop_filter("floats are finite", |value| value.is_finite()).prop_map(Static::Float),
    ]
}

fn any_duration() -> impl Strategy<Value = Static> {
    (-i64::MAX..=i64::MAX, 0..63_u32).prop_map(|(nanos, shift)| Static::Duration(nanos >> shift))
}

fn any_static() -> impl Strategy<Value = Static> {
    prop_oneof![
        Just(Static::Nil),
        any_number(),
        any_duration(),
        "(?s:.){0,6}".prop_map(Static::String),
        "[a-z.*()|]{0,5}".prop_map(Static::String),
        any::<bool>().prop_map(Static::Bool),
        prop::sample::select(Status::ALL.to_vec()).prop_map(Static::Status),
        prop::sample::select(Kind::ALL.to_vec()).prop_map(Static::Kind),
    ]
}

fn field_ops() -> impl Strategy<Value = BinaryOp> {
    prop::sample::select(BinaryOp::ALL.to_vec())
}

fn arithmetic_ops() -> impl Strategy<Value = BinaryOp> {
    prop::sample::select(BinaryOp::ALL.into_iter().filter(|op| op.is_arithmetic()).collect::<Vec<_>>())
}

fn comparison_ops() -> impl Strategy<Value = BinaryOp> {
    let comparisons = BinaryOp::ALL.into_iter().filter(|op| op.is_comparison() && !op.is_regex());
    prop::sample::select(comparisons.collect::<Vec<_>>())
}

/// As the parser builds it: folded where both sides are literals.
fn field_binary((op, left, right): (BinaryOp, FieldExpr, FieldExpr)) -> FieldExpr {
    if let (FieldExpr::Literal(left), FieldExpr::Literal(right)) = (&left, &right)
        && let Some(value) = fold::binary(op, left, right)
    {
        return FieldExpr::Literal(value);
    }
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn field_unary((op, expr): (UnaryOp, FieldExpr)) -> FieldExpr {
    if let FieldExpr::Literal(value) = &expr
        && let Some(value) = fold::unary(op, value)
    {
        return FieldExpr::Literal(value);
    }
    FieldExpr::Unary { op, expr: Box::new(expr) }
}

fn any_field() -> impl Strategy<Value = FieldExpr> + Clone {
    let leaf = prop_oneof![
        any_static().prop_map(FieldExpr::Literal),
        any_attribute().prop_map(FieldExpr::Attribute),
    ];
    leaf.prop_recursive(6, 24, 2, |inner| {
        let unary = prop::sample::select(vec![UnaryOp::Neg, UnaryOp::Not]);
        prop_oneof![
            3 => (field_ops(), inner.clone(), inner.clone()).prop_map(field_binary),
            1 => (unary, inner).prop_map(field_unary),
        ]
    })
    .boxed()
}

fn any_aggregate() -> impl Strategy<Value = Aggregate> {
    prop_oneof![
        Just(Aggregate::Count),
        any_field().prop_map(Aggregate::Avg),
        any_field().prop_map(Aggregate::Min),
        any_field().prop_map(Aggregate::Max),
        any_field().prop_map(Aggregate::Sum),
    ]
}

/// Never a literal alone: its operations are folded.
fn scalar_over(leaf: impl Strategy<Value = ScalarExpr> + 'static) -> impl Strategy<Value = ScalarExpr> {
    leaf.prop_recursive(3, 8, 2, |inner| {
        let literal = prop_oneof![any_number(), any_duration()].prop_map(ScalarExpr::Literal).boxed();
        let sides =
            prop_oneof![(inner.clone(), inner.clone()), (literal.clone(), inner.clone()), (inner, literal),];
        (arithmetic_ops(), sides).prop_map(|(op, (left, right))| ScalarExpr::Binary {
            op,
            left: Box::new(left),
            right: Box::new(right),
        })
    })
}

fn filter_over(leaf: impl Strategy<Value = ScalarExpr> + 'static) -> impl Strategy<Value = ScalarFilter> {
    let literal = prop_oneof![any_number(), any_duration()].prop_map(ScalarExpr::Literal).boxed();
    let scalar = scalar_over(leaf).boxed();
    let sides =
        prop_oneof![(scalar.clone(), literal.clone()), (literal, scalar.clone()), (scalar.clone(), scalar),];
    (comparison_ops(), sides).prop_map(|(op, (left, right))| ScalarFilter { op, left, right })
}

fn any_spanset() -> impl Strategy<Value = SpansetExpr> {
    spanset_over(any_field().prop_map(SpansetExpr::Filter).boxed())
}

fn spanset_over(leaf: BoxedStrategy<SpansetExpr>) -> impl Strategy<Value = SpansetExpr> {
    leaf.prop_recursive(4, 8, 2, |inner| {
        let ops = prop::sample::select(SpansetOp::ALL.to_vec());
        (ops, inner.clone(), inner).prop_map(|(op, left, right)| SpansetExpr::Binary {
            op,
            left: Box::new(left),
            right: Box::new(right),
        })
    })
}

fn any_stage(first: bool) -> impl Strategy<Value = Stage> {
    prop_oneof![
        4 => any_spanset().prop_map(Stage::Spanset),
        2 => filter_over(any_aggregate().prop_map(ScalarExpr::Aggregate)).prop_map(Stage::ScalarFilter),
        1 => any_field().prop_map(Stage::By),
        1 => prop::collection::vec(any_attribute(), 1..3).prop_map(Stage::Select),
        if first { 0 } else { 1 } => Just(Stage::Coalesce),
    ]
}

fn any_pipeline() -> impl Strategy<Value = Pipeline> + Clone {
    (any_stage(true), prop::collection::vec(any_stage(false), 0..3))
        .prop_map(|(first, mut stages)| {
            stages.insert(0, first);
            Pipeline { stages }
        })
        .boxed()
}

/// A pipeline that is not just a spanset: its brackets mean something.
fn wrapped_pipeline() -> impl Strategy<Value = SpansetExpr> {
    any_pipeline()
        .prop_filter("brackets around a spanset only group", |pipeline| {
            !matches!(pipeline.stages.as_slice(), [Stage::Spanset(_)])
        })
        .prop_map(|pipeline| SpansetExpr::Pipeline(Box::new(pipeline)))
}

/// Pipelines that can only be a whole query: operations over pipelines in brackets.
fn whole_pipeline() -> impl Strategy<Value = Pipeline> {
    let operand = prop_oneof![any_spanset(), wrapped_pipeline()].boxed();
    let spansets = spanset_over(operand).prop_map(Stage::Spanset);
    let piped = (any_pipeline(), scalar_over(any_aggregate().prop_map(ScalarExpr::Aggregate)))
        .prop_map(|(pipeline, scalar)| ScalarExpr::Pipeline { pipeline, scalar: Box::new(scalar) });
    let filter = filter_over(piped).prop_map(Stage::ScalarFilter);
    prop_oneof![spansets, filter].prop_map(|stage| Pipeline { stages: vec![stage] })
}

/// An integer without a sign, as arguments of functions are.
fn any_limit() -> impl Strategy<Value = i64> {
    prop_oneof![0..2_000_i64, 0..=i64::MAX, Just(i64::MIN)]
}

fn any_metrics_op() -> impl Strategy<Value = MetricsOp> {
    let quantile = (any_attribute(), prop::collection::vec(0.0..2.0_f64, 1..3))
        .prop_map(|(attribute, quantiles)| MetricsOp::QuantileOverTime { attribute, quantiles });
    let window = prop::option::of((any_limit(), any_limit()));
    let compare = (any_field(), any_limit(), window)
        .prop_map(|(selection, top_n, window)| MetricsOp::Compare { selection, top_n, window });
    prop_oneof![
        Just(MetricsOp::Rate),
        Just(MetricsOp::CountOverTime),
        any_attribute().prop_map(MetricsOp::MinOverTime),
        any_attribute().prop_map(MetricsOp::MaxOverTime),
        any_attribute().prop_map(MetricsOp::SumOverTime),
        any_attribute().prop_map(MetricsOp::AvgOverTime),
        any_attribute().prop_map(MetricsOp::HistogramOverTime),
        quantile,
        compare,
    ]
}

fn any_function() -> impl Strategy<Value = MetricsFunction> {
    (any_metrics_op(), prop::collection::vec(any_attribute(), 0..3)).prop_map(|(op, by)| {
        let by = if matches!(op, MetricsOp::Compare { .. }) { Vec::new() } else { by };
        MetricsFunction { op, by }
    })
}

fn any_second() -> impl Strategy<Value = Vec<SecondStage>> {
    let filter = (comparison_ops(), prop_oneof![any_number(), any_duration()])
        .prop_map(|(op, value)| SecondStage::Filter { op, value });
    let stage = prop_oneof![
        any_limit().prop_map(SecondStage::TopK),
        any_limit().prop_map(SecondStage::BottomK),
        filter,
    ];
    prop::collection::vec(stage, 0..3)
}

fn any_math() -> impl Strategy<Value = MathExpr> {
    let query = (any_pipeline(), any_function(), any_second()).prop_map(|(pipeline, function, second)| {
        MathExpr::Query(Box::new(MathQuery { pipeline, function, second }))
    });
    query.prop_recursive(3, 6, 2, |inner| {
        let ops = prop::sample::select(vec![BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div]);
        let literal = any_number().prop_map(MathExpr::Literal).boxed();
        let sides =
            prop_oneof![(inner.clone(), inner.clone()), (literal.clone(), inner.clone()), (inner, literal),];
        (ops, sides).prop_map(|(op, (left, right))| MathExpr::Binary {
            op,
            left: Box::new(left),
            right: Box::new(right),
        })
    })
}

fn any_hints() -> impl Strategy<Value = Vec<Hint>> {
    let value = any_static()
        .prop_filter("hints have no sign", |value| !value.is_negative() || *value == Static::Int(i64::MIN));
    let key = "[a-z][a-z_]{0,8}".prop_filter("keywords name nothing", |key| !is_keyword(key));
    let hint = (key, value).prop_map(|(key, value)| Hint { key, value });
    prop::collection::vec(hint, 0..3)
}

fn any_query() -> impl Strategy<Value = Query> {
    let metrics = |source, second| Some(MetricsPipeline { source, second });
    let function =
        (any_pipeline(), any_function(), any_second()).prop_map(move |(pipeline, function, second)| {
            (pipeline, metrics(MetricsSource::Function(function), second))
        });
    let math = (any_math(), any_second()).prop_map(move |(math, second)| {
        (Pipeline { stages: vec![] }, metrics(MetricsSource::Math(math), second))
    });
    let body = prop_oneof![
        any_pipeline().prop_map(|pipeline| (pipeline, None)),
        whole_pipeline().prop_map(|pipeline| (pipeline, None)),
        function,
        math,
    ];
    (body, any_hints()).prop_map(|((pipeline, metrics), hints)| Query { pipeline, metrics, hints })
}

#[test]
fn print_is_canonical_and_keeps_only_needed_brackets() {
    let cases = [
        ("{((.a)||.b)&&.c}", "{ .a || .b && .c }"),
        ("{.a||(.b&&.c)}", "{ .a || (.b && .c) }"),
        ("{ (.a * .b) + .c = -1 }", "{ .a * .b + .c = -1 }"),
        ("{ (.a + .b) * -1 = (-.c) ^ 2 }", "{ (.a + .b) * (-1) = (-.c) ^ 2 }"),
        ("{ !(!.a) && !(.b && .c) }", "{ !!.a && !(.b && .c) }"),
        ("{ span:name = `a\\b` && .`x` }", "{ name = \"a\\\\b\" && .`x` }"),
        ("{ duration>90m && .x>1500ms }", "{ duration > 1h30m0s && .x > 1.5s }"),
        ("{} | by (span:status) | avg ( duration ) > 0.5", "{ true } | by(status) | avg(duration) > 0.5"),
        ("({.a}|rate()|topk(2))*2+({}|rate())", "({ .a } | rate() | topk(2)) * 2 + ({ true } | rate())"),
    ];
    for (text, printed) in cases {
        assert_eq!(parse(text).unwrap().to_string(), printed);
    }
}

proptest! {
    // Trees take many draws, and an unoptimised ChaCha is slow.
    #![proptest_config(ProptestConfig { cases: 3_000, rng_algorithm: RngAlgorithm::XorShift, ..Default::default() })]

    #[test]
    fn printed_trees_parse_to_themselves(query in any_query()) {
        let text = query.to_string();
        prop_assert_eq!(parse(&text), Ok(query), "{}", text);
    }

    #[test]
    fn printed_attributes_parse_to_themselves(attribute in any_attribute()) {
        let text = attribute.to_string();
        prop_assert_eq!(parse_attribute(&text), Ok(attribute), "{}", text);
    }
}
