//! Search by tags, as it was before TraceQL, in TraceQL's terms: each tag is a filter, and all filters must find a span
//! in the trace, not necessarily the same one. A string matches when it contains the text, whatever the case; a number
//! or boolean when it is equal.

use vivace_traceql::{
    Attribute, BinaryOp, FieldExpr, Intrinsic, Query, Scope, SpansetExpr, SpansetOp, Static, Status,
    compile_pattern,
};

use super::InvalidQuestion;
use super::search::spanset_query;

/// Far more than anybody asks for, few enough for a tree.
const MAX_TAGS: usize = 64;

/// The query that finds what the tags find.
///
/// # Errors
/// More than 64 tags, a text too long to look for.
pub(super) fn query(tags: &[(String, String)]) -> Result<Query, InvalidQuestion> {
    if tags.len() > MAX_TAGS {
        return Err(InvalidQuestion::new(format!("invalid tags: {} are more than {MAX_TAGS}", tags.len())));
    }
    let filters = tags.iter().map(|(key, value)| Ok(SpansetExpr::Filter(condition(key, value)?)));
    let both = |left, right| SpansetExpr::Binary {
        op: SpansetOp::And,
        left: Box::new(left),
        right: Box::new(right),
    };
    let filters = filters.collect::<Result<Vec<_>, _>>()?;
    let all = filters.into_iter().reduce(both);
    all.map(spanset_query).ok_or_else(|| InvalidQuestion::new("invalid tags: there are none"))
}

/// The names tag search has for what is no attribute are those of `reference/tempo.md` 2.4 and of Tempo's columns.
fn condition(key: &str, value: &str) -> Result<FieldExpr, InvalidQuestion> {
    let intrinsic = |intrinsic| contains(Attribute::Intrinsic(intrinsic), value);
    match key {
        "name" => return intrinsic(Intrinsic::Name),
        "root.name" => return intrinsic(Intrinsic::RootName),
        "root.service.name" => return intrinsic(Intrinsic::RootServiceName),
        "service.name" => return matches(named(Scope::Resource, key), value),
        _ => {}
    }
    let anywhere =
        either(matches(named(Scope::Span, key), value)?, matches(named(Scope::Resource, key), value)?);
    let status = match key {
        "status" | "status.code" => status(value),
        "error" if value == "true" => Some(Status::Error),
        _ => None,
    };
    let Some(status) = status else { return Ok(anywhere) };
    let has_status = equals(Attribute::Intrinsic(Intrinsic::Status), Static::Status(status));
    // `error` is an attribute too, of instrumentation that knows no status.
    Ok(if key == "error" { either(has_status, anywhere) } else { has_status })
}

fn status(text: &str) -> Option<Status> {
    match text {
        "error" => Some(Status::Error),
        "ok" => Some(Status::Ok),
        "unset" => Some(Status::Unset),
        _ => None,
    }
}

fn named(scope: Scope, key: &str) -> Attribute {
    Attribute::Named { scope, name: key.to_owned(), parent: false }
}

/// The attribute contains the text, or is the number or boolean it reads as.
fn matches(attribute: Attribute, text: &str) -> Result<FieldExpr, InvalidQuestion> {
    let literal = literal(text).map(|literal| equals(attribute.clone(), literal));
    let contains = contains(attribute, text)?;
    Ok(match literal {
        Some(equal) => either(contains, equal),
        None => contains,
    })
}

fn literal(text: &str) -> Option<Static> {
    let float = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Static::Float);
    let int = text.parse::<i64>().ok().map(Static::Int);
    text.parse::<bool>().ok().map(Static::Bool).or(int).or_else(float)
}

fn contains(attribute: Attribute, text: &str) -> Result<FieldExpr, InvalidQuestion> {
    let pattern = format!("(?i).*{}.*", regex::escape(text));
    compile_pattern(&pattern)
        .map_err(|error| InvalidQuestion::new(format!("invalid tags: cannot look for `{text}`: {error}")))?;
    Ok(binary(BinaryOp::Regex, FieldExpr::Attribute(attribute), FieldExpr::Literal(Static::String(pattern))))
}

fn equals(attribute: Attribute, value: Static) -> FieldExpr {
    binary(BinaryOp::Eq, FieldExpr::Attribute(attribute), FieldExpr::Literal(value))
}

fn either(left: FieldExpr, right: FieldExpr) -> FieldExpr {
    binary(BinaryOp::Or, left, right)
}

fn binary(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

#[cfg(test)]
mod tests;
