//! Spellings of operators and keywords, read by the parser and written by the printer.

use super::{BinaryOp, Kind, SpansetOp, Static, Status, UnaryOp};

/// Binding strength of operators, weakest first (`reference/tempo.md` 4.2).
pub(crate) mod precedence {
    pub(crate) const LOGICAL: u8 = 1;
    pub(crate) const COMPARISON: u8 = 2;
    pub(crate) const SUM: u8 = 3;
    /// Prefix operators; their operand starts at product.
    pub(crate) const PREFIX: u8 = 4;
    pub(crate) const PRODUCT: u8 = 5;
    /// The only level that associates to the right.
    pub(crate) const POWER: u8 = 6;
    pub(crate) const LEAF: u8 = u8::MAX;
}

impl UnaryOp {
    /// As written in a query.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Neg => "-",
            Self::Not => "!",
        }
    }
}

impl BinaryOp {
    pub(crate) const ALL: [Self; 16] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Mod,
        Self::Pow,
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::Regex,
        Self::NotRegex,
        Self::And,
        Self::Or,
    ];

    /// As written in a query.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
            Self::And => "&&",
            Self::Or => "||",
        }
    }

    pub(crate) fn from_symbol(symbol: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.symbol() == symbol)
    }

    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::And | Self::Or => precedence::LOGICAL,
            Self::Add | Self::Sub => precedence::SUM,
            Self::Mul | Self::Div | Self::Mod => precedence::PRODUCT,
            Self::Pow => precedence::POWER,
            _ => precedence::COMPARISON,
        }
    }
}

impl SpansetOp {
    pub(crate) const ALL: [Self; 17] = [
        Self::And,
        Self::Or,
        Self::Child,
        Self::Parent,
        Self::Descendant,
        Self::Ancestor,
        Self::Sibling,
        Self::NotChild,
        Self::NotParent,
        Self::NotDescendant,
        Self::NotAncestor,
        Self::NotSibling,
        Self::UnionChild,
        Self::UnionParent,
        Self::UnionDescendant,
        Self::UnionAncestor,
        Self::UnionSibling,
    ];

    /// As written in a query.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
            Self::Child => ">",
            Self::Parent => "<",
            Self::Descendant => ">>",
            Self::Ancestor => "<<",
            Self::Sibling => "~",
            Self::NotChild => "!>",
            Self::NotParent => "!<",
            Self::NotDescendant => "!>>",
            Self::NotAncestor => "!<<",
            Self::NotSibling => "!~",
            Self::UnionChild => "&>",
            Self::UnionParent => "&<",
            Self::UnionDescendant => "&>>",
            Self::UnionAncestor => "&<<",
            Self::UnionSibling => "&~",
        }
    }

    pub(crate) fn from_symbol(symbol: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.symbol() == symbol)
    }

    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::And | Self::Or => precedence::LOGICAL,
            _ => precedence::COMPARISON,
        }
    }
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Error, Self::Ok, Self::Unset];

    /// The keyword, also used in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Ok => "ok",
            Self::Unset => "unset",
        }
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Unspecified, Self::Internal, Self::Server, Self::Client, Self::Producer, Self::Consumer];

    /// The keyword, also used in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

impl Static {
    pub(crate) fn from_keyword(word: &str) -> Option<Self> {
        match word {
            "nil" => Some(Self::Nil),
            "true" => Some(Self::Bool(true)),
            "false" => Some(Self::Bool(false)),
            _ => {
                let status = Status::ALL.into_iter().find(|status| status.name() == word);
                let kind = Kind::ALL.into_iter().find(|kind| kind.name() == word);
                status.map(Self::Status).or(kind.map(Self::Kind))
            }
        }
    }

    /// An integer or float, not a duration.
    pub(crate) fn is_plain_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Float(_))
    }

    pub(crate) fn is_negative(&self) -> bool {
        match self {
            Self::Int(value) | Self::Duration(value) => *value < 0,
            Self::Float(value) => value.is_sign_negative(),
            _ => false,
        }
    }
}
