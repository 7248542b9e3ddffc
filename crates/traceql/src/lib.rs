//! TraceQL text to a typed tree and back: lexer, parser, types, validation with positions, printer. Pure: no IO, no
//! Arrow, no clock. The rules are those of `reference/tempo.md` section 4.

mod ast;
mod error;
mod fold;
mod lenient;
mod lexer;
mod parser;
mod pattern;
mod token;
mod types;

pub use ast::{
    Aggregate, Attribute, BinaryOp, FieldExpr, Hint, Intrinsic, Kind, MathExpr, MathQuery, MetricsFunction,
    MetricsOp, MetricsPipeline, MetricsSource, Pipeline, Query, ScalarExpr, ScalarFilter, Scope, SecondStage,
    SpansetExpr, SpansetOp, Stage, Static, Status, UnaryOp,
};
pub use error::{ErrorStage, TraceqlError};
pub use lenient::{MAX_CONDITION_GROUPS, TooManyConditionGroups, check_condition_groups, parse_tag_filter};
pub use lexer::{format_duration, parse_duration};
pub use parser::{MAX_DEPTH, MAX_NESTING, MAX_TEXT, parse, parse_attribute, parse_validated};
pub use pattern::compile_pattern;
