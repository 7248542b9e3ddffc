//! Tokens to tree by recursive descent. Binary operators are read by precedence climbing on one table of levels
//! (`reference/tempo.md` 4.2). Validation runs as nodes are built, where positions are at hand: the first problem is
//! kept aside and only reported when the whole text parses.

mod field;
mod metrics;
mod pipeline;
mod scalar;
mod spanset;

use crate::ast::{Attribute, Query, Static};
use crate::error::{ErrorStage, TraceqlError};
use crate::lexer::lex;
use crate::token::{Token, TokenKind};

/// Longest query in bytes; Tempo's default for `max_query_expression_size_bytes`.
pub const MAX_TEXT: usize = 128 << 10;

/// How deep brackets, prefix operators and `^` may nest.
pub const MAX_NESTING: u32 = 128;

/// Depth of the deepest tree. A chain such as `a || b || c` is as deep as it has operators.
pub const MAX_DEPTH: u32 = 512;

type Parsed<T> = Result<T, TraceqlError>;

/// Parses without validating: types may not fit, patterns may be wrong.
///
/// # Errors
/// The first error in the text, at [`ErrorStage::Parse`]; a text over [`MAX_TEXT`], [`MAX_NESTING`] or [`MAX_DEPTH`]
/// is one too.
pub fn parse(text: &str) -> Result<Query, TraceqlError> {
    let mut parser = Parser::new(text)?;
    parser.query()
}

/// Parses and validates.
///
/// # Errors
/// As [`parse`], then the first problem at [`ErrorStage::Validate`] or [`ErrorStage::Unsupported`].
pub fn parse_validated(text: &str) -> Result<Query, TraceqlError> {
    let mut parser = Parser::new(text)?;
    let query = parser.query()?;
    parser.problem.map_or(Ok(query), Err)
}

/// Parses an attribute or intrinsic alone: `.foo`, `resource.x`, `span:name`, `span."a b"`, `name`.
///
/// # Errors
/// At [`ErrorStage::Parse`] when the text is anything else.
pub fn parse_attribute(text: &str) -> Result<Attribute, TraceqlError> {
    let mut parser = Parser::new(text)?;
    let attribute = parser.attribute()?;
    parser.expect_end("$end")?;
    Ok(attribute)
}

struct Parser<'a> {
    text: &'a str,
    /// Ends with [`TokenKind::End`].
    tokens: Vec<Token>,
    /// Index of the next token.
    next: usize,
    nesting: u32,
    /// The first thing validation found.
    problem: Option<TraceqlError>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Self> {
        if text.len() > MAX_TEXT {
            let message = format!("query of {} bytes is longer than {MAX_TEXT}", text.len());
            return Err(TraceqlError::new(ErrorStage::Parse, text, 0, message));
        }
        Ok(Self { text, tokens: lex(text), next: 0, nesting: 0, problem: None })
    }

    fn peek(&self) -> &TokenKind {
        self.tokens.get(self.next).map_or(&TokenKind::End, |token| &token.kind)
    }

    /// Byte where the next token starts.
    fn offset(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |token| token.start)
    }

    fn advance(&mut self) {
        self.next += 1;
    }

    fn symbol(&self) -> Option<&'static str> {
        match self.peek() {
            TokenKind::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    fn at_symbol(&self, wanted: &str) -> bool {
        self.symbol() == Some(wanted)
    }

    fn accept(&mut self, wanted: &str) -> bool {
        let found = self.at_symbol(wanted);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, wanted: &str) -> Parsed<()> {
        if self.accept(wanted) { Ok(()) } else { Err(self.unexpected(wanted)) }
    }

    fn word(&self) -> Option<&str> {
        match self.peek() {
            TokenKind::Word(word) => Some(word),
            _ => None,
        }
    }

    fn accept_word(&mut self, wanted: &str) -> bool {
        let found = self.word() == Some(wanted);
        if found {
            self.advance();
        }
        found
    }

    fn expect_end(&self, expecting: &str) -> Parsed<()> {
        if *self.peek() == TokenKind::End { Ok(()) } else { Err(self.unexpected(expecting)) }
    }

    /// The next token cannot stand here; `expecting` may be empty.
    fn unexpected(&self, expecting: &str) -> TraceqlError {
        self.unexpected_at(self.next, expecting)
    }

    fn unexpected_at(&self, index: usize, expecting: &str) -> TraceqlError {
        let end = Token { kind: TokenKind::End, start: self.text.len(), end: self.text.len() };
        let token = self.tokens.get(index).unwrap_or(&end);
        let mut message = token.kind.complaint();
        if !expecting.is_empty() && !token.kind.is_mistake() {
            message = format!("{message}, expecting {expecting}");
        }
        TraceqlError::new(ErrorStage::Parse, self.text, token.start, message)
    }

    fn error(&self, offset: usize, message: impl Into<String>) -> TraceqlError {
        TraceqlError::new(ErrorStage::Parse, self.text, offset, message)
    }

    /// Keeps what validation found, unless it found something before.
    fn note(&mut self, stage: ErrorStage, offset: usize, message: impl FnOnce() -> String) {
        if self.problem.is_none() {
            self.problem = Some(TraceqlError::new(stage, self.text, offset, message()));
        }
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_NESTING {
            return Err(self.error(self.offset(), format!("nested more than {MAX_NESTING} deep")));
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    /// Depth of a node over children of these depths.
    fn depth_over(&self, left: u32, right: u32, offset: usize) -> Parsed<u32> {
        let depth = left.max(right) + 1;
        if depth > MAX_DEPTH {
            return Err(
                self.error(offset, format!("expression has more than {MAX_DEPTH} operators in a row"))
            );
        }
        Ok(depth)
    }

    /// `attr`: named, scoped intrinsic or bare intrinsic.
    fn attribute(&mut self) -> Parsed<Attribute> {
        match self.attribute_here() {
            Some(attribute) => {
                self.check_attribute(&attribute);
                self.advance();
                Ok(attribute)
            }
            None => Err(self.unexpected("attribute")),
        }
    }

    fn attribute_here(&self) -> Option<Attribute> {
        match self.peek() {
            TokenKind::Attribute(attribute) => Some(attribute.clone()),
            TokenKind::Word(word) => crate::ast::Intrinsic::from_name(word).map(Attribute::Intrinsic),
            _ => None,
        }
    }

    fn check_attribute(&mut self, attribute: &Attribute) {
        let parent = matches!(
            attribute,
            Attribute::Named { parent: true, .. } | Attribute::Intrinsic(crate::ast::Intrinsic::Parent)
        );
        if parent {
            let message = || "parent attributes are not yet supported".to_owned();
            self.note(ErrorStage::Unsupported, self.offset(), message);
        }
    }

    /// `attr (',' attr)*` in brackets, and the tokens each starts at.
    fn attribute_list(&mut self) -> Parsed<Vec<Attribute>> {
        self.expect("(")?;
        let mut attributes = vec![self.attribute()?];
        while self.accept(",") {
            attributes.push(self.attribute()?);
        }
        self.expect(")")?;
        Ok(attributes)
    }

    /// The literal that is the next token, if it is one.
    fn literal_here(&self) -> Option<Static> {
        match self.peek() {
            TokenKind::Int(value) => Some(Static::Int(*value)),
            TokenKind::Float(value) => Some(Static::Float(*value)),
            TokenKind::Duration(nanos) => Some(Static::Duration(*nanos)),
            TokenKind::String(text) => Some(Static::String(text.clone())),
            TokenKind::Word(word) => Static::from_keyword(word),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
