//! TraceQL text to a typed tree and back: lexer, parser, types, validation with positions, printer. Pure: no IO, no
//! Arrow, no clock. The rules are those of `reference/tempo.md` section 4.

mod ast;

pub use ast::{
    Aggregate, Attribute, BinaryOp, FieldExpr, Hint, Intrinsic, Kind, MathExpr, MathQuery, MetricsFunction,
    MetricsOp, MetricsPipeline, MetricsSource, Pipeline, Query, ScalarExpr, ScalarFilter, Scope, SecondStage,
    SpansetExpr, SpansetOp, Stage, Static, Status, UnaryOp,
};
