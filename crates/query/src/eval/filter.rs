use regex::Regex;
use vivace_traceql::{Attribute, BinaryOp, FieldExpr, Intrinsic, Scope, Static, UnaryOp, compile_pattern};

use super::compare::{arithmetic, compare, matches, negate};
use super::need::mirrored;
use super::{Need, Operand};
use crate::QueryError;

/// Where a filter finds the values of its attributes.
pub(crate) trait Operands {
    /// The value of the attribute at this position of [`Filter::attributes`].
    fn get(&self, attribute: usize) -> Operand<'_>;
}

/// A field expression, ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    root: Node,
    attributes: Vec<Attribute>,
}

/// A part of an expression.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Constant(Operand<'static>),
    Attribute(usize),
    Not(Box<Node>),
    Negate(Box<Node>),
    IsNil { operand: Box<Node>, negated: bool },
    Matches { operand: Box<Node>, pattern: Regex, negated: bool },
    Compare { op: BinaryOp, left: Box<Node>, right: Box<Node> },
    Arithmetic { op: BinaryOp, left: Box<Node>, right: Box<Node> },
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

impl Filter {
    /// Compiles an expression; regular expressions are compiled here, once.
    pub(crate) fn compile(expr: &FieldExpr) -> Result<Self, QueryError> {
        let mut attributes = Vec::new();
        let root = compile(expr, &mut attributes)?;
        Ok(Self { root, attributes })
    }

    /// The attributes it asks for, each once.
    pub(crate) fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Whether the whole trace must be known to answer.
    pub(crate) fn needs_trace(&self) -> bool {
        self.attributes.iter().any(trace_level)
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// What must be there for the filter to hold on any span.
    pub(crate) fn need(&self) -> Need {
        self.need_of(&self.root)
    }

    /// Its truth, if it asks for no attribute.
    pub(crate) fn constant(&self) -> Option<bool> {
        struct Nothing;
        impl Operands for Nothing {
            fn get(&self, _: usize) -> Operand<'_> {
                Operand::Nil
            }
        }
        self.attributes.is_empty().then(|| self.holds(&Nothing))
    }

    fn need_of(&self, node: &Node) -> Need {
        match node {
            Node::And(left, right) => Need::all(self.need_of(left), self.need_of(right)),
            Node::Or(left, right) => Need::any(self.need_of(left), self.need_of(right)),
            Node::Compare { op, left, right } => match (&**left, &**right) {
                (Node::Attribute(at), Node::Constant(constant)) => {
                    Need::of_comparison(&self.attributes[*at], *op, constant)
                }
                (Node::Constant(constant), Node::Attribute(at)) => {
                    Need::of_comparison(&self.attributes[*at], mirrored(*op), constant)
                }
                _ => Need::Anything,
            },
            Node::Matches { operand, .. } | Node::IsNil { operand, negated: true } => match &**operand {
                Node::Attribute(at) => Need::Present(self.attributes[*at].clone()),
                _ => Need::Anything,
            },
            _ => Need::Anything,
        }
    }

    /// The value of the expression.
    pub(crate) fn value<'a>(&'a self, operands: &'a impl Operands) -> Operand<'a> {
        evaluate(&self.root, operands)
    }

    /// Whether the expression is true.
    pub(crate) fn holds(&self, operands: &impl Operands) -> bool {
        self.value(operands) == Operand::Bool(true)
    }
}

/// Whether an attribute is known only once the whole trace is.
pub(crate) fn trace_level(attribute: &Attribute) -> bool {
    use Intrinsic as I;
    let Attribute::Intrinsic(intrinsic) = attribute else { return false };
    matches!(
        intrinsic,
        I::RootName
            | I::RootServiceName
            | I::TraceDuration
            | I::ChildCount
            | I::NestedSetLeft
            | I::NestedSetRight
            | I::NestedSetParent
    )
}

impl Node {
    /// Positions of the attributes it asks for.
    pub(super) fn attributes(&self) -> Vec<usize> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Attribute(at) => vec![*at],
            Self::Not(operand) | Self::Negate(operand) => operand.attributes(),
            Self::IsNil { operand, .. } | Self::Matches { operand, .. } => operand.attributes(),
            Self::Compare { left, right, .. }
            | Self::Arithmetic { left, right, .. }
            | Self::And(left, right)
            | Self::Or(left, right) => [left.attributes(), right.attributes()].concat(),
        }
    }

    /// `attribute op number`, where the number is a whole one, whichever side it is written on.
    pub(super) fn compares_with(&self) -> Option<(BinaryOp, i64)> {
        let Self::Compare { op, left, right } = self else { return None };
        match (&**left, &**right) {
            (Self::Attribute(_), Self::Constant(Operand::Int(number) | Operand::Duration(number))) => {
                Some((*op, *number))
            }
            (Self::Constant(Operand::Int(number) | Operand::Duration(number)), Self::Attribute(_)) => {
                Some((mirrored(*op), *number))
            }
            _ => None,
        }
    }
}

fn compile(expr: &FieldExpr, attributes: &mut Vec<Attribute>) -> Result<Node, QueryError> {
    match expr {
        FieldExpr::Literal(literal) => Ok(Node::Constant(Operand::of_static(literal))),
        FieldExpr::Attribute(attribute) => attribute_node(attribute, attributes),
        FieldExpr::Unary { op, expr } => {
            let operand = Box::new(compile(expr, attributes)?);
            Ok(match op {
                UnaryOp::Not => Node::Not(operand),
                UnaryOp::Neg => Node::Negate(operand),
            })
        }
        FieldExpr::Binary { op, left, right } => binary_node(*op, left, right, attributes),
    }
}

