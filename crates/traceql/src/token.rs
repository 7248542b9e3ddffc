use crate::ast::Attribute;

/// What the lexer makes of a stretch of text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    /// Operator, bracket or comma.
    Symbol(&'static str),
    /// Identifier: keyword, function, bare intrinsic, or unknown.
    Word(String),
    Int(i64),
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    String(String),
    /// Named attribute, or intrinsic with its prefix (`span:name`).
    Attribute(Attribute),
    /// No token; the message says why. Always the last but one.
    Invalid(String),
    /// End of the text. Always the last.
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// Byte where it starts.
    pub(crate) start: usize,
    /// Byte after it.
    pub(crate) end: usize,
}

/// Words with a meaning outside attribute names, intrinsics aside.
const KEYWORDS: &[&str] = &[
    "true",
    "false",
    "nil",
    "ok",
    "error",
    "unset",
    "unspecified",
    "internal",
    "server",
    "client",
    "producer",
    "consumer",
    "by",
    "coalesce",
    "select",
    "with",
    "count",
    "avg",
    "min",
    "max",
    "sum",
    "rate",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "avg_over_time",
    "quantile_over_time",
    "histogram_over_time",
    "compare",
    "topk",
    "bottomk",
];

impl TokenKind {
    /// What an error calls it.
    pub(crate) fn complaint(&self) -> String {
        let class = match self {
            Self::Symbol(symbol) => symbol,
            Self::Word(word) if is_keyword(word) => word.as_str(),
            Self::Word(word) => return format!("unknown identifier: {word}"),
            Self::Invalid(message) => return message.clone(),
            Self::Int(_) => "INTEGER",
            Self::Float(_) => "FLOAT",
            Self::Duration(_) => "DURATION",
            Self::String(_) => "STRING",
            Self::Attribute(_) => "attribute",
            Self::End => "$end",
        };
        format!("syntax error: unexpected {class}")
    }

    /// Whether [`Self::complaint`] says all there is to say.
    pub(crate) fn is_mistake(&self) -> bool {
        match self {
            Self::Word(word) => !is_keyword(word),
            Self::Invalid(_) => true,
            _ => false,
        }
    }
}

/// Whether the word has a meaning of its own, so that it names nothing else.
pub(crate) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word) || crate::ast::Intrinsic::from_name(word).is_some()
}
