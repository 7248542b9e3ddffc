//! One form for queries that ask the same in another order.

use super::{BinaryOp, FieldExpr, Pipeline, Query, SpansetExpr, Stage};

impl Query {
    /// The query with the conditions that must hold together on a span (`a && b` within `{ }`) in the order of their
    /// text. Which spans it selects is the same; clients that keep conditions in a hash table send them in any order.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        pipeline(&mut self.pipeline);
        self
    }
}

fn pipeline(pipeline: &mut Pipeline) {
    for stage in &mut pipeline.stages {
        if let Stage::Spanset(expr) = stage {
            spanset(expr);
        }
    }
}

fn spanset(expr: &mut SpansetExpr) {
    match expr {
        SpansetExpr::Filter(filter) => sort_conditions(filter),
        SpansetExpr::Pipeline(inner) => pipeline(inner),
        SpansetExpr::Binary { left, right, .. } => {
            spanset(left);
            spanset(right);
        }
    }
}

fn sort_conditions(filter: &mut FieldExpr) {
    let mut conditions = Vec::new();
    let whole = std::mem::replace(filter, FieldExpr::Literal(super::Static::Bool(true)));
    split(whole, &mut conditions);
    conditions.sort_by_cached_key(ToString::to_string);
    let and =
        |left, right| FieldExpr::Binary { op: BinaryOp::And, left: Box::new(left), right: Box::new(right) };
    if let Some(all) = conditions.into_iter().reduce(and) {
        *filter = all;
    }
}

fn split(expr: FieldExpr, conditions: &mut Vec<FieldExpr>) {
    match expr {
        FieldExpr::Binary { op: BinaryOp::And, left, right } => {
            split(*left, conditions);
            split(*right, conditions);
        }
        condition => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    #[test]
    fn order_and_white_space_do_not_matter_where_all_must_hold() {
        let same = [
            ["{ .b = 1 && .a = 2 }", "{.a=2&&.b=1}"],
            ["{ (.c = 1 && .b = 1) && .a = 2 } && { }", "{ .a = 2 && (.b = 1 && .c = 1) } && {}"],
            ["({ .b = 1 && .a = 2 } | by(.x)) >> ({ })", "({ .a = 2 && .b = 1 } | by(.x)) >> ({})"],
        ];
        for [one, other] in same {
            let canonical = |text| parse(text).expect("valid").canonical().to_string();
            assert_eq!(canonical(one), canonical(other));
        }
        let different = [
            ["{ .b = 1 || .a = 2 }", "{ .a = 2 || .b = 1 }"],
            ["{ .a = 1 } && { .b = 1 }", "{ .b = 1 } && { .a = 1 }"],
            ["{ .a = 1 && .b = 2 }", "{ .a = 2 && .b = 1 }"],
        ];
        for [one, other] in different {
            let canonical = |text| parse(text).expect("valid").canonical().to_string();
            assert_ne!(canonical(one), canonical(other));
        }
    }
}