fn attribute_node(attribute: &Attribute, attributes: &mut Vec<Attribute>) -> Result<Node, QueryError> {
    let unsupported = match attribute {
        Attribute::Intrinsic(Intrinsic::Parent) => true,
        Attribute::Named { parent, .. } => *parent,
        Attribute::Intrinsic(_) => false,
    };
    if unsupported {
        return Err(QueryError::Invalid(format!("{attribute} is not yet supported")));
    }
    let known = attributes.iter().position(|other| other == attribute);
    Ok(Node::Attribute(known.unwrap_or_else(|| {
        attributes.push(attribute.clone());
        attributes.len() - 1
    })))
}

fn binary_node(
    op: BinaryOp,
    left: &FieldExpr,
    right: &FieldExpr,
    attributes: &mut Vec<Attribute>,
) -> Result<Node, QueryError> {
    let nil = FieldExpr::Literal(Static::Nil);
    if matches!(op, BinaryOp::Eq | BinaryOp::Ne) && (*left == nil) != (*right == nil) {
        let tested = if *left == nil { right } else { left };
        let operand = Box::new(compile(tested, attributes)?);
        return Ok(Node::IsNil { operand, negated: op == BinaryOp::Ne });
    }
    if matches!(op, BinaryOp::Regex | BinaryOp::NotRegex) {
        let FieldExpr::Literal(Static::String(pattern)) = right else {
            return Err(QueryError::Invalid(
                "the right side of a regular expression must be a string".to_owned(),
            ));
        };
        let pattern = compile_pattern(pattern).map_err(|reason| {
            QueryError::Invalid(format!("invalid regular expression \"{pattern}\": {reason}"))
        })?;
        let operand = Box::new(compile(left, attributes)?);
        return Ok(Node::Matches { operand, pattern, negated: op == BinaryOp::NotRegex });
    }
    let strip = |side: Node, other: &FieldExpr| if is_trace_id(other) { strip_zeros(side) } else { side };
    let left_node = strip(compile(left, attributes)?, right);
    let right_node = strip(compile(right, attributes)?, left);
    let (left, right) = (Box::new(left_node), Box::new(right_node));
    Ok(match op {
        BinaryOp::And => Node::And(left, right),
        BinaryOp::Or => Node::Or(left, right),
        op if op.is_arithmetic() => Node::Arithmetic { op, left, right },
        op => Node::Compare { op, left, right },
    })
}

fn is_trace_id(expr: &FieldExpr) -> bool {
    matches!(expr, FieldExpr::Attribute(Attribute::Intrinsic(Intrinsic::TraceId)))
}

/// `trace:id` compares without leading zeros (`reference/tempo.md` 4.3).
fn strip_zeros(node: Node) -> Node {
    match node {
        Node::Constant(Operand::String(text)) => {
            let stripped = text.trim_start_matches('0').to_owned();
            Node::Constant(Operand::String(stripped.into()))
        }
        other => other,
    }
}

pub(super) fn evaluate<'a>(node: &'a Node, operands: &'a impl Operands) -> Operand<'a> {
    match node {
        Node::Constant(constant) => constant.borrowed(),
        Node::Attribute(at) => operands.get(*at),
        Node::Not(operand) => match evaluate(operand, operands) {
            Operand::Bool(truth) => Operand::Bool(!truth),
            _ => Operand::Nil,
        },
        Node::Negate(operand) => negate(&evaluate(operand, operands)),
        Node::IsNil { operand, negated } => Operand::Bool(match evaluate(operand, operands) {
            Operand::Unbound => false,
            Operand::Nil => !negated,
            _ => *negated,
        }),
        Node::Matches { operand, pattern, negated } => {
            Operand::Bool(matches(&evaluate(operand, operands), pattern, *negated))
        }
        Node::Compare { op, left, right } => {
            Operand::Bool(compare(*op, &evaluate(left, operands), &evaluate(right, operands)))
        }
        Node::Arithmetic { op, left, right } => {
            arithmetic(*op, &evaluate(left, operands), &evaluate(right, operands))
        }
        Node::And(left, right) => Operand::Bool(is_true(left, operands) && is_true(right, operands)),
        Node::Or(left, right) => Operand::Bool(is_true(left, operands) || is_true(right, operands)),
    }
}

fn is_true(node: &Node, operands: &impl Operands) -> bool {
    evaluate(node, operands) == Operand::Bool(true)
}

/// Whether an attribute may have one value per event.
pub(super) fn of_events(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Intrinsic(intrinsic) => {
            matches!(intrinsic, Intrinsic::EventName | Intrinsic::EventTimeSinceStart)
        }
        Attribute::Named { scope, .. } => *scope == Scope::Event,
    }
}

/// Whether an attribute may have one value per link.
pub(super) fn of_links(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Intrinsic(intrinsic) => {
            matches!(intrinsic, Intrinsic::LinkTraceId | Intrinsic::LinkSpanId)
        }
        Attribute::Named { scope, .. } => *scope == Scope::Link,
    }
}

/// The key of an attribute without scope.
pub(super) fn unscoped(attribute: &Attribute) -> Option<&str> {
    match attribute {
        Attribute::Named { scope: Scope::None, name, .. } => Some(name),
        _ => None,
    }
}
