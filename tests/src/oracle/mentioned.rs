//! What a result shows of its spans.

use vivace_traceql::{Aggregate, Attribute, FieldExpr, Intrinsic, Pipeline, ScalarExpr, SpansetExpr, Stage};

/// Every attribute the pipeline names, once; those left out that a result shows elsewhere.
pub(crate) fn mentioned(pipeline: &Pipeline) -> Vec<&Attribute> {
    let mut found = Vec::new();
    of_pipeline(pipeline, &mut found);
    found
}

fn of_pipeline<'q>(pipeline: &'q Pipeline, found: &mut Vec<&'q Attribute>) {
    for stage in &pipeline.stages {
        match stage {
            Stage::Spanset(expr) => of_spanset(expr, found),
            Stage::Select(attributes) => attributes.iter().for_each(|a| add(a, found)),
            Stage::By(expr) => of_field(expr, found),
            Stage::ScalarFilter(filter) => {
                of_scalar(&filter.left, found);
                of_scalar(&filter.right, found);
            }
            Stage::Coalesce => {}
        }
    }
}

fn of_scalar<'q>(expr: &'q ScalarExpr, found: &mut Vec<&'q Attribute>) {
    use Aggregate::{Avg, Count, Max, Min, Sum};
    match expr {
        ScalarExpr::Aggregate(Avg(field) | Max(field) | Min(field) | Sum(field)) => of_field(field, found),
        ScalarExpr::Aggregate(Count) | ScalarExpr::Literal(_) => {}
        other => panic!("`{other}` does not pass validation"),
    }
}

fn of_spanset<'q>(expr: &'q SpansetExpr, found: &mut Vec<&'q Attribute>) {
    match expr {
        SpansetExpr::Filter(filter) => of_field(filter, found),
        SpansetExpr::Pipeline(pipeline) => of_pipeline(pipeline, found),
        SpansetExpr::Binary { left, right, .. } => {
            of_spanset(left, found);
            of_spanset(right, found);
        }
    }
}

fn of_field<'q>(expr: &'q FieldExpr, found: &mut Vec<&'q Attribute>) {
    match expr {
        FieldExpr::Literal(_) => {}
        FieldExpr::Attribute(attribute) => add(attribute, found),
        FieldExpr::Unary { expr, .. } => of_field(expr, found),
        FieldExpr::Binary { left, right, .. } => {
            of_field(left, found);
            of_field(right, found);
        }
    }
}

fn add<'q>(attribute: &'q Attribute, found: &mut Vec<&'q Attribute>) {
    use Intrinsic::{Duration, Name, RootName, RootServiceName, SpanId, TraceDuration, TraceId};
    let elsewhere = matches!(
        attribute,
        Attribute::Intrinsic(Name | Duration | TraceDuration | RootName | RootServiceName | TraceId | SpanId)
    );
    if !elsewhere && !found.contains(&attribute) {
        found.push(attribute);
    }
}
