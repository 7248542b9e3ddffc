//! Structural operators (`reference/tempo.md` 4.6): every pair of spans is looked at.

use vivace_traceql::SpansetOp;

use super::pipeline::{Spans, union};
use super::trace::{Parent, Subject};

/// How a span of the right side relates to one of the left.
#[derive(Clone, Copy)]
enum Relation {
    Child,
    Parent,
    Descendant,
    Ancestor,
    Sibling,
}

/// Which spans an operator yields.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Negated,
    Union,
}

/// `left op right`. `trace` holds all spans of the trace.
pub(crate) fn structural<'a, 's>(
    op: SpansetOp,
    left: &Spans<'a, 's>,
    right: &Spans<'a, 's>,
    trace: &Spans<'a, 's>,
) -> Spans<'a, 's> {
    let (relation, form) = parts(op);
    let holds = |a: &Subject<'_>, b: &Subject<'_>| related(relation, a, b, trace);
    let of_right = |wanted: bool| -> Spans<'a, 's> {
        right.iter().copied().filter(|b| left.iter().any(|a| holds(a, b)) == wanted).collect()
    };
    match form {
        Form::Plain => of_right(true),
        Form::Negated => of_right(false),
        Form::Union => {
            let of_left = left.iter().copied().filter(|a| right.iter().any(|b| holds(a, b))).collect();
            union(of_left, &of_right(true))
        }
    }
}

fn parts(op: SpansetOp) -> (Relation, Form) {
    use Form::{Negated, Plain, Union};
    match op {
        SpansetOp::Child => (Relation::Child, Plain),
        SpansetOp::Parent => (Relation::Parent, Plain),
        SpansetOp::Descendant => (Relation::Descendant, Plain),
        SpansetOp::Ancestor => (Relation::Ancestor, Plain),
        SpansetOp::Sibling => (Relation::Sibling, Plain),
        SpansetOp::NotChild => (Relation::Child, Negated),
        SpansetOp::NotParent => (Relation::Parent, Negated),
        SpansetOp::NotDescendant => (Relation::Descendant, Negated),
        SpansetOp::NotAncestor => (Relation::Ancestor, Negated),
        SpansetOp::NotSibling => (Relation::Sibling, Negated),
        SpansetOp::UnionChild => (Relation::Child, Union),
        SpansetOp::UnionParent => (Relation::Parent, Union),
        SpansetOp::UnionDescendant => (Relation::Descendant, Union),
        SpansetOp::UnionAncestor => (Relation::Ancestor, Union),
        SpansetOp::UnionSibling => (Relation::Sibling, Union),
        SpansetOp::And | SpansetOp::Or => panic!("{op} is not structural"),
    }
}

fn related(relation: Relation, a: &Subject<'_>, b: &Subject<'_>, trace: &Spans<'_, '_>) -> bool {
    match relation {
        Relation::Child => b.parent == Parent::At(a.at),
        Relation::Parent => a.parent == Parent::At(b.at),
        Relation::Descendant => ancestors(b, trace).contains(&a.at),
        Relation::Ancestor => ancestors(a, trace).contains(&b.at),
        Relation::Sibling => a.at != b.at && a.parent == b.parent,
    }
}

/// From the parent upwards, each once. In a circle of parents everybody is an ancestor of everybody, itself included.
fn ancestors(span: &Subject<'_>, trace: &Spans<'_, '_>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut parent = span.parent;
    while let Parent::At(at) = parent {
        if found.contains(&at) {
            break;
        }
        found.push(at);
        parent = trace[at].parent;
    }
    found
}
