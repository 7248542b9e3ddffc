//! Half-typed queries, as an editor sends them while it asks for tags (`reference/tempo.md` 2.4).

use vivace_base::ErrorKind;

use crate::ast::{BinaryOp, FieldExpr, Query, SpansetExpr, Stage, Static};
use crate::lexer::lex;
use crate::parser::{MAX_TEXT, parse_validated};
use crate::token::{Token, TokenKind};

/// Groups of conditions a tag filter may take; Tempo's default for `max_condition_groups_per_tag_query`.
pub const MAX_CONDITION_GROUPS: usize = 100;

/// The `q` of a tag endpoint has too many alternatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "maximum condition groups reached (limit: {MAX_CONDITION_GROUPS}): the alternatives joined by || in q multiply, \
     use fewer"
)]
pub struct TooManyConditionGroups;

impl TooManyConditionGroups {
    /// Always [`ErrorKind::InvalidInput`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

/// The filter the `q` parameter of the tag endpoints sets; none for no filter. Never an error;
/// [`check_condition_groups`] says whether the filter is one the endpoints take.
///
/// Matchers without a value count as `true` and brackets left open are closed. The text must then start with one
/// spanset filter; stages after it are ignored. Only comparisons of an attribute with a value count, all else is
/// `true`, so the result is made of those, `&&` and `||` alone.
pub fn parse_tag_filter(text: &str) -> Option<FieldExpr> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let repaired = repair(text)?;
    let Query { pipeline, .. } = parse_validated(&repaired).ok()?;
    let [Stage::Spanset(SpansetExpr::Filter(filter))] = <[Stage; 1]>::try_from(pipeline.stages).ok()? else {
        return None;
    };
    conditions(filter)
}

/// Refuses a filter that takes more than [`MAX_CONDITION_GROUPS`] groups of conditions joined by `&&` once its `||` are
/// multiplied out. `lookups` is in how many places the requested attribute is looked up, each with groups of its
/// own: 2 for the values of an attribute without scope, else 1.
///
/// # Errors
/// [`TooManyConditionGroups`].
pub fn check_condition_groups(filter: &FieldExpr, lookups: usize) -> Result<(), TooManyConditionGroups> {
    let groups = condition_groups(filter).saturating_mul(lookups);
    if groups > MAX_CONDITION_GROUPS { Err(TooManyConditionGroups) } else { Ok(()) }
}

fn condition_groups(filter: &FieldExpr) -> usize {
    match filter {
        FieldExpr::Binary { op: BinaryOp::And, left, right } => {
            condition_groups(left).saturating_mul(condition_groups(right))
        }
        FieldExpr::Binary { op: BinaryOp::Or, left, right } => {
            condition_groups(left).saturating_add(condition_groups(right))
        }
        _ => 1,
    }
}

/// The first spanset filter of the text with its brackets closed and its incomplete matchers replaced.
fn repair(text: &str) -> Option<String> {
    let tokens = lex(text);
    let filter = filter_tokens(&tokens)?;
    let mut out = String::with_capacity(text.len() + 16);
    let mut open = 0_u32;
    let mut rest = filter;
    while let Some((token, after)) = rest.split_first() {
        if is_operand(token) && is_incomplete(after) {
            out.push_str("true ");
            rest = after.get(1..)?;
            continue;
        }
        match &token.kind {
            TokenKind::Symbol("(") => open += 1,
            TokenKind::Symbol(")") => open = open.checked_sub(1)?,
            // Closing brace: what is open inside it ends here.
            TokenKind::Symbol("}") => (0..std::mem::take(&mut open)).for_each(|_| out.push(')')),
            _ => {}
        }
        out.push_str(text.get(token.start..token.end)?);
        out.push(' ');
        rest = after;
    }
    (0..open).for_each(|_| out.push(')'));
    if filter.last().is_some_and(|token| token.kind != TokenKind::Symbol("}")) {
        out.push('}');
    }
    Some(out)
}

/// The filter the text starts with, without brackets around it; none if there is none, or it is one of several
/// operands.
fn filter_tokens(tokens: &[Token]) -> Option<&[Token]> {
    let is = |token: &Token, symbol| token.kind == TokenKind::Symbol(symbol);
    let brackets = tokens.iter().take_while(|token| is(token, "(")).count();
    let tokens = tokens.get(brackets..)?;
    if !is(tokens.first()?, "{") {
        return None;
    }
    let Some(closing) = tokens.iter().position(|token| is(token, "}")) else {
        let is_end = |token: &Token| matches!(token.kind, TokenKind::End | TokenKind::Invalid(_));
        return tokens.get(..tokens.iter().position(is_end)?);
    };
    let after = tokens.get(closing + 1..)?;
    let closed = after.iter().take(brackets).take_while(|token| is(token, ")")).count();
    let stands_alone = match &after.get(closed)?.kind {
        TokenKind::End => true,
        TokenKind::Symbol("|") => closed == brackets,
        TokenKind::Word(word) => closed == brackets && word == "with",
        _ => false,
    };
    stands_alone.then(|| tokens.get(..=closing)).flatten()
}

fn is_operand(token: &Token) -> bool {
    matches!(token.kind, TokenKind::Attribute(_) | TokenKind::Word(_))
}

/// Whether a comparison follows and no operand after it.
fn is_incomplete(rest: &[Token]) -> bool {
    let mut kinds = rest.iter().map(|token| &token.kind);
    let Some(TokenKind::Symbol(symbol)) = kinds.next() else { return false };
    let compares = BinaryOp::from_symbol(symbol).is_some_and(BinaryOp::is_comparison);
    compares && matches!(kinds.next(), None | Some(TokenKind::Symbol("&&" | "||" | ")" | "}")))
}

/// What the expression says about attributes and values; none where it says nothing.
fn conditions(expr: FieldExpr) -> Option<FieldExpr> {
    let FieldExpr::Binary { op, left, right } = expr else { return None };
    match op {
        BinaryOp::And => match (conditions(*left), conditions(*right)) {
            (Some(left), Some(right)) => {
                Some(FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) })
            }
            (one, other) => one.or(other),
        },
        BinaryOp::Or => {
            let (left, right) = (conditions(*left)?, conditions(*right)?);
            Some(FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) })
        }
        _ if op.is_comparison() && is_condition(&left, &right) => Some(FieldExpr::Binary { op, left, right }),
        _ => None,
    }
}

fn is_condition(left: &FieldExpr, right: &FieldExpr) -> bool {
    match (left, right) {
        (FieldExpr::Attribute(_), FieldExpr::Literal(value))
        | (FieldExpr::Literal(value), FieldExpr::Attribute(_)) => *value != Static::Nil,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
